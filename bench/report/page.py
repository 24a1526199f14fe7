"""The report as one page: the answer in words, charts to look into it, and all that it rests on."""

import json
from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from struct import unpack
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from bench.report.markdown import COMMAND
from bench.report.page_data import page_data
from bench.report.reproduce import reproduction
from bench.report.run_data import RunData
from bench.tables.formatting import text
from bench.tables.ranking import best_choices
from bench.tables.readable import caption, readable_table, text_table
from bench.tables.verdict import count, describe_range, runs_of_the_best, safe_rates, unfinished

TEMPLATES = Path(__file__).parent / "templates"
THEME, LIBRARY = "theme.js", "plotly"
CHARTS = [LIBRARY, "data.js", "rows.js", "look.js", "map.js", "optimizers.js", "loss.js", "rates.js", "fit.js"]
CHARTS += ["time.js", "table.js", "page.js"]
BARE = ["look.js", "bare.js"]
# What the page draws itself it does not show as a picture too, nor what it has no room for.
DRAWN = ("loss_", "fitted_", "rate_map", "sensitivity", "pareto")
PAGE = 7_800_000
SEEDS = 20
SHORT = {"speed": "Speed", "times": "Times", "theory": "Theory", "rates": "Convergence", "check": "Check"}


class Picture(NamedTuple):
    """A figure in the page."""

    source: str
    caption: str
    width: int
    height: int


class Answer(NamedTuple):
    """The best choice, setting by setting, and what it comes to."""

    heading: str
    settings: list[tuple[str, str]]
    tiles: list[tuple[str, str]]


def page(material: RunData, planned: int, titles: dict[str, str], captions: dict[str, str], checked: str) -> str:
    """Make the page of a run.

    Parameters
    ----------
    material : Material
    planned : int
        How many configurations the run is to have.
    titles : dict
        What tables and evidence are called.
    captions : dict
        From the name of a figure in figures/ to what is seen in it.
    checked : str
        How far the kernels were found equal to the reference.

    Returns
    -------
    str
        HTML that needs nothing else.
    """
    frame = material.frame
    answer = _answer(material) if len(frame) else None
    evidence = _evidence(material, titles, checked) if answer else []
    shown = page_data(material) | {"recipe": reproduction(material)} if answer else {}
    data = as_script(shown)
    room = PAGE - len(charting_library()) - len(data) if answer else 0
    pictures = _pictures(material.result.run.folder / "figures", captions, room)
    return assemble_page(
        "page.html.j2",
        CHARTS if answer else BARE,
        data,
        title=text(material.title),
        expression=material.result.model.expression,
        source=f"{material.source}, {count(len(frame), 'configuration')}",
        unfinished=unfinished(len(frame), planned),
        answer=answer,
        verdict=[(about, text(sentence)) for about, sentence in material.verdict.items()],
        sections=_sections(evidence, pictures) if answer else [],
        fitted=shown.get("fit") is not None,
        no_fit=_no_fit(material),
        choices=[(titles[name], text_table(table)) for name, table in material.tables.items()] if answer else [],
        figures=pictures,
        evidence=evidence,
        environment=[(name, text(value)) for name, value in material.result.run.environment.items()],
        again=_again(material),
        study=material.result.run.study,
        command=COMMAND,
    )


def assemble_page(template: str, scripts: Sequence[str], data: Markup, **context: Any) -> str:
    """Fill a template with what all pages have: style, scripts, data, and the policy that lets nothing else run.

    Parameters
    ----------
    template : str
    scripts : list of str
        Files of templates/, in the order in which they run at the end of the page.
    data : Markup
        For the scripts, from `as_script`.
    **context
        For the template, which escapes it.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    sources = [charting_library() if name == LIBRARY else _own(name) for name in (THEME, *scripts)]
    hashes = " ".join(f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'" for source in sources)
    # Styles are the charting library's own to set; with no source for anything else, nothing can leave the page.
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        policy=Markup(policy),  # noqa: S704 (made here)
        style=Markup(_own("style.css")),  # noqa: S704 (our own file)
        scripts=[Markup(source) for source in sources],  # noqa: S704 (our own files and the library's)
        data=data,
        version=version("sgdbench"),
        **context,
    )


def _own(name: str) -> str:
    return TEMPLATES.joinpath(name).read_text(encoding="utf-8")


@cache
def charting_library() -> str:
    """Plotly's script as its package brings it, with its license on top."""
    source = files("plotly").joinpath("package_data", "plotly.min.js").read_text(encoding="utf-8")
    # In a string of a script this is the same; in a page it would end the script.
    return source.replace("</script", "<\\/script")


def as_script(data: Any) -> Markup:
    """Data as JSON that no text in it can break out of, whatever reads it as HTML."""
    written = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for sign in "<>&\u2028\u2029":
        written = written.replace(sign, f"\\u{ord(sign):04x}")
    # A lone half of a character pair cannot be written as UTF-8.
    return Markup(written.encode("utf-8", "replace").decode())  # noqa: S704 (escaped just above)


def _answer(material: RunData) -> Answer:
    frame, target = material.frame, material.target
    ranked = best_choices(frame)
    top, winner = ranked.iloc[0], runs_of_the_best(frame, ranked)
    row = winner.iloc[0]
    settings = [
        ("optimizer", str(row["optimizer"])),
        ("learning rate", text(row["lr"])),
        ("batch size", text(row["batch_size"])),
        ("schedule", str(row["schedule"])),
    ]
    diverged = int((frame["status"] == "diverged").sum())
    lost = (f"{text(diverged)} of {text(len(frame))}", "runs of all choices diverged")
    if diverged == len(frame):
        return Answer("No choice works: every run diverged", [], [lost])
    if target is None:
        return Answer(
            "The best choice",
            settings,
            [(text(top["final_loss"]), "final loss in the median; there is no target"), lost],
        )
    tiles = [
        (
            f"{text(int(top['converged']))} of {text(int(top['runs']))}",
            "runs of it, all starts and seeds, reach the target",
        )
    ]
    epochs = winner["epochs_to_target"].dropna()
    if len(epochs):
        middle = count(epochs.median(), "epoch")
        heading = "The best choice"
        tiles.insert(0, (middle, f"to the target loss {text(target)} in the median; {text(int(epochs.max()))} at most"))
    else:
        heading = "The best choice, though no run reached the target"
        tiles.insert(0, (text(top["final_loss"]), f"final loss in the median; the target is {text(target)}"))
    ranges = {str(one["optimizer"]): one for one in safe_rates(frame).to_dict("records")}
    own = ranges[str(row["optimizer"])]
    safe = describe_range(own["lowest"], own["highest"]) if own["safe"] else "none"
    tiles.append((safe, f"learning rates of {row['optimizer']} at which every start and seed reaches it"))
    return Answer(heading, settings, [*tiles, lost])


def _no_fit(material: RunData) -> str:
    """Why there is no fit to be seen."""
    if material.lost:
        return material.lost
    if "trajectories" in material.evidence:
        return "No run ended at finite parameters."
    return "Not yet: the runs to be shown are trained once more when all configurations are done."


def _evidence(material: RunData, titles: dict[str, str], checked: str) -> list[dict[str, Any]]:
    """What was measured around the sweep, each with its table; the check comes even without one."""
    parts = []
    for name, title in titles.items():
        table = material.evidence.get(name)
        if name in material.tables or (name != "check" and (table is None or table.empty)):
            continue
        said = checked if name == "check" else caption(name, material.evidence[name])
        shown = None if table is None else text_table(readable_table(name, table))
        parts.append({"name": f"evidence-{name}", "title": title, "said": said, "table": shown})
    return parts


def _pictures(folder: Path, captions: dict[str, str], room: int) -> list[Picture]:
    """The figures that the page does not draw, as long as there is room for them."""
    pictures = []
    for name, words in captions.items():
        if name.startswith(DRAWN):
            continue
        content = (folder / f"{name}.png").read_bytes()
        room -= len(content) * 4 // 3
        if room > 0:
            width, height = unpack(">II", content[16:24])
            source = f"data:image/png;base64,{b64encode(content).decode()}"
            pictures.append(Picture(source, words, width // 2, height // 2))
    return pictures


def _sections(evidence: list[dict[str, Any]], pictures: list[Picture]) -> list[tuple[str, str]]:
    """Where on the page a reader may want to go."""
    return [
        *(("map", "Map"), ("loss", "Loss"), ("rates", "Rates"), ("fit", "Fit"), ("time", "Time")),
        *(("choices", "Choices"), ("configurations", "Configurations")),
        *([("figures", "Figures")] if pictures else []),
        *((part["name"], SHORT[part["name"].removeprefix("evidence-")]) for part in evidence),
        *(("environment", "Machine"), ("again", "Again")),
    ]


def _again(material: RunData) -> list[tuple[str, str]]:
    """Seeds and versions, without which nothing is the same."""
    frame, facts = material.frame, material.result.run.environment
    seeds = frame["seed"].unique().tolist() if len(frame) else []
    shown = ", ".join(map(str, seeds[:SEEDS])) + (f" and {text(len(seeds) - SEEDS)} more" if len(seeds) > SEEDS else "")
    versions = ", ".join(f"{name} {facts[name]}" for name in ("python", "sgdbench", "numpy", "numba") if name in facts)
    return [("Seeds", shown or "none yet"), ("Versions", versions)]

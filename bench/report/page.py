"""The report as one HTML page: the answer in words, interactive charts, and the measurements behind them."""

from base64 import b64encode
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from sgdbench.analysis.convergence import MAX_WEIGHTS, has_many_weights
from sgdbench.report.answer import SAID_BY_ANSWER, find_answer
from sgdbench.report.markdown import command_of
from sgdbench.report.measurements import Measurement, measurements_of
from sgdbench.report.packing import compress
from sgdbench.report.page_data import page_data
from sgdbench.report.reproduce import reproduction, run_table
from sgdbench.report.run_data import RunData
from sgdbench.tables.chart_words import CONFUSION_CAPTION
from sgdbench.tables.formatting import text
from sgdbench.tables.rank import varies
from sgdbench.tables.render import TITLES, caption, text_table
from sgdbench.tables.words import describe_progress, format_count, say_no_stable_rates

TEMPLATES = Path(__file__).parent / "templates"
LIBRARY_FILE = Path(__file__).parent / "vendor" / "plotly-cartesian.min.js"
THEME, LIBRARY = "theme.js", "plotly"
PAGE_SCRIPTS = [
    *(LIBRARY, "data.js", "look.js", "chart.js", "rows.js", "map.js", "optimizers.js"),
    *("program.js", "runs.js", "scenes.js", "play.js", "table.js", "page.js"),
]
PLAIN_SCRIPTS = ["look.js"]  # of a page without charts
STARTER = "start.js"
# The page draws these itself, and does not embed them as pictures.
INTERACTIVE_FIGURES = ("loss_", "fitted_", "confusion", "rate_map", "sensitivity", "optimizer_", "setting_")
# Predictions of theory stand beside the sensitivity to the learning rate, their subject.
THEORY = ("theory", "rates")


def render_page(run_data: RunData, captions: dict[str, str]) -> str:
    """Return the page of a run, HTML that needs no other file; `captions` are those of figures/, by name."""
    result, frame = run_data.result, run_data.frame
    notices = [describe_progress(len(frame), result.planned), run_data.missing_data if run_data.study else None]
    facts: dict[str, Any] = {
        "run": run_data,
        "title": text(run_data.title),
        "source": f"{run_data.source}, {format_count(len(frame), 'configuration')}",
        "notices": [notice for notice in notices if notice],
        "environment": [(name, text(value)) for name, value in result.run.environment.items()],
        "command": command_of(run_data),
    }
    if frame.empty:
        return assemble_page("page.html.j2", answer=None, sections=[], **facts)
    answer = find_answer(run_data)
    measurements = measurements_of(run_data)
    shuffled = {"true": repr(run_table(run_data).order(shuffle=True)), "false": "False"}
    chart_data = page_data(run_data) | {"recipe": reproduction(run_data), "shuffled": shuffled}
    figures = embed_figures(result.run.folder / "figures", captions)
    return assemble_page(
        "page.html.j2",
        PAGE_SCRIPTS,
        chart_data,
        answer=answer,
        verdict=[(about, text(said)) for about, said in run_data.verdict.items() if about not in SAID_BY_ANSWER],
        sections=_navigation_links(measurements, run_data, played=chart_data["play"] is not None),
        charts=chart_data,
        several_starts=varies(frame, "init"),
        several_rates=_has_several_rates(run_data),
        no_theory=_explain_missing_theory(run_data),
        confusion_caption=CONFUSION_CAPTION,
        choices=[(TITLES[name], name, table) for name, table in run_data.tables.items() if len(table)],
        choices_caption=caption("best", run_data.tables["best"]),
        figures=[figure for figure in figures if figure["name"] != "speed"],
        speed_figures=[figure for figure in figures if figure["name"] == "speed"],
        theory=[part for part in measurements if part.name in THEORY],
        measurements=[part for part in measurements if part.name not in THEORY],
        **facts,
    )


def assemble_page(template: str, scripts: Sequence[str] = PLAIN_SCRIPTS, data: Any = None, **context: Any) -> str:
    """Fill a template with the parts of every page: style, scripts, data, and the policy that allows nothing else.

    Scripts are files of templates/, in the order in which they run at the end of the page. Where there are `data` for
    them, scripts and data are compressed. The template escapes its `context`.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["cells"] = text_table
    sources = [charting_library() if name == LIBRARY else _read_template(name) for name in scripts]
    plain = [_read_template(THEME), *(sources if data is None else [_read_template(STARTER)])]
    allowed = dict.fromkeys([*plain, *sources])
    hashes = " ".join(f"'sha256-{b64encode(sha256(source.encode()).digest()).decode()}'" for source in allowed)
    # The charting library sets styles of its own. No other source is allowed, so that nothing can leave the page.
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
    return environment.get_template(template).render(
        policy=Markup(policy),  # noqa: S704 (made here)
        style=Markup(_read_template("style.css")),  # noqa: S704 (our own file)
        scripts=[Markup(source) for source in plain],  # noqa: S704 (our own files)
        packed=None if data is None else compress({"scripts": sources, "data": data}),
        version=version("sgdbench"),
        **context,
    )


def _read_template(name: str) -> str:
    return TEMPLATES.joinpath(name).read_text(encoding="utf-8")


@cache
def charting_library() -> str:
    """Return the script of Plotly for charts in a plane, as it was published, with the license on top."""
    return LIBRARY_FILE.read_text(encoding="utf-8")


def _has_several_rates(run_data: RunData) -> bool:
    return varies(run_data.frame, "lr") and bool(np.isfinite(run_data.frame["final_loss"]).any())


def _explain_missing_theory(run_data: RunData) -> str:
    """Return the reason why stable rates are not predicted, where theory would have something to say."""
    model = run_data.result.model
    if not (model.is_linear and run_data.criterion.is_squared and has_many_weights(model)):
        return ""
    return say_no_stable_rates(MAX_WEIGHTS, len(model.params))


def embed_figures(folder: Path, captions: dict[str, str]) -> list[dict[str, Any]]:
    """Return the figures that the page does not draw itself: `name`, `source`, `caption`, `width` and `height`."""
    pictures = []
    for name, words in captions.items():
        if not name.startswith(INTERACTIVE_FIGURES):
            with Image.open(folder / f"{name}.png") as picture:
                content = _with_palette(picture)
                width, height = picture.size
            source = f"data:image/png;base64,{b64encode(content).decode()}"
            about = {"name": name, "source": source, "caption": words}
            pictures.append(about | {"width": width // 2, "height": height // 2})
    return pictures


def _with_palette(picture: Image.Image) -> bytes:
    """Return a picture as PNG with 256 colors, in 30 % of the bytes: figures have few colors and their shades."""
    content = BytesIO()
    # Half the time of a median cut, and no color is off by more than 2 %.
    colors = picture.convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    colors.save(content, "png")
    return content.getvalue()


def _navigation_links(measurements: list[Measurement], run_data: RunData, *, played: bool) -> list[tuple[str, str]]:
    """Return the anchors and names of the sections that a reader looks for, at most seven."""
    theory = [(f"evidence-{part.name}", "Theory") for part in measurements if part.name in THEORY][:1]
    return [
        *([("play", "Watch a run")] if played else []),
        ("map", "Map"),
        *([("optimizers", "Optimizers")] if run_data.compared is not None else []),
        *([("rates", "Learning rates")] if _has_several_rates(run_data) else []),
        *theory,
        *(("configurations", "Configurations"), ("reproduce", "How to reproduce")),
    ]

"""From a run's folder to its report: tables, figures and report.md in it."""

import re
from pathlib import Path

import pandas as pd

from bench.files import replace_atomically
from bench.illustrations import illustrations
from bench.material import Material, gather
from bench.render import duration, literal, text, to_markdown, write_tables
from bench.style import save
from bench.verdict import verdict

TITLES = {
    "best": "The best choices, over all starts and seeds",
    "best_by_optimizer_and_batch_size": "The best for each optimizer and batch size",
    "effects": "What each setting does",
    "check": "Checked against the reference",
}


def write_report(folder: str | Path) -> Path:
    """Write tables/, figures/ and report.md from what is in the run's folder; nothing is trained.

    Parameters
    ----------
    folder : path

    Returns
    -------
    pathlib.Path
        The report.

    Raises
    ------
    ValueError
        If it is no run folder, or one of a newer version.
    """
    material = gather(folder)
    result, frame, tables = material.result, material.frame, material.tables
    folder = result.run.folder
    write_tables(tables | material.evidence_tables(), folder / "tables")
    _write_configurations(frame, folder / "tables")
    captions = {}
    for name, caption, figure in illustrations(material):
        save(figure, folder / "figures", name)
        captions[name] = caption
    parts = [
        f"# {literal(text(material.title))}",
        f"`{result.model.expression}`{literal(text(material.source))}, {text(len(frame))} configurations.",
        "".join(
            f"- **{about}.** {literal(text(sentence))}\n"
            for about, sentence in verdict(frame, result.model, material.target, material.scaling).items()
        ),
        *(f"## {TITLES[name]}\n\n{to_markdown(table)}" for name, table in tables.items()),
        "## Figures",
        *(f"![](figures/{name}.png)\n\n*{literal(text(caption))}*" for name, caption in captions.items()),
        *_checked(material),
        "## How it was made",
        *_remade(material),
        "".join(f"- {name}: {literal(text(value))}\n" for name, value in result.run.environment.items()),
    ]
    report = folder / "report.md"
    with replace_atomically(report) as path:
        path.write_text("\n\n".join(parts), encoding="utf-8")
    return report


def _checked(material: Material) -> list[str]:
    title = f"## {TITLES['check']}"
    if "check" not in material.evidence:
        return [title, "Not yet: that comes when all configurations are trained."]
    checked = material.evidence["check"]
    return [title, _what_was_checked(checked, len(material.frame)), to_markdown(checked)]


def _remade(material: Material) -> list[str]:
    if material.study is None:
        return ["By a sweep in Python."]
    return [
        "With the study as it was run, every setting spelled out, `sgdbench run run.toml --out FOLDER` does it again. "
        "This is `run.toml`:",
        _fenced(material.result.run.study),
    ]


def _write_configurations(frame: pd.DataFrame, folder: Path) -> None:
    """Write all rows for programs; there may be too many of them to be read."""
    with replace_atomically(folder / "configurations.csv") as path:
        frame.to_csv(path, index=False)
    with replace_atomically(folder / "configurations.parquet") as path:
        frame.to_parquet(path, index=False)


def _what_was_checked(checked: pd.DataFrame, configurations: int) -> str:
    exact = checked["bound"].max() == 0
    agreement = "is the same to the last bit" if exact else f"differs by at most {text(checked['error'].max())}"
    reference, fused = checked["reference_seconds"].median(), checked["fused_seconds"].median()
    return (
        f"{text(len(checked))} of {text(configurations)} configurations, drawn at random, were trained once more by "
        f"the plain NumPy reference. Every loss that had been found {agreement}. A sample-update takes "
        f"the reference {duration(reference)} and the kernel fused, which trains one run, {duration(fused)} (medians): "
        f"a factor of {text(float(f'{reference / fused:.2g}'))}."
    )


def _fenced(toml: str) -> str:
    """A block of code, with a fence longer than any in the text."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", toml)), default=0))
    return f"{fence}toml\n{toml}{fence}"

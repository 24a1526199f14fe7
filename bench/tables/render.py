"""Tables for readers: the parts shown in a report, as text, without speedups of unverified results."""

import re
from collections.abc import Callable
from typing import NamedTuple

import pandas as pd

from sgdbench.tables.costs import COSTS, choice_columns
from sgdbench.tables.facts import FULL
from sgdbench.tables.formatting import MISSING, display, duration, percentage, text
from sgdbench.tables.rank import constant_settings, leaders, varies
from sgdbench.tables.speed_tables import budget_summary, footnotes, speed_summary
from sgdbench.tables.words import (
    ROOF_CAPTION,
    TABLE_CAPTIONS,
    describe_batch_size,
    describe_estimate,
    describe_order,
    describe_ratio,
    format_share,
    is_improvement,
)

BY = ["optimizer", "batch_size"]


def standard_tables(frame: pd.DataFrame, ranked: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a report's tables: the ten best choices, and the best for each optimizer and batch size.

    Both are parts of the ranking `ranked`, with the settings that vary in `frame`, in its order.
    """
    choices = choice_columns(frame)
    statistics = [name for name in ranked if name not in choices]
    varying = [name for name in choices if varies(frame, name)]
    of_each = [*BY, *(name for name in varying if name not in BY), *statistics]
    return {
        "best": ranked[[*(varying or choices), *statistics]].head(10),
        "best_by_optimizer_and_batch_size": leaders(ranked, BY)[of_each].reset_index(drop=True),
    }


_NUMBER = re.compile(r"-?[\d∞]")


class Column(NamedTuple):
    """The heading of a column, and whether the column is numeric."""

    title: str
    numeric: bool


class TextTable(NamedTuple):
    """A table as text."""

    columns: list[Column]
    rows: list[list[str]]


TITLES = {
    "best": "The best choices, over all starts and seeds",
    "best_by_optimizer_and_batch_size": "The best choice for each optimizer and batch size",
    "speed": "Speed of the variants",
    "theory": "Largest stable learning rate, predicted and measured",
    "rates": "Rate of convergence, predicted and measured",
    "check": "Checked against the reference",
}


def text_table(table: pd.DataFrame) -> TextTable:
    """Return the cells of a table as text."""
    cells = display(table)
    rows = cells.to_numpy().tolist()
    columns = [Column(str(title), _is_numeric([row[i] for row in rows])) for i, title in enumerate(cells.columns)]
    return TextTable(columns, rows)


def _is_numeric(cells: list[str]) -> bool:
    present = [cell for cell in cells if cell not in (MISSING, FULL)]
    return bool(present) and all(_NUMBER.match(cell) for cell in present)


def readable_table(name: str, table: pd.DataFrame, samples: int | None = None) -> pd.DataFrame:
    """Return the columns of a measurement that a report shows; for speeds and times a shorter table.

    A batch of all `samples` is called full.
    """
    shown = _SUMMARIES.get(name, _drop_constant)(table)
    if "shuffle" in shown:
        shown = shown.assign(shuffle=shown["shuffle"].map(describe_order))
    if "batch_size" in shown and samples is not None:
        shown = shown.assign(batch_size=[describe_batch_size(size, samples) for size in shown["batch_size"]])
    if name == "importance":
        words = {("order", text(shuffled)): describe_order(shuffled) for shuffled in (True, False)}
        words |= {} if samples is None else {("batch size", text(samples)): FULL}
        for end in ("best", "worst"):
            pairs = zip(shown["setting"], shown[end], strict=True)
            shown = shown.assign(**{end: [words.get(pair, pair[1]) for pair in pairs]})
    return shown


def _drop_constant(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without its ids, and without schedule and order if they do not vary."""
    return table.drop(columns=["config_id", *constant_settings(table, ("schedule", "shuffle"))], errors="ignore")


def _summarize_verified_speed(speed: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of the verified speeds, with a mark at each variant."""
    summary = speed_summary(_mask_unverified(speed))
    summary = summary.loc[:, (summary != MISSING).any()]
    marks = ["✗" if verified.startswith("no") else "✓" for verified in summary["verified"]]
    return summary.assign(verified=[f"{mark} {how}" for mark, how in zip(marks, summary["verified"], strict=True)])


def caption(name: str, table: pd.DataFrame) -> str:
    """Return the caption of a table: its content, which variants were not measured, and why."""
    missing = footnotes(_mask_unverified(table)) if name == "speed" else []
    roof = [ROOF_CAPTION] if name == "speed" and table["share"].notna().any() else []
    return " ".join(
        [*([TABLE_CAPTIONS[name]] if name in TABLE_CAPTIONS else []), *roof, *(f"{remark}." for remark in missing)]
    )


def _mask_unverified(speed: pd.DataFrame) -> pd.DataFrame:
    return speed.assign(ns=speed["ns"].where(speed["verified"].fillna(False).astype(bool)))


def _summarize_ranking(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return a ranking as text: the choice, its success, its costs with their intervals, and its verdict."""
    # Columns that vary in the whole run, even if all rows here have the same batch size, say.
    cells = ranked[[name for name in ranked if name in choice_columns(ranked)]].copy()
    # If no run reached a target, or there was none, ending at a finite loss is a success.
    reached = bool(ranked["converged"].any())
    successes = ranked["converged"] if reached else ranked["runs"] - ranked["diverged"]
    cells["converged" if reached else "finite"] = [
        f"{text(int(part))}/{text(int(runs))}" for part, runs in zip(successes, ranked["runs"], strict=True)
    ]
    # The final loss is shown only if no other cost is.
    for name in (*(cost for cost in COSTS if cost != "final_loss"), "final_loss"):
        if name in ranked and ranked[name].notna().any():
            # A formatted time is text, and its heading must not cause it to be formatted again.
            heading, as_text = ("time", duration) if name == "seconds" else (name, text)
            cells[heading] = [describe_estimate(row, name, as_text) for _, row in ranked.iterrows()]
    return cells.assign(verdict=ranked["verdict"].where(~ranked["recommended"], "recommended"))


def _summarize_optimizers(compared: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison of optimizers as text: the best choice of each, its success, its cost and the verdict."""
    rows = [row for _, row in compared.iterrows()]
    cells = compared[[name for name in compared if name in choice_columns(compared)]]
    return cells.assign(
        **{"choices tried": compared["tried"]},
        success=[format_share(row["success"] * row["runs"], row["runs"]) for row in rows],
        **{ratio_title(compared): [describe_ratio(row) for row in rows]},
        verdict=compared["verdict"],
    )


def ratio_title(compared: pd.DataFrame) -> str:
    """Return the heading of a comparison's ratios: lower costs are better, and so are higher improvements."""
    improvements = compared["cost"].map(is_improvement).any()
    return "times the improvement" if improvements else "ratio"


def _summarize_importance(effects: pd.DataFrame) -> pd.DataFrame:
    shares = [percentage(share) for share in effects["share"]]
    factors = [f"{text(factor, 2)} times" for factor in effects["factor"]]
    named = effects[["setting"]].assign(explains=shares, best=effects["best"], worst=effects["worst"])
    return named.assign(**{"worst against best": factors})


_SUMMARIES: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "speed": _summarize_verified_speed,
    "targets": budget_summary,
    "best": _summarize_ranking,
    "best_by_optimizer_and_batch_size": _summarize_ranking,
    "optimizers": _summarize_optimizers,
    "importance": _summarize_importance,
    "check": lambda check: _drop_constant(check.assign(verified=check["verified"].map({True: "✓ yes", False: "✗ no"}))),
}

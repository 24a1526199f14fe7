"""Tables as a page and a Markdown report show them: the columns that people read, and no speed-up unverified."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.tables.formatting import MISSING, display, duration, text
from bench.tables.ranking import varies

_NUMBER = re.compile(r"-?[\d∞]")


class Column(NamedTuple):
    """A heading, and whether numbers are below it."""

    title: str
    numeric: bool


class TextTable(NamedTuple):
    """A table as text."""

    columns: list[Column]
    rows: list[list[str]]


def text_table(table: pd.DataFrame) -> TextTable:
    """The text of a table, cell by cell."""
    shown = display(table)
    rows = shown.to_numpy().tolist()
    columns = [Column(str(title), _is_numeric([row[i] for row in rows])) for i, title in enumerate(shown.columns)]
    return TextTable(columns, rows)


def _is_numeric(cells: list[str]) -> bool:
    told = [cell for cell in cells if cell != MISSING]
    return bool(told) and all(_NUMBER.match(cell) for cell in told)


def readable_table(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """The columns of evidence that people read; of speeds and times a shorter table."""
    match name:
        case "speed":
            shown = speed_summary(_mask_unverified(table))
            shown = shown.loc[:, (shown != MISSING).any()]
            return shown.assign(verified=[f"{'✗' if how.startswith('no') else '✓'} {how}" for how in shown["verified"]])
        case "targets":
            return budget_summary(table)
        case "times":
            table = fastest_choices(table)
        case "check":
            table = table.assign(verified=table["verified"].map({True: "✓ yes", False: "✗ no"}))
    same = [column for column in ("schedule", "shuffle") if column in table and not varies(table, column)]
    return table.drop(columns=["config_id", *same], errors="ignore")


_CAPTIONS = {
    "speed": "Medians with their 95 % intervals. Each variant was held against the reference before it was timed.",
    "times": "The best choice of each optimizer with each kernel; success with Wilson's 95 % interval.",
    "theory": "The rate from which training diverges, by the matrix of one epoch, beside what the runs did at first.",
    "rates": "The factor that an epoch puts on the distance to the solution, by that matrix, and in the runs.",
}


def caption(name: str, table: pd.DataFrame) -> str:
    """What has to be said beside a table: what it holds, which variants were not measured, and why."""
    missing = footnotes(_mask_unverified(table)) if name == "speed" else []
    return " ".join([*([_CAPTIONS[name]] if name in _CAPTIONS else []), *(f"{remark}." for remark in missing)])


def _mask_unverified(speed: pd.DataFrame) -> pd.DataFrame:
    """What is not found equal to the reference has no speed worth telling."""
    return speed.assign(ns=speed["ns"].where(speed["verified"].fillna(False).astype(bool)))


def fastest_choices(times: pd.DataFrame) -> pd.DataFrame:
    """Of the table of `times_to_target`, the best choice of each optimizer with each kernel; success as one cell."""
    chosen = times.drop_duplicates(["optimizer", "variant"]).sort_values(["optimizer", "variant"], ignore_index=True)
    interval = [
        f"{low:.0%} to {high:.0%}" for low, high in zip(chosen["success_low"], chosen["success_high"], strict=True)
    ]
    shown = chosen.drop(columns=["success", "success_low", "success_high"])
    shown.insert(shown.columns.tolist().index("converged") + 1, "success", interval)
    return shown


def speed_summary(speed: pd.DataFrame) -> pd.DataFrame:
    """Shorten the table of `bench.timing.speed.speed` to text: variants that were measured, and those that are wrong.

    Parameters
    ----------
    speed : DataFrame

    Returns
    -------
    DataFrame
        `variant`, `verified` (how far it is from the reference at most; "no" and how far, where that is too much),
        `ns per sample-update` and how many times as fast as `reference` and `C` it is with 95 % intervals, `million per
        second`, `compiling`, `from the cache`, `pays after` (sample-updates), all of them missing where it is wrong,
        and `threads`.
    """
    wrong = speed["verified"].eq(False).fillna(False).astype(bool)
    rows = speed[speed["ns"].notna() | wrong]
    verified = zip(rows["error"], wrong[rows.index], strict=True)
    cells = pd.DataFrame(
        {
            "variant": rows["variant"],
            "verified": [
                _describe_disagreement(error) if off else _describe_agreement(error) for error, off in verified
            ],
            "ns per sample-update": _format_intervals(rows, "ns"),
            "million per second": (rows["updates_per_second"] / 1e6).map(_format_three_digits),
            "x reference": _format_intervals(rows, "to_reference"),
            "x C": _format_intervals(rows, "to_c"),
            "compiling": rows["compile_seconds"].map(duration),
            "from the cache": rows["load_seconds"].map(duration),
            "pays after": rows["break_even"].map(_format_two_digits),
            "threads": rows["threads"],
        }
    )
    claims = ~cells.columns.isin(["variant", "verified", "threads"])
    return cells.mask(np.outer(wrong[rows.index], claims), MISSING)


def describe_noise(name: str, noise: tuple[float, float, float]) -> str:
    """How far a variant seems to be from itself, in a sentence."""
    low, middle, high = (f"{100 * (bound - 1):+.2f}" for bound in noise)
    return f"{name} against itself differs by {middle} % [{low}, {high}]."


def footnotes(speed: pd.DataFrame) -> list[str]:
    """What there is to be said of variants that were not measured, a sentence each."""
    left_out = speed[speed["ns"].isna()]
    return [f"{variant}: {note}" for variant, note in zip(left_out["variant"], left_out["note"], strict=True)]


def budget_summary(targets: pd.DataFrame) -> pd.DataFrame:
    """Shorten the table of `bench.timing.budget.targets_table`, as text."""
    rows = zip(targets["faster"], targets["target"], targets["verified"], strict=True)
    return pd.DataFrame(
        {
            "what": targets["what"],
            "variant": targets["variant"],
            "against": targets["against"],
            "times as fast": _format_intervals(targets, "faster"),
            "target": targets["target"].map(_format_three_digits),
            "reached": [_describe_target(*row) for row in rows],
        }
    )


def budget_footnotes(targets: pd.DataFrame) -> list[str]:
    """Why rows of the budget were not measured, a sentence each."""
    left_out = targets[targets["faster"].isna()]
    return [f"{row['variant']} against {row['against']}: {row['note']}" for row in left_out.to_dict("records")]


def _describe_target(faster: float, target: float, verified: bool | None) -> str:
    if pd.isna(faster):
        return MISSING if pd.isna(verified) else "not verified"
    return "yes" if faster >= target else f"no, {100 * (1 - faster / target):.0f} % short"


def _describe_agreement(error: float) -> str:
    return "bit for bit" if error == 0 else f"within {error:.1g}"


def _describe_disagreement(error: float) -> str:
    return "no" if pd.isna(error) else f"no: off by {error:.3g}"


def _format_intervals(table: pd.DataFrame, name: str) -> pd.Series:
    cells = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return pd.Series(
        [MISSING if pd.isna(value) else _format_interval(value, low, high) for value, low, high in cells], table.index
    )


def _format_interval(value: float, low: float, high: float) -> str:
    return f"{_format_three_digits(value)} [{_format_three_digits(low)}, {_format_three_digits(high)}]"


def _format_three_digits(value: float) -> str:
    """Three digits."""
    if not np.isfinite(value):
        return text(value)
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{value:#.3g}"


def _format_two_digits(value: float) -> str:
    return MISSING if pd.isna(value) else f"{float(f'{value:.2g}'):,.0f}"

"""Tables of speeds and of the performance budget as text."""

import numpy as np
import pandas as pd

from sgdbench.tables.formatting import MISSING, duration, format_three_digits, format_two_digits
from sgdbench.tables.words import (
    describe_estimate,
    describe_ratio_of_times,
    describe_target,
    describe_verified,
    say_no_roof,
    say_unmeasured,
    say_untimed,
)


def describe_fastest(speed: pd.DataFrame) -> str | None:
    """Return a sentence comparing the fastest single-threaded kernel with C or the reference; None without either."""
    verified = speed["verified"].fillna(False).astype(bool) & speed["ours"].astype(bool) & speed["threads"].eq(1)
    for rival, column in (("C", "to_c"), ("reference", "to_reference")):
        rows = speed[verified & speed[column].notna()]
        if not rows.empty:
            best = rows.iloc[int(rows[column].to_numpy(float).argmax())]
            ratio = (float(best[f"{column}{end}"]) for end in ("", "_low", "_high"))
            return describe_ratio_of_times(str(best["variant"]), rival, *ratio)
    return None


def speed_summary(speed: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `sgdbench.timing.speed.speed` as text, without the variants that were not measured.

    The column `verified` has the largest difference from the reference and, if a kernel fuses operations, that of the
    losses; if the difference is too large it begins with "no", and times and speedups are missing. `break-even` is the
    number of sample-updates after which the cold compile time has paid off relative to the reference.
    """
    wrong = speed["verified"].eq(False).fillna(False).astype(bool)
    rows = speed[speed["ns"].notna() | wrong]
    cells = pd.DataFrame(
        {
            "variant": rows["variant"],
            "verified": [describe_verified(row) for row in rows.to_dict("records")],
            "ns per sample-update": _format_intervals(rows, "ns"),
            "million per second": (rows["updates_per_second"] / 1e6).map(format_three_digits),
            "speedup over reference": _format_intervals(rows, "to_reference"),
            "speedup over C": _format_intervals(rows, "to_c"),
            "share of the roof": _format_intervals(rows, "share"),
            "compile time (cold)": rows["compile_seconds"].map(duration),
            "compile time (cached)": rows["load_seconds"].map(duration),
            "break-even": rows["break_even"].map(format_two_digits),
            "threads": rows["threads"],
        }
    )
    if cells["share of the roof"].eq(MISSING).all():
        cells = cells.drop(columns="share of the roof")
    measured = ~cells.columns.isin(["variant", "verified", "threads"])
    return cells.mask(np.outer(wrong[rows.index], measured), MISSING)


def find_untimed(speed: pd.DataFrame) -> dict[str, str]:
    """Return the variants that were not timed, each with the reason."""
    left_out = speed[speed["ns"].isna()]
    reasons = left_out["note"].str.removeprefix("not verified: ")
    return dict(zip(left_out["variant"], reasons, strict=True))


def footnotes(speed: pd.DataFrame) -> list[str]:
    """Return a sentence for each variant that was not timed, and for each reason why kernels have no roof."""
    untimed = [say_untimed(variant, reason) for variant, reason in find_untimed(speed).items()]
    without = speed[speed["verified"].eq(True).fillna(False) & speed["note"].ne("")]
    reasons = without.groupby("note", sort=False)["variant"].agg(", ".join)
    return untimed + [say_no_roof(variants, str(reason)) for reason, variants in reasons.items()]


def budget_summary(targets: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `sgdbench.timing.budget.targets_table` as text."""
    return pd.DataFrame(
        {
            "what": targets["what"],
            "variant": targets["variant"],
            "against": targets["against"],
            "speedup": _format_intervals(targets, "faster"),
            "target": targets["target"].map(format_three_digits),
            "share of the roof": _format_intervals(targets, "share"),
            "reached": [describe_target(row) for row in targets.to_dict("records")],
        }
    )


def budget_footnotes(targets: pd.DataFrame) -> list[str]:
    """Return a sentence for each row of the budget that was not measured, with the reason."""
    left_out = targets[targets["faster"].isna()]
    return [say_unmeasured(row["variant"], row["against"], row["note"]) for row in left_out.to_dict("records")]


def _format_intervals(table: pd.DataFrame, name: str) -> list[str]:
    return [
        MISSING if pd.isna(row[name]) else describe_estimate(row, name, format_three_digits)
        for _, row in table.iterrows()
    ]

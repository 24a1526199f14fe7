"""The speed table and the budget as people read them: a value and its interval in one cell."""

import numpy as np
import pandas as pd

from bench.render import MISSING, duration, text
from bench.timing import Ratio


def scoreboard(speed: pd.DataFrame) -> pd.DataFrame:
    """Shorten the table of `bench.speed.speed`: the variants that were measured, as text.

    Parameters
    ----------
    speed : DataFrame

    Returns
    -------
    DataFrame
        `variant`, `verified` (how far it is from the reference at most), `ns per sample-update` and how many times as
        fast as `reference` and `C` it is with 95 % intervals, `million per second`, `compiling`, `from the cache`,
        `pays after` (sample-updates) and `threads`.
    """
    measured = speed[speed["ns"].notna()]
    return pd.DataFrame(
        {
            "variant": measured["variant"],
            "verified": measured["error"].map(_agreement),
            "ns per sample-update": _spans(measured, "ns"),
            "million per second": (measured["updates_per_second"] / 1e6).map(_three),
            "x reference": _spans(measured, "to_reference"),
            "x C": _spans(measured, "to_c"),
            "compiling": measured["compile_seconds"].map(duration),
            "from the cache": measured["load_seconds"].map(duration),
            "pays after": measured["break_even"].map(_whole),
            "threads": measured["threads"],
        }
    )


def against_itself(name: str, noise: Ratio) -> str:
    """How far a variant seems to be from itself, in a sentence."""
    low, middle, high = (f"{100 * (bound - 1):+.2f}" for bound in noise)
    return f"{name} against itself differs by {middle} % [{low}, {high}]."


def remarks(speed: pd.DataFrame) -> list[str]:
    """What there is to be said of variants that were not measured, a sentence each."""
    left_out = speed[speed["ns"].isna()]
    return [f"{variant}: {note}" for variant, note in zip(left_out["variant"], left_out["note"], strict=True)]


def budget(targets: pd.DataFrame) -> pd.DataFrame:
    """Shorten the table of `bench.targets.targets_table`, as text."""
    return pd.DataFrame(
        {
            "what": targets["what"],
            "variant": targets["variant"],
            "against": targets["against"],
            "times as fast": _spans(targets, "faster"),
            "target": targets["target"].map(_three),
            "reached": [_reached(*row) for row in zip(targets["faster"], targets["target"], strict=True)],
        }
    )


def _reached(faster: float, target: float) -> str:
    if pd.isna(faster):
        return MISSING
    return "yes" if faster >= target else f"no, {100 * (1 - faster / target):.0f} % short"


def _agreement(error: float) -> str:
    return "bit for bit" if error == 0 else f"within {error:.1g}"


def _spans(table: pd.DataFrame, name: str) -> pd.Series:
    cells = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return pd.Series(
        [MISSING if pd.isna(value) else _span(value, low, high) for value, low, high in cells], table.index
    )


def _span(value: float, low: float, high: float) -> str:
    return f"{_three(value)} [{_three(low)}, {_three(high)}]"


def _three(value: float) -> str:
    """Three digits."""
    if not np.isfinite(value):
        return text(value)
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{value:#.3g}"


def _whole(value: float) -> str:
    return MISSING if pd.isna(value) else f"{float(f'{value:.2g}'):,.0f}"

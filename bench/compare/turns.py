"""Benchmarks of two trees, A and B, measured in turns in fresh processes until their ratios are known."""

import itertools
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sgdbench.compare.gates import Gates
from sgdbench.compare.ratios import RATIO_COLUMNS
from sgdbench.tables.formatting import duration
from sgdbench.timing.paired import CONFIDENCE, MIN_ROUNDS, ROUNDS_GROWTH, Ratio, ratio_of

# Turns before intervals are first evaluated. With 8, intervals of simulated machines hold for up to 40 joint rows.
MIN_TURNS = 8
# The ratio of the ends of an interval that is narrow enough if no gate determines it.
NARROW_INTERVAL = 1.05

Measure = Callable[[str], Mapping[str, float]]
"""Called with "A" or "B": runs the benchmarks of that tree in a fresh process, and returns the seconds of each."""


class Turns(NamedTuple):
    """Seconds of the benchmarks of A and of B: a row per turn, a column per benchmark.

    A benchmark without a time in some turn has nan there.
    """

    a: pd.DataFrame
    b: pd.DataFrame


def measure_turns(
    measure: Measure,
    gates: Gates,
    *,
    seconds: float,
    seed: int = 0,
    clock: Callable[[], float] = time.monotonic,
    advance: Callable[[float], None] = lambda share: None,
) -> Turns:
    """Measure A and B in turns, until the interval of each ratio is narrower than the excess of its gate.

    A turn is one process of A and one of B. Two turns are in random order A B B A or B A A B: a steady drift of the
    machine cancels, and everything else affects both alike. The intervals are evaluated after 8 turns, 12, 18, and so
    on: a measurement that is checked after every turn stops when they are narrow by chance. It ends earlier if another
    turn would exceed `seconds`, but not before the 8th. `advance` is called with the share of `seconds` that has
    passed. A first turn that implies more than `seconds` for 8 turns raises a ValueError.
    """
    rng = np.random.default_rng(seed)
    done: dict[str, list[Mapping[str, float]]] = {"A": [], "B": []}
    look, begun, order = MIN_TURNS, clock(), "AB"
    for count in itertools.count(1):
        order = order[::-1] if count % 2 == 0 or rng.random() < 0.5 else order
        for tree in order:
            done[tree].append(measure(tree))
            advance(min(1.0, (clock() - begun) / seconds))
        spent = clock() - begun
        if count == 1 and MIN_TURNS * spent > seconds:
            raise ValueError(
                f"an interval needs {MIN_TURNS} turns of both, about {duration(MIN_TURNS * spent)}, but --time-limit "
                f"is {seconds:g}; raise it, or choose benchmarks, for example with -- -k NAME"
            )
        if count < MIN_TURNS:
            continue
        turns = Turns(pd.DataFrame(done["A"]), pd.DataFrame(done["B"]))
        if spent * (count + 1) / count > seconds or (count >= look and _are_narrow(compare_turns(turns), gates)):
            break
        look = 2 * round(ROUNDS_GROWTH * count / 2) if count >= look else look
    return turns


def compare_turns(turns: Turns) -> pd.DataFrame:
    """Return the ratios of the benchmarks that both trees have, in the columns of `sgdbench.compare.ratios.times`.

    A ratio is the median over the turns. `ratio_of` computes its interval for pairs, which is widened so that the
    intervals of all rows hold jointly with 95 % (Bonferroni): by the ratio of Student's t at the two confidences.
    """
    rows = [name for name in turns.a.columns if name in turns.b]
    return pd.DataFrame([_compare(name, turns, len(rows)) for name in rows], columns=RATIO_COLUMNS)


def _compare(name: str, turns: Turns, rows: int) -> dict[str, Any]:
    a, b = turns.a[name].to_numpy(), turns.b[name].to_numpy()
    both = ~(np.isnan(a) | np.isnan(b))
    a, b, count = a[both], b[both], int(both.sum())
    ratio = Ratio(np.nan, float(np.median(b / a)) if count else np.nan, np.nan)
    if count >= MIN_ROUNDS:
        ratio = _widen(ratio_of(b, a, paired=True), count, rows)
    note = "" if count >= MIN_ROUNDS else f"measured in fewer than {MIN_ROUNDS} turns"
    middles = np.nanmedian(turns.a[name]), np.nanmedian(turns.b[name])
    return dict(zip(RATIO_COLUMNS, (name, *map(float, middles), ratio.ratio, ratio.low, ratio.high, note), strict=True))


def _widen(interval: Ratio, turns: int, rows: int) -> Ratio:
    from scipy.special import stdtrit  # noqa: PLC0415 (heavy)

    tail = (1 - CONFIDENCE) / 2
    factor = stdtrit(turns - 1, tail / rows) / stdtrit(turns - 1, tail)
    return Ratio(*(interval.ratio * (bound / interval.ratio) ** factor for bound in interval))


def _are_narrow(table: pd.DataFrame, gates: Gates) -> bool:
    """Return whether the ends of each interval differ by less than its gate allows; rows without a gate are ignored."""
    own = [gates.of(row) if gates.given else NARROW_INTERVAL for row in table["row"]]
    enough = np.array([math.inf if gate is None else gate for gate in own])
    width = table["high"].to_numpy() / table["low"].to_numpy()
    return bool((np.isnan(width) | (width < enough)).all())

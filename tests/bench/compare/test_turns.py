"""Two trees by turns: the order, the end, and how often the same code comes past a gate on machines that are known."""

import numpy as np
import pandas as pd
import pytest
from scipy.signal import lfilter
from scipy.stats import t

from sgdbench.compare.gates import Gates
from sgdbench.compare.turns import Turns, compare_turns, measure_turns
from sgdbench.timing import paired

NO_GATES = Gates(None, {})


class Machine:
    """Processes that take a second each, in which everything takes as long as it is `slow` at that time."""

    def __init__(self, slow, **factors):
        self.slow, self.factors, self.order = iter(slow), factors, ""

    def clock(self):
        return len(self.order)

    def measure(self, tree):
        self.order += tree
        return {str(row): seconds * self.factors[tree] for row, seconds in enumerate(next(self.slow))}


def slowness(rng, processes, rows):
    """Seconds of the rows in one process after the other, on a busy machine.

    All drift and wander by up to a third and resemble the process before. A tenth of the processes stall in all rows,
    and one of 25 in one row. Some rows have two speeds, which a process draws at its start.
    """
    time = np.linspace(0, 1, processes)
    memory = rng.uniform(0.5, 0.95)
    fresh = rng.standard_normal(processes) * np.sqrt(1 - memory**2)
    shared = rng.uniform(-0.3, 0.3) * time + 0.05 * np.sin(2 * np.pi * (rng.uniform(1, 3) * time + rng.uniform()))
    shared += np.cumsum(rng.normal(0, 0.003, processes)) + rng.uniform(0, 0.05) * lfilter([1], [1, -memory], fresh)
    shape = processes, rows
    stalls = np.where(rng.random((processes, 1)) < 0.1, np.log(rng.uniform(1.2, 3, (processes, 1))), 0)
    spikes = np.where(rng.random(shape) < 0.04, np.log(rng.uniform(1.2, 3, shape)), 0)
    speeds = np.where(rng.random(shape) < rng.uniform(0, 0.5, rows), rng.uniform(0, 0.1, rows), 0)
    jitter = rng.normal(0, 1, shape) * rng.uniform(0.002, 0.02, rows)
    return np.exp(shared[:, None] + stalls * rng.random(rows) + spikes + speeds + jitter)


def compared(rng, rows, gate, b):
    """The table and the number of turns of one comparison, for at most 40 turns."""
    machine = Machine(slowness(rng, 100, rows), A=1.0, B=b)
    turns = measure_turns(machine.measure, Gates(gate, {}), seconds=80, seed=rng.integers(2**32), clock=machine.clock)
    return compare_turns(turns), len(turns.a)


# A gate of 1.001 leaves no room for noise: the share is then that of intervals which miss 1.
@pytest.mark.parametrize(("gate", "rows", "most"), [(1.001, 1, 0.05), (1.05, 3, 0.01), (1.001, 10, 0.05)])
def test_the_same_code_comes_past_a_gate_in_at_most_5_of_100(monkeypatch, gate, rows, most):
    """Whatever the number of rows, and though the measurement ends when intervals are narrow."""
    monkeypatch.setattr(paired, "RESAMPLES", 499)
    rng = np.random.default_rng(rows)
    runs = [compared(rng, rows, gate, 1.0)[0] for _ in range(300 // rows)]
    assert np.mean([(run["low"] > gate).any() for run in runs]) <= most


def test_a_fifth_is_seen(monkeypatch):
    monkeypatch.setattr(paired, "RESAMPLES", 499)
    rng = np.random.default_rng(2)
    found = [compared(rng, 3, 1.05, 1.2) for _ in range(30)]
    assert np.mean([(table["low"] > 1.05).all() for table, _ in found]) >= 0.9
    assert np.mean([((table["low"] <= 1.2) & (table["high"] >= 1.2)).all() for table, _ in found]) >= 0.95
    assert np.median([turns for _, turns in found]) > 8


def test_two_turns_are_abba_or_baab():
    machine = Machine(np.ones((100, 1)), A=1.0, B=1.1)
    turns = measure_turns(machine.measure, Gates(1.0, {}), seconds=80, clock=machine.clock)
    assert len(turns.a) == len(turns.b) == 40
    assert {machine.order[i : i + 4] for i in range(0, 80, 4)} == {"ABBA", "BAAB"}
    np.testing.assert_allclose(compare_turns(turns)[["ratio", "low", "high"]], 1.1)


def steps(rows):
    """Times in which row 1 varies by a tenth from turn to turn."""
    return 1 + np.outer(np.tile([0.1, 0.0, 0.0], 40), np.arange(rows))


@pytest.mark.parametrize(
    ("gates", "turns"),
    [
        (NO_GATES, 40),
        (Gates(1.05, {}), 40),
        (Gates(2.0, {}), 8),
        (Gates(None, {"0": 1.05}), 8),
        (Gates(1.05, {"1": 1.5}), 8),
    ],
)
def test_it_ends_when_each_interval_is_narrower_than_its_gate_allows_or_the_time_is_used_up(gates, turns):
    machine = Machine(steps(2), A=1.0, B=1.0)
    assert len(measure_turns(machine.measure, gates, seconds=80, clock=machine.clock).a) == turns


def test_time_that_is_too_short_is_refused_after_the_first_turn():
    machine = Machine(np.ones((9, 1)), A=1.0, B=1.0)
    with pytest.raises(ValueError, match=r"^an interval needs 8 turns of both, about 16 s, but --time-limit is 15; "):
        measure_turns(machine.measure, NO_GATES, seconds=15, clock=machine.clock)
    assert len(machine.order) == 2


def test_rows_that_a_tree_or_some_turns_lack():
    seconds = np.arange(1.0, 9.0)
    a = pd.DataFrame({"both": seconds, "only A": seconds, "seldom": [1, 2, *6 * [np.nan]]})
    b = pd.DataFrame({"seldom": seconds, "both": 3 * seconds, "only B": seconds})
    table = compare_turns(Turns(a, b)).set_index("row")
    assert list(table.index) == ["both", "seldom"]
    np.testing.assert_allclose(table.loc["both", ["ratio", "low", "high"]].astype(float), 3)
    assert table.loc["both", "note"] == ""
    assert table.loc["seldom", "note"] == "measured in fewer than 5 turns"
    assert table.loc["seldom", ["low", "high"]].isna().all()


def test_intervals_of_many_rows_are_wider():
    rng = np.random.default_rng(3)
    seconds = np.exp(rng.normal(0, 0.02, (2, 12)))
    widths = []
    for rows in (1, 20):
        a, b = ({str(row): one for row in range(rows)} for one in seconds)
        first = compare_turns(Turns(pd.DataFrame(a), pd.DataFrame(b))).iloc[0]
        widths.append(np.log(first["high"] / first["low"]))
    assert widths[1] / widths[0] == pytest.approx(t.ppf(0.975 + 0.025 * 19 / 20, 11) / t.ppf(0.975, 11))

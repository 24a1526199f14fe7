"""Steps in histories whose truth is known: which are found, where, and how many where nothing has changed."""

import numpy as np
import pytest
from scipy.signal import lfilter

from bench.compare.steps import SHORTEST, fewest_commits, find_drift, find_steps
from bench.timing.paired import ratio_of
from tests.support.simulated import NOISES

SPREAD = 0.02


def histories(seed, count, size, noise="normal", steps=(), drift=0.0):
    """Times that vary by about 2 %, with changes of their logarithms at some places, and over the whole."""
    rng = np.random.default_rng(seed)
    level = np.linspace(0, drift, size)
    for place, change in steps:
        level[place:] += change
    return np.exp(level + SPREAD * NOISES[noise](rng, (count, size)))


def share(found):
    return np.mean([bool(one) for one in found])


def right(cuts, places, within=1):
    return len(cuts) == len(places) and bool(np.all(np.abs(np.subtract(cuts, places)) <= within))


# Where nothing changed


@pytest.mark.parametrize(("noise", "size"), [*((noise, 10) for noise in NOISES), ("heavy", 60)])
def test_at_most_5_of_100_histories_without_a_step_show_one(noise, size):
    assert share(find_steps(times) for times in histories(1, 100, size, noise)) <= 0.05


def test_at_most_5_of_100_families_of_histories_show_a_step_in_any():
    families = histories(2, 20 * 10, 20).reshape(20, 10, 20)
    assert share([cut for times in family for cut in find_steps(times, tests=10)] for family in families) <= 0.05


def test_times_that_a_coarse_clock_rounds_show_no_steps_either():
    for decimals, least in ((2, 3), (1, 1)):
        times = np.round(histories(3, 100, 30), decimals)
        assert len(np.unique(times)) >= least
        assert share(map(find_steps, times)) <= 0.05


@pytest.mark.parametrize(("memory", "low", "high"), [(0.3, 0.05, 0.25), (0.5, 0.2, 0.6)])
def test_noise_that_lasts_shows_steps_as_often_as_the_documents_say(memory, low, high):
    noise = lfilter([1], [1, -memory], np.random.default_rng(4).normal(size=(100, 100)))[:, 50:]
    assert low < share(map(find_steps, np.exp(SPREAD * noise))) < high


def test_a_single_outlier_is_no_step():
    for place in range(30):
        times = histories(5, 1, 30)[0]
        times[place] *= 100
        assert find_steps(times) == []


def test_a_constant_history_has_no_step():
    assert find_steps(np.full(40, 2e-3)) == []


# Where something changed


@pytest.mark.parametrize(
    ("size", "steps", "least"),
    [
        (30, [(25, 0.1)], 0.95),
        (40, [(20, 0.08)], 0.9),
        (60, [(30, 0.15), (38, -0.15)], 0.9),
        (80, [(20, 0.1), (40, -0.2), (60, 0.15)], 0.9),
    ],
)
def test_steps_of_some_deviations_are_found_to_a_commit(size, steps, least):
    places = [place for place, _ in steps]
    found = [right(find_steps(times), places) for times in histories(6, 40, size, steps=steps)]
    assert np.mean(found) >= least


def test_heavy_tails_hide_few_steps():
    found = [right(find_steps(times), [20]) for times in histories(7, 40, 40, "heavy", [(20, 0.12)])]
    assert np.mean(found) >= 0.85


def test_an_outlier_does_not_hide_a_step_or_move_it():
    for place in (0, 10, 20, 39):
        times = histories(8, 30, 40, steps=[(20, 0.2)])
        times[:, place] *= 100
        assert np.mean([right(find_steps(one), [20]) for one in times]) >= 0.9


def test_the_unit_does_not_matter_and_time_may_run_backwards():
    for times in histories(9, 8, 50, steps=[(14, 0.15), (30, -0.1)]):
        cuts = find_steps(times)
        assert find_steps(1e-9 * times) == cuts
        assert right(find_steps(times[::-1]), [50 - cut for cut in reversed(cuts)])


def test_levels_are_at_least_five_commits():
    rng = np.random.default_rng(10)
    for _ in range(20):
        times = np.exp(np.repeat(rng.normal(size=12), rng.integers(1, 9, 12)) + 0.01 * rng.normal())
        ends = [0, *find_steps(times), times.size]
        assert min(np.diff(ends)) >= min(5, times.size)


def test_the_more_histories_are_searched_the_clearer_a_step_has_to_be():
    (times,) = histories(11, 1, 16, steps=[(11, 0.2)])
    assert find_steps(times, tests=1) == [11]
    assert find_steps(times, tests=1000) == []


@pytest.mark.parametrize("tests", [1, 7, 100])
def test_no_step_can_be_found_in_fewer_commits_than_it_says(tests):
    fewest = fewest_commits(tests)
    assert fewest >= SHORTEST
    step = np.where(np.arange(100) < 50, 1.0, 2.0) * (1 + 1e-3 * np.random.default_rng(12).random(100))
    for size, found in ((fewest, True), (fewest - 1, False)):
        middle = step[50 - size // 2 :][:size]
        assert bool(find_steps(middle, tests=tests)) is found


@pytest.mark.parametrize("noise", ["normal", "skewed"])
def test_the_interval_of_a_step_holds_the_change_in_95_of_100(noise):
    held = []
    for times in histories(13, 60, 30, noise, steps=[(24, 0.2)]):
        cut = find_steps(times)[-1]
        low, _, high = ratio_of(times[cut:], times[:cut], paired=False)
        held.append(low <= np.exp(0.2) <= high)
    assert np.mean(held) >= 0.93


# Drifts


@pytest.mark.parametrize("drift", [0.3, -0.3])
def test_a_drift_is_told_from_steps_and_its_size_is_known(drift):
    found = [find_drift(times, find_steps(times)) for times in histories(14, 20, 40, drift=drift)]
    drifts = [one for one in found if one]
    assert len(drifts) >= 0.85 * len(found)
    assert np.mean([one.ratio.low <= np.exp(drift) <= one.ratio.high for one in drifts]) >= 0.85
    assert drifts[0].times[-1] / drifts[0].times[0] == pytest.approx(drifts[0].ratio.ratio)


def test_steps_are_seldom_taken_for_a_drift():
    for steps in ([(20, 0.1)], [(35, 0.1)], [(13, 0.1), (26, 0.1)], [(15, 0.2), (23, -0.2)]):
        drifts = [find_drift(times, find_steps(times)) is not None for times in histories(15, 30, 40, steps=steps)]
        assert np.mean(drifts) <= 0.05


def test_without_noise_levels_are_levels_and_a_line_is_a_line():
    step, line = np.repeat([1.0, 2.0], 10), np.exp(np.linspace(0, 1, 20))
    assert find_steps(step) == [10]
    assert find_drift(step, [10]) is None
    assert find_drift(line, find_steps(line)).ratio.ratio == pytest.approx(np.e)

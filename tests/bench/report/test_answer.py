"""The answer at the top of the page: what it costs, on which runs, and what can be copied."""

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, sweep
from sgdbench.report.answer import _estimate_tile, find_answer
from sgdbench.report.run_data import RunData, read_run_data
from sgdbench.tables.formatting import text
from tests.support.hostile import make_costs

X = np.linspace(-1, 1, 40)


def data_of(folder, *, timed=False, **settings):
    """A run made in Python, with times of its updates if it is timed."""
    common = {"target": 1e-4, "epochs": 30, "kernel": "reference", "confirm": 6}
    grid = {"lr": [0.1, 0.4], "batch_size": [4, "full"], "seed": range(5), "shuffle": True}
    grid |= {name: settings.pop(name) for name in tuple(settings) if name not in common}
    sweep("a*x + b", X, 2 * X + 1, Grid(**grid), out=folder, **common | settings)
    stored = read_run_data(folder)
    if not timed:
        return stored
    evidence = stored.evidence | {"costs": make_costs(stored.result.frame)}
    return RunData(stored.result, evidence, None, None, None, None)


def test_costs_come_in_three_currencies_with_success(tmp_path):
    run_data = data_of(tmp_path / "run", timed=True)
    answer = find_answer(run_data)
    best = run_data.ranked[run_data.ranked["recommended"]].iloc[0]
    samples, updates, seconds, success = answer.tiles
    assert samples.meaning == "samples to the target loss 0.0001"
    assert samples.value == f"{best['confirmed_samples']:,.0f}"
    assert samples.interval.startswith("[")
    assert updates.value == f"{best['confirmed_updates']:,.0f}"
    assert seconds.value.endswith("s")
    assert "kernel fused" in seconds.meaning
    assert success.value == "all 6"
    assert success.interval == "[61 %, 100 %]"
    assert answer.notes[0] == "Medians with 95 % intervals over 1 start and 6 fresh seeds."
    assert answer.notes[-1] == best["reason"]


def test_the_interval_of_a_tile_is_beside_its_number_also_where_it_is_symmetric():
    best = pd.Series({"samples": 173.0, "samples_low": 165.0, "samples_high": 181.0})
    assert _estimate_tile(best, "samples", text, "samples") == ("173", "[165, 181]", "samples")
    assert _estimate_tile(best.replace([165.0, 181.0], np.nan), "samples", text, "samples") == ("173", "", "samples")


def test_without_a_measured_time_there_is_none_and_a_batch_of_all_samples_is_called_full(tmp_path):
    answer = find_answer(data_of(tmp_path / "run", batch_size="full", epochs=100, confirm=0))
    assert [tile.meaning for tile in answer.tiles][1:] == ["updates", "runs of the best choice reached the target"]
    assert answer.notes[0].endswith(" and 5 seeds.")
    assert ("batch size", "full") in answer.settings
    python, study, command = (copy.content for copy in answer.copies)
    assert "    batch_size='full',\n" in python
    assert 'batch_size = "full"\n' in study
    assert " --batch-size full " in command


@pytest.mark.parametrize(("target", "heading"), [(None, "The best choice"), (1e-300, "; no run reached the target")])
def test_where_nothing_was_reached_it_is_about_the_final_loss(tmp_path, target, heading):
    answer = find_answer(data_of(tmp_path / "run", target=target))
    assert heading in answer.heading
    assert [tile.meaning for tile in answer.tiles] == ["median final loss", "run of the best choice diverged"]


def test_where_half_of_the_runs_or_more_failed_there_are_no_medians(tmp_path):
    answer = find_answer(data_of(tmp_path / "run", lr=0.4, batch_size="full"))
    assert [tile[::2] for tile in answer.tiles] == [("1 of 6", "runs of the best choice reached the target")]


def test_where_all_diverged_there_is_no_choice(tmp_path):
    answer = find_answer(data_of(tmp_path / "run", lr=1e30))
    assert answer.heading == "No best choice: every run diverged"
    assert answer.settings == answer.copies == []
    assert answer.tiles[0].value == "10 of 10"
    assert answer.notes == ["Lower learning rates would help."]
    lost = find_answer(data_of(tmp_path / "lost", lr=1e-9, init=[1e200, 0]))
    assert lost.notes[0].startswith("The loss is not finite at the start, so no rate helps: change the ")


def test_where_all_diverged_nothing_is_said_of_a_best_choice(tmp_path):
    """Although with patience each run keeps the parameters of an earlier checkpoint."""
    held_out = {"validation": 0.2, "test": 0.2, "patience": 500, "confirm": 0}
    found = sweep("a*x + b", X, X % 0.1, Grid(lr=[3.0, 5.0]), epochs=600, kernel="reference", out=tmp_path, **held_out)
    said = found.verdict()
    assert said["Best choice"].startswith("None: every run diverged.")
    assert np.isfinite(found.frame["final_loss"]).all()
    assert not {"On test rows", "No gain", "Solution"} & {*said}

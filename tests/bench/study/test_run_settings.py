"""A row of a sweep says how its run is trained, with `fit` and by many runs at once."""

import numpy as np
import pytest

from sgdbench import Grid, models, sweep
from sgdbench.kernels.data.samples import check_samples
from sgdbench.kernels.data.validation import Split
from sgdbench.study.run_settings import choice_settings, train_again
from sgdbench.study.schema import RunTable
from tests.support.studies import sweep_settings

X = np.arange(-20, 20) / 20
Y = 2 * X**2 - 4 * X + 3


@pytest.fixture(scope="module")
def swept():
    """A sweep, and the settings that its runs share."""
    shared = RunTable(epochs=6, target=1e-2, drop_last=False, kernel="fused")
    grid = Grid(lr=[0.1, 0.3], batch_size=[1, 16], schedule=["constant", "cosine"], shuffle=True, seed=[2**63, 1])
    return sweep(models.quadratic, X, Y, grid, **sweep_settings(shared) | {"confirm": 0}), shared


def test_rows_of_one_order_are_trained_once_more_to_the_same_bits(swept):
    result, shared = swept
    samples = Split(check_samples(models.quadratic, X, Y), None, None)
    for (size, _), rows in result.frame.groupby(["batch_size", "seed"]):
        checkpoints = result.clock.checkpoints(size, shared.epochs)
        starts = result.starts[rows.index]
        runs = train_again("fused", models.quadratic, samples, rows, starts, shared, checkpoints)
        assert runs.params.tolist() == rows[["param_a", "param_b", "param_c"]].to_numpy().tolist()


def test_settings_of_a_choice_are_values_of_python(swept):
    result, shared = swept
    settings = choice_settings(result.frame.iloc[0], shared)
    types = {"optimizer": str, "lr": float, "schedule": str, "batch_size": int, "shuffle": bool}
    assert {name: type(value) for name, value in settings.items()} == types


def test_runs_that_are_shuffled_in_blocks_are_others_than_those_that_are_shuffled_together(tmp_path):
    grid = Grid(lr=[0.1, 0.3], shuffle=[True, False], seed=[1, 2])
    given = {"epochs": 3, "kernel": "reference", "confirm": 0, "shuffling": "blocks(8, 16)"}
    in_blocks = sweep(models.quadratic, X, Y, grid, **given, out=tmp_path / "blocks")
    together = sweep(models.quadratic, X, Y, grid, **given | {"shuffling": "all"})
    assert not set(in_blocks.frame["config_id"]) & set(together.frame["config_id"])
    same = in_blocks.frame["final_loss"].to_numpy() == together.frame["final_loss"].to_numpy()
    assert same.tolist() == (~in_blocks.frame["shuffle"]).tolist()
    best, name = in_blocks.best(), "blocks(size=8, buffer=16)"
    assert best.settings["shuffle"] in (False, name)
    assert best.refit(X, Y).loss[-1] in in_blocks.frame["final_loss"].to_numpy()
    # Spelt otherwise, the blocks are the same.
    sweep(models.quadratic, X, Y, grid, **given | {"shuffling": "blocks(buffer=16, size=8)"}, out=tmp_path / "blocks")
    with pytest.raises(ValueError, match=r"holds another run \(shuffling: blocks\(size=8, buffer=16\) there, all here"):
        sweep(models.quadratic, X, Y, grid, **given | {"shuffling": "all"}, out=tmp_path / "blocks")

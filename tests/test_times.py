import numpy as np
import pandas as pd
import pytest
from frames import make_frame
from scipy.stats import binomtest

from bench import Grid, sweep
from bench.times import COSTS, epoch_seconds, times_to_target
from kernels import fit, models, reference
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.run import Plan, settings


def costs(*rows):
    return pd.DataFrame(rows, columns=[*COSTS, "variant", "epoch_seconds"])


FRAME = pd.concat(
    [
        make_frame(4, lr=0.1, status="converged", epochs_to_target=[2, 4, 6, 8]),
        make_frame(4, lr=0.2, status=["converged", "converged", "diverged", "max_epochs"],
                   epochs_to_target=[1, 3, pd.NA, pd.NA]),
        make_frame(4, lr=0.3, status="diverged", final_loss=np.nan),
    ],
    ignore_index=True,
)  # fmt: skip


def test_epochs_times_the_time_of_an_epoch():
    table = times_to_target(FRAME, costs(("sgd", 1, True, "fused", 0.5), ("sgd", 1, True, "reference", 100.0)))
    assert table[["lr", "variant"]].to_numpy().tolist() == [
        [0.1, "fused"], [0.1, "reference"], [0.2, "fused"], [0.2, "reference"], [0.3, "fused"], [0.3, "reference"]
    ]  # fmt: skip
    assert table["seconds_to_target"].tolist()[:4] == [2.5, 500, 1, 200]
    assert table["epochs_to_target"].tolist()[:4] == [5, 5, 2, 2]


def test_failures_lower_the_success_and_nothing_is_left_out():
    table = times_to_target(FRAME, costs(("sgd", 1, True, "fused", 0.5)))
    assert table[["converged", "runs"]].to_numpy().tolist() == [[4, 4], [2, 4], [0, 4]]
    assert table["seconds_to_target"].isna().tolist() == [False, False, True]
    for row in table.itertuples():
        expected = binomtest(row.converged, row.runs).proportion_ci(method="wilson")
        assert (row.success_low, row.success_high) == (expected.low, expected.high)
        assert row.success_low <= row.success <= row.success_high


@pytest.fixture(scope="module")
def result(classic):
    grid = Grid(lr=[0.05, 5.0], batch_size=[1, 16], optimizer=["sgd"], init={"zero": [0, 0, 0]}, shuffle=[True])
    return sweep(models.quadratic, *classic, grid, epochs=5, target=1.0)


def test_an_epoch_is_timed_for_all_that_decides_how_long_it_takes(result, classic):
    x, y = classic
    table = epoch_seconds(result, x, y, "squared", seconds=0.02)
    assert table[[*COSTS, "variant"]].to_numpy().tolist() == [
        ["sgd", size, True, variant] for size in (1, 16) for variant in ("reference", "fused", "lanes")
    ]
    assert (table["epoch_seconds"] > 0).all()


def test_what_diverges_from_every_rate_is_not_timed(classic):
    x, y = classic
    grid = Grid(lr=[5.0], batch_size=[1, 800], init={"zero": [0, 0, 0]})
    diverged = sweep(models.quadratic, x, y, grid, epochs=400)
    assert set(diverged.frame["status"]) == {"diverged"}
    assert epoch_seconds(diverged, x, y, "squared", seconds=0.02).empty


SETTINGS = {"init": [-1, 10, 26], "lr": 0.1, "schedule": "halve(3)", "epochs": 12, "shuffle": True, "seed": 3}


@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("kernel", ["reference", "fused"])
def test_sampling_the_curve_changes_nothing(classic, kernel, batch_size):
    """The final bits are those of a loop that never looks at the loss, and those of one that looks all the time."""
    x, y = classic
    sampled = fit(models.quadratic, x, y, batch_size=batch_size, kernel=kernel, **SETTINGS)
    loss, optimizer = make_loss("squared"), make_optimizer("sgd")
    plan = Plan(sampled.rates, settings(loss, optimizer), batch_size, True, True, 3, -np.inf)
    theta, state, columns = np.array([-1.0, 10.0, 26.0]), ((), ()), x[np.newaxis]
    for epoch, lr in enumerate(sampled.rates):
        for batch in reference._batches(y.size, plan, epoch):
            theta, state = reference._step(
                models.quadratic.program, loss, optimizer, theta, state, columns[:, batch], y[batch], lr
            )
    np.testing.assert_array_equal(sampled.params, theta)


def test_keeping_fewer_losses_changes_nothing(classic, monkeypatch):
    grid = Grid(lr=[0.05, 0.1], init={"zero": [0, 0, 0]}, seed=[0, 1], shuffle=True)
    kept = sweep(models.quadratic, *classic, grid, epochs=9)
    monkeypatch.setattr("bench.engine.MOST_LOSSES", 12)
    thinned = sweep(models.quadratic, *classic, grid, epochs=9)
    assert len(thinned.curves) < len(kept.curves) / 2
    pd.testing.assert_frame_equal(thinned.frame, kept.frame)

import numpy as np
import pandas as pd
import pytest

from sgdbench.tables.loss_bands import loss_quantiles
from sgdbench.tables.rank import ranking
from sgdbench.tables.render import standard_tables
from tests.support.frames import SAMPLES, make_curves, make_frame


@pytest.fixture
def study():
    """Every combination of the settings with random outcomes."""
    settings = pd.MultiIndex.from_product(
        [["sgd", "adam"], [0.01, 0.1, 1.0], [1, 16], ["near", "far"], [0, 1, 2]],
        names=["optimizer", "lr", "batch_size", "init", "seed"],
    ).to_frame(index=False)
    rng = np.random.default_rng(0)
    status = rng.choice(["converged", "max_epochs", "diverged"], len(settings), p=[0.7, 0.2, 0.1])
    epochs = pd.Series(rng.integers(1, 100, len(settings)), dtype="Int64")
    return make_frame(
        len(settings),
        **settings,
        status=status,
        epochs_to_target=epochs.where(status == "converged"),
        final_loss=np.where(status == "diverged", np.nan, rng.random(len(settings))),
    )


def test_each_optimizer_and_batch_size_has_the_best_of_its_choices(study):
    ranked = ranking(study)
    tables = standard_tables(study, ranked)
    assert list(tables["best"].columns[:3]) == ["optimizer", "lr", "batch_size"]
    assert tables["best"]["recommended"].tolist() == [True] + [False] * 9
    assert set(tables["best"]["runs"]) == {6}  # starts and seeds repeat a choice
    of_each = tables["best_by_optimizer_and_batch_size"]
    assert list(of_each.columns[:3]) == ["optimizer", "batch_size", "lr"]
    assert not of_each[["optimizer", "batch_size"]].duplicated().any()
    assert len(of_each) == 4
    for row in of_each.itertuples():
        first = ranked[ranked["optimizer"].eq(row.optimizer) & ranked["batch_size"].eq(row.batch_size)].iloc[0]
        assert (row.lr, row.samples) == (first["lr"], first["samples"])
    assert tables["best"]["lr"].tolist() == ranked["lr"].tolist()[:10]


@pytest.mark.parametrize("runs", [0, 1])
def test_tables_of_almost_nothing(runs):
    frame = make_frame(runs)
    tables = standard_tables(frame, ranking(frame))
    assert len(tables["best"]) == len(tables["best_by_optimizer_and_batch_size"]) == runs


def test_quantiles_are_those_of_numpy():
    losses = np.random.default_rng(0).lognormal(sigma=3, size=(7, 4))
    frame = make_frame(7)
    bands = loss_quantiles(frame, make_curves(dict(zip(frame["config_id"], losses, strict=True))))
    assert bands["samples"].tolist() == [0, SAMPLES, 2 * SAMPLES, 3 * SAMPLES]
    assert set(bands["runs"]) == {7}
    np.testing.assert_allclose(
        bands[["low", "median", "high"]].to_numpy().T, np.quantile(losses, [0.1, 0.5, 0.9], axis=0), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("optimizers", "curves", "medians"),
    [
        (["adam", "sgd", "adam"], [[4, 1], [4, 2], [4, 3]], {"adam": [4, 2], "sgd": [4, 2]}),
        (["sgd", "sgd"], [[8, 2], [8, 6, 4]], {"sgd": [8, 4, 3]}),
        (["adam", "sgd"], [[8, 2], [8, 6, 4]], {"adam": [8, 2], "sgd": [8, 6, 4]}),
        (["sgd"], [[5], [0, 0, 0]], {"sgd": [5]}),
    ],
    ids=[
        "each group has its own curves",
        "a run that stopped keeps its loss",
        "a group ends with its longest run",
        "curves of other runs are ignored",
    ],
)
def test_the_median_of_each_group_at_each_epoch(optimizers, curves, medians):
    frame = make_frame(len(optimizers), optimizer=optimizers, status="converged")
    bands = loss_quantiles(frame, make_curves({f"run{place}": losses for place, losses in enumerate(curves)}))
    expected = [(name, SAMPLES * epoch, loss) for name, losses in medians.items() for epoch, loss in enumerate(losses)]
    assert list(bands[["optimizer", "samples", "median"]].itertuples(index=False, name=None)) == expected


def test_runs_with_checkpoints_of_their_own_have_the_loss_of_the_last_one_between_them():
    """As runs with batches of another size do."""
    curves = make_curves({"run0": [8, 4, 2], "run1": [6, 3, 1]})
    curves["samples"] = [0, 10, 40, 0, 16, 32]
    bands = loss_quantiles(make_frame(2), curves)
    assert bands["samples"].tolist() == [0, 10, 16, 32, 40]
    assert bands["median"].tolist() == [7, 5, 3.5, 2.5, 1.5]


@pytest.mark.parametrize("last", [[], [np.inf], [np.nan]])
def test_a_run_that_diverged_is_infinite(last):
    frame = make_frame(3, status=["diverged", "max_epochs", "max_epochs"])
    bands = loss_quantiles(frame, make_curves({"run0": [8, 9, *last], "run1": [8, 4, 2, 1], "run2": [8] * 4}))
    assert bands["median"].tolist() == [8, 8, 8, 8]
    assert bands["high"].tolist()[2:] == [np.inf, np.inf]


def test_a_curve_that_is_there_twice_is_refused():
    with pytest.raises(ValueError, match="duplicate"):
        loss_quantiles(make_frame(1), make_curves({"run0": [1, 2]}).iloc[[0, 1, 1]])

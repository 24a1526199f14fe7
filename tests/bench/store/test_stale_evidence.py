"""Change one fact of a run: what was found before is not shown any more, not resumed, and has another id."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, Model, load_run, models, register_optimizer, sweep
from sgdbench.kernels.compile.kinds import KERNELS
from sgdbench.store.evidence import EVIDENCE_COLUMNS, read_tables, store_tables
from sgdbench.study.config_id import config_ids
from sgdbench.study.schema import RunTable
from tests.support.refusals import refusal_of
from tests.support.sweeps import X, Y, assert_same

NEAR = [-1.0, 10.0, 26.0]
GRID = {"lr": [0.001, 0.2], "init": {"near": NEAR}, "shuffle": True}
CALL = {"model": models.quadratic, "x": X, "y": Y, "epochs": 12, "target": 0.1, "validation": 0.2, "patience": 4}
CALL |= {"kernel": "reference", "drop_last": False}
ABOUT_RUNS = {"basin", "check", "paths", "rates", "theory", "typical_paths"}
# Facts of single runs, and facts that all runs of a folder share.
OF_A_RUN = [
    ("lr", np.nextafter(0.2, 1)),
    ("batch_size", 2),
    ("init", {"other": [np.nextafter(-1.0, 0), 10.0, 26.0]}),
    ("init", {"other": [10.0, -1.0, 26.0]}),
    ("optimizer", "momentum"),
    ("schedule", "halve(10)"),
    ("schedule", "cosine"),
    ("seed", 1),
    ("shuffle", False),
    ("dtype", "float32"),
]
OF_ALL = [
    ("model", {"model": Model("a*x**2 + b*x - c")}),
    ("model", {"model": Model("a*x**2 + b*x + 1*c")}),
    ("parameters", {"model": Model("a*x**2 + b*x + c", params=("b", "a", "c"))}),
    ("inputs", {"model": Model("a*x**2 + b*x + c", inputs=("b",), params=("a", "x", "c"))}),
    ("data", {"x": X + 1}),
    ("data", {"y": Y + 1e-9}),
    ("loss", {"loss": "huber"}),
    ("target", {"target": None}),
    ("drop_last", {"drop_last": True}),
    ("record", {"record": "log:3"}),
    ("shuffling", {"shuffling": "blocks(8)"}),
    ("kernel", {"kernel": "fused-fma"}),
    ("validation", {"validation": 0.3}),
    ("patience", {"patience": 5}),
]


def run(out, grid=GRID, **changed):
    return sweep(grid=Grid(**grid), out=out, **CALL | {"confirm": 3, "test": (X[:9], Y[:9])} | changed)


def shown(result):
    """What a report shows that was found about the runs of a folder."""
    return ({"Confirmed", "On test rows"} & result.verdict().keys()) | (
        ABOUT_RUNS & read_tables(result.run.folder).keys()
    )


def ids(grid=GRID, model=models.quadratic, data="data", **shared):
    return config_ids(Grid(**grid).frame(model, X.size), model, data, RunTable(**shared)).tolist()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run with all that is found about its runs."""
    result = run(tmp_path_factory.mktemp("stale") / "run")
    about = result.frame[["config_id"]]
    columns = {name: dict.fromkeys(EVIDENCE_COLUMNS[name] - {"config_id"}, 1.0) for name in ABOUT_RUNS}
    store_tables(result.run.folder, **{name: about.assign(**columns[name]) for name in ABOUT_RUNS})
    assert shown(result) == ABOUT_RUNS | {"Confirmed", "On test rows"}
    return result


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made.run.folder, tmp_path / "run")


@pytest.mark.parametrize(("name", "value"), OF_A_RUN, ids=str)
def test_a_fact_of_a_run(made, folder, name, value):
    told = refusal_of(run, folder, GRID | {name: value})
    assert "holds 2 configurations that this grid does not have" in told
    assert f"({name} " in told or name == "dtype"  # which the columns of the folder do not have
    usual = {"batch_size": 1, "optimizer": "sgd", "schedule": "constant", "seed": 0, "dtype": "float64"} | GRID
    both = usual[name] | value if name == "init" else [*np.atleast_1d(usual[name]), value]
    assert not set(ids()) & set(ids(GRID | {name: value}))
    counts = []
    found = run(folder, GRID | {name: both}, confirm=0, test=None, progress=counts.append)
    assert counts[0] == len(made.frame)
    assert set(made.frame["config_id"]) < set(found.frame["config_id"])
    assert not ABOUT_RUNS & shown(found)
    # What the leading choice does on fresh seeds stands as long as its starts and seeds do.
    assert "Confirmed" not in shown(found) or name not in ("init", "seed")


@pytest.mark.parametrize(("name", "changed"), OF_ALL, ids=str)
def test_a_fact_of_all_runs(made, folder, name, changed):
    told = refusal_of(run, folder, **changed)
    others = rf"(.*; )?{name}: (other samples|.* there, .* here)(; .*)?"
    assert re.search(rf"holds another run \({others}\): choose another", told)
    assert_same(load_run(folder), made)
    assert shown(load_run(folder)) == shown(made)


@pytest.mark.parametrize(
    "changed",
    [
        {"data": "other"},
        {"loss": "huber"},
        {"drop_last": False},
        {"shuffling": "blocks(8)"},
        *({"model": changed["model"]} for _, changed in OF_ALL if "model" in changed),
    ],
    ids=str,
)
def test_a_fact_that_decides_how_all_runs_go_is_in_their_ids(changed):
    assert not set(ids()) & set(ids(**changed))


@pytest.mark.usefixtures("rules_forgotten")
def test_the_kernel_is_in_the_id_only_where_kernels_may_differ():
    @register_optimizer
    def inexact(theta, slots, gradient, lr, clock, options):
        return theta - lr * np.tanh(gradient), ()

    for name, count in (("sgd", 1), ("inexact", len(KERNELS))):
        assert len({ids({"optimizer": name}, kernel=kernel)[0] for kernel in KERNELS}) == count


def test_more_epochs(made, folder):
    # The costs of updates stay: they take as long as before.
    store_tables(folder, costs=pd.DataFrame(columns=sorted(EVIDENCE_COLUMNS["costs"])))
    found = run(folder, epochs=24, confirm=0, test=None)
    assert not ABOUT_RUNS & shown(found)
    assert "costs" in read_tables(folder)


def test_tables_about_the_runs_of_another_grid(made, folder):
    """Both have the same identity, so that the checksum is right."""
    for name in ABOUT_RUNS:
        values = dict.fromkeys(EVIDENCE_COLUMNS[name] - {"config_id"}, 1.0)
        store_tables(folder, **{name: pd.DataFrame({"config_id": ["other"]}).assign(**values)})
    with pytest.warns(RuntimeWarning, match=r"\.parquet cannot be used \(it is about runs of a.*ignored") as told:
        assert not ABOUT_RUNS & read_tables(folder).keys()
    assert len(told) >= len(ABOUT_RUNS)

"""Folders that 0.3.0 wrote, when the packages were called `bench` and `kernels`: they are read, and continued."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from sgdbench import Grid, Space, load_run, load_tuning, sweep, tune

WRITTEN = Path(__file__).parent / "written_by_0_3"
X = np.arange(-20, 20) / 20
GIVEN = ("a*x**2 + b*x + c", X, 2 * X**2 - 4 * X + 3)
SETTINGS = {"epochs": 5, "confirm": 0, "kernel": "reference"}


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(WRITTEN, tmp_path / "written"))


def test_a_run_is_read_and_extended(folder):
    own = {"lr": [0.1, 0.5], "init": [-1, 10, 26], "shuffle": True, "optimizer": ["sgd", "momentum(0.9)"]}
    before = load_run(folder / "run")
    assert before.best().settings["lr"] == 0.5
    more = sweep(*GIVEN, Grid(seed=range(3), **own), out=folder / "run", resume=True, **SETTINGS)
    assert (len(before.frame), len(more.frame)) == (8, 12)
    anew = sweep(*GIVEN, Grid(seed=range(3), **own), **SETTINGS)
    # What 0.3.0 trained is kept, and has the bits of today.
    assert {part.name for part in (folder / "run" / "parts").iterdir()} == {"000001.parquet", "000002.parquet"}
    for result in (before, more):
        ours = result.frame.set_index("config_id")["final_loss"]
        assert ours.equals(anew.frame.set_index("config_id")["final_loss"].loc[ours.index])


def test_a_search_is_read_and_continued(folder):
    before = load_tuning(folder / "search")
    assert len(before.trials) == 8
    space = Space(lr="log:0.01:1", init=[-1, 10, 26], seed=range(2), optimizer=["sgd"])
    more = tune(*GIVEN, space, out=folder / "search", trials=12, resume=True, **SETTINGS)
    assert more.trials["value"].iloc[:8].tolist() == before.trials["value"].tolist()
    assert len(more.trials) == 12

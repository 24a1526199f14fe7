"""`sgdbench tune` and its report: what is printed, what the page shows, and what is made again without training."""

import io
import re
import shutil
import sys
import tomllib
from contextlib import chdir, redirect_stdout

import numpy as np
import pandas as pd
import pytest
import tomli_w

from sgdbench import load_tuning
from sgdbench.commands.options import RunOptions
from sgdbench.commands.tune import run_tune
from sgdbench.report.tune_data import read_tune_data
from sgdbench.report.tune_report import _readable_tables
from sgdbench.store.run_folder import OUT_ADVICE, RESUME_OPTION
from sgdbench.study.load import load_study
from tests.support import hostile
from tests.support.constants import ROOT

# Of a table of 40 rows, and by the reference: no kernel is compiled.
STUDY = {
    "name": "small",
    "data": {"path": "small.csv", "x": "x", "y": "y"},
    "model": {"expression": "a*x**2 + b*x + c"},
    "grid": {"lr": [0.1, 0.5], "batch_size": [2, 8], "seed": [0, 1], "shuffle": True, "init": {"near": [1, -3, 4]}},
    "run": {"epochs": 27, "target": 1e-2, "confirm": 2, "kernel": "reference"},
    "tune": {"trials": 17},
}


def write_study(folder, **changed):
    """Write the study and its table; returns the path of the study."""
    x = np.linspace(-1, 1, 40)
    pd.DataFrame({"x": x, "y": 2 * x**2 - 4 * x + 3}).to_csv(folder / "small.csv", index=False)
    path = folder / "small.toml"
    path.write_text(tomli_w.dumps(STUDY | changed), encoding="utf-8")
    return path


@pytest.fixture
def study(tmp_path):
    return write_study(tmp_path)


@pytest.fixture(scope="module")
def searched(tmp_path_factory, one_figure_here):
    """What is printed by a search, and where it was started."""
    place = tmp_path_factory.mktemp("searched")
    with chdir(place), redirect_stdout(io.StringIO()) as said:
        assert run_tune(load_study(write_study(place)), RunOptions(None), with_grid=True, seed=0)
    return said.getvalue(), place


@pytest.fixture
def folder(searched, study, tmp_path):
    """A copy of the folder of this search."""
    return shutil.copytree(searched[1] / "results" / "small-tuned", tmp_path / "results" / "small-tuned")


def test_a_search_prints_its_conclusions_and_leaves_a_report(searched):
    out, place = searched
    said = dict(line.split(": ", 1) for line in out.splitlines())
    assert list(said)[-2:] == ["Search", "Report"]
    assert {"Best choice", "Confirmed", "Against the grid"} <= set(said)
    assert said["Search"].startswith("17 trials by tpe")
    assert said["Report"] == "results/small-tuned/report.html"
    folder = place / "results" / "small-tuned"
    names = {path.stem for path in (folder / "figures").glob("*.png")}
    assert names == {"search_history", "search_slices_1"}
    best = load_tuning(folder).best()
    page = (folder / "report.html").read_text("utf-8")
    assert f"<b>{best.settings['batch_size']}</b>" in page
    assert 'href="grid/report.html"' in page
    assert "the pruner asha gave up trials that fell behind" in page
    assert "trained again with seeds that had no part in the search" in page
    assert "<dt>range of learning rate</dt>" in page
    assert re.search("<dt>range of order</dt><dd>(not )?shuffled</dd>", page)
    assert (folder / "grid" / "report.html").exists()
    tables = pd.read_csv(folder / "tables" / "trials.csv")
    assert len(tables) == 17


def test_the_report_is_made_again_from_what_is_stored(sgdbench, folder):
    before = {name: (folder / name).read_text("utf-8") for name in ("report.html", "report.md")}
    (folder / "report.html").unlink()
    assert sgdbench("report", folder) == (0, f"Report: {folder / 'report.html'}\n", "")
    assert {name: (folder / name).read_text("utf-8") for name in before} == before
    # A search that was stopped, which does not know yet how important its parameters are, has a report too.
    (folder / "evidence" / "importance.parquet").unlink()
    assert sgdbench("report", folder)[::2] == (0, "")


def test_the_table_of_the_best_trials_recommends_what_the_verdict_does(folder):
    data = read_tune_data(load_tuning(folder))
    shown = _readable_tables(data)["The best trials, on the seeds of the search"]
    assert shown["verdict"].eq("recommended").tolist() == [True, *[False] * (len(shown) - 1)]
    # Of a choice without runs on fresh seeds there is nothing to compare.
    data = read_tune_data(load_tuning(folder))
    vars(data)["ranked"] = data.ranked.iloc[::-1].reset_index(drop=True)
    assert data.on_fresh_seeds is None


def test_a_search_that_is_done_is_not_gone_on_with(ran, refused, folder, study):
    parts = [path.stat().st_mtime_ns for path in sorted((folder / "parts").iterdir())]
    ran("tune", study, "--resume")
    assert [path.stat().st_mtime_ns for path in sorted((folder / "parts").iterdir())] == parts
    told = f"results/small-tuned already holds results: continue with {RESUME_OPTION}, or choose {OUT_ADVICE}\n"
    assert refused("tune", study) == f"sgdbench: {told}"


def test_a_search_and_a_run_do_not_share_a_folder(refused, folder, study):
    told = f"sgdbench: {folder} holds a search for settings: choose {OUT_ADVICE}, or delete this one\n"
    assert refused("run", study, "--resume", "--out", folder) == told
    told = f"sgdbench: {folder} is the folder of a search or a suite: give it alone\n"
    assert refused("report", folder, folder) == told


def test_tables_and_figures_that_a_search_no_longer_has_are_removed(ran, study, tmp_path):
    """The runs on fresh seeds may be about another choice once a search has gone on; here they are gone."""
    options = ["--optimizer", "sgd,adam", "--trials", "4", "--epochs", "3", "--confirm", "1"]
    ran("tune", study, *options, "--no-grid", "--out", "there")
    there = tmp_path / "there"
    assert (there / "tables" / "rivals.csv").exists()
    (there / "figures" / "mine.png").touch()
    shutil.rmtree(there / "confirmation")
    ran("report", "there")
    assert sorted({path.stem for path in (there / "tables").iterdir()}) == ["importance", "trials"]
    assert (there / "figures" / "mine.png").exists()


def test_options_take_the_place_of_what_the_study_says(ran, tmp_path):
    """In a study whose title is only text."""
    study = write_study(tmp_path, title=hostile.TITLE)
    options = ["--trials", "4", "--sampler", "random", "--pruner", "none", "--optimizer", "momentum(lin:0.1:0.5)"]
    options += ["--no-grid", "--confirm", "0", "--epochs", "5", "--out", "there"]
    settings = ["tune.lr=0.2", "tune.batch_size=[20, 'full']", "tune.schedule=halve(int:2:4)", "grid.seed=[3, 4, 5]"]
    options += [word for setting in settings for word in ("--set", setting)]
    ran("tune", study, *options)
    found = load_tuning(tmp_path / "there")
    trials = found.trials
    assert set(trials["lr"]) == {0.2}
    assert set(trials["batch_size"]) <= {20, 40}
    assert trials["optimizer"].str.fullmatch(r"momentum\(0\.[1-5]\d*\)").all()
    assert set(trials["schedule"]) <= {"halve(2)", "halve(3)", "halve(4)"}
    assert set(found.result.frame["seed"]) == {3, 4, 5}
    assert found.grid is None
    assert found.result.confirmation is None
    assert (trials["state"] == "complete").all()
    page = (tmp_path / "there" / "report.html").read_text("utf-8")
    assert "no trial was given up because it fell behind" in page
    assert "trained again" not in page
    assert "&lt;script&gt;alert" in page
    assert "<script>alert" not in page


def test_a_search_needs_optuna(refused, study, folder, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("sgdbench.engine.tune", "sgdbench.engine.search"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "sgdbench.store.journal")
    monkeypatch.setitem(sys.modules, "optuna", None)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    needed = " ".join(f'"{one}"' for one in extras["tune"])
    for command in (["tune", study], ["report", folder]):
        err = refused(*command)
        assert err == f"sgdbench: tune needs optuna, which is not installed: pip install {needed}\n"


def test_a_search_of_which_everything_diverges(ran, study, tmp_path):
    out = ran("tune", study, "--set", "tune.lr=1e6", "--no-grid", "--trials", "3")
    assert "None: every trial diverged. Lower learning rates would help." in out
    assert "3 diverged" in out
    page = (tmp_path / "results" / "small-tuned" / "report.html").read_text("utf-8")
    assert "No choice yet" in page

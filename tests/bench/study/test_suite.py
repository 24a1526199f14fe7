"""Suites: one grid on several problems, the optimizers compared over all of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from sgdbench import Grid, sweep
from sgdbench.commands.options import TableColumns
from sgdbench.commands.problem import load_problem
from sgdbench.kernels.optimizers import OPTIMIZERS
from sgdbench.report.run_data import run_data_of
from sgdbench.report.suite_report import SuiteData, find_suite_conclusions, find_widest_rates, write_suite_report
from sgdbench.study.builtin import describe_builtin
from sgdbench.study.suite import load_suite
from sgdbench.tables.facts import FewestSamples, LeadingOptimizer, LeftOut, NothingCompared
from sgdbench.tables.performance_profile import (
    cost_ratios,
    good_rates,
    performance_profile,
    problem_ratios,
    profile_summary,
)
from sgdbench.tables.words import sentences
from tests.support.frames import make_frame

SMALL = """
name = "two"
title = "Two <problems>"
description = "a line and a bowl"

[grid]
optimizer = ["sgd", "adam"]
lr = [0.01, 0.1, 0.3]
seed = [0, 1]

[run]
kernel = "reference"
epochs = 20
confirm = 5

[[problem]]
name = "line"
data = { path = "line.csv", x = "u", y = "v" }
model = { expression = "a*x**2 + b*x + c" }
grid = { init = { zero = [0, 0, 0] }, batch_size = 4, shuffle = true }
run = { target = 1e-3 }

[[problem]]
name = "bowl <b>"
data = { builtin = "none" }
model = { expression = "(1 - x)**2 + 100*(y - x**2)**2" }
grid = { init = { random = "normal:1:1" } }
run = { target = 1e-4, loss = "objective", epochs = 2 }
"""


@pytest.fixture
def small(tmp_path):
    x = np.linspace(-1, 1, 24)
    pd.DataFrame({"u": x, "v": 2 * x + 1}).to_csv(tmp_path / "line.csv", index=False)
    path = tmp_path / "two.toml"
    path.write_text(SMALL)
    return path


def test_the_built_in_suite_has_every_optimizer_and_the_same_updates_for_each_problem():
    suite = load_suite("optimizers")
    assert [study.name for study in suite.studies] == [
        "quadratic", "noisy quadratic", "exponential", "polynomial", "rosenbrock"
    ]  # fmt: skip
    for study in suite.studies:
        grid, (data, _) = study.make_grid(), study.dataset()
        assert set(grid.optimizer) == set(OPTIMIZERS)
        assert (len(grid.optimizer), len(grid.seed), len(grid.lr)) == (len(OPTIMIZERS), 5, 19)
        assert data.y.size // grid.batch_size[0] * study.run.epochs == 2500
    assert set(describe_builtin("suites")) == {"optimizers"}
    assert not set(describe_builtin("suites")) & set(describe_builtin("studies"))
    assert load_suite("quadratic") is None
    assert load_suite("cars.csv") is None


def test_what_a_problem_says_goes_before_what_is_shared(small):
    line, bowl = load_suite(str(small)).studies
    assert (line.run.epochs, bowl.run.epochs) == (20, 2)
    assert line.data.path == str(small.parent / "line.csv")
    assert [study.grid.lr for study in (line, bowl)] == [[0.01, 0.1, 0.3]] * 2
    settings = {"grid.lr": [0.2], "run.epochs": 3}
    changed = load_problem(str(small), TableColumns(None, None, None, False), settings, None)
    assert [(study.grid.lr, study.run.epochs) for study in changed.studies] == [([0.2], 3)] * 2


def test_another_loss_gets_targets_of_its_own_in_a_suite(tmp_path, small, capsys):
    small.write_text(SMALL.partition('\n[[problem]]\nname = "bowl')[0])
    changed = load_problem(str(small), TableColumns(None, None, None, False), {"run.loss": "huber(1)"}, None)
    (line,) = changed.studies
    assert (line.run.loss, line.run.target_loss) == ("huber(1)", "huber(1)")
    assert line.run.target != 1e-3
    assert "for the loss huber(1); 0.001 was made for the loss squared." in capsys.readouterr().out
    small.write_text(small.read_text().replace("a*x**2 + b*x + c", "a*exp(b*x) + c*x**2"))
    (bent,) = load_problem(str(small), TableColumns(None, None, None, False), {"run.loss": "huber(1)"}, None).studies
    assert bent.run.target not in (1e-3, line.run.target)


def test_what_does_not_fit_the_data_is_said_of_its_problem(small, refused):
    """Of the last one too, before the first one is trained."""
    text = small.read_text("utf-8").replace('builtin = "none"', 'path = "few.csv", x = "x", y = "v"')
    small.write_text(text.replace('loss = "objective"', "shuffling = 'all'"), "utf-8")
    (small.parent / "few.csv").write_text("x,v\n1,2\n,3\n", "utf-8")
    assert "few.csv: line 3" in refused("run", small)
    assert not Path("results").exists()


def frame(costs):
    """Runs with these samples to the target, by optimizer and rate; None for a run that missed it."""
    rows = [(*choice, seed, cost) for choice, values in costs.items() for seed, cost in enumerate(values)]
    table = pd.DataFrame(rows, columns=["optimizer", "lr", "seed", "samples_to_target"])
    status = np.where(table["samples_to_target"].isna(), "max_epochs", "converged")
    return make_frame(len(table), **table, status=status, shuffle=False)


def ranked(order):
    shared = {"schedule": "constant", "batch_size": 1, "shuffle": False}
    rows = [{"optimizer": name, "lr": lr} | shared for name, lr in order]
    return pd.DataFrame(rows).assign(recommended=[row == 0 for row in range(len(rows))])


FRESH = {("a", 0.1): [10, 20, None, None], ("b", 0.3): [20, 10, 40, None], ("c", 0.1): [None, 50, 10, None]}
EXPECTED = pd.DataFrame(
    [[1.0, 2.0, np.inf, np.nan], [2.0, 1.0, 4.0, np.nan], [np.inf, 5.0, 1.0, np.nan]],
    ["a", "b", "c"],
    pd.MultiIndex.from_product([[0], range(4)], names=["starts", "seeds"]),
)


def test_ratios_are_those_to_the_best_of_each_instance():
    """An instance that no optimizer solves says nothing; a worse choice of an optimizer does not count."""
    runs = frame(FRESH | {("a", 0.9): [1, 1, 1, 1]})
    found = cost_ratios(ranked([("a", 0.1), ("b", 0.3), ("a", 0.9), ("c", 0.1)]), runs)
    np.testing.assert_array_equal(found, EXPECTED)
    assert found.index.tolist() == ["a", "b", "c"]
    pd.testing.assert_index_equal(found.columns, EXPECTED.columns, exact="equiv")


def test_a_profile_worked_out_by_hand():
    profile = performance_profile({"one": EXPECTED})
    steps = {name: list(zip(own["tau"], own["share"], strict=True)) for name, own in profile.groupby("optimizer")}
    third = pytest.approx(1 / 3)
    assert steps["a"] == [(1.0, third), (2.0, pytest.approx(2 / 3))]
    assert steps["b"] == [(1.0, third), (2.0, pytest.approx(2 / 3)), (4.0, 1.0)]
    assert steps["c"] == [(1.0, third), (5.0, pytest.approx(2 / 3))]
    # A problem with more instances counts no more than another: here a wins all, and b and c fail.
    other = pd.DataFrame([[1.0] * 9, [np.inf] * 9, [np.inf] * 9], ["a", "b", "c"])
    both = performance_profile({"one": EXPECTED, "two": other})
    assert both[(both["optimizer"] == "a") & (both["tau"] == 1)]["share"].item() == pytest.approx((1 / 3 + 1) / 2)
    assert problem_ratios({"one": EXPECTED, "two": other}).loc["b"].tolist() == [2.0, np.inf]


def test_the_summary_counts_instances_with_intervals():
    rates = pd.DataFrame({"optimizer": ["a", "b", "c"], "decades": [1.0, np.nan, 2.0]})
    other = pd.DataFrame({"optimizer": ["a", "b", "c"], "decades": [2.0, 0.5, np.nan]})
    summary = profile_summary({"one": EXPECTED}, {"one": rates, "two": other}).set_index("optimizer")
    assert summary.index.tolist()[0] == "b"  # solves most, within four times
    assert summary["won"].tolist() == pytest.approx([1 / 3] * 3)
    assert summary["within_2"][["a", "b", "c"]].tolist() == pytest.approx([2 / 3, 2 / 3, 1 / 3])
    assert summary["within_10"][["a", "b", "c"]].tolist() == pytest.approx([2 / 3, 1, 2 / 3])
    assert summary["ratio"][["a", "b", "c"]].tolist() == [2.0, 2.0, 5.0]
    assert summary["decades"][["a", "b", "c"]].tolist() == [1.5, 0.25, 1.0]
    # Wilson's interval of 1 in 3 at 95 %, by statsmodels' proportion_confint.
    assert summary[["won_low", "won_high"]].iloc[0].tolist() == pytest.approx([0.06149, 0.79235], abs=1e-5)
    # Two more starts that do as the first tell nothing more.
    twice = pd.concat(dict.fromkeys(range(3), EXPECTED[0]), axis=1, names=["starts", "seeds"])
    again = profile_summary({"one": twice}, {"one": rates, "two": other}).set_index("optimizer")
    assert again[["won", "won_low", "won_high"]].to_numpy() == pytest.approx(
        summary[["won", "won_low", "won_high"]].to_numpy()
    )


def test_good_rates_reach_from_the_best_one_to_the_first_that_is_not_good():
    samples = {0.001: 300, 0.01: 150, 0.1: 100, 1.0: 180, 10.0: 250, 100.0: 110}
    table = ranked([("a", lr) for lr in (0.1, 100.0, 0.01, 1.0, 10.0, 0.001)])
    table = table.assign(samples=table["lr"].map(samples), runs=5, converged=5, diverged=0)
    (row,) = good_rates(table).to_dict("records")
    assert (row["best"], row["lowest"], row["highest"]) == (0.1, 0.01, 1.0)
    assert row["decades"] == pytest.approx(2.0)
    table.loc[table["lr"] == 1.0, "converged"] = 4  # one run misses
    assert good_rates(table)["highest"].item() == 0.1
    # A rate at which some runs miss is no best one, however soon the others arrive.
    sooner = table.assign(samples=table["samples"].where(table["lr"] != 1.0, 10))
    pd.testing.assert_frame_equal(good_rates(sooner), good_rates(table))
    # Rates with other settings than the best one's are of another range.
    pd.testing.assert_frame_equal(
        good_rates(pd.concat([table, table.assign(batch_size=9, samples=1)])), good_rates(table)
    )
    table.loc[table["lr"] == 0.1, "converged"] = 4
    assert good_rates(table)[["lowest", "highest", "decades"]].isna().all(axis=None)


def test_a_single_good_rate_is_no_range_of_good_rates():
    summary = pd.DataFrame({"optimizer": ["a", "b", "c"], "decades": [0.0, 0.25, 0.0]})
    assert find_widest_rates(summary).decades == {"b": 0.25}
    assert find_widest_rates(summary.assign(decades=0.0)).decades == {}


def test_no_optimizer_has_the_fewest_samples_on_a_problem_on_which_all_mostly_fail():
    def described(ratios):
        data = SuiteData("two", "", {})
        rates = pd.DataFrame({"optimizer": ["a", "b", "c"], "decades": 0.0})
        data.__dict__.update(ratios={"line": ratios}, rates={"line": rates})
        return find_suite_conclusions(data)

    leading, fewest, _ = described(EXPECTED)
    assert leading == LeadingOptimizer("b", 1.0, pytest.approx(2 / 3), instances=3, problems=1, unsolved=1)
    assert fewest == FewestSamples("line", ("a", "b"))
    # Of the second, no optimizer solves three of four instances.
    for failing in (EXPECTED.replace([1.0, 2.0], np.inf), EXPECTED.iloc[:, [0, 3, 3, 3]]):
        assert described(failing)[1] == FewestSamples("line", ())


@pytest.mark.usefixtures("one_figure", "nothing_timed", "replayed_by_reference")
def test_a_suite_from_the_command_line(small, sgdbench, ran, refused, tmp_path, request):
    out = ran("run", small, "--out", tmp_path / "out")
    assert "Over all: " in out
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Two &lt;problems&gt;" in page
    assert "best for it on the seeds of the grid;" in page
    assert "<b>" not in page.replace("bowl &lt;b&gt;", "")
    for figure in ("profile", "ratios", "rates"):
        assert (tmp_path / "out" / "figures" / f"{figure}.png").stat().st_size > 10_000
    for problem in ("line", "bowl-b"):
        assert (tmp_path / "out" / problem / "report.html").exists()
        assert f'href="{problem}/report.html"' in page
    summary = pd.read_csv(tmp_path / "out" / "tables" / "optimizers.csv")
    assert set(summary["optimizer"]) == {"sgd", "adam"}
    assert summary["solved"].max() == 1.0
    text = (tmp_path / "out" / "report.md").read_text("utf-8")
    assert "(figures/profile.png)" in text
    rendered = MarkdownIt().render(text)
    assert "<h1>Two &lt;problems&gt;</h1>" in rendered
    assert "(1 - x)**2 + 100*(y - x**2)**2" in rendered

    # The report again, from what is stored; and the run again, which trains nothing and is not measured here.
    (tmp_path / "out" / "report.html").unlink()
    code, out, _ = sgdbench("report", tmp_path / "out")
    assert (code, (tmp_path / "out" / "report.html").read_text("utf-8") == page) == (0, True)
    assert "out already holds results: continue with --resume" in refused("run", small, "--out", tmp_path / "out")
    request.getfixturevalue("no_report")
    assert sgdbench("run", small, "--out", tmp_path / "out", "--resume")[0] == 0
    assert (tmp_path / "out" / "report.html").read_text("utf-8") == page
    # A resumed suite that is refused leaves the folder as it is.
    record = (tmp_path / "out" / "suite.toml").read_bytes()
    small.write_text(SMALL.partition('[[problem]]\nname = "bowl')[0].replace("epochs = 20", "epochs = 10"))
    assert "holds the problem 'bowl <b>', which this suite does not have" in refused(
        "run", small, "--out", tmp_path / "out", "--resume"
    )
    small.write_text(SMALL.replace("epochs = 20", "epochs = 10"))
    assert "epochs must be at least 20" in refused("run", small, "--out", tmp_path / "out", "--resume")
    assert (tmp_path / "out" / "suite.toml").read_bytes() == record
    (tmp_path / "out" / "suite.toml").write_text(SMALL)
    assert "suite.toml was not written by a run of a suite: it has no 'problems'; run the suite again" in refused(
        "report", tmp_path / "out"
    )


@pytest.mark.parametrize(
    ("target", "confirm", "lack"),
    [(1e-300, 5, "success"), (0.3, 0, "fresh seeds")],
)
def test_without_a_target_that_is_reached_or_fresh_seeds_there_is_nothing_to_compare(tmp_path, target, confirm, lack):
    settings = {"epochs": 20, "target": target, "confirm": confirm, "kernel": "reference"}
    x = np.linspace(-1, 1, 24)
    found = sweep("a*x + b", x, x**2, Grid(lr=[0.1, 0.3], seed=[0, 1], shuffle=True), **settings)
    data = SuiteData("none", "", {"line": run_data_of(found)})
    left_out = LeftOut({lack: ("line",)})
    assert find_suite_conclusions(data) == [NothingCompared(), left_out]
    assert sentences([left_out])["Not compared"] in write_suite_report(data, tmp_path).read_text("utf-8")
    # Beside problems on which there is something to compare, too.
    rates = pd.DataFrame({"optimizer": ["a", "b", "c"], "decades": 0.0})
    data.__dict__.update(ratios={"other": EXPECTED}, rates={"other": rates})
    assert find_suite_conclusions(data)[-1] == left_out


def test_a_suite_that_was_stopped_and_a_problem_without_a_target(refused, tmp_path):
    for name in ("sgd", "adam"):
        given = {"epochs": 1, "kernel": "reference", "confirm": 0, "out": tmp_path / name}
        found = sweep("a*x + b", [0.0, 1.0], [0.0, 1.0], Grid(lr=0.1, optimizer=name), **given)
    assert find_suite_conclusions(SuiteData("none", "", {"line": run_data_of(found)}))[-1] == LeftOut(
        {"target": ("line",)}
    )
    (tmp_path / "suite.toml").write_text("title = ''\ndescription = ''\nproblems = { sgd = 'sgd', adam = 'adam' }")
    assert "have runs of different optimizers: run the suite with --resume" in refused("report", tmp_path)
    assert "is the folder of a suite; compare the problem folders" in refused("compare", tmp_path, tmp_path)
    (tmp_path / "suite.toml").write_text("title = ''\ndescription = ''\nproblems = { sgd = 'sgd', nag = 'nag' }")
    assert "the problem 'nag' in" in refused("report", tmp_path)


def test_the_file_of_a_suite_and_the_folder_of_a_run_are_left_as_they_are(small, refused, tmp_path):
    file = small.rename(tmp_path / "suite.toml")
    assert "is not the folder of a suite and was not changed" in refused("run", file, "--out", tmp_path)
    assert file.read_text("utf-8") == SMALL
    sweep("a*x", [1.0], [1.0], Grid(lr=0.1), epochs=1, kernel="reference", out=tmp_path / "run")
    assert "is not the folder of a suite" in refused("run", file, "--out", tmp_path / "run", "--resume")
    assert not (tmp_path / "run" / "suite.toml").exists()

"""Comparing A and B: what is read, what is past a gate, and how it is said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt
from scipy.stats import quantile_test

from bench import Grid, sweep
from bench.compare.gates import Gates, load_gates
from bench.compare.judge import FASTER, PAST, SAME, SHOWN, SLOWER, UNSURE, describe_verdict, judge, readable_ratios
from bench.compare.pytest_benchmark import read_run
from bench.compare.ratios import EPOCHS, LOSSES, PAIRS, Sample, _places, times
from bench.report.report import write_reports
from bench.store.evidence import COLUMNS, store_tables
from bench.tables.run_costs import loss_floor
from bench.timing.paired import Timings
from bench.timing.verify import NotVerifiedError
from kernels import models, register_loss
from tests.support.benchmark_files import WOBBLE, benchmark_file
from tests.support.frames import best_runs, compare_ranked_runs, make_frame

HOSTILE = "t|<b>`x`[1]\x1b[2J\n"
X = np.linspace(-1, 1, 8)


@pytest.fixture
def files(tmp_path):
    """Two files: the second row takes a fifth longer, the third a fifth less, in the second file."""
    benchmark_file(
        tmp_path / "a.json", {"t.py::same": WOBBLE, "t.py::up[1]": WOBBLE, "t.py::down": WOBBLE, "t.py::gone": WOBBLE}
    )
    benchmark_file(
        tmp_path / "b.json",
        {"t.py::down": 0.8 * WOBBLE, "t.py::same": WOBBLE[::-1], "t.py::up[1]": 1.2 * WOBBLE, "t.py::fresh": WOBBLE},
        hz=2,
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of three runs on eight samples, with and without times; the third has another target."""
    folder = tmp_path_factory.mktemp("runs")
    y = 2 * X**2 - 4 * X + 3
    for name, optimizers, target in (("a", ["sgd", "momentum(0.5)"], 0.1), ("b", ["sgd"], 0.1), ("c", ["sgd"], 0.2)):
        grid = Grid(lr=[0.01, 0.1, 0.2], init="normal:1:8", optimizer=optimizers, seed=[0], shuffle=[True])
        sweep(models.quadratic, X, y, grid, epochs=30, target=target, kernel="reference", out=folder / name)
    for name, slower in (("a", {"fused": 1.0, "C": 1.0}), ("b", {"fused": 1.3, "lanes": 1.0})):
        rounds = [pd.DataFrame({"variant": v, "round": np.arange(40), "ns": f * WOBBLE}) for v, f in slower.items()]
        lost = pd.DataFrame({"variant": ["fused", "C"], "ns": [1.0, np.nan], "note": ["", "there is no compiler"]})
        lost = lost.reindex(columns=sorted(COLUMNS["speed"]))
        store_tables(folder / name, speed=lost, speed_rounds=pd.concat(rounds))
    return folder


# Ratios of times.


@pytest.mark.parametrize(
    ("new", "note"),
    [
        (Sample.of(2 * WOBBLE[:4]), "fewer than 5 rounds"),
        (Sample(2.0, np.array([])), "no rounds saved: --benchmark-save-data"),
    ],
)
def test_without_enough_rounds_there_is_a_ratio_and_no_interval(new, note):
    row = times({"row": Sample.of(WOBBLE)}, {"row": new}).iloc[0]
    assert row["ratio"] == pytest.approx(2, rel=0.02)
    assert np.isnan([row["low"], row["high"]]).all()
    assert row["note"] == note


# Ratios of epochs.


def reaching(epochs_to_target, **columns):
    """Runs of one choice that differ in their seed and start, and reached the target after these epochs or never."""
    reached = pd.array(epochs_to_target, dtype="Int64")
    status = np.where(reached.isna(), "max_epochs", "converged")
    seeds = list(range(len(reached)))
    return make_frame(len(reached), seed=seeds, start=seeds, epochs_to_target=reached, status=status, **columns)


def test_epochs_are_compared_run_by_run_whatever_their_order():
    before = reaching([10, 20, 30, 40, 50, 60, 70, 80])
    after = reaching([20, 40, 60, 80, 100, 120, 140, 160]).sample(frac=1, random_state=0)
    table = compare_ranked_runs(EPOCHS, before, after)
    assert table["row"].tolist() == [EPOCHS.best, "epochs: sgd lr=0.1 batch=1 constant shuffled"]
    assert table[["ratio", "low", "high"]].to_numpy().tolist() == [[2, 2, 2]] * 2
    assert table["A_epochs"].tolist() == [45, 45]


def test_a_run_that_missed_the_target_takes_forever_and_is_counted():
    row = compare_ranked_runs(EPOCHS, reaching([5] * 10), reaching([5, 5, 5, *[None] * 7])).iloc[1]
    assert (row["A_converged"], row["B_converged"], row["pairs"]) == (10, 3, 10)
    assert (row["low"], row["ratio"], row["high"]) == (1, np.inf, np.inf)
    assert np.isnan(row["B_epochs"])


def test_the_interval_of_a_median_is_that_of_scipy():
    for count in range(PAIRS, 300):
        expected = quantile_test(np.arange(count), q=0, p=0.5).confidence_interval(0.95)
        assert _places(count, count).tolist() == list(expected)


def test_pairs_of_a_seed_that_differ_alike_from_all_starts_count_once():
    once, ratios = np.arange(12), np.arange(1.0, 13)

    def repeat(values, starts):
        own = {"seed": np.tile(once, starts), "init": np.repeat([f"s{k}" for k in range(starts)], 12)}
        return reaching(np.tile(values, starts).astype(int).tolist()).assign(**own)

    one, three = (compare_ranked_runs(EPOCHS, repeat(7 + 0 * once, k), repeat(7 * ratios, k)).iloc[1] for k in (1, 3))
    assert three["pairs"] == 36
    assert three[["ratio", "low", "high"]].tolist() == one[["ratio", "low", "high"]].tolist() == [6.5, 3, 10]
    of_few = (repeat(values, 3).query("seed < 5") for values in (7 + 0 * once, 7 * ratios))
    few = compare_ranked_runs(EPOCHS, *of_few).iloc[1]
    assert few["note"] == "fewer than 6 seeds, from whose starts runs differ alike"


def test_pairs_that_both_missed_the_target_tell_nothing():
    row = compare_ranked_runs(EPOCHS, reaching([4] * 6 + [None] * 20), reaching([8] * 6 + [None] * 20)).iloc[1]
    assert (row["low"], row["ratio"], row["high"]) == (2, 2, 2)
    few = compare_ranked_runs(EPOCHS, reaching([4] * 5 + [None] * 20), reaching([8] * 5 + [None] * 20)).iloc[1]
    assert few["ratio"] == 2
    assert np.isnan(few["low"])
    assert few["note"] == "too few reached the target"
    few = compare_ranked_runs(EPOCHS, reaching([4] * 3), reaching([8] * 3)).iloc[1]
    assert few["note"] == "fewer than 6 pairs of start and seed"


def test_runs_that_are_at_the_target_from_the_start_are_equal():
    row = compare_ranked_runs(EPOCHS, reaching([0] * 6), reaching([0] * 6)).iloc[1]
    assert (row["low"], row["ratio"], row["high"]) == (1, 1, 1)


def test_a_choice_that_never_reached_the_target_is_no_row():
    assert compare_ranked_runs(EPOCHS, reaching([None] * 6), reaching([None] * 6)).empty


def test_runs_from_other_places_are_no_pairs_though_they_have_one_name():
    after = reaching([9] * 8)
    after["start"] += 100
    assert compare_ranked_runs(EPOCHS, reaching([9] * 8), after).empty


def test_the_best_of_each_are_compared_though_they_have_no_setting_in_common():
    before = pd.concat([reaching([9] * 6, optimizer="adam"), reaching([8] * 6, optimizer="sgd")], ignore_index=True)
    after = reaching([2] * 6, optimizer="rmsprop")
    table = compare_ranked_runs(EPOCHS, before, after)
    assert table["row"].tolist() == [EPOCHS.best]
    assert table["ratio"].tolist() == [0.25]
    assert set(best_runs(before)["optimizer"]) == {"sgd"}


# Gates.


def rows_of(*intervals, names=None):
    """Rows of ratios with these intervals."""
    frame = pd.DataFrame(intervals, columns=["low", "ratio", "high"])
    return frame.assign(row=names or [f"row{i}" for i in range(len(frame))], note="")


def test_a_row_is_past_its_gate_where_its_whole_interval_is_above_it():
    edge = np.nextafter(1.05, 2)
    table = rows_of((edge, 1.1, 1.2), (1.05, 1.1, 1.2), (0.99, 1.1, 1.2), (0.8, 0.9, 0.95), (np.nan, 9.0, np.nan))
    assert judge(table, [1.05] * 5)["verdict"].tolist() == [PAST, SLOWER, SAME, FASTER, UNSURE]
    assert judge(table, [None] * 5)["verdict"].tolist() == [SLOWER, SLOWER, SAME, FASTER, UNSURE]


def test_a_gate_below_1_asks_for_an_improvement():
    table = rows_of((0.92, 0.95, 0.98), (0.8, 0.85, 0.9))
    assert judge(table, [0.9, 0.9])["verdict"].tolist() == [PAST, FASTER]


def test_the_first_pattern_counts_and_brackets_are_brackets():
    gates = Gates(1.5, {"t.py::up[[]*": 9.0, "t.py::up[1]": 1.1, "t.py::*": 1.2, "unknown?": 2.0})
    assert gates.of("t.py::up[1]") == 1.1
    assert gates.of("t.py::up[2]") == 1.2
    assert gates.of("other") == 1.5
    assert gates.named("other") is None
    assert gates.unused(["t.py::up[1]", "other"]) == ["t.py::up[[]*", "unknown?"]


def test_gates_are_read_and_an_option_takes_the_place_of_the_default(tmp_path):
    path = tmp_path / "gates.toml"
    path.write_text('[gates]\ndefault = 1.05\n"fused*" = 2\n')
    assert load_gates(None, path) == Gates(1.05, {"fused*": 2.0})
    assert load_gates(1.5, path) == Gates(1.5, {"fused*": 2.0})
    assert load_gates(None, None) == Gates(None, {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[gates]\nx = 0", "gates.x must be a positive finite ratio such as 1.05, not 0.0"),
        ("[gates]\nx = nan", "gates.x must be"),
        ("[gates]\nx.y = 1.0", "gates.x must be a positive finite ratio such as 1.05, not {'y': 1.0}"),
        ("[gates]\n[gate]\nx = 1", "accepted is one table [gates]"),
        ("[gates", "is not valid TOML"),
        (b"\xff", "is not valid TOML"),
        pytest.param("[gates]\nx = " + 5000 * "[", "nested too deeply", id="deep"),
    ],
)
def test_bad_gates_are_refused_in_a_line(content, words, tmp_path):
    path = tmp_path / "gates.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=r"gates\.toml") as refused:
        load_gates(None, path)
    assert words in str(refused.value)


def test_only_regular_files_are_read(tmp_path):
    endless = tmp_path / "endless.json"
    endless.symlink_to("/dev/zero")
    for path, what in ((endless, "it is a device, and only regular files are read"), (tmp_path, "Is a directory")):
        with pytest.raises(ValueError, match=rf": {what}; accepted is one table \[gates\]"):
            load_gates(None, path)
        with pytest.raises(ValueError, match=f": {what}; accepted is what pytest --benchmark-json"):
            read_run(path)


@pytest.mark.parametrize("gate", [0, np.nan])
def test_a_gate_is_a_positive_finite_ratio(gate):
    with pytest.raises(ValueError, match="--gate must be a positive finite ratio"):
        load_gates(gate, None)


def test_of_many_choices_those_that_differ_most_are_shown_and_none_past_a_gate_is_left_out():
    factors = np.concatenate([np.ones(30), np.linspace(1.1, 3, 20)])
    counts = {"pairs": 8, "A_converged": 7, "B_converged": 6}
    table = judge(rows_of(*[(f, f, f) for f in factors]).assign(**counts), [1.0] + [None] * 45 + [1.05] * 4)
    read = readable_ratios("epochs", table)
    assert "note" not in read
    assert read["ratio"].tolist() == factors[-SHOWN:].tolist()
    assert set(read["A_converged"]) == {"7/8"}
    assert len(readable_ratios("times", table)) == 50
    every = readable_ratios("epochs", judge(table, [1.05] * 50))
    assert every["verdict"].tolist() == [PAST] * 20


# Files of pytest-benchmark.


def test_rows_are_matched_by_name_and_the_gate_decides_the_exit_code(sgdbench, files):
    code, out, err = sgdbench("compare", "a.json", "b.json", "--gate", "1.05")
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip().startswith("t.py::")}
    assert (code, err) == (1, "")
    assert set(rows) == {"t.py::same", "t.py::up[1]", "t.py::down"}
    assert rows["t.py::up[1]"].endswith(PAST)
    assert rows["t.py::down"].endswith(FASTER)
    assert rows["t.py::same"].endswith(SAME)
    assert "Only in A: t.py::gone.\nOnly in B: t.py::fresh.\n" in out
    assert "Different" not in out  # the clock rate of the moment is no other machine
    assert "measured at different times" in out
    assert "\nVerdict: 1 of 3 rows is above the gate 1.05: t.py::up[1] (1.2, interval 1." in out


def test_without_a_gate_it_only_reports(ran, files):
    out = ran("compare", "a.json", "b.json")
    assert out.startswith("Result: Times of B against A: 1 slower, 1 faster, 1 without a difference.\n\n")
    assert out.endswith("Verdict: No gate was set.\n")


def test_tolerances_are_for_rows(ran, files, tmp_path):
    (tmp_path / "gates.toml").write_text('[gates]\n"t.py::up[1]" = 1.5\ndefault = 1.05\n"lanes*" = 1.0\n')
    out = ran("compare", "a.json", "b.json", "--tolerances", "gates.toml")
    assert "Tolerances: no row is called lanes*.\n" in out
    assert "Verdict: None of 3 rows is above their gates beyond chance.\n" in out


def test_a_gate_that_could_never_fail_is_refused(ran, refused, tmp_path):
    for name in ("a", "b"):
        benchmark_file(tmp_path / f"{name}.json", {"row": WOBBLE}, raw=False)
    assert "no rounds saved: --benchmark-save-data" in ran("compare", "a.json", "b.json")
    err = refused("compare", "a.json", "b.json", "--gate", "1.05")
    assert "none could ever fail: no rounds saved: --benchmark-save-data" in err
    (tmp_path / "gates.toml").write_text('[gates]\n"rwo" = 1.5\n')
    assert "rows are called row" in refused("compare", "a.json", "b.json", "--tolerances", "gates.toml")


def test_other_machines_are_named(sgdbench, tmp_path):
    benchmark_file(tmp_path / "a.json", {"row": WOBBLE})
    benchmark_file(tmp_path / "b.json", {"row": WOBBLE}, node="there", cpu="slow")
    _, out, _ = sgdbench("compare", "a.json", "b.json")
    assert "Different: node: here in A, there in B; cpu: fast in A, slow in B.\n" in out


@pytest.mark.parametrize("style", [[], ["--markdown"]])
def test_hostile_names_are_shown_literally(style, sgdbench, tmp_path):
    for name, factor in (("a", 1), ("b", 2)):
        benchmark_file(
            tmp_path / f"{name}.json", {HOSTILE: factor * WOBBLE, f"{name}{HOSTILE}": WOBBLE}, node=HOSTILE + name
        )
    code, out, _ = sgdbench("compare", "a.json", "b.json", "--gate", "1.05", *style)
    shown_as = "t|<b>`x`[1]\ufffd[2J\ufffd"
    assert code == 1
    assert "\x1b" not in out
    if style:
        tokens = MarkdownIt("commonmark").enable("table").parse(out)
        inlines = [token for token in tokens if token.type == "inline"]
        texts = ["".join(child.content for child in token.children) for token in inlines]
        assert shown_as in texts
        assert {child.type for token in inlines for child in token.children} <= {
            "text",
            "text_special",
            "strong_open",
            "strong_close",
        }
    else:
        assert out.count(shown_as) == 6


def test_markdown_begins_with_the_verdict(sgdbench, files):
    code, out, _ = sgdbench("compare", "a.json", "b.json", "--gate", "1.05", "--markdown")
    lines = out.splitlines()
    assert code == 1
    assert lines[0].startswith("**1 of 3 rows is above the gate 1.05: t.py::up\\[1\\] (1.2, ")
    assert lines[1] == ""
    assert "| t.py::up\\[1\\] | " in out
    assert "- **Only in A:** t.py::gone." in lines


def test_json_has_every_row_and_null_for_what_is_missing(ran, tmp_path):
    benchmark_file(tmp_path / "a.json", {"row": WOBBLE, "short": [1.0]})
    benchmark_file(tmp_path / "b.json", {"row": WOBBLE, "short": [2.0]})
    out = ran("compare", "a.json", "b.json", "--gate", "1.05", "--json")
    told = json.loads(out)
    assert [row["row"] for row in told["times"]] == ["row", "short"]
    assert (told["times"][1]["ratio"], told["times"][1]["low"], told["times"][1]["verdict"]) == (2, None, UNSURE)
    assert told["verdict"].startswith("1 row is not above the gate 1.05")
    assert {"about": "A", "says": "a.json"} in told["notes"]


GOOD = {"name": "row", "stats": {"median": 1.0}}
DATED = {"datetime": "2026-03-01"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"benchmarks": [', "Invalid JSON"),
        pytest.param(100_000 * "[", "Invalid JSON", id="deep"),
        ("[]", "must be"),
        (
            json.dumps({"benchmarks": [{"name": "x", "stats": {"median": 0}}]}),
            "benchmarks.0.stats.median must be greater",
        ),
        (json.dumps({"benchmarks": [{"name": "x", "stats": {"median": 1, "data": [1, -1]}}]}), "stats.data.1 must be"),
        (json.dumps({"benchmarks": [GOOD, GOOD]} | DATED), "two benchmarks called 'row'"),
        (json.dumps({"benchmarks": [GOOD | {"name": "other"}]} | DATED), "Only in A: t.py::same"),
    ],
)
@pytest.mark.usefixtures("files")
def test_a_broken_or_foreign_file_is_refused_in_a_line(content, words, refused, tmp_path):
    (tmp_path / "broken.json").write_text(content, encoding="latin-1")
    err = refused("compare", "a.json", "broken.json")
    assert "broken.json" in err
    assert words in err


# Folders of runs.


def test_two_runs_are_compared_by_times_and_by_epochs(sgdbench, runs):
    code, out, err = sgdbench("compare", runs / "a", runs / "b", "--gate", "1.05", "--json")
    told = json.loads(out)
    notes = {note["about"]: note["says"] for note in told["notes"]}
    assert (code, err) == (1, "")
    assert [(row["row"], row["verdict"]) for row in told["times"]] == [("fused", PAST)]
    assert told["times"][0]["ratio"] == pytest.approx(1.3)
    assert told["times"][0]["A_seconds"] == pytest.approx(1e-9, rel=0.01)
    assert notes["Only in A"] == "C."
    assert notes["Only in B"] == "lanes."
    assert notes["C was not timed in B"] == "there is no compiler."
    assert notes["Best of B"] == "sgd, learning rate 0.2, batch size 1, schedule constant, shuffled."
    rows = told["epochs"]
    assert rows[0]["row"] == EPOCHS.best
    # The same bits: the same epochs. And who did not name them has no gate for them.
    assert len(rows) > 1
    assert all(row["ratio"] == 1 and row["A_epochs"] == row["B_epochs"] for row in rows[1:])
    assert all(row["gate"] is None and "sgd" in row["row"] for row in rows[1:])


def test_times_of_other_work_are_said_to_be_so(sgdbench, runs, tmp_path):
    sweep("a*x + b", X, X, Grid(lr=[0.1]), epochs=3, kernel="reference", out=tmp_path / "line")
    rounds = pd.DataFrame({"variant": "fused", "round": np.arange(40), "ns": 3 * WOBBLE})
    store_tables(tmp_path / "line", speed_rounds=rounds)
    sentence = "A sample-update is not the same work in both, as they differ in model: no ratio is that of a change."
    assert sentence in sgdbench("compare", runs / "a", tmp_path / "line")[1]
    assert "not the same work" not in sgdbench("compare", runs / "a", runs / "b")[1]
    rounds.to_parquet(tmp_path / "speed_rounds.parquet")
    assert (
        "whether a sample-update is the same work in both is not known" in sgdbench("compare", runs / "a", tmp_path)[1]
    )


def test_the_best_of_each_is_the_choice_that_is_announced(sgdbench, tmp_path):
    """After fresh seeds, and with a batch of all samples called full."""
    grid = Grid(lr=[0.5], batch_size="full", init="normal:1:6")
    for name, shuffling in (("a", "all"), ("b", "blocks(4)")):
        given = {"epochs": 30, "target": 0.1, "kernel": "reference", "shuffling": shuffling}
        found = sweep("a*x + b", X, X, grid, **given, out=tmp_path / name)
    told = json.loads(sgdbench("compare", tmp_path / "a", tmp_path / "b", "--json")[1])
    best = next(note["says"] for note in told["notes"] if note["about"] == "Best of B")
    assert found.verdict()["Best choice"].startswith(best.removesuffix("."))
    assert "batch size full" in best
    different = next(note["says"] for note in told["notes"] if note["about"] == "Different")
    assert different == "shuffling: all in A, blocks(size=4, buffer=262144) in B."
    said = "Left out: 1 row of choices that differ less, or not at all; --json has all.\n"
    assert said in sgdbench("compare", tmp_path / "a", tmp_path / "b")[1]
    code, _, err = sgdbench("compare", tmp_path / "a", tmp_path / "a")
    assert (code, err) == (2, f"sgdbench: A and B are both {tmp_path / 'a'}: they must be two\n")


def test_a_run_of_which_everything_diverged_has_no_best_choice(ran, tmp_path):
    """As its page says; the first of its choices was named."""
    for name, lr in (("a", 0.1), ("b", 9e99)):
        sweep("a*x", X, 2 * X, Grid(lr=lr), target=1.0, epochs=2, kernel="reference", confirm=0, out=tmp_path / name)
    assert "Best of B: none: every run diverged.\n" in ran("compare", "a", "b")


def test_without_a_target_losses_are_compared_on_held_out_samples_if_there_are_any(sgdbench, refused, tmp_path):
    held_out = (np.array([0.5, 0.7]), np.array([1.0, 1.5]))
    found = {}
    for name, share, epochs, target in (("a", held_out, 2, None), ("b", held_out, 3, None), ("c", None, 3, 1e-300)):
        grid = Grid(lr=[0.1, 9e99], init="normal:1:6")
        given = {"validation": share, "epochs": epochs, "target": target, "kernel": "reference", "confirm": 0}
        found[name] = sweep("a*x", X, 2 * X, grid, **given, out=tmp_path / name)
    (tmp_path / "gates.toml").write_text('[gates]\n"loss: best of each" = 0.99\n')
    code, out, _ = sgdbench("compare", "a", "b", "--tolerances", "gates.toml", "--json")
    told = json.loads(out)
    a, b = (found[name].frame.query("lr == 0.1")["validation_loss"].to_numpy() for name in "ab")
    best, choice = told["losses"]  # of those that diverged there is no row
    assert (best["row"], choice["row"]) == (LOSSES.best, "loss: sgd lr=0.1 batch=1 constant unshuffled")
    assert (best["A_finite"], best["B_finite"], best["pairs"]) == (6, 6, 6)
    assert [best[name] for name in ("A_loss", "B_loss", "ratio")] == pytest.approx(
        [np.median(a), np.median(b), np.median(b / a)]
    )
    assert (code, best["verdict"], choice["verdict"], told["epochs"]) == (0, "lower", "lower", [])
    said = next(note["says"] for note in told["notes"] if note["about"] == "Losses")
    assert said == "at the end of each run, on the held-out samples, as no run reached a target."
    different = next(note["says"] for note in told["notes"] if note["about"] == "Different")
    assert different == "record: epoch in A, log:1 in B; epochs: 2 in A, 3 in B."
    assert "Losses: not compared: the held-out samples are not the same" in refused("compare", "b", "c")
    # With patience a run keeps other parameters than those of its end.
    given |= {"validation": held_out, "target": None, "patience": 1}
    sweep("a*x", X, 2 * X, grid, **given, out=tmp_path / "d")
    said = "Losses: with the parameters that each run keeps, on the held-out samples"
    assert said in sgdbench("compare", "a", "d")[1]
    code, out, _ = sgdbench("compare", "b", "a", "--tolerances", "gates.toml")
    assert code == 1
    assert "Verdict: 1 of 1 row is above the gate 0.99: loss: best of each (" in out


def test_losses_that_differ_by_rounding_are_equal(sgdbench, tmp_path):
    """Here and in the ranking, as they are for the command line and with the data gone."""
    for name, batch in (("a", "full"), ("b", 1)):
        grid = Grid(lr=[0.5, 0.9], batch_size=batch, init="normal:1:6")
        given = {"epochs": 200, "kernel": "reference", "confirm": 0, "out": tmp_path / name}
        found = sweep("a*x + b", X, 1e3 * X / 3 + 1e6, grid, **given)
    assert found.yardstick.rounding == loss_floor(1e3 * X / 3 + 1e6)
    assert found.frame["final_loss"].max() < found.yardstick.rounding
    assert found.ranking()["ratio"].eq(1).all()
    told = json.loads(sgdbench("compare", tmp_path / "a", tmp_path / "b", "--json")[1])
    (best,) = told["losses"]
    assert best["A_loss"] != best["B_loss"]
    assert (best["ratio"], best["verdict"]) == (1.0, "no difference")


def test_epochs_have_a_gate_by_name(sgdbench, runs, tmp_path):
    (tmp_path / "gates.toml").write_text('[gates]\n"epochs: sgd*" = 0.9\n')
    code, out, _ = sgdbench("compare", runs / "a", runs / "b", "--tolerances", "gates.toml", "--json")
    rows = json.loads(out)["epochs"]
    assert code == 1
    assert rows[0]["gate"] is None
    assert {row["verdict"] for row in rows[1:] if row["low"] is not None} == {PAST}


def test_epochs_to_other_targets_are_not_compared(refused, runs):
    err = refused("compare", runs / "b", runs / "c")
    assert "nothing in common" in err
    assert "the target is 0.1 in A and 0.2 in B" in err


def test_epochs_at_other_marks_and_of_other_losses_are_not_compared(refused):
    """The same runs reached their target in fewer epochs where their losses were recorded more often."""
    others = {"a": {}, "b": {"record": 1}, "c": {"loss": "absolute"}}
    for name, other in others.items():
        given = {"record": "epoch", "epochs": 9, "target": 0.1, "kernel": "reference", "confirm": 0, "out": name}
        sweep("a*x", X, X, Grid(lr=[0.5], init=[0], seed=range(6)), **given | other)
    assert "Epochs: not compared: the record is epoch in A and 1 in B" in refused("compare", "a", "b")
    assert "Epochs: not compared: the loss is squared in A and absolute in B" in refused("compare", "a", "c")


@pytest.mark.usefixtures("rules_forgotten")
def test_losses_of_one_name_and_other_sources_are_not_compared(refused):
    """Nor are they one loss on the page that shows both runs."""
    for name, scale in (("a", 1.0), ("b", 2.0)):

        @register_loss
        def own(residual, options):
            return scale * residual * residual, 2.0 * scale * residual  # noqa: B023 (registered anew)

        given = {"loss": "own", "epochs": 3, "kernel": "reference", "confirm": 0, "out": name}
        sweep("a*x", X, X, Grid(lr=[0.1], init=[0], seed=range(6)), **given)
    assert "Losses: not compared: the loss own has another source in A than in B" in refused("compare", "a", "b")
    *_, page = write_reports([Path("a"), Path("b")])
    assert "loss, another one for each run" in page.read_text("utf-8")


def test_what_sgdbench_speed_writes_can_be_compared(sgdbench, tmp_path):
    for name, factor in (("before", 1), ("after", 2)):
        (tmp_path / name).mkdir()
        rounds = pd.DataFrame({"variant": "fused", "round": np.arange(40), "ns": factor * WOBBLE})
        rounds.to_parquet(tmp_path / name / "speed_rounds.parquet")
        (tmp_path / name / "environment.json").write_text(json.dumps({"work": f"a*x, {factor} samples"}))
    code, out, _ = sgdbench("compare", "before", "after", "--gate", "1.05")
    assert code == 1
    assert "not the same work in both, as they differ in work: no ratio is that of a change." in out
    assert "Different: work: a*x, 1 samples in A, a*x, 2 samples in B." in out
    assert "Verdict: 1 of 1 row is above the gate 1.05: fused (2, " in out


def test_damaged_and_foreign_tables_are_refused_in_a_line(refused, tmp_path):
    name = "speed_rounds.parquet"
    for folder in ("before", "after"):
        (tmp_path / folder).mkdir()
        rounds = pd.DataFrame({"variant": "fused", "round": np.arange(40), "ns": WOBBLE})
        rounds.to_parquet(tmp_path / folder / name)
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "after" / name)
    assert f"after/{name} is damaged, or not from sgdbench" in refused("compare", "before", "after")
    (tmp_path / "after" / name).write_bytes(b"PAR1")
    assert f"after/{name} is damaged, or not from sgdbench" in refused("compare", "before", "after")


# Variants.


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A study that takes no time, and a clock that says that a call of A takes 2 ms and one of B 1.1 ms."""
    (tmp_path / "small.toml").write_text(
        'name = "small"\ndata.builtin = "quadratic"\nmodel.expression = "a*x**2 + b*x + c"\nrun.epochs = 2\n'
    )
    asked = {}

    def take_turns(calls, *, baseline, seconds):
        asked.update(names=list(calls), baseline=baseline, seconds=seconds)
        names = (*calls, f"{baseline} again")
        columns = np.column_stack([2e-3 * WOBBLE, 1.1e-3 * WOBBLE, 2e-3 * WOBBLE[::-1]])
        return Timings(names, columns, (1, 1, 1))

    monkeypatch.setattr("bench.compare.sources.take_turns", take_turns)
    return asked


def test_two_variants_are_timed_for_a_sample_update(sgdbench, small, monkeypatch):
    jobs = {}

    def verify(variant, problem):
        jobs[variant.name] = problem
        return (lambda: None), None

    monkeypatch.setattr("bench.compare.sources.verify", verify)
    args = ["compare", "lanes", "fused", "--study", "small.toml", "--seconds", "3", "--gate", "1.05", "--json"]
    code, out, _ = sgdbench(*args)
    told = json.loads(out)
    (row,) = told["times"]
    lanes, fused = jobs["lanes"].sample_updates, jobs["fused"].sample_updates
    assert code == 1
    assert lanes > 100 * fused
    assert row["row"] == "fused / lanes"
    assert row["ratio"] == pytest.approx(0.55 * lanes / fused)
    assert 0.5 * lanes / fused < row["low"] <= row["ratio"] <= row["high"] < 0.6 * lanes / fused
    assert row["A_seconds"] == pytest.approx(2e-3 / lanes, rel=0.01)
    assert row["B_seconds"] == pytest.approx(1.1e-3 / fused, rel=0.01)
    assert small == {"names": ["lanes", "fused"], "baseline": "lanes", "seconds": 3.0}
    notes = {note["about"]: note["says"] for note in told["notes"]}
    assert notes["Noise"].startswith("lanes against itself differs by ")
    assert "fused trained 1 run of 2 epochs on 800 samples" in notes["Times"]


def test_settings_reach_both_variants_and_both_are_verified(sgdbench, small, monkeypatch):
    seen = []

    def refusing(variant, problem):
        seen.append((variant.name, problem.batch_size, problem.shuffle, problem.optimizer))
        raise NotVerifiedError("not verified: the first call is off by 1, and may be by 0")

    monkeypatch.setattr("bench.compare.sources.verify", refusing)
    args = ["--study", "small.toml", "--batch-size", "16", "--shuffle", "--optimizer", "adam"]
    code, out, err = sgdbench("compare", "fused", "lanes", *args)
    assert (code, out) == (1, "")
    assert err == "sgdbench: fused is not verified: the first call is off by 1, and may be by 0; nothing is compared\n"
    assert seen == [("fused", 16, True, "adam")]


def test_a_noisy_machine_is_named(sgdbench, small, monkeypatch):
    monkeypatch.setattr("bench.timing.speed.noise_warning", lambda timings: "The machine is noisy.")
    _, out, _ = sgdbench("compare", "fused", "reference", "--study", "small.toml")
    assert "\nCareful: The machine is noisy.\n" in out


# What A and B are.


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["fusde", "fused"], "'fusde' is not a variant, results folder or JSON file (did you mean 'fused'?)"),
        (["fused", "nothing-like-it"], "'nothing-like-it' is not a variant, results folder or JSON file; variants are"),
        (["fused", "fused"], "both the variant 'fused'"),
        (["fused", "a.json"], "A, fused, is a variant and B, a.json, is a file of pytest-benchmark"),
        (["a.json", "RUN"], "B, RUN, is the folder of a run: both must be of the same kind"),
        (["none.json", "a.json"], "none.json: No such file"),
        (["a.json", "b.json", "--optimizer", "adam"], "--optimizer is for two variants"),
        (["a.json", "b.json", "--markdown", "--json"], "give one of them"),
        (
            ["fused", "C", "--study", "small.toml", "--optimizer", "adam"],
            "C cannot be timed here: it does not support adam",
        ),
        (["a.json"], "B"),
    ],
)
@pytest.mark.usefixtures("files", "small")
def test_bad_input_is_one_line_and_exit_code_2(args, words, refused, runs, tmp_path):
    (tmp_path / "RUN").symlink_to(runs / "a")
    assert words in refused("compare", *args)


def test_the_verdict_counts_and_names_the_rows():
    table = rows_of((1.1, 1.12, 1.14), (0.9, 1, 1.1), (1.2, 1.3, 1.4), (np.nan, 1, np.nan))
    assert describe_verdict(judge(table, [1.05, 1.05, None, 1.05])) == (
        "1 of 2 rows is above the gate 1.05: row0 (1.12, interval 1.1 to 1.14). "
        "1 row without an interval could not be held against a gate."
    )
    assert describe_verdict(judge(table, [1.05, 1.05, 1.1, None])).startswith(
        "2 of 3 rows are above their gates: row0 (1.12, interval 1.1 to 1.14, gate 1.05); row2 ("
    )
    assert describe_verdict(judge(table, [1.05, 1.1, None, 1.1])).startswith("1 of 2 rows is above its gate: row0")
    assert describe_verdict(judge(table, [1.5, 1.5, 1.5, None])) == (
        "None of 3 rows is above the gate 1.5 beyond chance."
    )
    assert describe_verdict(judge(table, [None] * 4)) == "No gate was set."

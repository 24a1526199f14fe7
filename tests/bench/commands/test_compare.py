"""Comparing A and B: what is read, what decides the exit code, and how it is said."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from sgdbench import Grid, models, register_loss, sweep
from sgdbench.compare.gates import load_gates
from sgdbench.compare.judge import PAST_GATE
from sgdbench.compare.pytest_benchmark import read_run
from sgdbench.compare.ratios import EPOCHS_COST, LOSS_COST
from sgdbench.report.report import write_reports
from sgdbench.store.evidence import EVIDENCE_COLUMNS, store_tables
from sgdbench.tables.costs import loss_floor
from sgdbench.timing.paired import Timings
from sgdbench.timing.verify import NotVerifiedError
from tests.support.benchmark_files import WOBBLE, benchmark_file
from tests.support.pages import Reader
from tests.support.rules import forget_rules

HOSTILE = "t|<b>`x`[1]\x1b[2J\n"
X = np.linspace(-1, 1, 8)
BY_REFERENCE = {"kernel": "reference", "confirm": 0}


@pytest.fixture
def compared(sgdbench):
    """Compare two sources: the exit code, what --json says, and its notes by what they are about."""

    def run(*args):
        code, out, err = sgdbench("compare", *args, "--json")
        assert err == ""
        told = json.loads(out)
        return code, told, {note["about"]: note["says"] for note in told["notes"]}

    return run


def rounds_of(**slower):
    """The rounds of variants, each slower by a factor."""
    rounds = [pd.DataFrame({"variant": v, "round": np.arange(40), "ns": f * WOBBLE}) for v, f in slower.items()]
    return pd.concat(rounds)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of two runs on eight samples, with times."""
    folder = tmp_path_factory.mktemp("runs")
    y = 2 * X**2 - 4 * X + 3
    lost = pd.DataFrame({"variant": ["fused", "C"], "ns": [1.0, np.nan], "note": ["", "there is no compiler"]})
    lost = lost.reindex(columns=sorted(EVIDENCE_COLUMNS["speed"]))
    for name, optimizers, slower in (
        ("a", ["sgd", "momentum(0.5)"], {"fused": 1.0, "C": 1.0}),
        ("b", ["sgd"], {"fused": 1.3, "lanes": 1.0}),
    ):
        grid = Grid(lr=[0.01, 0.1, 0.2], init="normal:1:8", optimizer=optimizers, seed=[0], shuffle=[True])
        sweep(models.quadratic, X, y, grid, epochs=30, target=0.1, kernel="reference", out=folder / name)
        store_tables(folder / name, speed=lost, speed_rounds=rounds_of(**slower))
    return folder


def test_only_regular_files_are_read(tmp_path):
    endless = tmp_path / "endless.json"
    endless.symlink_to("/dev/zero")
    for path, what in ((endless, "it is a device, and only regular files are read"), (tmp_path, "Is a directory")):
        with pytest.raises(ValueError, match=rf": {what}; expected one table \[gates\]"):
            load_gates(None, path)
        with pytest.raises(ValueError, match=f": {what}; expected the output of pytest --benchmark-json"):
            read_run(path)


# Files of pytest-benchmark.


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
        inlines = [token.children for token in tokens if token.type == "inline"]
        assert shown_as in ["".join(child.content for child in children) for children in inlines]
        kinds = {child.type for children in inlines for child in children}
        assert kinds <= {"text", "text_special", "strong_open", "strong_close"}
    else:
        assert out.count(shown_as) == 6


# Folders of runs.


def test_two_runs_are_compared_by_times_and_by_epochs(compared, runs):
    code, told, notes = compared(runs / "a", runs / "b", "--gate", "1.05")
    assert code == 1
    assert [(row["row"], row["verdict"]) for row in told["times"]] == [("fused", PAST_GATE)]
    assert told["times"][0]["ratio"] == pytest.approx(1.3)
    assert told["times"][0]["A_seconds"] == pytest.approx(1e-9, rel=0.01)
    assert "different work" not in notes["Times"]
    assert notes["Only in A"] == "C."
    assert notes["Only in B"] == "lanes."
    assert notes["C was not timed in B"] == "there is no compiler."
    assert notes["Best of B"] == "sgd, learning rate 0.2, batch size 1, schedule constant, shuffled."
    rows = told["epochs"]
    assert rows[0]["row"] == EPOCHS_COST.best
    # The same bits: the same epochs. And who did not name them has no gate for them.
    assert len(rows) > 1
    assert all(row["ratio"] == 1 and row["A_epochs"] == row["B_epochs"] for row in rows[1:])
    assert all(row["gate"] is None and "sgd" in row["row"] for row in rows[1:])


def test_times_of_other_work_are_said_to_be_so(ran, runs, tmp_path):
    sweep("a*x + b", X, X, Grid(lr=[0.1]), epochs=3, kernel="reference", out=tmp_path / "line")
    rounds = rounds_of(fused=3)
    store_tables(tmp_path / "line", speed_rounds=rounds)
    rounds.to_parquet(tmp_path / "speed_rounds.parquet")
    for other, sentence in (
        (
            "line",
            "A sample-update is different work in A and B (they differ in model); no ratio measures a code change",
        ),
        (".", "a sample-update may be different work in each"),
    ):
        assert sentence in ran("compare", runs / "a", tmp_path / other)


def test_the_best_of_each_is_the_choice_that_is_announced(ran, refused, compared, tmp_path):
    """After fresh seeds, and with a batch of all samples called full."""
    grid = Grid(lr=[0.5], batch_size="full", init="normal:1:6")
    for name, shuffling in (("a", "all"), ("b", "blocks(4)")):
        given = {"epochs": 30, "target": 0.1, "kernel": "reference", "shuffling": shuffling}
        found = sweep("a*x + b", X, X, grid, **given, out=tmp_path / name)
    _, _, notes = compared("a", "b")
    best = notes["Best of B"]
    assert found.verdict()["Best choice"].startswith(best.removesuffix("."))
    assert "batch size full" in best
    assert notes["Different"] == "shuffling: all in A, blocks(size=4, buffer=262144) in B."
    said = "Not shown: 1 row of choices that differ less, or not at all; --json has all.\n"
    assert said in ran("compare", "a", "b")
    assert refused("compare", "a", "a") == "sgdbench: A and B are both a; give two different ones\n"


def test_a_run_of_which_everything_diverged_has_no_best_choice(ran, tmp_path):
    """As its page says; the first of its choices was named."""
    for name, lr in (("a", 0.1), ("b", 9e99)):
        sweep("a*x", X, 2 * X, Grid(lr=lr), target=1.0, epochs=2, out=tmp_path / name, **BY_REFERENCE)
    assert "Best of B: none: every run diverged.\n" in ran("compare", "a", "b")


def test_without_a_target_losses_are_compared_on_held_out_samples_if_there_are_any(
    sgdbench, refused, compared, tmp_path
):
    held_out = (np.array([0.5, 0.7]), np.array([1.0, 1.5]))
    grid, found = Grid(lr=[0.1, 9e99], init="normal:1:6"), {}
    for name, settings in {
        "a": {"validation": held_out, "epochs": 2},
        "b": {"validation": held_out, "epochs": 3},
        "not held out": {"target": 1e-300, "epochs": 3},
        "patient": {"validation": held_out, "epochs": 3, "patience": 1},
    }.items():
        found[name] = sweep("a*x", X, 2 * X, grid, **settings, out=tmp_path / name, **BY_REFERENCE)
    (tmp_path / "gates.toml").write_text('[gates]\n"loss: best of each" = 0.99\n')
    code, told, notes = compared("a", "b", "--tolerances", "gates.toml")
    a, b = (found[name].frame.query("lr == 0.1")["validation_loss"].to_numpy() for name in "ab")
    best, choice = told["losses"]  # of those that diverged there is no row
    assert (best["row"], choice["row"]) == (LOSS_COST.best, "loss: sgd lr=0.1 batch=1 constant unshuffled")
    assert (best["A_finite"], best["B_finite"], best["pairs"]) == (6, 6, 6)
    assert [best[name] for name in ("A_loss", "B_loss", "ratio")] == pytest.approx(
        [np.median(a), np.median(b), np.median(b / a)]
    )
    assert (code, best["verdict"], choice["verdict"], told["epochs"]) == (0, "lower", "lower", [])
    assert notes["Losses"] == "at the end of each run, on the held-out samples, as no run reached a target."
    assert notes["Different"] == "record: epoch in A, log:1 in B; epochs: 2 in A, 3 in B."
    assert "Losses: not compared: the held-out samples differ" in refused("compare", "b", "not held out")
    # With patience a run keeps other parameters than those of its end.
    said = "with the parameters that each run keeps, on the held-out samples"
    assert compared("a", "patient")[2]["Losses"].startswith(said)
    code, out, _ = sgdbench("compare", "b", "a", "--tolerances", "gates.toml")
    assert code == 1
    assert "Verdict: 1 of 1 row is above the gate 0.99: loss: best of each (" in out


def test_losses_that_differ_by_rounding_are_equal(compared, tmp_path):
    """Here and in the ranking, as they are for the command line and with the data gone."""
    for name, batch in (("a", "full"), ("b", 1)):
        grid = Grid(lr=[0.5, 0.9], batch_size=batch, init="normal:1:6")
        found = sweep("a*x + b", X, 1e3 * X / 3 + 1e6, grid, epochs=200, out=tmp_path / name, **BY_REFERENCE)
    assert found.optimum.rounding == loss_floor(1e3 * X / 3 + 1e6)
    assert found.frame["final_loss"].max() < found.optimum.rounding
    assert found.ranking()["ratio"].eq(1).all()
    (best,) = compared("a", "b")[1]["losses"]
    assert best["A_loss"] != best["B_loss"]
    assert (best["ratio"], best["verdict"]) == (1.0, "no difference")


def test_epochs_have_a_gate_by_name(compared, runs, tmp_path):
    (tmp_path / "gates.toml").write_text('[gates]\n"epochs: sgd*" = 0.9\n')
    code, told, _ = compared(runs / "a", runs / "b", "--tolerances", "gates.toml")
    first, *others = told["epochs"]
    assert code == 1
    assert first["gate"] is None
    assert {row["verdict"] for row in others if row["low"] is not None} == {PAST_GATE}


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({"target": 0.2}, "the target is 0.1 in A and 0.2 in B"),
        ({"record": 1}, "the record is epoch in A and 1 in B"),
        ({"loss": "absolute"}, "the loss is squared in A and absolute in B"),
    ],
)
def test_epochs_to_other_targets_at_other_checkpoints_and_of_other_losses_are_not_compared(refused, other, reason):
    """The same runs reached their target in fewer epochs where their losses were recorded more often."""
    for name, changed in (("a", {}), ("b", other)):
        given = {"record": "epoch", "epochs": 9, "target": 0.1, "kernel": "reference"} | changed
        sweep("a*x", X, X, Grid(lr=[0.5], init=[0], seed=range(6)), **given, out=name)
    err = refused("compare", "a", "b")
    assert "a and b have no row in common. Epochs: " in err
    assert f"Epochs: not compared: {reason}" in err


@pytest.mark.usefixtures("rules_forgotten")
def test_losses_of_one_name_and_other_sources_are_not_compared(refused):
    """Nor are they one loss on the page that shows both runs."""
    for name, scale in (("a", 1.0), ("b", 2.0)):

        @register_loss
        def own(residual, options):
            return scale * residual * residual, 2.0 * scale * residual  # noqa: B023 (registered anew)

        given = {"loss": "own", "epochs": 3, "kernel": "reference", "confirm": 0, "out": name}
        sweep("a*x", X, X, Grid(lr=[0.1], init=[0], seed=range(6)), **given)
    forget_rules()  # of which the edited one is not that of the first run, as a warning says
    assert "Losses: not compared: the source of the loss own differs between A and B" in refused("compare", "a", "b")
    *_, page = write_reports([Path("a"), Path("b")])
    assert "loss, another one for each run" in str(Reader(page.read_text("utf-8")).data)


# Folders of times.


@pytest.fixture
def timed(tmp_path):
    """What `sgdbench speed` writes: a second one took twice as long, for other work."""
    for name, factor in (("before", 1), ("after", 2)):
        (tmp_path / name).mkdir()
        rounds_of(fused=factor).to_parquet(tmp_path / name / "speed_rounds.parquet")
        (tmp_path / name / "environment.json").write_text(json.dumps({"work": f"a*x, {factor} samples"}))


@pytest.mark.usefixtures("timed")
def test_what_sgdbench_speed_writes_can_be_compared(sgdbench):
    code, out, _ = sgdbench("compare", "before", "after", "--gate", "1.05")
    assert code == 1
    assert "different work in A and B (they differ in work); no ratio measures a code change." in out
    assert "Different: work: a*x, 1 samples in A, a*x, 2 samples in B." in out
    assert "Verdict: 1 of 1 row is above the gate 1.05: fused (2, " in out


@pytest.mark.usefixtures("timed")
def test_damaged_and_foreign_tables_are_refused_in_a_line(refused, tmp_path):
    path = tmp_path / "after" / "speed_rounds.parquet"
    pd.DataFrame({"x": [1]}).to_parquet(path)
    assert "after/speed_rounds.parquet is damaged, or not from sgdbench" in refused("compare", "before", "after")
    path.write_bytes(b"PAR1")
    assert "after/speed_rounds.parquet is damaged, or not from sgdbench" in refused("compare", "before", "after")


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

    monkeypatch.setattr("sgdbench.compare.sources.take_turns", take_turns)
    return asked


def test_two_variants_are_timed_for_a_sample_update(compared, small, monkeypatch):
    jobs = {}

    def verify(variant, problem):
        jobs[variant.name] = problem
        return (lambda: None), None

    monkeypatch.setattr("sgdbench.compare.sources.verify", verify)
    code, told, notes = compared("lanes", "fused", "--study", "small.toml", "--seconds", "3", "--gate", "1.05")
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
    assert notes["Noise"].startswith("lanes against itself differs by ")
    assert "fused trained 1 run of 2 epochs on 800 samples" in notes["Times"]


def test_settings_reach_both_variants_and_both_are_verified(sgdbench, small, monkeypatch):
    seen = []

    def refusing(variant, problem):
        seen.append((variant.name, problem.batch_size, problem.shuffle, problem.optimizer))
        raise NotVerifiedError("not verified: the first call is off by 1; allowed: 0")

    monkeypatch.setattr("sgdbench.compare.sources.verify", refusing)
    args = ["--study", "small.toml", "--batch-size", "16", "--shuffle", "--optimizer", "adam"]
    code, out, err = sgdbench("compare", "fused", "lanes", *args)
    assert (code, out) == (1, "")
    assert err == "sgdbench: fused is not verified: the first call is off by 1; allowed: 0; nothing was compared\n"
    assert seen == [("fused", 16, True, "adam")]


def test_a_noisy_machine_is_named(sgdbench, small, monkeypatch):
    monkeypatch.setattr("sgdbench.timing.speed.noise_warning", lambda timings: "The machine is noisy.")
    _, out, _ = sgdbench("compare", "fused", "reference", "--study", "small.toml")
    assert "\nCareful: The machine is noisy.\n" in out


def test_a_file_and_a_run_are_not_compared(refused, runs, tmp_path):
    benchmark_file(tmp_path / "a.json", {"row": WOBBLE})
    said = ", is the folder of a run: both must be of the same kind\n"
    assert refused("compare", "a.json", runs / "a").endswith(said)


def test_a_file_of_ever_deeper_lists_is_no_file_of_pytest_benchmark(refused, tmp_path):
    benchmark_file(tmp_path / "a.json", {"row": WOBBLE})
    (tmp_path / "deep.json").write_text(100_000 * "[")
    assert "deep.json is not a file of pytest-benchmark: Invalid JSON" in refused("compare", "a.json", "deep.json")

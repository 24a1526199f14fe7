"""Searches for settings: the same trials again, whatever happens in between; what is given up; what is confirmed."""

import json
import sqlite3

import numpy as np
import optuna
import pandas as pd
import pytest

from bench import Grid, Space, load_tuning
from bench.engine import rounds
from bench.engine.optuna_storage import FILE, TrialsFile
from bench.engine.search import ROUND, Search, halving_epochs
from bench.engine.tune import tune
from bench.store.run_folder import EVIDENCE
from bench.store.seal import DamagedError
from bench.tables.run_costs import CHOICES
from bench.tables.trial_value import choice_values
from kernels.agreement import KERNELS

ADAM = "adam(beta1=log1m:0.5:0.99, beta2=log1m:0.9:0.9999)"
SPACE = {
    "lr": "log:0.01:40",
    "batch_size": "logint:1:40",
    "optimizer": ["sgd", ADAM],
    "init": {"near": [-1, 10, 26], "zero": [0, 0, 0]},
    "seed": [0, 1],
    "shuffle": True,
}


@pytest.fixture(scope="module")
def data():
    x = np.arange(-40, 40) / 40
    return x, 2 * x**2 - 4 * x + 3


def search(data, out, **changes):
    given = {"trials": 80, "epochs": 27, "target": 1e-3, "confirm": 3, "out": out} | changes
    space = Space(**SPACE | given.pop("space", {}))
    return tune("a*x**2 + b*x + c", *data, space, **given)


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    grid = Grid(
        lr=[0.05, 0.5], batch_size=[1, 8], optimizer=["sgd", "adam"], init=SPACE["init"], seed=[0, 1], shuffle=True
    )
    return search(data, tmp_path_factory.mktemp("tune") / "run", grid=grid)


def test_every_optimizer_has_as_many_trials(tuned):
    trials = tuned.trials
    assert trials["family"].value_counts().to_dict() == {"sgd": 40, ADAM: 40}
    assert set(trials["state"]) == {"complete", "pruned", "diverged"}
    assert (trials.groupby("family")["number"].apply(list) == trials.groupby("family")["number"].apply(sorted)).all()
    assert trials["lr"].between(0.01, 40).all()
    assert trials.groupby("family")["lr"].nunique().eq(40).all()
    assert repr(tuned).startswith("<TuneResult of 80 trials: ")


def test_a_trial_is_worth_what_its_runs_say(tuned):
    """The values that Optuna is told against those of the frame, which comes from the folder."""
    complete = tuned.trials[tuned.trials["state"] == "complete"].set_index(CHOICES)
    found = choice_values(tuned.result.frame, 1e-3, 1e-28).set_index(CHOICES)
    assert len(found) == len(complete) > ROUND // 2
    pd.testing.assert_series_equal(found["value"].sort_index(), complete["value"].sort_index(), check_exact=True)
    pd.testing.assert_series_equal(found["samples"].sort_index(), complete["samples"].sort_index())


def test_what_is_given_up_is_trained_as_far_as_that_and_no_further(tuned):
    whole = tuned.result.run.configurations(["config_id", "status", "marks"])
    assert len(whole) == 80 * 4
    trials = tuned.trials
    pruned, diverged = trials[trials["state"] == "pruned"], trials[trials["state"] == "diverged"]
    assert set(pruned["epochs"]) <= set(halving_epochs(27))
    assert (pruned["samples"] <= pruned["epochs"] * 80 * 4).all()
    assert np.isinf(diverged["value"]).all()
    assert (diverged["diverged_after"] > 0).all()
    assert (trials.loc[trials["state"] != "diverged", "diverged_after"] == -1).all()
    # Many are given up, and never the best one so far.
    assert len(pruned) > len(trials) // 3
    for row in pruned.itertuples():
        own = trials[(trials["family"] == row.family) & (trials["number"] <= row.number)]
        rivals = [json.loads(values).get(str(row.epochs), np.inf) for values in own["values"]]
        assert row.value > min(rivals)


def test_the_best_ones_are_confirmed_on_fresh_seeds_with_that_of_the_grid(tuned, data):
    fresh = tuned.result.confirmation.frame
    assert set(fresh["seed"]) == {2, 3, 4}
    assert set(fresh["init"].astype(str)) == {"near", "zero"}
    confirmed = {tuple(row) for row in fresh[CHOICES].astype(object).itertuples(index=False)}
    tried = {tuple(row) for row in tuned.trials[CHOICES].itertuples(index=False)}
    (of_grid,) = confirmed - tried
    assert of_grid[1] in {0.05, 0.5}
    best = tuned.best()
    assert tuple(best.settings[name] for name in CHOICES) in confirmed & tried
    assert best.row["confirmed_runs"] == 6
    assert np.abs(best.refit(*data).params - [2, -4, 3]).max() < 0.5


def test_lanes_are_full(data, tmp_path, monkeypatch):
    """Of a round of an optimizer with options of its own, each job has as many runs as a lane is wide."""
    sizes = []
    plan = rounds.plan_jobs

    def noted(*args):
        for job in plan(*args):
            sizes.append((job.kernel, len(job.rows), job.first))
            yield job

    monkeypatch.setattr(rounds, "plan_jobs", noted)
    search(data, tmp_path / "run", space={"optimizer": ADAM}, trials=ROUND, pruner="none", confirm=0)
    first = [size for kernel, size, first in sizes if first == 0]
    assert {kernel for kernel, *_ in sizes} == {"lanes"}
    assert sum(first) == ROUND * 4
    assert all(size % KERNELS["lanes"].width == 0 for size in first)


HELD = {"target": None, "validation": 0.25}


@pytest.mark.parametrize(
    ("sampler", "judged"),
    [
        ("tpe", {}),
        ("cmaes", {}),
        ("qmc", {}),
        ("tpe", HELD),
        ("tpe", HELD | {"patience": 3}),
        ("tpe", {"validation": 0.25, "patience": 3}),
    ],
)
def test_a_search_that_is_stopped_goes_on_to_the_same_trials(data, tmp_path, sampler, judged, monkeypatch):
    """Between rounds, and within one whose runs are kept, but of which no trial is."""
    shared = {"sampler": sampler, "confirm": 0, "trials": 70, "space": {"optimizer": ADAM}} | judged
    if judged:
        data = data[0], data[1] + np.random.default_rng(0).normal(0, 0.5, data[1].size)
    whole = search(data, tmp_path / "whole", **shared)
    out = tmp_path / "stopped"

    def stop(done):
        if done >= ROUND:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(data, out, **shared, progress=stop)
    assert len(load_tuning(out).trials) == ROUND
    train, calls = rounds.Round.train, []

    def train_and_stop(self, *args):
        losses = train(self, *args)
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return losses

    with monkeypatch.context() as patched:
        patched.setattr(rounds.Round, "train", train_and_stop)
        with pytest.raises(KeyboardInterrupt):
            search(data, out, **shared)
    assert len(load_tuning(out).result.run.configurations(["config_id"])) > ROUND * 4
    again = search(data, out, **shared)
    pd.testing.assert_frame_equal(again.trials.drop(columns="notes"), whole.trials.drop(columns="notes"))
    pd.testing.assert_frame_equal(again.result.frame, whole.result.frame)
    assert again.result.curves.equals(whole.result.curves)


def test_another_search_is_refused_in_the_same_folder(tuned, data):
    for changes, message in (
        ({"sampler": "random"}, r"another run \(sampler: tpe there, random here\)"),
        ({"space": {"lr": "log:0.1:1"}}, "range of lr: log:0.01:40 there, log:0.1:1 here"),
        ({"resume": False}, "holds results already"),
    ):
        with pytest.raises(ValueError, match=message):
            search(data, tuned.folder, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "trials must be a whole number of at least 1, not 0"),
        ({"sampler": "best"}, "sampler must be one of tpe, cmaes, random, qmc, not 'best'"),
        ({"pruner": "some"}, "pruner must be one of asha, hyperband, none, not 'some'"),
        ({"epochs": 0}, "epochs must be"),
    ],
)
def test_bad_arguments_are_refused(data, tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        search(data, tmp_path / "run", **changes)
    assert not (tmp_path / "run").exists()


def test_optuna_reads_the_file_of_trials(tuned):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tuned.folder / FILE}")
    for family, own in tuned.trials.groupby("family"):
        study = optuna.load_study(storage=storage, study_name=family)
        assert [trial.params for trial in study.trials] == [json.loads(params) for params in own["params"]]
        complete = own[own["state"] == "complete"]
        assert study.best_value == complete["value"].min()
        assert study.best_trial.user_attrs["optimizer"] == complete.loc[complete["value"].idxmin(), "optimizer"]
        assert not any(name.startswith("cma:") for trial in study.trials for name in trial.system_attrs)
    storage.remove_session()
    storage.engine.dispose()


@pytest.fixture
def connections(monkeypatch):
    """Those to the file of trials, all of which are closed in the end."""
    opened, connect = [], sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda *args, **settings: opened.append(connect(*args, **settings)) or opened[-1]
    )
    yield opened
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.total_changes  # noqa: B018 (none is told of one that is closed)


@pytest.mark.usefixtures("connections")
@pytest.mark.parametrize("damage", ["other", "another version", "no database", "link"])
def test_a_file_of_trials_that_is_not_what_was_written(data, tmp_path, damage):
    """It is only a copy: what the search goes on from is the sealed table."""
    out, file = tmp_path / "run", tmp_path / "run" / FILE
    changes = {"space": {"optimizer": "sgd"}, "confirm": 0}
    before = search(data, out, trials=8, **changes)
    changed = {
        "other": "UPDATE trial_intermediate_values SET intermediate_value = 0.5",
        "another version": "UPDATE alembic_version SET version_num = 'v0.9.0.a'",
    }
    if damage in changed:
        with sqlite3.connect(file) as database:
            database.execute(changed[damage])
        database.close()
    elif damage == "no database":
        file.write_bytes(b"nothing" * 1000)
    else:
        (tmp_path / "else").write_bytes(b"mine")
        file.unlink()
        file.symlink_to(tmp_path / "else")
        with pytest.raises(ValueError, match="must be a file, to which trials are written"):
            search(data, out, trials=9, **changes)
        assert (tmp_path / "else").read_bytes() == b"mine"
        return
    with pytest.warns(RuntimeWarning, match="is made anew"):
        after = search(data, out, trials=9, **changes)
    pd.testing.assert_frame_equal(after.trials.iloc[:8], before.trials)
    with sqlite3.connect(file) as database:
        assert database.execute("SELECT count(*) FROM trials").fetchone() == (9,)
    database.close()


@pytest.mark.parametrize("step", ["__init__", "add"])
def test_a_file_of_trials_that_cannot_be_written_is_done_without(data, tmp_path, monkeypatch, step, connections):
    def fail(*_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(TrialsFile, step, fail)
    space = {"optimizer": "sgd"}
    with pytest.warns(RuntimeWarning, match=r"tuning.db cannot be written \(database or disk is full\)"):
        found = search(data, tmp_path / "run", trials=40, space=space, confirm=0)
    assert len(found.trials) == 40


def test_a_search_that_does_not_fit_into_the_memory_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match=r"training takes about .* GB of memory"):
        search(data, tmp_path / "run", epochs=10**10, record="epoch")


def test_a_table_of_trials_that_is_damaged_is_refused(data, tmp_path):
    out = tmp_path / "run"
    search(data, out, trials=8, space={"optimizer": "sgd"}, confirm=0)
    table = out / EVIDENCE / "trials.parquet"
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    with pytest.raises(DamagedError, match=r"trials.parquet"):
        search(data, out, trials=9, space={"optimizer": "sgd"}, confirm=0)


@pytest.mark.parametrize("patience", [None, 4])
def test_without_a_target_the_loss_on_held_out_samples_decides(data, tmp_path, patience):
    """It is that of the parameters that are handed out, and the rows for the test have no part in it."""
    rng = np.random.default_rng(3)
    x, y = data
    y = y + rng.normal(0, 0.3, y.size)
    found = search(
        (x, y),
        None,
        target=None,
        validation=0.25,
        test=0.2,
        patience=patience,
        space={"optimizer": "sgd", "batch_size": [1, 10]},
        trials=40,
    )
    complete = found.trials[found.trials["state"] == "complete"].sort_values("value")
    best = complete.iloc[0]
    frame = found.result.frame
    own = frame[(frame["lr"] == best["lr"]) & (frame["batch_size"] == best["batch_size"])]
    assert np.mean(np.log10(own["validation_loss"])) == pytest.approx(best["value"], rel=1e-12)
    assert set(found.trials["batch_size"]) <= {1, 10}
    assert found.best().row["validation_loss"] <= own["validation_loss"].max()
    handed_out = found.best().refit(x, y)
    settings = {name: found.best().settings[name] for name in ("lr", "batch_size")} | {"seed": found.best().seed}
    row = frame[(frame[list(settings)] == pd.Series(settings)).all(axis=1)].iloc[0]
    assert handed_out.params.tolist() == row[[f"param_{name}" for name in "abc"]].tolist()
    kept = handed_out.kept
    assert (kept.validation_loss, kept.loss) == (row["validation_loss"], row["final_loss"])
    assert next(iter(found.verdict())) == "On test rows"


def test_trials_with_the_same_settings_are_trained_once(data, tmp_path):
    space = {"optimizer": "sgd", "lr": 0.5, "batch_size": [1, 2, 4], "schedule": "constant"}
    found = search(data, tmp_path / "run", trials=40, space=space, sampler="random", pruner="none")
    assert len(found.trials) == 40
    assert len(found.result.frame) == 3 * 4
    assert found.trials.groupby("batch_size")["value"].nunique().eq(1).all()


def test_trials_are_compared_after_a_ninth_and_a_third_of_the_epochs():
    assert halving_epochs(100) == [11, 33]
    assert halving_epochs(9) == [1, 3]
    assert halving_epochs(2) == [1]
    assert halving_epochs(1) == []


def test_the_settings_that_decide_are_found():
    """Of a search whose values are made up: the rate decides, and the momentum next to nothing."""
    space = Space(lr="log:0.01:1", optimizer="momentum(lin:0.1:0.9)")
    made = Search(space, space.families[0], 80, epochs=10, sampler="random", pruner="none", seed=0)
    for one in made.ask(64):
        value = abs(np.log(one.settings["lr"] / 0.1))
        one.report(10, value)
        made.tell(one, "complete", value, epochs=10, samples=1, converged=0)
    found = made.importance()
    assert found["lr"] > 0.9
    assert sum(found.values()) == pytest.approx(1)


def test_leaders_are_compared_with_the_choice_that_is_printed(tuned):
    """On the same fresh seeds, pair by pair: the medians of ratios against those computed here."""
    from bench.report.tune_data import GRID, read_tune_data

    found = read_tune_data(tuned)
    rivals, best = found.rivals, tuned.best()
    assert rivals["rival"].tolist()[0] in {"sgd", "adam"}
    assert rivals["rival"].tolist()[-1] == GRID
    assert len(rivals) == 3
    assert {name: rivals.loc[0, name] for name in CHOICES} == best.settings
    fresh = tuned.result.confirmation.frame.set_index([*CHOICES, "init", "seed"]).sort_index()["samples_to_target"]
    for _, row in rivals.iterrows():
        costs, first = (fresh.xs(tuple(one[CHOICES])).astype(float) for one in (row, rivals.loc[0]))
        assert row["ratio"] == pytest.approx(np.median(costs.fillna(np.inf) / first), rel=5e-3, nan_ok=True)
    said = tuned.verdict()
    assert said["Optimizers, each tuned"].startswith(f"compared with {rivals.loc[0, 'rival']}, ")
    assert said["Against the grid"].startswith("on fresh seeds the best choice of the grid ")
    assert "Edge of the grid" not in said
    assert str(tuned).splitlines()[0].endswith("80 trials")


def test_a_refit_has_as_many_epochs_as_the_search(tuned):
    """Although no run took that long: a schedule may look ahead to the last of them."""
    assert tuned.result.frame["epochs"].max() <= 27
    assert tuned.best().common["epochs"] == 27

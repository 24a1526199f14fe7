"""Searches for settings: their values, what is given up, how they go on, and what is confirmed."""

import os
import pickle
import shutil
from contextlib import contextmanager, nullcontext

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from sgdbench import Grid, Space, fit, load_tuning, sweep, tune
from sgdbench.compare.sources import Measurement, compare_sources
from sgdbench.engine.search import MAX_ROUND_SIZE, TARGET_ROUNDS, Search, halving_epochs
from sgdbench.engine.train import train_in_threads
from sgdbench.kernels.compile.kinds import KERNELS
from sgdbench.store.evidence import read_table_of
from sgdbench.store.journal import JOURNAL
from sgdbench.store.seal import DamagedError
from sgdbench.study.space import SearchSettings
from sgdbench.tables.costs import CHOICES
from sgdbench.tables.search import choice_values

ADAM = "adam(beta1=log1m:0.5:0.99, beta2=log1m:0.9:0.9999)"
SPACE = {
    "lr": "log:0.01:40",
    "batch_size": "logint:1:40",
    "optimizer": ["sgd", ADAM],
    "init": {"near": [-1, 10, 26], "zero": [0, 0, 0]},
    "seed": [0, 1],
    "shuffle": True,
}
# Small, for what is copied and damaged several times.
SMALL = {"trials": 8, "confirm": 0, "space": {"optimizer": "sgd"}}


@pytest.fixture(scope="module")
def data():
    x = np.arange(-40, 40) / 40
    return x, 2 * x**2 - 4 * x + 3


def search(data, out, **changes):
    """Search for the settings of a quadratic; the keys of `SPACE` and of the search may be others."""
    given = {"trials": 80, "epochs": 27, "target": 1e-3, "confirm": 3, "out": out} | changes
    space = Space(**SPACE | given.pop("space", {}))
    return tune("a*x**2 + b*x + c", *data, space, **given)


@contextmanager
def studies(folder):
    """The studies of a journal by name, as Optuna's own tools read them."""
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    yield {name: optuna.load_study(study_name=name, storage=storage) for name in optuna.get_all_study_names(storage)}


@pytest.fixture
def no_importance(monkeypatch):
    """A search ends without the importance of its parameters, for which trees are grown, for tests of its trials."""
    monkeypatch.setattr(Search, "importance", lambda search: {})


class Executor:
    """Trains jobs in threads, notes them, and is interrupted after some of them."""

    def __init__(self, most=10**9):
        self.jobs, self.most = [], most

    def __call__(self, problem, jobs, stop):
        for job, runs in train_in_threads(problem, jobs, stop):
            self.jobs.append(job)
            yield job, runs
            if len(self.jobs) == self.most:
                raise KeyboardInterrupt

    @property
    def begun(self):
        """How many runs began."""
        return sum(len(job.rows) for job in self.jobs if job.first == 0)


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    grid = Grid(
        lr=[0.05, 0.5], batch_size=[1, 8], optimizer=["sgd", "adam"], init=SPACE["init"], seed=[0, 1], shuffle=True
    )
    return search(data, tmp_path_factory.mktemp("tune") / "run", grid=grid)


@pytest.fixture(scope="module")
def small(data, tmp_path_factory):
    """A small search, whose folder tests copy."""
    return search(data, tmp_path_factory.mktemp("small") / "run", **SMALL)


@pytest.fixture
def folder(small, tmp_path):
    """A folder of the small search, to be damaged."""
    return shutil.copytree(small.folder, tmp_path / "run")


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
    assert len(found) == len(complete) > MAX_ROUND_SIZE // 2
    pd.testing.assert_series_equal(found["value"].sort_index(), complete["value"].sort_index(), check_exact=True)
    pd.testing.assert_series_equal(found["samples"].sort_index(), complete["samples"].sort_index())


def test_runs_side_by_side_have_the_options_of_their_own_trials(tuned, data):
    frame, clock = tuned.result.frame, tuned.result.clock
    own = frame[frame["optimizer"].astype(str).str.startswith("adam(") & (frame["status"] == "converged")]
    assert own["optimizer"].nunique() > 5
    for row in own.drop_duplicates("optimizer").itertuples():
        settings = {name: getattr(row, name) for name in (*CHOICES, "seed")}
        settings |= {"epochs": 27, "target": 1e-3, "record": clock.record, "drop_last": clock.drop_last}
        run = fit("a*x**2 + b*x + c", *data, init=SPACE["init"][row.init], kernel="reference", **settings)
        assert run.params.tolist() == [row.param_a, row.param_b, row.param_c]


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
    with studies(tuned.folder) as journal:
        for row in pruned.itertuples():
            earlier = journal[row.family].trials[: row.number]
            assert row.value > min(trial.intermediate_values.get(row.epochs, np.inf) for trial in earlier)


def test_the_best_ones_are_confirmed_on_fresh_seeds_with_that_of_the_grid(tuned, data):
    fresh = tuned.result.confirmation.frame
    assert set(fresh["seed"]) == {2, 3, 4}
    assert set(fresh["init"].astype(str)) == {"near", "zero"}
    confirmed = {tuple(row) for row in fresh[CHOICES].astype(object).itertuples(index=False)}
    tried = {tuple(row) for row in tuned.trials[CHOICES].itertuples(index=False)}
    assert {choice[1] for choice in confirmed - tried} <= {0.05, 0.5}
    best = tuned.best()
    assert tuple(best.settings[name] for name in CHOICES) in confirmed & tried
    assert best.row["confirmed_runs"] == 6
    assert np.abs(best.refit(*data).params - [2, -4, 3]).max() < 0.5


@pytest.mark.usefixtures("no_importance")
def test_the_choice_of_the_grid_is_the_one_that_a_sweep_of_it_announces(data, tmp_path):
    """By its seeds alone it was one of those tied that needs more samples, from which any search gains."""
    from sgdbench.report.tune_data import read_tune_data

    grid = Grid(lr=[0.5, 1, 1.5], batch_size=[1, 4], init=SPACE["init"], seed=[0, 1], shuffle=True)
    shared = {"epochs": 9, "target": 0.03, "confirm": 6}
    found = search(data, tmp_path, **SMALL | shared, grid=grid)
    best = sweep("a*x**2 + b*x + c", *data, grid, **shared).best().settings
    assert best["batch_size"] == 1
    rivals = read_tune_data(found).on_fresh_seeds.set_index("rival")
    assert {name: rivals.loc["the grid", name] for name in CHOICES} == best


@pytest.mark.usefixtures("no_importance")
def test_the_choice_of_the_grid_is_the_answer_where_fresh_seeds_show_it_to_be_better(data, tmp_path):
    """The ranges hold rates that are far too low, and the grid a good one."""
    grid = Grid(lr=0.5, init=SPACE["init"], seed=[5, 6], shuffle=True)
    space = {"optimizer": "sgd", "lr": "log:0.001:0.01"}
    found = search(data, tmp_path, **SMALL | {"confirm": 6, "space": space}, grid=grid, test=0.2, epochs=40)
    best, ranked = found.best(), found.ranking()
    assert best.settings["lr"] == 0.5
    assert (best.rank, ranked["family"][0], best.row["verdict"]) == (1, "the grid", "best")
    assert set(ranked["verdict"][1:]) <= {"worse", "fails"}
    assert best.refit(*data).loss[-1] < 1e-3
    said = found.verdict()
    assert said["Best choice"].startswith("learning rate 0.5, batch size 1: ")
    assert "; in the grid the median was " in said["Confirmed"]
    assert said["Against the grid"].startswith(
        "The best choice is that of the grid. On fresh seeds the best choice of the"
    )
    assert "Optimizers, each tuned" not in said
    judged = read_table_of(found.folder, "test")
    fresh = found.result.confirmation.frame
    own = [frame.loc[frame["lr"] == 0.5, "config_id"] for frame in (found.grid.frame, fresh)]
    assert set(judged["config_id"]) == {*own[0], *own[1]}
    page = found.report().read_text("utf-8")
    assert "    lr=0.5,\n" in page
    again = shutil.copytree(found.folder, tmp_path.with_name(f"{tmp_path.name} again"))
    notes = dict(compare_sources(str(found.folder), str(again), Measurement()).notes)
    assert notes["Best of A"].startswith("sgd, learning rate 0.5, batch size 1, ")


@pytest.mark.usefixtures("no_importance")
def test_a_grid_that_the_folder_holds_stays_what_the_search_is_compared_with(data, folder):
    """Without the argument too: its seeds are not fresh, and one that was stopped before it began is none."""
    grid = Grid(lr=0.5, init=SPACE["init"], seed=[2, 3], shuffle=True)
    search(data, folder, **SMALL | {"confirm": 0}, grid=grid)
    found = search(data, folder, **SMALL | {"confirm": 2})
    assert set(found.grid.frame["seed"]) == {2, 3}
    assert set(found.result.confirmation.frame["seed"]) == {4, 5}
    (folder / "grid" / "plan.parquet").unlink()
    assert search(data, folder, **SMALL | {"confirm": 0}).grid is None


def test_lanes_are_full(data, tmp_path):
    """Of a round of an optimizer with options of its own, each job has as many runs as a lane is wide."""
    executor = Executor()
    about = {"trials": TARGET_ROUNDS * MAX_ROUND_SIZE, "pruner": "none", "confirm": 0, "executor": executor}
    with pytest.raises(KeyboardInterrupt):
        search(data, tmp_path / "run", space={"optimizer": ADAM}, **about, progress=stop_at(MAX_ROUND_SIZE))
    assert {job.kernel for job in executor.jobs} == {"lanes"}
    assert executor.begun == MAX_ROUND_SIZE * 4
    assert all(len(job.rows) % KERNELS["lanes"].width == 0 for job in executor.jobs if job.first == 0)


def stop_at(trials):
    """Return a callback that interrupts a search between rounds."""

    def stop(done):
        if done >= trials:
            raise KeyboardInterrupt

    return stop


def test_a_search_that_is_stopped_in_its_first_round_has_no_trials_and_a_report(data, tmp_path):
    """It was a KeyError, because there was not even an empty column of their states."""
    with pytest.raises(KeyboardInterrupt):
        search(data, tmp_path, executor=Executor(most=1))
    found = load_tuning(tmp_path)
    assert repr(found) == "<TuneResult of 0 trials>"
    assert found.ranking().empty
    assert found.verdict()["Best choice"] == "None: no trial has been trained to its end."
    assert found.report().exists()


@pytest.mark.usefixtures("no_importance")
@pytest.mark.parametrize("sampler", ["cmaes", "qmc"])
def test_a_search_that_is_stopped_goes_on_and_loses_nothing(data, tmp_path, sampler):
    """Within a round, whose trials go on where they stood: a sampler that starts anew would propose others."""
    about = {"sampler": sampler, "confirm": 0, "trials": 3 * MAX_ROUND_SIZE, "space": {"optimizer": ADAM}}
    stopped, rest = Executor(most=20), Executor()
    with pytest.raises(KeyboardInterrupt):
        search(data, tmp_path, **about, executor=stopped)
    before = load_tuning(tmp_path).trials
    assert 0 < 4 * len(before) < stopped.begun
    after = search(data, tmp_path, **about, executor=rest)
    assert len(after.trials) == 3 * MAX_ROUND_SIZE
    pd.testing.assert_frame_equal(after.trials[: len(before)], before)
    # What the folder holds is of these trials alone, and no run began twice. CMA-ES may propose an end again.
    distinct = len(after.trials.drop_duplicates(CHOICES))
    assert distinct > 2.8 * MAX_ROUND_SIZE
    assert len(after.result.run.configurations(["config_id"])) == distinct * 4
    assert stopped.begun + rest.begun == distinct * 4


def test_the_quasi_random_sequence_fills_the_range_of_what_trials_have_in_common_and_of_periods():
    """Of every eighth point the batch sizes were all in one eighth of their range; a period was always the same."""
    space = Space(batch_size="logint:1:64", schedule=["constant", "halve(int:1:20)", "step(int:1:20)"], shuffle=True)
    one = Search(space, space.families[0], 64, 20, SearchSettings(sampler="qmc"), optuna.create_study())
    params = pd.DataFrame([trial.params for _ in range(8) for trial in one.ask(MAX_ROUND_SIZE)])
    for name, high in {"batch_size": 64, "halve period": 20, "step period": 20}.items():
        drawn = params[name].dropna() / high
        assert drawn.min() < 0.1 < 0.9 < drawn.max()
        assert drawn.value_counts(normalize=True).max() < 0.5


@pytest.mark.usefixtures("no_importance")
@pytest.mark.parametrize("judged", [{}, {"target": None, "validation": 0.25, "patience": 3}])
def test_a_stop_changes_no_value(data, tmp_path, judged):
    """Runs that are beyond an epoch count with the loss that they had then: TPE goes on to the same trials.

    It is stopped after the fifth of six rounds, those of the optimizers in turn, and in the last.
    """
    about = {"confirm": 0, "trials": 48} | judged
    if judged:
        data = data[0], data[1] + np.random.default_rng(0).normal(0, 0.5, data[1].size)
    whole = search(data, tmp_path / "whole", **about)
    for interruption in ({"progress": stop_at(MAX_ROUND_SIZE + 8)}, {"executor": Executor(most=2)}):
        with pytest.raises(KeyboardInterrupt):
            search(data, tmp_path / "stopped", **about, **interruption)
    again = search(data, tmp_path / "stopped", **about)
    pd.testing.assert_frame_equal(again.trials, whole.trials)
    pd.testing.assert_frame_equal(again.result.frame, whole.result.frame)
    assert again.result.curves.equals(whole.result.curves)


def test_another_search_is_refused_in_the_same_folder(tuned, data):
    for changes, message in (
        ({"sampler": "random"}, r"another run \(sampler: tpe there, random here\)"),
        ({"space": {"lr": "log:0.1:1"}}, "range of lr: log:0.01:40 there, log:0.1:1 here"),
        ({"epochs": 54}, r"another run \(epochs: 27 there, 54 here\)"),
        ({"resume": False}, "already holds results"),
    ):
        with pytest.raises(ValueError, match=message):
            search(data, tuned.folder, **changes)


def test_a_grid_without_all_that_the_folder_holds_is_refused_before_the_search_goes_on(data, tmp_path):
    before = search(data, tmp_path, **SMALL, grid=Grid(lr=[0.1, 0.3]))
    with pytest.raises(ValueError, match=r"grid holds 1 configuration that this grid does not have \(lr 0.3\): choose"):
        search(data, tmp_path, **SMALL | {"trials": 16}, grid=Grid(lr=0.1))
    assert len(load_tuning(tmp_path).trials) == len(before.trials) == 8


def test_the_inputs_of_an_expression_are_those_of_a_fit(data):
    x, y = data
    for expression, table in (("a*hp + b", {"hp": x}), ("a*x1 + b*x2", np.stack([x, x**2], axis=1))):
        settings = {"epochs": 1, "kernel": "reference"}
        found = tune(expression, table, y, Space(lr=0.1, batch_size="full", seed=0), trials=1, confirm=0, **settings)
        alone = fit(expression, table, y, **settings)
        assert found.best().refit(table, y, kernel="reference").model.inputs == alone.model.inputs


def test_numbers_of_numpy_count_like_those_of_python():
    """Of few bits, they overflowed: trials times starts and seeds, and seeds of the samplers of several optimizers."""
    settings = SearchSettings(np.uint8(200), sampler_seed=np.uint8(3))
    assert (type(settings.trials), type(settings.sampler_seed)) == (int, int)


def test_optuna_reads_the_journal(tuned):
    with studies(tuned.folder) as journal:
        assert list(journal) == SPACE["optimizer"]
        for family, own in tuned.trials.groupby("family"):
            study, complete = journal[family], own[own["state"] == "complete"]
            assert [trial.params for trial in study.trials] == own["params"].tolist()
            assert study.best_value == complete["value"].min()
            assert study.best_trial.user_attrs["optimizer"] == complete.loc[complete["value"].idxmin(), "optimizer"]


def test_a_line_that_was_cut_off_is_written_again(data, small, folder):
    """As by kill -9 between two trials of a round that had been trained."""
    journal = folder / JOURNAL
    last = journal.read_bytes().rstrip(b"\n").rfind(b"\n")
    (journal.parent / "journal.parquet").unlink()
    os.truncate(journal, last + 40)
    assert len(load_tuning(folder).trials) == 7
    executor = Executor()
    after = search(data, folder, **SMALL | {"trials": 10}, executor=executor)
    pd.testing.assert_frame_equal(after.trials[:7], small.trials[:7])
    assert after.trials["params"].tolist()[:8] == small.trials["params"].tolist()
    assert executor.begun == 2 * 4


@pytest.mark.parametrize("damage", ["a bit", "its end", "a line more", "missing"])
def test_a_journal_that_is_not_what_was_written_is_one_clear_line(data, folder, damage):
    journal = folder / JOURNAL
    content = bytearray(journal.read_bytes())
    if damage == "a bit":
        content[content.index(b'"lr":') + 8] ^= 1  # a decimal place: what it says can be read
    elif damage == "its end":
        del content[content.rstrip(b"\n").rfind(b"\n") + 1 :]
    else:
        content += b'{"op_code": 4}\n'
    journal.write_bytes(content)
    if damage == "missing":
        journal.unlink()
    for read in (lambda: load_tuning(folder), lambda: search(data, folder, **SMALL | {"trials": 9})):
        with pytest.raises(DamagedError, match=r"^\S*journal.log is damaged \(.*\): search again [^\n]*$"):
            read()


def test_a_search_whose_results_are_lost_begins_anew(data, small, folder):
    for part in (folder / "parts").iterdir():
        part.unlink()
    with pytest.raises(KeyboardInterrupt):
        search(data, folder, **SMALL, executor=Executor(most=1))
    again = search(data, folder, **SMALL)
    pd.testing.assert_frame_equal(again.trials, small.trials)
    assert again.result.curves.equals(small.result.curves)


def test_what_is_damaged_is_made_anew(data, tmp_path):
    """Runs of trials that are ranked too: there were fewer choices then, and nothing said so."""
    about = {"confirm": 0, "trials": 16, "space": {"optimizer": "sgd"}}
    before = search(data, tmp_path, **about, record="epoch")
    (part, *_), remedy = sorted((tmp_path / "parts").iterdir()), rf"`sgdbench tune .* {tmp_path} --resume` "
    for path, message in (
        (part, None),
        (tmp_path / "plan.parquet", f"plan.parquet is damaged .*: {remedy}writes it again"),
        (tmp_path / "evidence" / "importance.parquet", f"importance.parquet is damaged .*: {remedy}makes it again"),
    ):
        os.truncate(path, 100)
        with pytest.raises(ValueError, match=message) if message else pytest.warns(RuntimeWarning, match="not trained"):
            assert len(load_tuning(tmp_path).result.frame) < len(before.result.frame)
        with nullcontext() if message else pytest.warns(RuntimeWarning, match="set aside"):
            again = search(data, tmp_path, **about, record="epoch")
        pd.testing.assert_frame_equal(again.trials, before.trials)
        pd.testing.assert_frame_equal(again.result.frame, before.result.frame)
    os.truncate(tmp_path / "evidence" / "journal.parquet", 100)
    with pytest.raises(DamagedError, match=r"^\S*journal.parquet is damaged \(.*\): search again [^\n]*$"):
        load_tuning(tmp_path)


class Planted:
    """What runs when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_pickle_in_the_folder_is_not_loaded(data, tmp_path):
    about = {"sampler": "cmaes", "confirm": 0, "space": {"optimizer": "sgd"}}
    search(data, tmp_path / "run", **about, trials=16)
    assert b"cma:" not in (tmp_path / "run" / JOURNAL).read_bytes()
    with studies(tmp_path / "run") as journal:
        study = journal["sgd"]
        trial = study.best_trial
        notes = {"cma:optimizer:0": pickle.dumps(Planted(tmp_path / "written")).hex(), "cma:generation": 1}
        planted = optuna.trial.create_trial(
            value=0.0,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=trial.user_attrs,
            system_attrs=notes,
        )
        study.add_trial(planted)
        # It is one that Optuna itself would run.
        study.sampler = optuna.samplers.CmaEsSampler(seed=0, warn_independent_sampling=False)
        study.ask(trial.distributions)
    (tmp_path / "written").rmdir()
    assert len(search(data, tmp_path / "run", **about, trials=MAX_ROUND_SIZE).trials) == MAX_ROUND_SIZE
    assert not (tmp_path / "written").exists()


@pytest.mark.usefixtures("no_importance")
def test_without_a_target_the_loss_on_held_out_samples_decides(data):
    """It is that of the parameters that are handed out, and the rows for the test have no part in it."""
    rng = np.random.default_rng(3)
    x, y = data
    y = y + rng.normal(0, 0.3, y.size)
    about = {"target": None, "validation": 0.25, "test": 0.2, "patience": 4, "trials": 40}
    found = search((x, y), None, space={"optimizer": "sgd", "batch_size": [1, 10]}, **about)
    complete = found.trials[found.trials["state"] == "complete"].sort_values("value")
    best = complete.iloc[0]
    frame = found.result.frame
    own = frame[(frame["lr"] == best["lr"]) & (frame["batch_size"] == best["batch_size"])]
    assert np.mean(np.log10(own["validation_loss"])) == pytest.approx(best["value"], rel=1e-12)
    assert set(found.trials["batch_size"]) <= {1, 10}
    assert found.best().row["validation_loss"] <= own["validation_loss"].max()
    handed_out = found.best().refit(x, y)
    choice = found.best()
    start = next(name for name, params in SPACE["init"].items() if params == choice.init.tolist())
    settings = {name: choice.settings[name] for name in ("lr", "batch_size")} | {"seed": choice.seed, "init": start}
    row = frame[(frame[list(settings)] == pd.Series(settings)).all(axis=1)].iloc[0]
    assert handed_out.params.tolist() == row[[f"param_{name}" for name in "abc"]].tolist()
    kept = handed_out.kept
    assert (kept.validation_loss, kept.loss) == (row["validation_loss"], row["final_loss"])
    assert next(iter(found.verdict())) == "On test rows"


@pytest.mark.usefixtures("no_importance")
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


def test_the_settings_that_decide_are_found(data):
    """The rate decides, and an epsilon of next to nothing does not."""
    space = {"lr": "log:0.01:1", "batch_size": 8, "optimizer": "adam(eps=log:1e-14:1e-12)"}
    found = search(data, None, space=space, sampler="random", pruner="none", trials=2 * MAX_ROUND_SIZE, confirm=0)
    shares = found.importance.set_index("parameter")["importance"]
    assert shares["lr"] > 0.9
    assert shares.sum() == pytest.approx(1)


def test_what_decides_does_not_depend_on_the_unit_of_losses_below_zero():
    """Their values are no logarithms, and those 4 above the best were all taken for equal, as if they were."""
    rng, space = np.random.default_rng(0), Space(**SPACE | {"optimizer": "sgd"})
    drawn = pd.DataFrame({"lr": 10 ** rng.uniform(-2, 1, 64), "batch_size": rng.integers(1, 41, 64)})
    kinds = {
        "lr": optuna.distributions.FloatDistribution(0.01, 40, log=True),
        "batch_size": optuna.distributions.IntDistribution(1, 40, log=True),
    }
    shares = []
    for unit in (1.0, 1e4):
        values = (unit * (np.log10(drawn["lr"]) ** 2 + drawn["batch_size"] / 40 - 3)).tolist()
        one = Search(space, space.families[0], 64, 20, SearchSettings(), optuna.create_study(), logarithmic=False)
        one.study.add_trials(
            optuna.trial.create_trial(value=value, params=params, distributions=kinds, user_attrs={"value": value})
            for params, value in zip(drawn.to_dict("records"), values, strict=True)
        )
        shares.append(one.importance()["lr"])
    assert shares[1] == pytest.approx(shares[0], abs=0.05)


def test_a_round_tries_several_batch_sizes_also_where_trials_have_one_start(data, tmp_path):
    """Of a round of eight, as of few trials, four; each for two trials."""
    space = {"optimizer": "sgd", "init": [-1, 10, 26]}
    found = search(data, tmp_path, trials=8, confirm=0, pruner="none", epochs=2, space=space)
    sizes = found.trials["batch_size"].to_numpy().reshape(-1, 2)
    assert (sizes == sizes[:, :1]).all()
    assert len(np.unique(sizes)) == 4


@pytest.mark.usefixtures("no_importance")
def test_a_small_search_learns_from_its_trials(data):
    """Of 32 trials the last are proposed by the first: their rates lie nearer to the best than random ones do."""
    space = {"optimizer": "sgd", "lr": "log:1e-6:1e6", "batch_size": 8}
    decades = {}
    for sampler in ("tpe", "random"):
        trials = search(data, None, trials=32, confirm=0, space=space, sampler=sampler).trials
        best = trials["lr"][trials["value"].idxmin()]
        decades[sampler] = np.median(np.abs(np.log10(trials["lr"][16:] / best)))
    assert decades["tpe"] < 2 < decades["random"]


def test_leaders_are_compared_with_the_choice_that_is_printed(tuned):
    """On the same fresh seeds, pair by pair: the medians of ratios against those computed here."""
    from sgdbench.report.tune_data import GRID, read_tune_data

    found = read_tune_data(tuned)
    rivals, best = found.on_fresh_seeds, tuned.best()
    assert rivals["rival"].tolist()[0] in {"sgd", "adam"}
    assert tuned.best(optimizer="adam").settings["optimizer"].startswith("adam(beta1=0.")
    with pytest.raises(ValueError, match=r"one trained to the end, '.*', '.*', 'the grid', not 'lion'"):
        tuned.best(optimizer="lion")
    assert set(rivals["rival"]) == {"sgd", "adam", GRID}
    assert {name: rivals.loc[0, name] for name in CHOICES} == best.settings
    fresh = tuned.result.confirmation.frame.set_index([*CHOICES, "init", "seed"]).sort_index()["samples_to_target"]
    for _, row in rivals.iterrows():
        costs, first = (fresh.xs(tuple(one[CHOICES])).astype(float) for one in (row, rivals.loc[0]))
        assert row["ratio"] == pytest.approx(np.median(costs.fillna(np.inf) / first), rel=5e-3, nan_ok=True)
    said = tuned.verdict()
    assert said["Optimizers, each tuned"].startswith(f"Relative to {rivals.loc[0, 'rival']}: ")
    assert said["Against the grid"].startswith(
        "The best choice is that of the search. On fresh seeds the best choice of the grid "
    )
    assert "Edge of the grid" not in said
    assert str(tuned).splitlines()[0].endswith("80 trials")


def test_a_refit_has_as_many_epochs_as_the_search(tuned):
    """Although no run took that long: a schedule may look ahead to the last of them."""
    assert tuned.result.frame["epochs"].max() <= 27
    assert tuned.best().common["epochs"] == 27

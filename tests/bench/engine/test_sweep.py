"""A sweep is many fits, kept on disk so that nothing is lost and nothing is done twice."""

import gc
import json
import shutil
import signal
import threading
import tracemalloc
import weakref

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, Space, load_run, models, register_schedule, sweep, tune
from sgdbench.engine import fingerprint, jobs
from sgdbench.engine import problem as common
from sgdbench.engine import train as engine
from sgdbench.engine.recording import settle_record
from sgdbench.kernels.base.run import STATUSES
from sgdbench.kernels.data.checkpoints import make_checkpoints
from sgdbench.kernels.train.block import train_runs
from tests.support.refusals import refusal_of
from tests.support.sweeps import STARTS, X, Y, assert_same, exactly, fit_of, kill_grid, some_grid, swept

COLUMNS = ["config_id", "lr", "batch_size", "init", "optimizer", "schedule", "seed", "shuffle"]
COLUMNS += ["status", "epochs", "samples_seen", "updates", "epochs_to_target", "samples_to_target", "updates_to_target"]
COLUMNS += ["final_loss", "best_loss", "param_a", "param_b", "param_c"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The sweep of `some_grid`, made at once."""
    return swept(tmp_path_factory.mktemp("undisturbed") / "run", study="epochs = 12")


@pytest.fixture
def stored(undisturbed, tmp_path):
    """A copy of its folder."""
    return shutil.copytree(undisturbed.run.folder, tmp_path / "stored")


@pytest.fixture
def many_parts(monkeypatch):
    """Every block of 32 runs is a part of its own on disk."""
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 0)
    monkeypatch.setattr(jobs, "JOB_UPDATES", 1)


@pytest.fixture
def untrainable(monkeypatch):
    """Whatever would be trained now is too much."""

    def never(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(common, "train_runs", never)


class TestResult:
    def test_the_frame_has_the_columns_of_the_grid_then_those_of_the_result(self, undisturbed):
        frame, grid = undisturbed.frame, some_grid().frame(models.quadratic, X.size)
        assert frame.columns.tolist() == COLUMNS
        assert len(frame) == some_grid().size
        pd.testing.assert_frame_equal(frame[COLUMNS[1:8]], grid[COLUMNS[1:8]])
        np.testing.assert_array_equal(undisturbed.starts, grid[["start_a", "start_b", "start_c"]])
        assert frame["config_id"].is_unique
        assert frame["status"].cat.categories.tolist() == [*STATUSES]
        assert set(frame["status"]) == set(STATUSES) - {"stopped"}  # which needs held-out samples
        assert frame["epochs_to_target"].notna().equals(frame["status"] == "converged")

    def test_rows_and_curves_are_what_fit_makes_of_them(self, undisturbed):
        curves = dict(list(undisturbed.curves.groupby("config_id", observed=True)))
        rows = list(zip(undisturbed.frame.itertuples(), undisturbed.starts, strict=True))
        for row, start in rows[::5]:  # of which each pair of settings is in some
            shared = {"epochs": 12, "target": 1e-3, "drop_last": False, "record": undisturbed.clock.record}
            alone = fit_of(row, start, X, Y, **shared)
            assert (row.status, row.epochs) == (alone.status, alone.epochs)
            assert (row.samples_seen, row.updates) == (alone.samples_seen[-1], alone.updates[-1])
            if alone.epochs_to_target is None:
                assert row.epochs_to_target is row.samples_to_target is row.updates_to_target is pd.NA
            else:
                assert row.epochs_to_target == alone.epochs_to_target
                assert (row.samples_to_target, row.updates_to_target) == (row.samples_seen, row.updates)
            np.testing.assert_array_equal([row.param_a, row.param_b, row.param_c], alone.params)
            curve = curves[row.config_id]
            np.testing.assert_array_equal(curve["loss"], alone.loss)
            np.testing.assert_array_equal(curve["samples"], alone.samples_seen)
            np.testing.assert_array_equal(curve["updates"], alone.updates)
            np.testing.assert_array_equal(curve["epoch"], alone.samples_seen / alone.samples_per_epoch)
            np.testing.assert_array_equal(row.final_loss, alone.loss[-1])
            assert row.best_loss == np.nanmin(alone.loss)

    def test_curves_come_in_the_order_of_the_frame(self, undisturbed):
        seen = undisturbed.curves["config_id"].drop_duplicates()
        assert seen.tolist() == undisturbed.frame["config_id"].tolist() == seen.cat.categories.tolist()

    @pytest.mark.parametrize("kernel", ["fused", "reference"])
    def test_every_exact_kernel_gives_the_same_frame(self, undisturbed, kernel):
        few = {"lr": 0.05, "seed": 0, "init": {"near": STARTS["near"], "drawn": "normal:1:1"}}
        found = swept(grid=some_grid(**few), kernel=kernel)
        assert_same(found, swept(grid=some_grid(**few)))
        of_them = undisturbed.frame["config_id"].isin(found.frame["config_id"])
        pd.testing.assert_frame_equal(
            found.frame.drop(columns="init"), undisturbed.frame[of_them].drop(columns="init").reset_index(drop=True)
        )


class TestFolder:
    def test_load_run_gives_the_same_object(self, undisturbed):
        loaded = load_run(undisturbed.run.folder)
        assert_same(loaded, undisturbed)
        assert loaded.model.expression == models.quadratic.expression

    def test_without_a_folder_the_results_live_as_long_as_the_object_or_its_run(self):
        result = swept(grid=Grid(lr=0.1))
        expected, losses = result.frame["config_id"].tolist(), result.curves["loss"]
        run = result.run
        folder = run.folder
        gone = weakref.ref(result)
        del result
        gc.collect()
        assert gone() is None
        assert run.configurations()["config_id"].tolist() == expected
        pd.testing.assert_series_equal(run.curves(expected)["loss"], losses)
        del run
        gc.collect()
        assert not folder.exists()

    def test_without_a_folder_the_results_live_as_long_as_the_runs_on_fresh_seeds_or_the_grid_of_a_search(self):
        grid, about = Grid(lr=0.1, shuffle=True), {"epochs": 2, "kernel": "reference"}
        fresh = sweep(models.linear, X, Y, grid, **about, confirm=2).confirmation
        beside = tune(models.linear, X, Y, Space(lr=0.1), **about, confirm=0, trials=1, grid=grid).grid
        gc.collect()
        assert len(fresh.curves) == 2 * len(beside.curves)
        folders = [fresh.run.folder, beside.run.folder]
        del fresh, beside
        gc.collect()
        assert not any(folder.exists() for folder in folders)

    def test_without_a_folder_nothing_is_left_behind_by_a_failure(self, tmp_path, monkeypatch, untrainable):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with pytest.raises(AssertionError):
            swept()
        assert not list(tmp_path.iterdir())

    def test_the_same_call_again_trains_nothing(self, undisturbed, tmp_path, many_parts, request):
        swept(tmp_path / "run")
        request.getfixturevalue("untrainable")
        counts = []
        again = swept(tmp_path / "run", kernel="reference", progress=counts.append)
        assert counts == [some_grid().size]
        assert_same(again, undisturbed)
        assert sum(1 for _ in (tmp_path / "run" / "parts").iterdir()) > 10

    def test_the_same_settings_in_other_words_are_the_same(self, tmp_path, request):
        grid = Grid(lr=0.1, optimizer="adam")
        swept(tmp_path, grid, target=0.0, loss="squared")
        request.getfixturevalue("untrainable")
        again = swept(tmp_path, Grid(lr=[0.1], optimizer="adam(beta1=0.9)"), target=0, epochs=np.int64(12),
                      drop_last=np.False_)  # fmt: skip
        assert len(again.frame) == 1

    @pytest.mark.parametrize(
        ("other", "dropped"),
        [
            (
                {"lr": [0.05, 0.1], "optimizer": "sgd"},
                "288 configurations that this grid does not have (optimizer adam; ",
            ),
            ({"seed": 7}, "384 configurations that this grid does not have (seed 0, 18446744073709551615)"),
        ],
    )
    def test_a_grid_without_all_that_the_folder_holds_is_refused(self, undisturbed, stored, other, dropped):
        told = refusal_of(swept, stored, some_grid(**other), study="epochs = 1")
        assert told.startswith(f"{stored} holds {dropped}")
        assert told.endswith(": choose another folder with --out (out=... in Python), or add them to the grid")
        assert load_run(stored).run.study == "epochs = 12"
        assert_same(load_run(stored), undisturbed)

    def test_a_run_can_be_read_while_it_goes_on(self, tmp_path, many_parts):
        seen, grid = [], some_grid(lr=0.05, seed=0)

        def look(done):
            seen.append((done, len(load_run(tmp_path).frame)))

        swept(tmp_path, grid, progress=look)
        assert seen[0] == (0, 0)
        assert seen[-1] == (grid.size, grid.size)
        assert all(found == done for done, found in seen)
        assert len(seen) > 10

    def test_a_folder_without_a_plan_is_told(self, tmp_path):
        swept(tmp_path, Grid(lr=0.1))
        (tmp_path / "plan.parquet").unlink()
        with pytest.raises(ValueError, match=r"holds no sweep: it has no plan.parquet"):
            load_run(tmp_path)


class TestRecording:
    def test_checkpoints_are_as_many_as_a_full_run_can_afford(self, tmp_path):
        for n, epochs, expected in ((800, 100, "log:10"), (800, 40, "log:5"), (800, 8, "log:1"), (10**5, 8, "epoch")):
            found = settle_record("log", n, epochs, tmp_path)
            assert found == expected
            assert make_checkpoints(found, n, 1, epochs, drop_last=True).size <= 1 + 1.4 * epochs

    def test_with_a_target_where_runs_end_they_are_twenty_if_a_full_run_can_afford_fewer(self):
        x = np.linspace(-1, 1, 20_000)
        for record, settings in (
            ("log:4", {"target": 1e-3}),
            ("epoch", {}),
            ("epoch", {"target": 1e-3, "validation": 0.5, "patience": 1}),
        ):
            found = sweep(models.quadratic, x, x**2, Grid(lr=0.05), epochs=2, confirm=0, **settings)
            assert found.clock.record == record

    def test_a_run_that_is_extended_goes_on_as_it_began(self, tmp_path):
        settings = {"grid": Grid(lr=0.05), "target": None, "record": "log"}
        assert swept(tmp_path, **settings | {"epochs": 2}).clock.record == "epoch"
        assert swept(tmp_path, **settings | {"epochs": 50}).clock.record == "epoch"
        assert swept(**settings | {"epochs": 50}).clock.record != "epoch"

    def test_one_whose_checkpoints_are_a_number_of_updates_apart_does_so_too(self, tmp_path):
        settings = {"grid": Grid(lr=0.05), "target": None, "epochs": 2}
        swept(tmp_path, **settings, record=7)
        assert swept(tmp_path, **settings, record="log").clock.record == 7

    def test_what_is_recorded_changes_no_loss(self):
        """But a run that is looked at more often may be seen at its target earlier."""
        grid = some_grid(init={"near": STARTS["near"]})
        fine, coarse = (swept(grid=grid, target=None, record=record) for record in (3, "epoch"))
        shared = coarse.curves.merge(fine.curves, on=["config_id", "samples", "updates", "epoch"])
        np.testing.assert_array_equal(shared["loss_x"], shared["loss_y"])
        assert set(shared["config_id"]) == set(coarse.frame["config_id"])
        assert len(fine.curves) > 2 * len(coarse.curves)

    def test_a_target_is_met_at_the_first_checkpoint_at_which_the_loss_is_low_enough(self):
        grid = Grid(lr=0.4, init={"near": STARTS["near"]})
        every = swept(grid=grid, target=None, record=1).curves
        row = swept(grid=grid, record=7).frame.iloc[0]
        first = every[(every["loss"] <= 1e-3) & ((every["updates"] % 7 == 0) | (every["epoch"] % 1 == 0))].iloc[0]
        assert (row["samples_to_target"], row["updates_to_target"]) == (first["samples"], first["updates"])
        assert row["epochs_to_target"] == first["samples"] / 61
        assert row["epochs"] == first["samples"] // 61
        assert row["samples_to_target"] % 61


class TestFingerprint:
    """It is in every run folder: with another value, a run of today could not be resumed tomorrow."""

    @pytest.mark.parametrize("piece", [1_000_000, 7])
    def test_its_value_never_changes(self, classic, monkeypatch, piece):
        monkeypatch.setattr(fingerprint, "NUMBERS_AT_A_TIME", piece)
        x, y = classic
        found = [
            sweep(model, inputs, y, Grid(batch_size="full"), epochs=1, kernel="reference", confirm=0).run.identity[
                "data"
            ]
            for model, inputs in ((models.quadratic, x), (models.plane, np.stack([x, x**2], axis=1)))
        ]
        assert found == ["e8a951ae9555de0a627216e492569571", "1e69b1330a17132293f55cd9e6adaf47"]

    def test_a_memory_map_is_not_read_into_memory(self, tmp_path):
        path = tmp_path / "column.npy"
        np.save(path, np.arange(4_000_000.0))
        column = np.load(path, mmap_mode="r")
        tracemalloc.start()
        try:
            fingerprint.hash_columns(column, column)
            assert tracemalloc.get_traced_memory()[1] < 1_000_000
        finally:
            tracemalloc.stop()


class TestExtension:
    @pytest.mark.parametrize("kernel", ["lanes", "fused"])
    def test_more_epochs_continue_where_the_runs_stand(self, undisturbed, tmp_path, monkeypatch, kernel):
        trained = []

        def watched(*args, first, **rest):
            runs = train_runs(*args, first=first, **rest)
            trained.extend(runs.checkpoints - first)
            return runs

        monkeypatch.setattr(common, "train_runs", watched)
        for epochs in (1, 5, 12):
            result = swept(tmp_path, epochs=epochs, kernel=kernel)
            assert result.frame["epochs"].max() == epochs
        assert_same(result, undisturbed)
        assert sum(trained) == len(undisturbed.curves) - len(undisturbed.frame)

    @pytest.mark.parametrize("fewer", [{"seed": [0]}, {"init": {"near": STARTS["near"]}}])
    def test_a_larger_grid_trains_what_is_new(self, undisturbed, tmp_path, fewer):
        before = swept(tmp_path, some_grid(**fewer))
        counts = []
        assert_same(swept(tmp_path, progress=counts.append), undisturbed)
        assert counts[0] == len(before.frame)

    def test_a_schedule_that_looks_ahead_is_trained_anew(self, tmp_path):
        grid = some_grid(schedule=["cosine", "constant"], lr=0.05)
        swept(tmp_path, grid, epochs=6)
        counts = []
        extended = swept(tmp_path, grid, progress=counts.append)
        assert_same(extended, swept(grid=grid))
        over = extended.frame["schedule"].eq("constant") & extended.frame["samples_seen"].le(6 * X.size)
        assert counts[0] == over.sum() > 0

    @pytest.mark.usefixtures("rules_forgotten")
    def test_a_schedule_of_which_only_much_longer_runs_differ_is_trained_anew(self, tmp_path):
        @register_schedule
        def warmed(epoch, epochs):
            return np.where((epochs > 10) & (epoch < 2), 0.5, 1.0)

        grid = some_grid(schedule=["warmed", "constant"], lr=0.05)
        swept(tmp_path, grid, epochs=4)
        assert_same(swept(tmp_path, grid), swept(grid=grid))

    def test_fewer_epochs_than_are_stored_are_refused(self, undisturbed, stored):
        with pytest.raises(ValueError, match=r"^epochs must be at least 12, not 11: .* already holds 12$"):
            swept(stored, epochs=11, study="epochs = 11")
        found = load_run(stored)
        assert found.run.study == "epochs = 12"
        assert_same(found, undisturbed)

    def test_the_largest_epoch_that_any_run_needed_is_enough(self, tmp_path, request):
        grid = some_grid(init={"solution": STARTS["solution"]})
        swept(tmp_path, grid)
        request.getfixturevalue("untrainable")
        assert swept(tmp_path, grid, epochs=1).frame["epochs"].max() == 0


class TestThinning:
    def test_of_too_many_losses_every_second_or_fourth_checkpoint_is_kept(self, undisturbed, tmp_path, monkeypatch):
        monkeypatch.setattr(engine, "MAX_LOSSES", 5 * some_grid().size)
        result = swept(tmp_path)
        assert exactly(result.frame) == exactly(undisturbed.frame)
        last = undisturbed.curves["config_id"] != undisturbed.curves["config_id"].shift(-1)
        checkpoint = undisturbed.curves.groupby("config_id", observed=True).cumcount()
        kept = undisturbed.curves[(checkpoint % 4 == 0) | last].reset_index(drop=True)
        assert exactly(result.curves) == exactly(kept)

    def test_an_extension_keeps_as_many_as_a_run_made_at_once(self, tmp_path, monkeypatch):
        monkeypatch.setattr(engine, "MAX_LOSSES", 5 * some_grid().size)
        swept(tmp_path, some_grid(seed=0), epochs=3)
        assert_same(swept(tmp_path), swept())

    @pytest.mark.parametrize(
        ("configurations", "checkpoints", "every"),
        [
            *[(1, 101, 1), (10**6, 11, 1), (10**6, 16, 1), (10**6, 101, 8), (10**7, 101, 128), (10**9, 101, 128)],
            *[(1, 2**20, 1), (1, 2**20 + 1, 2), (1, 10**7 + 1, 16)],  # no more than anything can show
        ],
    )
    def test_the_rule(self, configurations, checkpoints, every):
        assert engine.loss_stride(configurations, checkpoints - 1) == every


def test_nothing_enters_the_folder_between_the_training_and_the_ranking(tmp_path, monkeypatch):
    """The plan of another sweep there would take the place of its own."""

    def enter(*args, **kwargs):
        with pytest.raises(ValueError, match=r"run is in use by process"):
            swept(tmp_path / "run", Grid(lr=[0.3]))

    monkeypatch.setattr("sgdbench.engine.pipeline.settle_attainable_loss", enter)
    assert 0.3 not in set(swept(tmp_path / "run").frame["lr"])


def test_runs_of_fewer_epochs_than_others_are_not_trained_yet(tmp_path, monkeypatch):
    """Of a run that was stopped on its way to more epochs: they were ranked with others as if all had ended."""
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 0)
    grid = Grid(lr=[0.001, 0.01], batch_size=[1, 50], init=[0.0], shuffle=True)
    about = {"kernel": "reference", "confirm": 2, "record": "epoch", "out": tmp_path}
    assert "confirmed_runs" in sweep("a*x", X, Y, grid, epochs=1, **about).ranking()

    def interrupt(done):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep("a*x", X, Y, grid, epochs=3, progress=interrupt, **about)
    found = load_run(tmp_path)
    assert set(found.frame["epochs"]) == {3}
    assert 0 < len(found.frame) == len(found.starts) < found.planned == 4
    assert str(found).startswith(f"Sweep of a*x: {len(found.frame)} of 4 configurations\n")
    assert "confirmed_runs" not in found.ranking()
    assert found.best().refit(X, Y, kernel="reference").params[0] in found.frame["param_a"].to_numpy()
    assert len(sweep("a*x", X, Y, grid, epochs=3, **about).frame) == 4


def test_a_run_killed_at_random_moments_while_it_is_extended_loses_nothing(tmp_path, python):
    """tests/bench/store/test_run_folder.py kills one before each thing it does in a new folder."""
    code = f"""
import json
from pathlib import Path
from tests.support.sweeps import kill_at_random_moments
print(json.dumps(kill_at_random_moments(Path({str(tmp_path)!r}), kills=3)))
"""
    expected = swept(grid=kill_grid())
    for folder in json.loads(python(code, OPENBLAS_NUM_THREADS="1")):
        assert_same(load_run(folder), expected)
        assert_same(swept(folder, kill_grid()), expected)


class TestInterruption:
    @pytest.mark.parametrize("wait", [0, 1e9], ids=["stored at once", "while parts wait for the disk"])
    def test_ctrl_c_keeps_what_is_done(self, undisturbed, tmp_path, many_parts, monkeypatch, wait):
        monkeypatch.setattr(engine, "FLUSH_SECONDS", wait)
        seen = []

        def interrupt(done):
            seen.append(done)
            if done > 200:
                signal.raise_signal(signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            swept(tmp_path, progress=interrupt)
        kept = len(load_run(tmp_path).frame)
        assert 200 < seen[-1] <= kept < len(undisturbed.frame)
        again = []
        assert_same(swept(tmp_path, progress=again.append), undisturbed)
        assert again[0] == kept

    @pytest.mark.parametrize("kernel", ["lanes", "reference"])
    def test_ctrl_c_is_heard_in_the_middle_of_a_long_run(self, tmp_path, monkeypatch, kernel):
        """One that would take minutes."""
        asked = []

        def interrupting(*args, stopped, **rest):
            def ask():
                if not asked:
                    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
                asked.append(stopped())
                return asked[-1]

            return train_runs(*args, stopped=ask, **rest)

        monkeypatch.setattr(common, "train_runs", interrupting)
        x = np.linspace(-1, 1, 200 if kernel == "reference" else 20_000)
        with pytest.raises(KeyboardInterrupt):
            sweep(models.quadratic, x, x, Grid(lr=[1e-9, 1e-8]), epochs=10**5, kernel=kernel, out=tmp_path)
        assert asked[-1]
        assert len(load_run(tmp_path).frame) == 0

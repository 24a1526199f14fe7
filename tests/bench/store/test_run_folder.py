import errno
import itertools
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from sgdbench.store.run_folder import open_run, read_run
from tests.support.bits import flip_a_bit
from tests.support.forked import FORKED
from tests.support.refusals import refusal_of

STUDY = 'name = "mine"\n'
IDENTITY = {"model": "a*x + b", "data": "3f2a"}
# Not the NaN that NumPy makes: another sign, another payload.
ODD_NAN = np.array([0xFFF8_0000_0000_1234], np.uint64).view(np.float64)[0]


def opened(folder, identity=IDENTITY, *, resume=True, **options):
    return open_run(folder, STUDY, identity, resume=resume, **options)


def loss(config, checkpoint):
    special = {3: ODD_NAN, 5: np.inf, 7: -0.0}
    return special.get(checkpoint, (config + 1) / (checkpoint + 3))


def make_rows(configs, checkpoints=4, since=0):
    """Results in which every value follows from the configuration and its checkpoints."""
    configs = np.asarray(configs)
    checkpoints, since = np.broadcast_to(checkpoints, configs.shape), np.broadcast_to(since, configs.shape)
    return pd.DataFrame(
        {
            "config_id": [f"run{i}" for i in configs],
            "status": pd.array([["max_epochs", "converged", None][i % 3] for i in configs], dtype="string"),
            "marks": checkpoints.astype(np.int64),
            "epochs_to_target": pd.array([None if i % 2 else 2**60 + i for i in configs], dtype="Int64"),
            "shuffle": configs % 2 == 0,
            "param_a": [ODD_NAN if i % 4 == 0 else 1 / (i + e) for i, e in zip(configs, checkpoints, strict=True)],
            "memory": [np.where(np.arange(i % 3) == 1, ODD_NAN, i / 7) for i in configs],
            "losses": [
                np.array([loss(i, e) for e in range(first, last + 1)])
                for i, first, last in zip(configs, since, checkpoints, strict=True)
            ],
        }
    )


def make_curves(configs, checkpoints=4, every=1):
    """The curves that belong to whole rows."""
    checkpoints = np.broadcast_to(checkpoints, len(configs))
    points = [
        (config, checkpoint)
        for config, last in zip(configs, checkpoints, strict=True)
        for checkpoint in range(last + 1)
        if checkpoint % every == 0 or checkpoint == last
    ]
    return pd.DataFrame(
        {
            "config_id": pd.Categorical([f"run{i}" for i, _ in points], categories=[f"run{i}" for i in configs]),
            "checkpoint": np.array([e for _, e in points], np.int32),
            "loss": [loss(i, e) for i, e in points],
        }
    )


def frame_of(rows):
    """Rows by configuration: from which checkpoint to which."""
    since, checkpoints = zip(*rows.values(), strict=True)
    return make_rows(list(rows), checkpoints, since)


def exactly(frame):
    """All there is in a frame, floats as bits, in a form that == compares."""

    def bits(value):
        return np.asarray(value, np.float64).tobytes() if isinstance(value, float | np.ndarray) else value

    return {
        name: (str(column.dtype), [None if value is pd.NA else bits(value) for value in column])
        for name, column in frame.items()
    }


def assert_holds(run, configs, checkpoints=4, every=1):
    if len(configs) == 0:
        assert run.configurations().empty
        assert run.curves().empty
        return
    assert exactly(run.configurations()) == exactly(make_rows(configs, checkpoints).drop(columns="losses"))
    assert exactly(run.curves()) == exactly(make_curves(configs, checkpoints, every))


def stored(folder):
    return sorted((folder / "parts").iterdir())


@pytest.fixture(autouse=True, scope="module")
def in_no_hurry_to_the_disk():
    """Only a power failure could tell, and waiting for the disk is most of the time that these tests take."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.fixture
def folder(tmp_path):
    """A run of three parts: configurations 0 and 1, 2 and 3, 4 and 5."""
    with opened(tmp_path / "run", resume=False) as run:
        for first in (0, 2, 4):
            run.append(make_rows([first, first + 1]))
    return tmp_path / "run"


# What goes in comes out


def test_a_run_without_results_has_empty_frames(tmp_path):
    with opened(tmp_path / "run") as run:
        run.append(make_rows([]))
        assert run.configurations().columns.tolist() == ["config_id", "marks"]
        assert run.configurations(["config_id"]).empty
        assert run.curves().columns.tolist() == ["config_id", "checkpoint", "loss"]
        assert stored(run.folder) == []


def test_a_folder_that_was_moved_is_named_with_what_reads_it(folder, tmp_path):
    run = read_run(folder)
    folder.rename(tmp_path / "moved")
    for used in (run.curves, run.configurations, lambda: run.study):
        with pytest.raises(ValueError, match=rf"^{folder} was moved or deleted: .* new place with sgdbench.load_run$"):
            used()


def test_a_folder_is_found_from_another_working_directory(folder, tmp_path, monkeypatch):
    """A relative path was said to be moved, or was that of another run there."""
    monkeypatch.chdir(folder.parent)
    run = read_run(Path(folder.name))
    assert run.folder == Path(folder.name)
    expected = run.curves()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run.folder == folder
    pd.testing.assert_frame_equal(run.curves(), expected)


def test_a_folder_that_is_deleted_while_it_is_written_is_named(folder):
    with opened(folder) as run:
        shutil.rmtree(folder)
        with pytest.raises(ValueError, match=rf"^{folder} was moved or deleted: "):
            run.append(make_rows([6]))


def test_the_study_and_the_machine_are_on_record(folder):
    with open_run(folder, 'name = "longer"\n', IDENTITY, resume=True) as run:
        # Whoever opens it may yet find that this study cannot go on with what is here.
        assert run.study != 'name = "longer"\n'
        run.record_study('name = "longer"\n')
    run = read_run(folder)
    assert run.study == 'name = "longer"\n'
    assert run.identity == IDENTITY
    assert run.environment["python"] == ".".join(map(str, sys.version_info[:3]))


HOSTILE = ["../x", "/etc/passwd", "<b>", "a", "a.b", "losses.list.element", "", " ", 'q"', "new\nline", "é😀"]


def test_names_and_values_are_only_text(tmp_path):
    rows = make_rows(range(len(HOSTILE))).assign(
        config_id=HOSTILE, **{name: np.arange(len(HOSTILE)) + 0.5 for name in HOSTILE}
    )
    with opened(tmp_path / "run", dict.fromkeys(HOSTILE, "<i>")) as run:
        run.append(rows)
        assert exactly(run.configurations()) == exactly(rows.drop(columns="losses"))
        assert run.configurations(["a"]).columns.tolist() == ["a"]
        assert run.curves()["config_id"].cat.categories.tolist() == HOSTILE
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (make_rows([7, 8, 7]), "once, not 'run7' twice"),
        (make_rows([7]).assign(losses=[np.zeros(6)]), "losses of configuration 'run7' must be 2 to 5, .* not 6"),
        (make_rows([7]).assign(losses=[np.zeros(1)]), "must be 2 to 5, .* not 1"),
        (make_rows([7]).drop(columns="status"), "rows must have the columns .*status: string.* as before"),
        (make_rows([7]).assign(shuffle=1), "shuffle: bool.* as before.*shuffle: int64"),
    ],
)
def test_rows_that_do_not_fit_are_refused(folder, rows, message):
    with opened(folder) as run:
        with pytest.raises(ValueError, match=message):
            run.append(rows)
        assert_holds(run, range(6))


# Killed


def append_rows(folder, news, rows, step):
    """Append a part in a process of its own, which dies just before it touches the run folder for the step-th time."""
    kill_before_step(folder, step)
    news.send("here")
    with opened(folder) as run:
        run.append(frame_of(rows))


def kill_before_step(folder, step):
    """Die by SIGKILL just before the process touches the run folder for the step-th time."""
    steps = itertools.count()

    def watch(event, arguments):
        touches = event in ("open", "os.rename", "os.mkdir", "os.remove") and str(folder) in str(arguments[0])
        if touches and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def wait_until_let_go(folder):
    """The kernel is not quite through with a process when others are told of its death."""
    if (folder / ".lock").exists():
        with FileLock(folder / ".lock", preserve_lock_file=True):
            pass


@contextmanager
def process(target, folder, *arguments):
    """A process that is at work in the folder, and what it says; it is killed in the end."""
    news, says = FORKED.Pipe(duplex=False)
    child = FORKED.Process(target=target, args=(folder, says, *arguments))
    child.start()
    says.close()
    try:
        assert news.recv() == "here"
        yield child, news
    finally:
        child.kill()
        child.join()
        child.close()
        news.close()
        wait_until_let_go(folder)


def test_killed_before_each_thing_it_does(tmp_path):
    rows = dict.fromkeys(range(5), (0, 4))
    for step in itertools.count():
        folder = tmp_path / f"run{step}"
        with process(append_rows, folder, rows, step) as (child, _):
            child.join()
            survived = child.exitcode == 0
        with opened(folder) as run:
            assert not list(folder.rglob("*.partial"))
            parts = len(stored(folder))
            assert_holds(run, range(5 * parts))
            if parts == 0:
                run.append(frame_of(rows))
        assert_holds(read_run(folder), range(5))
        if survived:
            break
    assert parts == 1
    assert step > 12


CONFIGS = st.dictionaries(st.integers(0, 3), st.tuples(st.booleans(), st.integers(1, 9)), min_size=1)


class RunFolder(RuleBasedStateMachine):
    """A folder against a list of its parts, of which each continues or replaces runs of those before it."""

    def __init__(self):
        super().__init__()
        self.place = tempfile.TemporaryDirectory()
        self.folder = Path(self.place.name) / "run"
        self.parts, self.damaged = {}, set()
        self.open()

    def teardown(self):
        self.place.cleanup()

    def open(self):
        """Open the run; what is damaged is set aside, with a warning for each part."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with opened(self.folder):
                assert not list(self.folder.rglob("*.partial"))
        assert len(told) == len(self.damaged)
        assert all("set aside in" in str(warning.message) for warning in told)
        self.damaged.clear()

    def count_aside(self):
        aside = self.folder / "damaged"
        return len(list(aside.iterdir())) if aside.exists() else 0

    def holds(self):
        """Where each configuration stands, in the order of their newest rows."""
        stands = {}
        for _, rows in self.parts.values():
            for config, (since, checkpoint) in rows.items():
                if since in (0, stands.get(config)):
                    stands.pop(config, None)
                    stands[config] = checkpoint
        return stands

    def rows_of(self, configs):
        stands = self.holds()
        since = {config: stands.get(config, 0) if goes_on else 0 for config, (goes_on, _) in configs.items()}
        return {config: (since[config], since[config] + more) for config, (_, more) in configs.items()}

    def name_of_next(self):
        names = [path.name for path in self.folder.glob("*/*.parquet")]
        numbers = [int(name.removesuffix(".parquet")) for name in names if "-" not in name]
        return f"{max(numbers, default=0) + 1:06}.parquet"

    @rule(every=st.sampled_from([1, 2, 4]), configs=CONFIGS)
    def append(self, every, configs):
        rows = self.rows_of(configs)
        self.open()
        name = self.name_of_next()
        with opened(self.folder, every=every) as run:
            run.append(frame_of(rows))
        self.parts[name] = every, rows

    @rule(configs=CONFIGS, step=st.integers(0, 40))
    def kill(self, configs, step):
        rows = self.rows_of(configs)
        self.open()
        name = self.name_of_next()
        with process(append_rows, self.folder, rows, step) as (child, _):
            child.join()
            survived = child.exitcode == 0
        if (self.folder / "parts" / name).exists():
            self.parts[name] = 1, rows
        assert name in self.parts or not survived
        self.open()

    @precondition(lambda self: self.parts)
    @rule(data=st.data(), how=st.sampled_from(["bit", "empty", "name"]))
    def damage(self, data, how):
        name = data.draw(st.sampled_from(sorted(self.parts)))
        path = self.folder / "parts" / name
        if how == "bit":
            flip_a_bit(path, data.draw(st.floats(0, 0.999)))
        elif how == "empty":
            path.write_bytes(b"")
        else:
            path = path.rename(path.with_name(f"{path.stem}-copy.parquet"))
        del self.parts[name]
        self.damaged.add(path.name)

    @rule(configs=CONFIGS, what=st.sampled_from(["pathlib.Path.write_bytes", "os.fsync", "pathlib.Path.replace"]))
    def fill_the_disk(self, configs, what):
        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        rows = frame_of(self.rows_of(configs))
        self.open()
        with opened(self.folder) as run, pytest.MonkeyPatch.context() as patch:
            patch.setattr(what, full)
            with pytest.raises(
                OSError, match=r"run cannot be written \(No space left.*--resume .* continues"
            ) as caught:
                run.append(rows)
        assert (caught.value.errno, len(str(caught.value).splitlines())) == (errno.ENOSPC, 1)
        assert [path.name for path in self.folder.rglob(".*")] == [".lock"]

    @rule()
    def leave_something_half_written(self):
        for place in (self.folder, self.folder / "parts"):
            (place / ".0123.partial").touch()

    @rule()
    def resume(self):
        expected = self.count_aside() + len(self.damaged)
        self.open()
        assert self.count_aside() == expected  # none was overwritten

    @invariant()
    def it_reads_what_is_whole(self):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            run = read_run(self.folder)
        flaws = [str(warning.message) for warning in told]
        assert len(flaws) == len(self.damaged)
        for name in self.damaged:
            assert any(f"{name} is damaged (" in flaw and flaw.endswith("count as not trained") for flaw in flaws)
        stands = self.holds()
        every = max((every for every, _ in self.parts.values()), default=1)
        assert_holds(run, list(stands), list(stands.values()), every)
        asked = [*list(stands)[::-2], 9]
        if stands:
            expected = make_curves(asked[:-1], [stands[config] for config in asked[:-1]], every)
            assert exactly(run.curves([f"run{config}" for config in asked])) == exactly(expected)


TestRunFolder = RunFolder.TestCase
TestRunFolder.settings = settings(max_examples=15, stateful_step_count=10, deadline=None)


# Not to be written


def test_a_lock_that_cannot_be_had_says_how_to_go_on(folder):
    """As on a disk that has become read-only."""
    (folder / ".lock").unlink()
    (folder / ".lock").mkdir()
    with pytest.raises(OSError, match=r"run cannot be written \(Is a directory\).*--resume"), opened(folder):
        pass


def test_a_folder_that_cannot_be_made_is_to_be_another_one(tmp_path):
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "run"
    with pytest.raises(OSError, match=r"run cannot be written .*; choose another folder with --out"), opened(folder):
        pass


# In use


def hold(folder, news):
    with opened(folder):
        news.send("here")
        signal.pause()


def test_a_run_has_one_writer(folder):
    with process(hold, folder) as (child, _):
        holder = f"in use by process {child.pid} on {socket.gethostname()} since 20"
        with pytest.raises(ValueError, match=holder), opened(folder):
            pass
        assert_holds(read_run(folder), range(6))
    # Killed by now. The text in the lock file does not keep the lock.
    (folder / ".lock").write_text("process 1 on another host\n")
    with opened(folder) as run:
        assert_holds(run, range(6))
        with pytest.raises(ValueError, match=f"in use by process {os.getpid()} "), opened(folder):
            pass
    with opened(folder):
        pass


def test_an_error_lets_go_of_the_lock(folder):
    with pytest.raises(ZeroDivisionError), opened(folder):
        raise ZeroDivisionError
    with pytest.raises(ValueError, match="--resume"), opened(folder, resume=False):
        pass
    with opened(folder) as run:
        assert_holds(run, range(6))


# Another run, another program


@pytest.mark.parametrize(
    ("identity", "message"),
    [
        (IDENTITY | {"model": "a*x"}, r"holds another run \(model: a\*x \+ b there, a\*x here\): .*--out.*delete"),
        (IDENTITY | {"data": "4a2f", "loss": "huber"}, r"run \(data: other samples; loss: none there, huber "),
    ],
)
def test_another_run_is_refused(folder, identity, message):
    with pytest.raises(ValueError, match=message), opened(folder, identity):
        pass
    assert_holds(read_run(folder), range(6))


def test_rules_without_results_give_way_to_others_and_those_with_results_do_not(tmp_path):
    rule = {"place": "own.py:3", "plugin": "own.py", "source": "", "sha256": "1"}
    for digest in ("1", "2"):  # edited before the first result
        with opened(tmp_path / "run") as run:
            run.record_rules({"optimizer own": rule | {"sha256": digest}})
    with opened(tmp_path / "run", {"model": "a*x"}) as run:
        assert run.rules == {}  # which were those of another run
        run.record_rules({"optimizer own": rule})
        run.append(make_rows([0]))
        assert "holds runs with another optimizer own, as it was at own.py:3" in refusal_of(
            run.record_rules, {"optimizer own": rule | {"sha256": "2"}}
        )
    assert read_run(tmp_path / "run").rules == {"optimizer own": rule}


def test_thousands_of_inputs_are_not_all_named(tmp_path):
    """The line that refuses another run had 54,000 characters."""
    names = [f"pixel_{number}" for number in range(2000)]
    with opened(tmp_path / "wide", {"inputs": json.dumps(names)}) as run:
        run.append(make_rows(range(1)))
    told = refusal_of(opened(tmp_path / "wide", {"inputs": json.dumps([*names[:-1], "age"])}).__enter__)
    assert '"pixel_1998", "pixel_1999"] there, ' in told
    assert '"pixel_1998", "age"] here)' in told
    assert len(told.replace(str(tmp_path), "")) < 400


@pytest.mark.parametrize(
    ("about", "told"),
    [
        ({"format": 5, "identity": IDENTITY}, "a newer sgdbench (format 5; this one knows 4): update"),
        ({"format": 5}, "a newer sgdbench (format 5; this one knows 4): update"),
        (
            {"format": 3, "identity": IDENTITY},
            "an older sgdbench (format 3; this one knows 4): run the study again into",
        ),
    ],
)
def test_another_version_is_refused(folder, about, told):
    (folder / "sgdbench.json").write_text(json.dumps(about))
    for attempt in (lambda: opened(folder).__enter__(), lambda: read_run(folder)):
        assert told in refusal_of(attempt)
    assert json.loads((folder / "sgdbench.json").read_text()) == about


@pytest.mark.parametrize("about", ["", "[]", '{"format": "1"}', pytest.param("[" * 10**6, id="nested"), None])
def test_a_damaged_description_is_refused(folder, about):
    path = folder / "sgdbench.json"
    path.write_text(about) if about is not None else flip_a_bit(path, 0.3)
    content = path.read_bytes()
    told = r"^[^\n]*sgdbench.json is damaged[^\n]*: run the study (again )?into another folder[^\n]*$"
    with pytest.raises(ValueError, match=told), opened(folder):
        pass
    assert path.read_bytes() == content


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "run.toml").write_text("mine")
    for folder in (tmp_path, tmp_path / "run.toml"):
        with pytest.raises(ValueError, match="is not a run folder and was not changed"), opened(folder):
            pass
        with pytest.raises(ValueError, match=r"is not a run folder: it has no sgdbench.json"):
            read_run(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["run.toml"]
    assert (tmp_path / "run.toml").read_text() == "mine"

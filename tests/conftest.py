"""What all tests share: a kernel cache of their own, benchmarks that run once, the lesson's data, other processes."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from filelock import FileLock

pytest.register_assert_rewrite("tests.support")  # before anything imports it

from tests.support.constants import BENCHMARKS, HANG, ROOT  # noqa: E402

# How long an example takes says how busy the machine is.
hypothesis.settings.register_profile("sgdbench", deadline=None)
# pytest --hypothesis-profile=nightly
hypothesis.settings.register_profile("nightly", deadline=None, max_examples=100_000)
hypothesis.settings.load_profile("sgdbench")

# Nearly all that importing, collecting and compiling make stays: looking for garbage as often as by default takes
# a third of the time of collecting, and a fifteenth of that of the tests.
gc.set_threshold(100_000, 50, 100)

# Before anything imports kernels. Processes that a test starts find the same folder, and what is compiled in it; so do
# the workers of pytest-xdist, which the first process starts.
CACHE = None if "PYTEST_XDIST_WORKER" in os.environ else tempfile.TemporaryDirectory(prefix="sgdbench-tests-")
if CACHE:
    os.environ["SGDBENCH_CACHE_DIR"] = str(Path(CACHE.name) / "kernels")

# The files that take longest, from the longest on.
LONGEST = [
    "test_browser",
    "kernels/test_equality",
    "bench/engine/test_dask",
    "bench/engine/test_digests",
    "test_notebook",
    "test_documents",
    "bench/test_cli",
    "bench/commands/test_compare_against",
    "bench/commands/test_kernel",
    "bench/report/test_report",
    "bench/report/test_reproduce",
    "bench/engine/test_tune",
    "bench/timing/test_peers",
    "test_assembly",
    "kernels/optimizers/test_optimizer",
    "benchmarks/test_targets",
    "test_benchmarks",
    "bench/test_held_out",
    "bench/analysis/test_advice",
    "bench/engine/test_sweep",
    "kernels/train/test_block",
    "kernels/base/test_cache",
]


def pytest_configure(config):
    """Benchmarks run once and untimed, unless the command line says how."""
    # A process that a shell starts in the background ignores Ctrl-C, under nohup the end of its terminal too, as do the
    # processes that it starts; tests send both.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if not any(argument.startswith("--benchmark") for argument in config.invocation_params.args):
        config.option.benchmark_disable = True


def pytest_ignore_collect(collection_path, config):
    """Collect nothing else where only benchmarks run: thousands of tests would be collected to be skipped."""
    if config.option.benchmark_only and collection_path.suffix == ".py" and BENCHMARKS not in collection_path.parents:
        return True
    return None


def pytest_collection_modifyitems(items):
    # A file is the work of one process: with the long ones first, none is left to work alone in the end.
    order = {ROOT / "tests" / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_collection_finish():
    """Spare the garbage collector what stays anyway: numba makes objects at a rate that keeps it running."""
    # Where Hypothesis finds nothing that refers to its generator, as in what is frozen, it warns.
    hypothesis.find(hypothesis.strategies.none(), lambda _: True)
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    if CACHE:
        CACHE.cleanup()


@pytest.fixture(scope="session", autouse=True)
def _compile_once():
    """Workers wait for a kernel that another one compiles already, and start no processes that help with it.

    Each of these would import all that compiles, and compile what earlier tests put off and nothing asks for any more.
    """
    from sgdbench.engine import train
    from sgdbench.kernels.compile import build
    from sgdbench.kernels.train.compile_together import compile_together
    from sgdbench.timing import update

    places, compile_or_load = Path(os.environ["SGDBENCH_CACHE_DIR"]).parent, build.compile_or_load

    def compile_in_turn(name, *others):
        with FileLock(places / f"{name}.lock"):
            return compile_or_load(name, *others)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(build, "compile_or_load", compile_in_turn)
        for place in (train, update):
            patched.setattr(place, "compile_together", lambda wanted, processes: compile_together(wanted, 1))
        yield


@pytest.fixture(scope="session")
def classic():
    """The lesson's data: 800 samples of 2 x**2 - 4 x + 3, without noise."""
    x = np.arange(-400, 400) / 400
    return x, 2 * x**2 - 4 * x + 3


@pytest.fixture(scope="session")
def noisy():
    """811 samples, a prime number: every batch size but the whole leaves a remainder."""
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, 811)
    return x, 2 * x**2 - 4 * x + 3 + 0.1 * rng.standard_normal(811)


@pytest.fixture(scope="session")
def python():
    """Run code in another process, where warnings are errors too; returns what it printed."""

    def run(code, *arguments, cwd=ROOT, **environment):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *arguments],
            env=os.environ | environment,
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=HANG,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture
def wrong_fused(monkeypatch):
    """The kernel `fused` as the variants know it, with final parameters that are off by 0.5 after several epochs."""
    from sgdbench.timing import variants
    from sgdbench.timing.problem import Trained

    fused = variants.VARIANTS_BY_NAME["fused"]

    def prepare(problem):
        call = fused.prepare(problem)

        def train():
            params, losses = call()
            return Trained(params + 0.5 * (problem.epochs > 1), losses)

        return train

    wrong = fused._replace(prepare=prepare)
    monkeypatch.setitem(variants.VARIANTS_BY_NAME, "fused", wrong)
    return wrong


def draw_one_figure(patch):
    from sgdbench.report.figures import DRAWN

    patch.setattr("sgdbench.report.figures.DRAWN", {"loss_by_optimizer": DRAWN["loss_by_optimizer"]})


@pytest.fixture
def one_figure(monkeypatch):
    """A report has one figure alone, for tests of something else in it: to draw the others takes seconds."""
    draw_one_figure(monkeypatch)


@pytest.fixture(scope="module")
def one_figure_here():
    """The same for all tests of a module from the first on that asks for it."""
    with pytest.MonkeyPatch.context() as patch:
        draw_one_figure(patch)
        yield


@pytest.fixture(scope="session")
def hostile_folder():
    """The folder of a small run whose every name is up to something, with its report; none must change it."""
    from tests.support.hostile import hostile_run

    place = Path(os.environ["SGDBENCH_CACHE_DIR"]).parent / "hostile"
    # All workers have one: who comes first runs it.
    with FileLock(place.with_suffix(".lock")), pytest.MonkeyPatch.context() as patch:
        if not (place / "run" / "report.html").exists():
            place.mkdir()
            draw_one_figure(patch)
            hostile_run(place)
    return place / "run"


@pytest.fixture(scope="session")
def _short_measurements():
    """What `run` times is timed in as few rounds as there may be, which takes a tenth of a second instead of one."""
    with pytest.MonkeyPatch.context() as patched:
        for name in ("SPEED_SECONDS", "UPDATE_SECONDS"):
            patched.setattr(f"sgdbench.commands.measure.{name}", 0.01)
        yield


@pytest.fixture
def sgdbench(monkeypatch, capsys, tmp_path, _short_measurements):
    """Run a command in an empty folder: (exit code, standard output, standard error)."""
    from sgdbench.cli import main

    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["sgdbench", *map(str, args)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return run


@pytest.fixture
def ran(sgdbench):
    """Run a command that succeeds, with nothing on standard error: its standard output."""

    def run(*args):
        code, out, err = sgdbench(*args)
        assert (code, err) == (0, "")
        return out

    return run


@pytest.fixture
def refused(sgdbench):
    """Run a command that refuses what it is given, with exit code 2 and nothing but one line: that line."""

    def run(*args):
        code, out, err = sgdbench(*args)
        assert (code, out) == (2, "")
        assert err.startswith("sgdbench: ")
        assert err.count("\n") == 1
        return err

    return run


@pytest.fixture
def studies(monkeypatch):
    """The studies that `run` and `tune` are given: nothing is trained."""
    studies = []
    for name in ("run.run_study", "tune.run_tune"):
        monkeypatch.setattr(f"sgdbench.commands.{name}", lambda study, *_, **__: studies.append(study) or True)
    return studies


@pytest.fixture
def no_report(monkeypatch):
    """A run ends with its verdict: what is measured and drawn after it takes seconds, and has tests of its own."""
    from sgdbench.commands.console import print_place

    def say_place(decided, *others, **asked):
        print_place("Report", decided.result.run.folder / "report.md")
        return True

    monkeypatch.setattr("sgdbench.commands.measure.measure_and_report", say_place)
    monkeypatch.setattr("sgdbench.commands.run.compile_later", lambda wanted: None)


@pytest.fixture
def few_variants(monkeypatch):
    """A run times two variants, for tests of something else in it."""
    monkeypatch.setattr("sgdbench.commands.measure.MEASURED_VARIANTS", ("reference", "fused"))


@pytest.fixture
def no_update_timed(monkeypatch):
    """A run times no updates, and compiles no kernel for that, for tests of something else in it."""
    import pandas as pd

    from sgdbench.tables.costs import COST_SETTINGS, PER_UPDATE

    costs = pd.DataFrame(columns=[*COST_SETTINGS, "variant", *PER_UPDATE, "note"])
    monkeypatch.setattr("sgdbench.commands.measure.update_seconds", lambda *args, **settings: costs)
    monkeypatch.setattr("sgdbench.commands.run.compile_later", lambda wanted: None)


@pytest.fixture
def no_speed(monkeypatch):
    """A run times no variants."""
    monkeypatch.setattr("sgdbench.commands.measure.measure_speed", lambda *args: None)


@pytest.fixture
def nothing_timed(no_speed, no_update_timed):
    """A run times nothing."""


@pytest.fixture
def replayed_by_reference(monkeypatch):
    """Paths of runs of the reference are replayed by it too, for tests of something else: no kernel is compiled."""
    from sgdbench.analysis import paths

    train_again = paths.train_again
    monkeypatch.setattr(paths, "train_again", lambda kernel, *others: train_again("reference", *others))


@pytest.fixture
def rules_forgotten():
    """What a test registers is not there for the next ones."""
    from sgdbench.kernels.base.registry import REGISTERED
    from tests.support.rules import forget_rules

    before = {kind: dict(known) for kind, known in REGISTERED.items()}
    yield
    forget_rules()
    for kind, known in before.items():
        REGISTERED[kind].update(known)

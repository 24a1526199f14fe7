"""A sweep on a Dask cluster gives the bits that threads give, whatever happens to workers and scheduler."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import closing
from dataclasses import replace
from threading import Event

import numpy as np
import pytest

from sgdbench import Grid, Space, load_run, models, register_loss, register_optimizer, tune
from sgdbench.commands import cluster as command
from sgdbench.commands.cluster import open_cluster
from sgdbench.engine import dask, jobs, train
from sgdbench.engine.dask import DaskExecutor
from sgdbench.engine.jobs import plan_jobs, share_kernels
from sgdbench.engine.problem import make_problem
from sgdbench.engine.processors import describe_worker
from sgdbench.engine.remote import train_jobs
from sgdbench.engine.run_states import RunStates
from sgdbench.kernels.base.registry import REGISTERED
from sgdbench.kernels.optimizers.optimizer import Optimizer
from sgdbench.study.schema import RunTable
from tests.support.clusters import Killer, grid_of, swept, wait_until
from tests.support.constants import HANG, ROOT
from tests.support.sweeps import X, Y, assert_same

distributed = pytest.importorskip("distributed")
pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX's signals")
SLOWER = 0.5
TABLE = np.array([1.0, 2.0])
TABLE.setflags(write=False)


def scaled(gradient):
    return SLOWER * gradient


def advanced(clock, options):
    return (clock[0] + 1.0,)


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Processes that are killed take more than a minute to be back on a machine that is busy with other things."""
    monkeypatch.setattr(dask, "MAX_SECONDS_WITHOUT_WORKER", HANG)


@pytest.fixture(scope="module")
def heavy():
    """A rule of the user's own, with a helper and a constant."""

    @register_optimizer(slots=1, options={"beta": 0.9}, bounds={"beta": (0, 1)})
    def heavy(theta, slots, gradient, lr, clock, options):
        velocity = options[0] * slots[0] + scaled(gradient)
        return theta - lr * velocity, (velocity,)

    yield "heavy(0.8)"
    del REGISTERED["optimizer"]["heavy"]


@pytest.fixture
def rules(rules_forgotten):
    def make(scale):
        def fading(theta, slots, gradient, lr, clock, options):
            return theta - lr * scale / np.sqrt(clock[0]) * gradient / TABLE[1], ()

        return fading

    register_optimizer(clock=advanced, clock_start=(0.0,))(make(0.5))

    @register_optimizer
    def doubled(times=2.0):
        def rule(theta, slots, gradient, lr, clock, options):
            return theta - lr * options[0] * gradient, ()

        return Optimizer("doubled", rule, {"times": times})

    @register_loss(options={"scale": 1.0})
    def fair(residual, options):
        size = np.abs(residual) / options[0]
        return options[0] ** 2 * (size - np.log1p(size)), residual / (1.0 + size)


@pytest.fixture(scope="module")
def workers():
    """Two processes, each with a nanny that starts it again."""
    settings = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "silence_logs": 60, "memory_limit": 0}
    with distributed.LocalCluster(2, host="127.0.0.1", **settings) as started:
        yield started


@pytest.fixture(scope="module")
def client(workers):
    with distributed.Client(workers, set_as_default=False) as connected:
        yield connected


@pytest.fixture
def small_jobs(monkeypatch):
    """Every block of 32 runs is a job and a task of its own, and stored at once."""
    monkeypatch.setattr(train, "FLUSH_SECONDS", 0)
    monkeypatch.setattr(jobs, "JOB_UPDATES", 1)
    monkeypatch.setattr(dask, "TASK_SECONDS", 0)


def some_jobs(optimizer, **changed):
    """A problem and two jobs of it."""
    settings = RunTable(epochs=3, **{"kernel": "fused"} | changed)
    problem = make_problem(models.quadratic, X, Y, settings, ROOT / "nowhere", 0.2)
    plan = problem.with_ids(grid_of([optimizer], 8).frame(problem.model, problem.y.size))
    jobs = plan_jobs(problem, plan, RunStates.begin(plan, problem), share_kernels(plan, settings))
    return problem, list(jobs)[:2]


def test_rates_that_stay_from_epoch_to_epoch_travel_once():
    _, (job, _) = some_jobs("sgd")
    rates = np.repeat(job.hyperparameters.rates[:1], 1000, axis=0)
    rates[500:, 1:] *= 0.5  # of some runs alone
    job = replace(job, hyperparameters=job.hyperparameters._replace(rates=rates))
    sent, epochs = dask._without_repetition(job)
    assert sent.hyperparameters.rates.shape == (2, rates.shape[1])
    assert sent.hyperparameters.rates[epochs].tobytes() == rates.tobytes()


# The same bits


def test_frames_and_curves_are_those_of_threads(client, heavy, small_jobs):
    """With a rule of the user's own, samples held out, an order of them, and more rates around the best."""
    seen, grid = [], grid_of(["sgd", heavy], 8, schedule=["constant", "halve(3)"])
    found = swept(grid, refine=1, confirm=2, executor=client, progress=seen.append)
    expected = swept(grid, refine=1, confirm=2)
    assert_same(found, expected)
    assert_same(*(load_run(one.run.folder / "confirmation") for one in (found, expected)))
    assert seen[-1] == 16 * 2 * 2 * 4
    assert len(seen) > 5


def test_rules_of_all_shapes_are_the_same_on_workers(client, rules):
    """A clock, a closure with an array, a function that returns an optimizer, and a loss."""
    grid = grid_of(["averaged(fading)", "doubled(3)"], 2)
    settings = {"loss": "fair(2)", "target": None, "kernel": "reference", "epochs": 1}
    assert_same(swept(grid, executor=client, **settings), swept(grid, **settings))


# Workers


def test_workers_that_die_change_nothing(client, workers, heavy, small_jobs):
    """Both at once, with which the problem is lost.

    On a busy machine a sweep may end before they are caught at work: the next one is for them.
    """
    grid, long = grid_of([heavy], 32), {"epochs": 3000, "target": None}
    expected = swept(grid, **long)
    victims = [[0, 1]]
    while victims:
        killer = Killer(workers, victims)
        killer.start()
        try:
            found = swept(grid, **long, executor=client, progress=killer.progress)
        finally:
            killer.ended.set()
            killer.join(HANG)
        assert_same(found, expected)
        victims = victims[len(killer.killed) :]


def test_whoever_stops_early_ends_what_workers_do(client, workers):
    """Dask itself lets a task that has begun run to its end, which would be minutes."""
    problem, (short, job) = some_jobs("sgd", kernel="reference")
    epochs = 200_000
    rates = np.repeat(job.hyperparameters.rates[:1], epochs, axis=0)
    checkpoints = np.arange(epochs + 1) * problem.y.size
    long = replace(job, hyperparameters=job.hyperparameters._replace(rates=rates, checkpoints=checkpoints))
    stop = Event()

    def running():
        return sum(client.run(lambda dask_worker: len(dask_worker.state.executing)).values())

    with closing(DaskExecutor(client)(problem, [short, long], stop)) as results:
        assert next(results)[0] is short
        wait_until(running)
    assert stop.is_set()
    wait_until(lambda: not running())
    assert not any(worker.processing for worker in workers.scheduler.workers.values())


def test_an_error_of_a_worker_is_an_error_here(client, monkeypatch):
    """A worker that is not there any more, for one, or whose memory is full."""
    client.run(exec, "import sgdbench.engine.problem as p; p.kept, p.train_runs = p.train_runs, None", {})
    with pytest.raises(TypeError):
        swept(grid_of(["sgd"]), executor=client)
    client.run(exec, "import sgdbench.engine.problem as p; p.train_runs = p.kept", {})


def test_a_worker_with_another_sgdbench_is_refused(client, monkeypatch):
    monkeypatch.setattr(dask, "source_digest", lambda: "another")
    with pytest.raises(ValueError, match="a worker runs another version of sgdbench; install"):
        swept(grid_of(["sgd"]), executor=client)


@pytest.mark.parametrize(
    ("kernel", "consequence"),
    [
        ("fused", "results are the same to the last bit, since this model, loss and optimizer compute with"),
        ("fused-fma", "the last bits of results may differ from those of this machine"),
    ],
)
def test_another_kind_of_worker_is_said_once_with_what_follows(client, kernel, consequence):
    problem, (job, _) = some_jobs("sgd")
    executor, there = DaskExecutor(client), describe_worker() | {"numpy": "1.0", "processor": "Z80"}
    inexact = replace(job, kernel=kernel)
    with pytest.warns(RuntimeWarning) as told:
        executor._compare_processors(problem, inexact, there)
    (warning,) = told
    here = describe_worker()["processor"]
    assert str(warning.message).startswith(f"workers have processor Z80, not {here}; numpy 1.0, not ")
    assert consequence in str(warning.message)
    executor._compare_processors(problem, inexact, there)  # which is an error here if it warns again
    executor._compare_processors(problem, inexact, describe_worker())


def test_tasks_grow_where_jobs_are_short(client, monkeypatch):
    grid, count = grid_of(["sgd"], 128), 2 * 4 * 4  # jobs: batch sizes, seeds, 128 rates by 32
    sent = []
    submit = client.submit
    monkeypatch.setattr(dask, "TASK_SECONDS", 10)
    monkeypatch.setattr(jobs, "JOB_UPDATES", 1)
    monkeypatch.setattr(client, "submit", lambda *task, **more: sent.append(task[0]) or submit(*task, **more))
    found = swept(grid, executor=client)
    assert 0 < sent.count(train_jobs) < count
    monkeypatch.setattr(dask, "TASK_LOSSES", 1)
    sent.clear()
    assert_same(swept(grid, executor=client), found)
    assert sent.count(train_jobs) == count


def test_a_search_proposes_and_finds_on_a_cluster_what_it_does_in_threads(client):
    """Its rounds have kernels that read the options of each run."""
    settings = {"lr": "log:0.01:1", "batch_size": [20], "init": [1, 1, 1], "seed": [0], "shuffle": True}
    space = Space(optimizer="adam(beta1=lin:0.1:0.9)", **settings)
    shared = {"trials": 40, "epochs": 9, "target": 1e-2, "confirm": 0}
    found, expected = (tune(models.quadratic, X, Y, space, executor=where, **shared) for where in (client, "threads"))
    assert found.trials.equals(expected.trials)
    assert_same(found.result, expected.result)


@pytest.fixture
def deadly(client):
    """Workers that die when they train."""

    class Deadly(distributed.WorkerPlugin):
        name = "deadly"

        def setup(self, worker):
            import os
            import signal

            import sgdbench.engine.problem

            sgdbench.engine.problem.train_runs = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)

    client.register_plugin(Deadly())
    yield
    client.unregister_worker_plugin("deadly")


# The last test of these workers: one that dies as soon as it is there may not be started again by its nanny.
def test_a_job_that_kills_all_its_workers_ends_in_one_line(client, workers, deadly, monkeypatch, tmp_path):
    monkeypatch.setattr(workers.scheduler, "allowed_failures", 0)
    monkeypatch.setattr(dask, "MAX_ATTEMPTS", 2)
    with pytest.raises(ConnectionError) as caught:
        swept(Grid(lr=0.1, batch_size=16, init=[[1, 1, 1]]), executor=client, out=tmp_path)
    line = str(caught.value)
    assert line.startswith("a task of 1 configuration (sgd, batches of 16) was lost 2 times with the workers that had ")
    assert line.endswith(
        "finished configurations are stored; continue with --resume (resume=True in Python), with or without a cluster"
    )
    assert "\n" not in line


# The scheduler

# A scheduler and a worker in one process, which ends when its input does.
ALONE = """
import sys
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(1, processes=False, threads_per_worker=1, protocol="tcp", host="127.0.0.1",
                      dashboard_address="127.0.0.1:0") as started:
        print(started.scheduler_address, flush=True)
        sys.stdin.read()
"""


@pytest.fixture
def alone():
    """A cluster of another process: the process, and the address of its scheduler."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", ALONE], cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        yield process, process.stdout.readline().strip()
        process.kill()


def test_a_scheduler_that_goes_leaves_a_run_that_goes_on_in_threads(alone, small_jobs, tmp_path, monkeypatch, capsys):
    process, address = alone
    seen = []

    def progress(done):
        seen.append(done)
        if len(seen) == 4:
            process.kill()

    with open_cluster(address) as executor, pytest.raises(ConnectionError) as caught:
        swept(grid_of(["sgd"]), executor=executor, out=tmp_path, progress=progress)
    told = capsys.readouterr().err
    assert re.fullmatch(
        r"sgdbench: cluster of 1 worker with 1 thread in all, dashboard: http://127.0.0.1:\d+/status\n", told
    )
    assert str(caught.value).startswith("the scheduler ")
    assert "\n" not in str(caught.value)
    kept = len(load_run(tmp_path).frame)
    assert kept >= seen[3] > 0
    assert kept < grid_of(["sgd"]).size
    trained = []
    monkeypatch.setattr(train, "plan_jobs", lambda *args: (trained.append(job) or job for job in plan_jobs(*args)))
    assert_same(swept(grid_of(["sgd"]), out=tmp_path), swept(grid_of(["sgd"])))
    assert sum(job.rows.size for job in trained) == 2 * grid_of(["sgd"]).size - kept


# The command


def test_without_distributed_it_says_what_to_install(refused, monkeypatch):
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    err = refused("run", "quadratic", "--cluster", "local:2")
    assert err == 'sgdbench: --cluster needs dask.distributed: pip install "distributed>=2024.8" "bokeh>=3.1"\n'


def test_where_no_scheduler_answers_it_ends_in_time(sgdbench, monkeypatch):
    """No server is there, or one that says nothing, or one of another kind."""
    monkeypatch.setattr(command, "CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        refused = f"sgdbench: --cluster: no scheduler of Dask answers at {address} within 0.5 seconds\n"
        assert sgdbench("run", "quadratic", "--cluster", address) == (2, "", refused)

        def greet():
            for _ in range(2):  # the one before has not been accepted yet
                with server.accept()[0] as connection:
                    connection.sendall(b"SSH-2.0-OpenSSH")

        stranger = threading.Thread(target=greet)
        stranger.start()
        assert sgdbench("run", "quadratic", "--cluster", address) == (2, "", refused)
        stranger.join(HANG)
    assert sgdbench("run", "quadratic", "--cluster", address) == (2, "", refused)


def test_the_scheduler_need_not_import_the_mathematics(python):
    """Nor a sweep in threads Dask, which tests/bench/commands/test_run.py has."""
    code = "import sys, sgdbench.engine.remote; print({'numpy', 'numba', 'pandas'} & {*sys.modules})"
    assert python(code) == "set()\n"


def test_ctrl_c_keeps_what_arrived_and_leaves_no_process(tmp_path):
    """A terminal sends it to the workers too."""
    hasty = "from sgdbench import cli; from sgdbench.engine import train; train.FLUSH_SECONDS = 0; cli.main()"
    grid = ["--lr", "log:0.001:0.1:300", "--seed", "0", "--set", "run.kernel=fused", "--epochs", "2000"]
    grid += ["--target", "1e-300", "--optimizer", "sgd", "--yes", "--out", tmp_path / "run"]
    command = [sys.executable, "-c", hasty, "run", "quadratic", *grid, "--cluster", "local:1"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    wait_until(lambda: list(tmp_path.glob("run/parts/*.parquet")) or process.poll() is not None)
    os.killpg(process.pid, signal.SIGINT)
    out, err = process.communicate(timeout=HANG)
    assert (process.returncode, out) == (130, "")
    first, second = err.splitlines()
    assert first.startswith("sgdbench: cluster of 1 worker with 1 thread in all, dashboard: http://127.0.0.1:")
    assert second == f"sgdbench: what is done is kept in {tmp_path / 'run'}; --resume continues from there"

    def all_have_ended():
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    wait_until(all_have_ended)
    assert len(load_run(tmp_path / "run").frame) > 0

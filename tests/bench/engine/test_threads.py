"""Jobs in threads: all of them, a few at a time, and an end when the caller wants one."""

import threading
import time
from contextlib import closing
from itertools import count
from threading import Barrier, Event

import pytest

from sgdbench.engine import threads as executors
from sgdbench.engine.threads import join_when_started, run_in_threads
from sgdbench.system.environment import processors
from tests.support.constants import HANG


@pytest.fixture(autouse=True)
def no_thread_is_left():
    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.parametrize(("jobs", "threads"), [(0, None), (1, 5), (7, 1), (100, 2), (100, None)])
def test_every_job_is_done_once(jobs, threads):
    results = list(run_in_threads(lambda job: job**2, range(jobs), Event(), threads=threads))
    assert sorted(results) == [job**2 for job in range(jobs)]


def test_there_are_as_many_threads_as_processors(monkeypatch):
    assert processors() >= 1
    monkeypatch.setattr(executors, "processors", lambda: 3)
    together = Barrier(3)
    # Three at a time: with fewer threads none would get past the barrier, and it would break.
    assert len(list(run_in_threads(lambda job: together.wait(HANG), range(6), Event()))) == 6


def test_results_come_as_soon_as_they_are_there():
    slow = Event()
    results = run_in_threads(lambda job: slow.wait(HANG) if job == 0 else job, range(4), Event(), threads=2)
    assert sorted(next(results) for _ in range(3)) == [1, 2, 3]
    slow.set()
    assert list(results) == [True]


def test_only_a_few_jobs_wait():
    """There may be a million of them, each with its arrays."""
    taken = []

    def jobs():
        for job in count():
            taken.append(job)
            yield job

    with closing(run_in_threads(lambda job: job, jobs(), Event(), threads=2)) as results:
        for number in range(1, 50):
            next(results)
            assert len(taken) <= number + 8


class SlowEvent(Event):
    """While it is set, others go on."""

    def set(self):
        super().set()
        time.sleep(0.1)


def test_whoever_stops_early_stops_the_jobs_that_run_and_begins_no_other():
    stop = SlowEvent()
    begun, at_work = [], Barrier(3)

    def work(job):
        begun.append(job)
        if job in {1, 2}:
            at_work.wait(HANG)
            assert stop.wait(HANG)

    with closing(run_in_threads(work, range(100), stop, threads=2)) as results:
        next(results)
        at_work.wait(HANG)
    assert stop.is_set()
    assert sorted(begun) == [0, 1, 2]


def test_an_error_in_a_job_reaches_the_caller_and_stops_the_others():
    stop = Event()

    def work(job):
        if job == 1:
            raise MemoryError("of job 1")
        assert stop.wait(HANG)

    with pytest.raises(MemoryError, match="of job 1"):
        list(run_in_threads(work, range(100), stop, threads=2))
    assert stop.is_set()


@pytest.mark.parametrize("failing", [0, 3])
def test_what_ended_together_with_an_error_is_not_lost(failing):
    def work(job):
        if job == failing:
            raise MemoryError
        return job

    results, wait_for = [], executors.wait

    def wait_for_all(futures, **_):
        return wait_for(futures)  # until all have ended

    with pytest.MonkeyPatch.context() as patch, pytest.raises(MemoryError):  # noqa: PT012
        patch.setattr(executors, "wait", wait_for_all)
        results.extend(run_in_threads(work, range(4), Event(), threads=2))
    assert sorted(results) == [job for job in range(4) if job != failing]


def test_an_error_in_the_jobs_themselves_does_too():
    def jobs():
        yield 1
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        list(run_in_threads(lambda job: job, jobs(), Event(), threads=2))


def test_no_job_runs_on_after_an_interruption_while_its_thread_is_started(monkeypatch):
    """The thread is at work already, but its pool does not know it yet."""
    stop, begun, ended = Event(), Event(), []
    start = threading.Thread.start

    def interrupted(thread):
        start(thread)
        assert begun.wait(HANG)
        raise KeyboardInterrupt

    def work(job):
        begun.set()
        assert stop.wait(HANG)
        time.sleep(0.05)
        ended.append(job)

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            list(run_in_threads(work, [1], stop))
        assert ended == [1]


def test_a_thread_that_is_about_to_begin_is_waited_for():
    """As one whose start Ctrl-C has met; one that never begins is given up."""
    ended = Event()
    late = threading.Thread(target=lambda: (time.sleep(0.05), ended.set()))
    with pytest.raises(RuntimeError):
        late.join()
    threading.Timer(0.05, late.start).start()
    join_when_started(late)
    assert ended.is_set()
    join_when_started(threading.Thread(target=ended.clear), attempts=3)
    assert ended.is_set()

"""Sweeps on a Dask cluster whose workers are killed."""

import os
import signal
import threading
import time

import numpy as np

from sgdbench import Grid, models, sweep
from tests.support.constants import HANG
from tests.support.sweeps import X, Y


def grid_of(optimizers, rates=16, **more):
    lr, shared = np.geomspace(0.01, 1, rates), {"shuffle": True, "init": [[1, 1, 1]]} | more
    return Grid(lr=lr, batch_size=[1, 16], optimizer=optimizers, seed=range(4), **shared)


def swept(grid, **changed):
    settings = {"epochs": 12, "target": 1e-3, "kernel": "fused", "record": "log:3", "confirm": 0, "validation": 0.2}
    return sweep(models.quadratic, X, Y, grid, **settings | changed)


def wait_until(condition):
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Killer(threading.Thread):
    """Kills workers that are at work, once `progress` has seen that all are there."""

    def __init__(self, workers, victims):
        super().__init__()
        self.workers, self.victims = workers, victims
        self.armed, self.ended, self.killed = threading.Event(), threading.Event(), []

    def is_there(self, nanny):
        return nanny.worker_address in self.workers.scheduler.workers

    def is_at_work(self, nanny):
        """Not before its nanny knows that it has started: one that dies before is not started again."""
        if not self.is_there(nanny) or {nanny.status.name, nanny.process.status.name} != {"running"}:
            return False
        return self.workers.scheduler.workers[nanny.worker_address].processing

    def are_there(self):
        return len(self.workers.scheduler.workers) == len(self.workers.workers)

    def progress(self, done):
        """Wait for those that were killed to be back: others would do all the work in that time."""
        if len(self.killed) < len(self.victims) and not self.armed.is_set():
            wait_until(self.are_there)
            self.armed.set()

    def run(self):
        for places in self.victims:
            while not self.armed.wait(0.01):
                if self.ended.is_set():
                    return
            nannies = [self.workers.workers[place] for place in places]
            while not all(self.is_at_work(nanny) for nanny in nannies):
                if self.ended.wait(0.001):
                    return
            for nanny in nannies:
                os.kill(nanny.pid, signal.SIGKILL)
            # Gone from the scheduler's books before anybody asks whether they are back.
            wait_until(lambda nannies=nannies: not any(self.is_there(nanny) for nanny in nannies))
            self.killed.append(places)
            self.armed.clear()

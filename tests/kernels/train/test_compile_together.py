"""Kernels that several processes compile: each once, and none is missing where a process fails."""

import io
import pickle
import subprocess
import sys
import threading
from threading import Event

import pytest

from sgdbench.kernels.compile.build import Module
from sgdbench.kernels.train import compile_together as together
from sgdbench.kernels.train.compile_together import FEEDER_THREAD, compile_later, compile_together, help_compiling
from tests.support.constants import HANG


class Spec:
    """A specification whose module is a number."""

    width = 1

    def __init__(self, number):
        self.number = number


class Builder:
    """Notes what this process builds; it waits for another one to be told of a kernel, if asked to."""

    def __init__(self):
        self.made, self.told = [], None

    def __call__(self, module):
        if self.told:
            assert self.told.wait(HANG)
        self.made.append(int(module.text))


@pytest.fixture(autouse=True)
def built(monkeypatch):
    """Kernels that are numbers; the queues are empty before and after each test."""
    builder = Builder()
    monkeypatch.setattr(together, "module_of", lambda spec: Module(str(spec.number)))
    monkeypatch.setattr(together, "build", builder)
    monkeypatch.setattr(together, "compile_driver", lambda *, lanes: None)
    monkeypatch.setattr(together, "is_stored", lambda module: False)
    yield builder
    together._stop_helpers()
    for thread in threading.enumerate():
        if thread.name == FEEDER_THREAD:
            thread.join(HANG)


def answers(monkeypatch, program):
    """Let another program take the place of one that helps."""
    monkeypatch.setattr(together, "HELPER_CODE", program)


EACH = "import pickle, sys\nwhile True:\n pickle.load(sys.stdin.buffer)\n sys.stdout.write('.')\n sys.stdout.flush()"


def test_a_helper_compiles_what_this_process_then_loads(python, tmp_path):
    """Also kernels of a user's own rules: it is given their text."""
    code = """
from time import sleep
from sgdbench import models, register_optimizer
from sgdbench.kernels.base.numba_internals import record_compilations
from sgdbench.kernels.compile.build import is_stored
from sgdbench.kernels.compile.module import module_of
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.optimizers import make_optimizer
from sgdbench.kernels.train import compile_together as together
register_optimizer(lambda theta, slots, gradient, lr, clock, options: (theta - lr * gradient, ()), name="own")
specs = [KernelSpec("fused", models.linear, make_loss("logistic"), make_optimizer(name)) for name in ("sgd", "own")]
stored = lambda: [is_stored(module_of(spec)) for spec in specs]
print(stored())
together.compile_later(specs)
together._start_helpers(2)
while together._later or together._begun:
    sleep(0.01)
print(stored())
with record_compilations() as compilations:
    for spec in specs:
        together.build(module_of(spec))
print(len(compilations.buffer))
"""
    assert python(code, SGDBENCH_CACHE_DIR=str(tmp_path)) == "[False, False]\n[True, True]\n0\n"


def test_a_helper_builds_what_it_is_given(monkeypatch, built):
    given = io.BytesIO(b"".join(pickle.dumps(Module(str(number))) for number in (3, 5)))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    help_compiling()
    assert built.made == [3, 5]


def test_each_is_compiled_by_one_of_the_processes_and_then_loaded(monkeypatch, built):
    answers(monkeypatch, EACH)
    built.told, dump = Event(), pickle.dump
    monkeypatch.setattr(together.pickle, "dump", lambda *given: (dump(*given), built.told.set()))
    compile_together([Spec(number) for number in range(12)] * 2, 3)
    assert sorted(built.made[-12:]) == list(range(12))  # all are loaded in the end
    assert len(built.made) < 24  # and some were compiled elsewhere


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import sys; sys.stdin.buffer.read(1)", "import time; 1/0"])
def test_what_a_helper_does_not_compile_is_compiled_here(monkeypatch, built, program):
    answers(monkeypatch, program)
    compile_together(map(Spec, range(5)), 2)
    assert set(built.made) == set(range(5))


@pytest.mark.parametrize(("known", "processes"), [({0, 1, 2, 3}, 8), ({0, 1, 3}, 8), (set(), 1)])
def test_nothing_is_started_where_there_is_nothing_to_share(monkeypatch, built, known, processes):
    def start(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(together, "is_stored", lambda module: int(module.text) in known)
    monkeypatch.setattr(subprocess, "Popen", start)
    compile_together(map(Spec, range(4)), processes)
    assert built.made[-4:] == list(range(4))


def test_where_no_process_can_be_started_this_one_does_all(monkeypatch, built):
    def refuse(*args, **kwargs):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    compile_together(map(Spec, range(3)), 4)
    assert built.made == [0, 1, 2, 0, 1, 2]


def test_an_interrupt_ends_the_helpers(monkeypatch):
    answers(monkeypatch, "import time; time.sleep(600)")
    helpers = []

    def interrupted(module):
        helpers.extend(together._helpers)
        raise KeyboardInterrupt

    monkeypatch.setattr(together, "build", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compile_together(map(Spec, range(4)), 3)
    assert len(helpers) == 2
    assert all(helper.returncode for helper in helpers)
    assert not together._now


def test_kernels_for_later_come_last_and_are_waited_for_where_they_are_wanted(monkeypatch, built):
    answers(monkeypatch, EACH)
    order, dump = [], pickle.dump
    built.told = Event()

    def told(module, pipe):
        order.append(int(module.text))
        dump(module, pipe)
        built.told.set()

    monkeypatch.setattr(together.pickle, "dump", told)
    later = [Spec(10), Spec(11)]
    compile_later(later)
    assert not together._helpers  # nothing is started for them alone
    compile_together(map(Spec, range(2)), 2)
    compile_together(later, 1)
    assert built.made[-2:] == [10, 11]
    assert order == sorted(order)
    assert not together._begun
    assert not together._later

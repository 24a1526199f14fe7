"""Kernels that several processes compile: each once, and none is missing where a process fails."""

import io
import pickle
import subprocess
import sys
from threading import Event

import pytest

from kernels import Model, models
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.train import compile_together as together
from kernels.train import trainer
from kernels.train.compile_together import compile_later, compile_together, help_compiling
from kernels.train.trainer import Wanted
from tests.support.constants import HANG
from tests.support.short_kernel import USE_SHORT_KERNELS


class Noted(Wanted):
    """A kernel that notes that this process compiles it, and whether another one was told of it."""

    def __init__(self, number, made, told=None):
        super().__init__("fused", models.quadratic, make_loss("squared"), make_optimizer("sgd"))
        for name, value in (("number", number), ("made", made), ("told", told)):
            object.__setattr__(self, name, value)

    @property
    def ingredients(self):
        return self.number

    def compile(self):
        if self.told:
            assert self.told.wait(HANG)
        self.made.append(self.number)

    def tell(self):
        if self.told:
            self.told.set()
        return super().tell()


@pytest.fixture(autouse=True)
def queue(monkeypatch):
    """A queue of this test's own."""
    own = together._Queue()
    monkeypatch.setattr(together, "_queue", own)
    yield own
    own.stop_helpers()


@pytest.fixture
def stored(monkeypatch):
    """The numbers of the kernels in the cache folder."""
    numbers = set()
    monkeypatch.setattr(together, "is_stored", numbers.__contains__)
    return numbers


def answers(monkeypatch, program):
    """Let another program take the place of one that helps."""
    monkeypatch.setattr(together, "HELPER", program)


EACH = "import pickle, sys\nwhile True:\n pickle.load(sys.stdin.buffer)\n sys.stdout.write('.')\n sys.stdout.flush()"


def test_a_helper_compiles_what_this_process_then_loads(python, tmp_path):
    code = f"""{USE_SHORT_KERNELS}
from time import sleep
from kernels.base.numba_internals import record_compilations
from kernels.losses import make_loss
from kernels.model.models import make_model
from kernels.optimizers import make_optimizer
from kernels.train import compile_together as together
together.HELPER = {USE_SHORT_KERNELS!r} + together.HELPER
loss = make_loss("logistic")  # with a function that has no name of its own
model = make_model("a*x + b")
wanted = [together.Wanted("fused", model, loss, make_optimizer(name)) for name in ("sgd", "averaged(sgd)")]
print([together.is_stored(one.ingredients) for one in wanted])
together.compile_later(wanted)
together._queue.start_helpers(2)
while together._queue.later or together._queue.doing:
    sleep(0.01)
print([together.is_stored(one.ingredients) for one in wanted])
with record_compilations() as compilations:
    together.compile_together(wanted, 2)
print(len(compilations.buffer))
"""
    assert python(code, SGDBENCH_CACHE_DIR=str(tmp_path)) == "[False, False]\n[True, True]\n0\n"


def test_a_helper_is_told_all_that_a_kernel_is_made_of(monkeypatch):
    made_of = Model("w @ x + b", {"x": [f"x{k}" for k in range(30)]}), make_loss("huber(2)"), make_optimizer("adam")
    wanted = [Wanted("fused", *made_of, batches=False), Wanted("lanes", *made_of, True, "float32", gathers=True)]
    compiled = []
    monkeypatch.setattr(Wanted, "compile", lambda one: compiled.append(one.ingredients))
    told = io.BytesIO(b"".join(pickle.dumps(one.tell()) for one in wanted))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(told))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
    help_compiling()
    assert compiled == [one.ingredients for one in wanted]


@pytest.mark.usefixtures("stored")
def test_each_is_compiled_by_one_of_the_processes_and_then_loaded(monkeypatch):
    answers(monkeypatch, EACH)
    made, told = [], Event()
    compile_together([Noted(number, made, told) for number in range(12)] * 2, 3)
    assert sorted(made[-12:]) == list(range(12))  # all are loaded in the end
    assert len(made) < 24  # and some were compiled elsewhere


@pytest.mark.usefixtures("stored")
@pytest.mark.parametrize("program", ["raise SystemExit(3)", "import sys; sys.stdin.buffer.read(1)", "import time; 1/0"])
def test_what_a_helper_does_not_compile_is_compiled_here(monkeypatch, program):
    answers(monkeypatch, program)
    made = []
    compile_together([Noted(number, made) for number in range(5)], 2)
    assert set(made) == set(range(5))


@pytest.mark.parametrize(("known", "processes"), [({0, 1, 2, 3}, 8), ({0, 1, 3}, 8), (set(), 1)])
def test_nothing_is_started_where_there_is_nothing_to_share(monkeypatch, stored, known, processes):
    def start(*args, **kwargs):
        raise AssertionError

    stored |= known
    monkeypatch.setattr(subprocess, "Popen", start)
    made = []
    compile_together([Noted(number, made) for number in range(4)], processes)
    assert made[-4:] == list(range(4))


@pytest.mark.usefixtures("stored")
def test_where_no_process_can_be_started_this_one_does_all(monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    made = []
    compile_together([Noted(number, made) for number in range(3)], 4)
    assert made == [0, 1, 2, 0, 1, 2]


@pytest.mark.usefixtures("stored")
def test_an_interrupt_ends_the_helpers(monkeypatch, queue):
    answers(monkeypatch, "import time; time.sleep(600)")
    helpers = []

    class Interrupted(Noted):
        def compile(self):
            assert self.told.wait(HANG)
            helpers.extend(queue.helpers)
            raise KeyboardInterrupt

    told = Event()
    with pytest.raises(KeyboardInterrupt):
        compile_together([Interrupted(number, [], told) for number in range(4)], 3)
    assert len(helpers) == 2
    assert all(helper.returncode for helper in helpers)
    assert not queue.now


@pytest.mark.usefixtures("stored")
def test_kernels_for_later_come_last_and_are_waited_for_where_they_are_wanted(monkeypatch, queue):
    answers(monkeypatch, EACH)
    order, made = [], []

    class Told(Noted):
        def tell(self):
            order.append(self.number)
            return super().tell()

    later = [Told(number, made) for number in (10, 11)]
    compile_later(later)
    assert not queue.helpers  # nothing is started for them alone
    told = Event()
    compile_together([Told(number, made, told) for number in range(2)], 2)
    compile_together(later, 1)
    assert made[-2:] == [10, 11]
    assert order == sorted(order)
    assert not queue.doing
    assert not queue.later


def test_the_users_own_rules_stay_in_this_process(monkeypatch):
    monkeypatch.setattr(trainer, "registered_in", lambda made, kind: [made] if kind == "optimizer" else [])
    assert not Noted(0, []).is_built_in()

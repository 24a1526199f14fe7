"""A process that forks while a thread compiles or imports."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")

# Prints how a child ended that was forked once a thread, which fits a model, had set `reached` and slept.
FORK = """
import os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of every fork beside a thread
signal.alarm(120)  # ends this process if the fork itself hangs; the child has no alarm
from functools import partial
from sgdbench import fit
fit = partial(fit, kernel={kernel!r})
x = [i / 50 for i in range(100)]
reached = threading.Event()

def pause():
    if not reached.is_set():
        reached.set()
        time.sleep(0.3)
{pausing}
thread = threading.Thread(target=fit, args=({model!r}, x, x))
thread.start()
reached.wait()
child = os.fork()
if not child:
    fit({model_of_child!r}, x, x)
    os._exit(0)
thread.join()
end = time.monotonic() + 60
while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
    time.sleep(0.05)
if not ended[0]:
    os.kill(child, signal.SIGKILL)
print("hangs" if not ended[0] else ended[1])
"""

PAUSE_IN_FUNCTION = """
{imports}

def slowly(*args, original={function}, **kwargs):
    pause()
    return original(*args, **kwargs)

{function} = slowly
"""

# Pauses when the module begins to run: while it is searched, Python's own lock of imports makes a fork wait.
PAUSE_IN_IMPORT = """
from importlib.machinery import PathFinder

class Finder:
    def find_spec(name, path, target=None):
        if name != {module!r}:
            return None
        spec = PathFinder.find_spec(name, path, target)
        run = spec.loader.exec_module
        spec.loader.exec_module = lambda module: (pause(), run(module))
        return spec

assert {module!r} not in sys.modules
sys.meta_path.insert(0, Finder)
"""


# Models that no other test has, so that neither is in the cache folder of the tests.
@pytest.mark.parametrize(
    ("kernel", "power", "imports", "function"),
    [
        ("reference", 17, "from sgdbench.kernels.model import derive", "derive.derive"),
        ("fused", 19, "from numba.core import compiler", "compiler.compile_extra"),
    ],
)
def test_a_child_forked_while_a_thread_compiles_does_not_hang(python, kernel, power, imports, function):
    pausing = PAUSE_IN_FUNCTION.format(imports=imports, function=function)
    model = f"a*x + b*x**{power}"
    assert python(FORK.format(kernel=kernel, model=model, model_of_child=f"{model}*x**2", pausing=pausing)) == "0\n"


# The imports of the last two take locks for which a fork waits too: those of `logging`, and those of the compiler.
@pytest.mark.parametrize(
    "module",
    [
        "sgdbench.kernels.train.trainer",
        "sgdbench.kernels.reference",
        "numba.core.byteflow",
        "sgdbench.kernels.loops.order",
    ],
)
def test_a_fork_during_the_imports_of_a_first_fit_does_not_hang(python, module):
    pausing = PAUSE_IN_IMPORT.format(module=module)
    assert python(FORK.format(kernel="reference", model="a*x + b", model_of_child="a*x + b", pausing=pausing)) == "0\n"


def test_a_generated_module_finds_its_imports_loaded(python):
    """A fork does not wait for an import that a module begins when it is run."""
    code = """
import sys
from sgdbench import fit
import sgdbench.kernels.train.trainer
from sgdbench.kernels.compile.module import IMPORTS
print([name for name in [*IMPORTS, "numba", "numpy"] if name not in sys.modules])
"""
    assert python(code) == "[]\n"

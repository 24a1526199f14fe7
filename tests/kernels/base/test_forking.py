"""A process that forks while a thread compiles."""

import os

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")

# Prints how a child ended that was forked while a thread was in {function}.
FORK = """
import os, signal, threading, time, warnings
warnings.simplefilter("ignore")  # newer Pythons warn of every fork beside a thread
from functools import partial
from kernels import fit
{imports}
fit = partial(fit, kernel={kernel!r})
x = [i / 50 for i in range(100)]
reached = threading.Event()

def slowly(*args, original={function}, **kwargs):
    if not reached.is_set():
        reached.set()
        time.sleep(0.3)
    return original(*args, **kwargs)

{function} = slowly
thread = threading.Thread(target=fit, args=("a*x + b*x**{power}", x, x))
thread.start()
reached.wait()
child = os.fork()
if not child:
    fit("a*x + b*x**{power}*x**2", x, x)
    os._exit(0)
thread.join()
end = time.monotonic() + 60
while not (ended := os.waitpid(child, os.WNOHANG))[0] and time.monotonic() < end:
    time.sleep(0.05)
if not ended[0]:
    os.kill(child, signal.SIGKILL)
print("hangs" if not ended[0] else ended[1])
"""


# Models that no other test has, so that neither is in the cache folder of the tests.
@pytest.mark.parametrize(
    ("kernel", "power", "imports", "function"),
    [
        ("reference", 17, "from kernels.model import derive", "derive.derive"),
        ("fused", 19, "from numba.core import compiler", "compiler.compile_extra"),
    ],
)
def test_a_child_forked_while_a_thread_compiles_does_not_hang(python, kernel, power, imports, function):
    code = FORK.format(kernel=kernel, power=power, imports=imports, function=function)
    assert python(code) == "0\n"

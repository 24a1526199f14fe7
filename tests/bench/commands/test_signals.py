"""Ctrl-C, SIGTERM and SIGHUP, wherever they strike."""

import os
import signal
import subprocess
import sys

import pytest

from sgdbench import fit
from sgdbench.commands.signals import exit_code, interruptible, is_interrupted
from tests.support.constants import HANG, ROOT

pytestmark = pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX's signals")


def test_a_fit_says_what_was_reached(sgdbench, monkeypatch):
    """Here by a terminal that closes; tests/kernels/train/test_fit.py sends Ctrl-C to a process."""

    def close(*args, callback, **settings):
        def look(result):
            callback(result)
            signal.raise_signal(signal.SIGHUP)

        return fit(*args, callback=look, **settings)

    monkeypatch.setattr("sgdbench.data.fit_table.kernels_fit", close)
    code, out, err = sgdbench("fit", "quadratic", "--model", "quadratic", "--kernel", "reference", "--every", "1")
    assert code == 129
    assert "interrupted" in out
    assert err.startswith("sgdbench: interrupted after epoch ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("module", "name"), [("typer", "SIGINT"), ("platformdirs", "SIGTERM")])
def test_an_interrupt_during_imports_is_silent(tmp_path, module, name):
    """An import that the signal strikes, and that makes another error of it as many do."""
    (tmp_path / f"{module}.py").write_text(f"""
import os, signal, time
try:
    os.kill(os.getpid(), signal.{name})
    time.sleep(0.1)
except BaseException:
    raise ImportError("cannot import name") from None
user_cache_path = None
""")
    command = [sys.executable, "-m", "sgdbench.cli", "compare", "fused", "reference", "--seconds", "1000"]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=HANG, check=False)
    assert done.returncode == 128 + getattr(signal, name)
    assert (done.stdout, done.stderr.strip()) == ("", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_an_interrupt_in_text_that_is_run_keeps_its_exit_code(tmp_path, name):
    """As in the text of which a dataclass is made: Python ended itself by SIGINT, also after SIGTERM."""
    text = f"import os, signal, time; os.kill(os.getpid(), signal.{name}); time.sleep(0.1)"
    (tmp_path / "rules.py").write_text(f"exec({text!r})")
    command = [sys.executable, "-m", "sgdbench.cli", "studies", "--plugin", str(tmp_path / "rules.py")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=HANG, check=False)
    assert done.returncode == 128 + getattr(signal, name)


# Compiled code is kept, and a signal strikes while LLVM calls back, where numba's function cannot raise anything.
WHILE_COMPILING = """
import signal
import numba
from numba.core.codegen import CPUCodeLibrary
from sgdbench.commands.signals import exit_code, interruptible, is_interrupted
from sgdbench.kernels.base.numba_internals import CodeCache, use_cache
CPUCodeLibrary._object_compiled_hook = lambda *_: signal.raise_signal(signal.SIGTERM)
dispatcher = numba.njit(lambda x: x)
use_cache(dispatcher, CodeCache("kernel"))
with interruptible():
    try:
        dispatcher.compile("float64(float64)")
    except BaseException as error:
        print(is_interrupted(), exit_code())
"""


def test_what_an_interrupt_becomes_while_llvm_compiles_is_one(python, tmp_path):
    assert python(WHILE_COMPILING, SGDBENCH_CACHE_DIR=str(tmp_path)) == "True 143\n"


def test_signals_that_are_ignored_stay_so_and_all_are_as_before_at_the_end():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible():
            os.kill(os.getpid(), signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


def test_ctrl_c_still_hurries_what_another_signal_ended():
    with interruptible():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        assert exit_code() == 143
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert not is_interrupted()

"""The quadratic in C: `quadratic.c`, compiled with the system's compiler and called through ctypes."""

import ctypes
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache as once
from functools import partial
from pathlib import Path

import numpy as np

from bench.problem import Problem, Trained, UnavailableError
from kernels import cache
from kernels.run import Floats

SOURCE = Path(__file__).with_name("quadratic.c")
FLAGS = ("-O3", "-march=native", "-shared", "-fPIC")


def prepare(problem: Problem, *, tree: bool = False) -> Callable[[], Trained]:
    """A call that trains in C.

    Parameters
    ----------
    problem : Problem
    tree : bool
        With the kernels' order of operations instead of the formula as it is written down.

    Raises
    ------
    UnavailableError
        Where there is no C compiler.
    """
    epochs, n = problem.rates.size, problem.x.size
    trajectory, losses = np.empty((epochs + 1, 3)), np.empty(epochs + 1)
    trajectory[0] = problem.init
    room = np.empty(2 * n if problem.shuffle else 0)
    train = partial(
        library("-DTREE" if tree else "-UTREE").train,
        _pointer(problem.x),
        _pointer(problem.y),
        ctypes.c_ssize_t(n),
        _pointer(problem.rates),
        ctypes.c_ssize_t(epochs),
        ctypes.c_ssize_t(problem.batch_size),
        ctypes.c_int(problem.shuffle),
        ctypes.c_uint64(problem.seed),
        _pointer(room),
        _pointer(trajectory),
        _pointer(losses),
    )

    def run() -> Trained:
        train()
        return Trained(trajectory, losses)

    return run


@once
def library(definition: str) -> ctypes.CDLL:
    """`quadratic.c` compiled anew in every process: nothing on disk could be out of date, or of another machine.

    Raises
    ------
    UnavailableError
        Where there is no C compiler.
    RuntimeError
        With the compiler's message, if it fails.
    """
    with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
        path = Path(folder) / "quadratic.so"
        command = [*compiler(), *FLAGS, definition, "-o", str(path), str(SOURCE)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (the user's compiler)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")
        loaded = ctypes.CDLL(str(path))
    loaded.train.restype = None
    return loaded


def compiler() -> list[str]:
    """The command in CC, or cc.

    Raises
    ------
    UnavailableError
        If there is no such program.
    """
    command = shlex.split(os.environ.get("CC", "")) or ["cc"]
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"no C compiler found ({command[0]}): install cc or set CC")
    return command


def _pointer(array: Floats) -> ctypes.c_void_p:
    """Where the values are; the array lives as long as the pointer does."""
    return array.ctypes.data_as(ctypes.c_void_p)

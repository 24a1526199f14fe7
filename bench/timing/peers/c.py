"""Any model in C: its formula and `sgd.c`, compiled with the system's compiler and called through ctypes."""

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from functools import cache as once
from functools import partial
from pathlib import Path

import numpy as np

from bench.timing.problem import Problem, Trained, UnavailableError
from kernels import Model, cache
from kernels.run import Floats

WRITER = Path(__file__).with_name("formula.py")
LOOPS = Path(__file__).with_name("sgd.c")
# Contraction to FMAs is what gcc does anyway; clang waits to be told.
FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")


def prepare(problem: Problem, *, tree: bool = False) -> Callable[[], Trained]:
    """Return a call that trains in C.

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
    columns = [np.ascontiguousarray(column) for column in (*problem.x, problem.y)]
    rates, params = np.ascontiguousarray(problem.rates), np.empty(problem.inits.T.shape)
    losses = np.empty((problem.epochs + 1, problem.runs))
    room = np.empty((len(columns), problem.y.size))
    train = partial(
        library(formula(problem.model, tree)).train,
        _pointers(columns),
        ctypes.c_ssize_t(problem.y.size),
        _pointer(rates),
        ctypes.c_ssize_t(problem.epochs),
        ctypes.c_ssize_t(problem.runs),
        ctypes.c_ssize_t(problem.batch_size),
        ctypes.c_uint64(problem.seed),
        _pointers(room) if problem.shuffle else None,
        _pointer(params),
        _pointer(losses),
    )

    def run(_alive: object = (columns, room)) -> Trained:  # C knows only where they are
        params[:] = problem.inits.T
        train()
        return Trained(params.T, losses)

    return run


def formula(model: Model, tree: bool) -> str:
    """Return the text of `formula.in_c`, kept on disk: sympy takes longer to import than the compiler to compile."""
    about = repr((model.expression, model.inputs, model.params, tree)).encode()
    name = f"formula_{hashlib.sha256(about + WRITER.read_bytes()).hexdigest()[:16]}.c"
    text = cache.read(name)
    if text is None:
        from bench.timing.peers.formula import in_c  # noqa: PLC0415 (sympy)

        text = in_c(model, tree=tree)
        cache.write(name, text)
    return text


@once
def library(model: str) -> ctypes.CDLL:
    """Return the text of a model and `sgd.c`, compiled anew in every process: no file could be of another machine.

    Raises
    ------
    UnavailableError
        Where there is no C compiler.
    RuntimeError
        With the compiler's message, if it fails.
    """
    with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
        source, target = Path(folder) / "sgd.c", Path(folder) / "sgd.so"
        source.write_text(model + LOOPS.read_text(encoding="utf-8"), encoding="utf-8")
        command = [*compiler(), *FLAGS, "-o", str(target), str(source), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (the user's compiler)
        if done.returncode:
            raise RuntimeError(f"{shlex.join(command)} failed:\n{done.stderr}")
        loaded = ctypes.CDLL(str(target))
    loaded.train.restype = None
    return loaded


def compiler() -> list[str]:
    """Return the command in CC, or cc.

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
    """Return where the values are; the array lives as long as the pointer does."""
    return array.ctypes.data_as(ctypes.c_void_p)


def _pointers(columns: Iterable[Floats]) -> ctypes.Array[ctypes.c_void_p]:
    addresses = [column.ctypes.data for column in columns]
    return (ctypes.c_void_p * len(addresses))(*addresses)

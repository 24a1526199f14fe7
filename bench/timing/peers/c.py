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

from sgdbench.kernels import Model
from sgdbench.kernels.base import cache
from sgdbench.kernels.base.run import Floats, allocate_aligned
from sgdbench.timing.problem import FailedError, Problem, Trained, UnavailableError

FORMULA_MODULE = Path(__file__).with_name("formula.py")
LOOPS_SOURCE = Path(__file__).with_name("sgd.c")
LINEAR_SOURCE = Path(__file__).with_name("linear.c")
# Compilation normally takes a tenth of a second.
COMPILE_SECONDS = 60
# gcc contracts to FMAs by default; clang needs the flag.
COMPILER_FLAGS = ("-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC")


def prepare(problem: Problem, *, tree: bool = False) -> Callable[[], Trained]:
    """Return a call that trains in C.

    With `tree`, it uses the kernels' order of operations instead of the formula as written. A missing compiler, or
    compiler output that cannot be loaded, raises an UnavailableError.
    """
    if problem.model.network is not None:
        return _prepare_linear(problem)
    columns = [_aligned(column) for column in (*problem.x, problem.y)]
    rates, params = np.ascontiguousarray(problem.rates), np.empty(problem.inits.T.shape)
    losses = np.empty((problem.epochs + 1, problem.runs))
    room = [allocate_aligned(problem.y.size) for _ in columns]
    train = partial(
        library(formula(problem.model, tree) + LOOPS_SOURCE.read_text(encoding="utf-8")).train,
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

    def run(_alive: object = (columns, room)) -> Trained:  # keeps arrays alive of which C has only the addresses
        params[:] = problem.inits.T
        train()
        return Trained(params.T, losses)

    return run


def _prepare_linear(problem: Problem) -> Callable[[], Trained]:
    """Return a call that trains ``w @ x + b``, sample by sample."""
    if problem.model.expression != "w @ x + b" or problem.batch_size > 1 or problem.shuffle:
        raise UnavailableError("it has w @ x + b alone of the models with vectors, sample by sample as they stand")
    rows, y = _aligned(np.stack(problem.x, axis=1)), np.ascontiguousarray(problem.y)
    rates, params = np.ascontiguousarray(problem.rates), _aligned(problem.inits)
    losses = np.empty((problem.epochs + 1, problem.runs))
    train = partial(
        library(LINEAR_SOURCE.read_text(encoding="utf-8")).train,
        _pointer(rows),
        _pointer(y),
        *map(ctypes.c_ssize_t, rows.shape),
        _pointer(rates),
        *map(ctypes.c_ssize_t, rates.shape),
        _pointer(params),
        _pointer(losses),
    )

    def run(_alive: object = (rows, y)) -> Trained:
        params[:] = problem.inits
        train()
        return Trained(params, losses)

    return run


def formula(model: Model, tree: bool) -> str:
    """Return the text of `formula.in_c`, cached on disk: importing sympy takes longer than compiling the C code."""
    about = repr((model.expression, model.inputs, model.params, tree)).encode()
    name = f"c_formula_{hashlib.sha256(about + FORMULA_MODULE.read_bytes()).hexdigest()[:16]}.c"
    text = cache.read(name)
    if text is None:
        from sgdbench.timing.peers.formula import in_c  # noqa: PLC0415 (sympy)

        text = in_c(model, tree=tree)
        cache.write(name, text)
    return text


@once
def library(text: str) -> ctypes.CDLL:
    """Return a compiled C text, compiled anew in every process: a stored file could be another machine's.

    A missing compiler raises an UnavailableError. A failing compiler raises a FailedError with the first line of its
    message, and so does output that cannot be loaded.
    """
    with tempfile.TemporaryDirectory(dir=cache.folder()) as folder:
        source, target = Path(folder) / "sgd.c", Path(folder) / "sgd.so"
        source.write_text(text, encoding="utf-8")
        _compile(source, target)
        try:
            loaded = ctypes.CDLL(str(target))
            loaded.train.restype = None
        except (OSError, AttributeError) as error:
            # Nothing can be loaded from a file system that is mounted noexec.
            raise FailedError(f"the library that the C compiler made in {folder} cannot be loaded: {error}") from error
    return loaded


def _compile(source: Path, target: Path) -> None:
    command = compiler()
    try:
        done = subprocess.run(  # noqa: S603 (the user's compiler)
            [*command, *COMPILER_FLAGS, "-o", str(target), str(source), "-lm"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=COMPILE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        reason = f"it has not ended in {COMPILE_SECONDS} seconds"
    except OSError as error:
        reason = str(error)
    else:
        if not done.returncode:
            return
        messages = (line.strip() for line in done.stderr.splitlines() if line.strip())
        reason = next(messages, f"exit code {done.returncode}")
    raise FailedError(f"the C compiler, {shlex.join(command)}, failed: {reason}")


def compiler() -> list[str]:
    """Return the command in CC, or cc.

    A CC that is not a command raises a FailedError, and a missing program an UnavailableError.
    """
    named = os.environ.get("CC", "")
    try:
        command = shlex.split(named) or ["cc"]
    except ValueError as error:
        raise FailedError(f"CC must be a command such as cc or 'gcc -m64', not {named!r}: {error}") from error
    if shutil.which(command[0]) is None:
        raise UnavailableError(f"no C compiler found ({command[0]}): install cc or set CC")
    return command


def _aligned(array: Floats) -> Floats:
    """Return a copy that begins at a cache line, like the kernels' arrays; by chance one in four would."""
    copy = allocate_aligned(array.size).reshape(array.shape)
    copy[...] = array
    return copy


def _pointer(array: Floats) -> ctypes.c_void_p:
    """Return the address of the values; the array is kept alive by the pointer."""
    return array.ctypes.data_as(ctypes.c_void_p)


def _pointers(columns: Iterable[Floats]) -> ctypes.Array[ctypes.c_void_p]:
    addresses = [column.ctypes.data for column in columns]
    return (ctypes.c_void_p * len(addresses))(*addresses)

"""What all targets have in common: mutations, limits, counts, and what an input must not do."""

import gc
import os
import random
import signal
import sys
import sysconfig
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

STANDARD_LIBRARY = sysconfig.get_path("stdlib") + "/"
MAX_LENGTH = 8000  # bytes of an input
# What starts, connects, deletes or loads code; texts, tables and folders of runs have no business with any of it.
WATCHED = {"exec", "open", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill"}
WATCHED |= {"subprocess.Popen", "socket.connect", "socket.bind", "ctypes.dlopen", "pickle.find_class", "builtins.input"}
WATCHED |= {"os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.symlink", "os.link", "os.truncate"}


class Target(NamedTuple):
    """What is fuzzed.

    `examine` returns in a word what became of an input, ``"refused"`` where that was an error in one line, and raises
    whatever is wrong. `place` is the one folder that it may write to.
    """

    corpus: list[bytes]
    pieces: list[bytes]
    examine: Callable[[bytes], str]
    place: Path


class HangError(BaseException):
    """An input that took too long; no `except Exception` catches it."""


class ForbiddenError(BaseException):
    """An input that made something happen which must not."""


def refusal(examine, *errors):
    """Return the result of a call, or None where it raises one of these in one line."""
    try:
        return examine()
    except errors as error:
        if len(str(error).splitlines()) != 1:
            raise AssertionError(f"not one line: {str(error)!r}") from error
        return None


def mutate(rng: random.Random, corpus: list[bytes], pieces: list[bytes]) -> bytes:
    """Return an input of the corpus with a few changes."""
    data = rng.choice(corpus)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
        start = rng.randrange(len(data) + 1)
        stop = min(len(data), start + rng.choice((0, 1, 1, 2, 4, 16, 64)))
        match rng.randrange(6):
            case 0:
                new = rng.choice(pieces)
            case 1:
                new = b""
            case 2:
                new = data[start:stop] * rng.choice((2, 3, 50))
            case 3:
                new = rng.randbytes(rng.choice((1, 1, 2, 8)))
            case 4:
                other = rng.choice(corpus)
                first = rng.randrange(len(other) + 1)
                new = other[first : first + rng.choice((4, 16, 64))]
            case _:
                new = bytes(byte ^ (1 << rng.randrange(8)) for byte in data[start:stop])
        data = data[:start] + new + data[stop:]
    return data[:MAX_LENGTH]


def fuzz(target: Target, inputs: int, seed: int, *, limit: float) -> "Fuzzed":
    """Examine the corpus and then mutations of it; an input may take `limit` seconds of processor time."""
    rng = random.Random(seed)
    fuzzed = Fuzzed()
    gc.collect()  # what other tests have left in cycles, whose files Python removes when it finds them
    with guarded(target.place), suppress(KeyboardInterrupt):  # Ctrl-C ends a long run, and what was done counts
        for number in range(inputs):
            known = number < len(target.corpus)
            fuzzed.examine(target, target.corpus[number] if known else mutate(rng, target.corpus, target.pieces), limit)
    return fuzzed


class Fuzzed:
    """Outcomes, and for each place where something failed one message and the input that had it."""

    def __init__(self) -> None:
        self.inputs = 0
        self.outcomes: Counter = Counter()
        self.failures: dict[str, tuple[str, bytes]] = {}
        self.slowest = 0.0

    def examine(self, target: Target, data: bytes, limit: float) -> None:
        """Examine an input under guard."""
        self.inputs += 1
        _happened.clear()
        # Processor time: what others do on the machine does not count.
        started = time.process_time()
        try:
            signal.setitimer(signal.ITIMER_PROF, limit)
            outcome = target.examine(data)
            signal.setitimer(signal.ITIMER_PROF, 0)
            if _happened:
                raise ForbiddenError(_happened[0])
        except (Exception, HangError, ForbiddenError) as error:
            signal.setitimer(signal.ITIMER_PROF, 0)
            outcome = "failed"
            # Of a message that is refused, the error that has it is told.
            cause = error.__cause__ or error
            place = traceback.extract_tb(cause.__traceback__)[-1]
            where = f"{type(cause).__name__} at line {place.lineno} of {place.filename}: {str(cause)[:20]}"
            self.failures.setdefault(where, (f"{type(error).__name__}: {error}", data))
        self.outcomes[outcome] += 1
        self.slowest = max(self.slowest, time.process_time() - started)


_happened: list[str] = []
_allowed: list[Path] = []


def _watch(event: str, arguments: tuple) -> None:
    """Note what must not happen while a target is examined; Python never removes a hook."""
    if not _allowed or event not in WATCHED:
        return
    caller = sys._getframe(1).f_code
    if event == "exec":
        # Modules that are imported late have files, and the standard library makes named tuples of texts.
        name = arguments[0].co_filename
        if not name.startswith("<") or name.startswith("<frozen") or caller.co_filename.startswith(STANDARD_LIBRARY):
            return
    elif event == "open":
        path, _, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR) or is_inside(path):
            return
    elif event.startswith("os.") and is_inside(arguments[0]):
        return
    _happened.append(f"{event} from {caller.co_name} in {caller.co_filename}: {arguments!r}")


def is_inside(path: object) -> bool:
    """Whether a path is in the folder that a target may write to, or a descriptor."""
    return isinstance(path, int) or (isinstance(path, str | os.PathLike) and Path(path).is_relative_to(_allowed[0]))


@contextmanager
def guarded(place: Path) -> Iterator[None]:
    """Watch what happens, and turn the end of the time of an input into `HangError`."""

    def end(_signal, _frame):
        raise HangError

    if not getattr(_watch, "installed", False):
        sys.addaudithook(_watch)
        _watch.installed = True
    before = signal.signal(signal.SIGPROF, end)
    _allowed.append(place)
    try:
        yield
    finally:
        _allowed.clear()
        signal.signal(signal.SIGPROF, before)

"""What all targets have in common: the inputs that are drawn, and what an input must not do."""

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hypothesis import strategies as st

STANDARD_LIBRARY = sysconfig.get_path("stdlib") + "/"
MAX_LENGTH = 8000  # bytes of an input
# What starts, connects, deletes or loads code; texts, tables and folders of runs have no business with any of it.
WATCHED = {"exec", "open", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "os.forkpty", "os.kill"}
WATCHED |= {"subprocess.Popen", "socket.connect", "socket.bind", "ctypes.dlopen", "pickle.find_class", "builtins.input"}
WATCHED |= {"os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.symlink", "os.link", "os.truncate"}


class Target(NamedTuple):
    """What is fuzzed.

    `examine` returns in a word what became of one of the `inputs`, ``"refused"`` where that was an error in one line,
    and raises whatever is wrong. The `corpus` is examined first.
    """

    inputs: st.SearchStrategy
    examine: Callable
    corpus: Sequence = ()


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


def mutations(corpus: list[bytes], pieces: list[bytes]) -> st.SearchStrategy:
    """Return the strategy that draws an input of the corpus with a few changes."""
    places, sizes = st.integers(0, MAX_LENGTH), st.sampled_from((0, 1, 2, 4, 16, 64))
    known = st.sampled_from(corpus)
    parts = st.builds(lambda data, start, size: data[start % len(data) :][:size], known, places, sizes)
    # A number is how often what stands there is repeated.
    new = st.sampled_from(pieces) | st.binary(max_size=8) | parts | st.sampled_from((2, 3, 50))
    return st.builds(_change, known, st.lists(st.tuples(places, sizes, new), min_size=1, max_size=8))


def _change(data, changes):
    for place, size, new in changes:
        start = place % (len(data) + 1)
        changed = data[start : start + size] * new if isinstance(new, int) else new
        data = data[:start] + changed + data[start + size :]
    return data[:MAX_LENGTH]


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
    """Raise `ForbiddenError` where something happens that must not."""
    if not getattr(_watch, "installed", False):
        sys.addaudithook(_watch)
        _watch.installed = True
    _happened.clear()
    _allowed.append(place)
    try:
        yield
    finally:
        _allowed.clear()
    if _happened:
        raise ForbiddenError(_happened[0])

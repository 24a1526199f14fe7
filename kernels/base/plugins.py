"""Plug-ins that register rules: entry points of installed packages, and files that the user names."""

import importlib.util
import sys
import traceback
import warnings
from hashlib import sha256
from importlib.metadata import entry_points
from os.path import realpath
from pathlib import Path
from types import ModuleType

MODULE_PREFIX = "sgdbench_plugin_"
"""The beginning of the module name of a file."""

_loaded: set[str] = set()


def load_installed() -> None:
    """Import the entry points of the group `sgdbench.plugins`, each once per process.

    A plug-in that cannot be imported is ignored with a warning: it may not be needed.
    """
    for point in entry_points(group="sgdbench.plugins"):
        if point.value in _loaded:
            continue
        _loaded.add(point.value)  # before the import, which may look up the plug-in's rules
        try:
            point.load()
        except (Exception, SystemExit) as error:
            package = point.dist.name if point.dist else point.module
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"the plug-in {point.name} of {package} is ignored: {reason}", RuntimeWarning, stacklevel=2)


def load_plugin(path: str | Path) -> ModuleType:
    """Import a user's file, and the rules that it registers; the same file only once, by whatever path.

    The file can import modules beside it. Nothing is written beside it. Failures raise a ValueError of one line, with
    the file and the line number.
    """
    path = Path(realpath(path))  # before Python 3.13, Path.resolve raises RuntimeError for circular links
    name = f"{MODULE_PREFIX}{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if path.suffix != ".py" or not path.is_file():
        reason = "is not a file" if path.suffix == ".py" else "does not end in .py"
        raise ValueError(f"the plug-in {path} {reason}; --plugin takes a Python file that registers rules")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec  # noqa: S101 (it is a Python file)
    assert spec.loader  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    try:
        # The import system's bytecode cache would return the old code of a file that is changed twice in a second.
        exec(compile(path.read_bytes(), path, "exec", dont_inherit=True), module.__dict__)  # noqa: S102 (the user's own)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ValueError(_describe_failure(path, error)) from error
    return module


def _describe_failure(path: Path, error: BaseException) -> str:
    if isinstance(error, SyntaxError) and error.filename:
        return f"the plug-in {error.filename}, line {error.lineno}: {error.msg}"
    if isinstance(error, ValueError) and str(path) in str(error):
        return f"the plug-in {path.name}: {error}"  # the message about a rule already has file and line
    frames = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(path)), None)
    place = f"the plug-in {path}" + (f", line {line}" if line else "")
    reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return f"{place}: {' '.join(reason.split())}"

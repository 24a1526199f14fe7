"""Two trees of a git repository, a commit and the working tree, and processes that run the benchmarks of each."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sgdbench.commands.signals import shielded_from_ctrl_c
from sgdbench.compare.pytest_benchmark import read_run
from sgdbench.tables.words import format_count

PLUGIN = "sgdbench_imported_files"
# Options with which each benchmark runs about once.
BRIEF_OPTIONS = [
    "--benchmark-min-rounds=1",
    "--benchmark-max-time=1e-6",
    "--benchmark-min-time=1e-9",
    "--benchmark-warmup=off",
]
GIT_VARIABLES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
# Exit codes of pytest.
PASSED, NOTHING_COLLECTED = 0, 5
SETUP_ADVICE = (
    "an installed package takes precedence over the tree. Build each tree in an environment of its own, such as by "
    '--setup "pip install -e .[test]"'
)


class Tree(NamedTuple):
    """A tree of files, and how Python runs in it.

    `about` describes it. `folder` is where pytest is started: the place in `root` that corresponds to the current
    folder. `own` are the folders from which the packages of the tree may be imported.
    """

    about: str
    root: Path
    folder: Path
    python: str
    environment: dict[str, str]
    own: tuple[Path, ...]


@contextmanager
def open_trees(revision: str, setup: str | None) -> Iterator[tuple[Tree, Tree]]:
    """Check a revision out into a temporary worktree, and yield that tree and the working tree.

    With `setup`, a shell command, each tree has a virtual environment, in which the command is run. A folder outside of
    a repository, an unknown revision, and a failing command raise a ValueError. The worktree and the environments are
    removed at the end, also after an interrupt.
    """
    here = Path.cwd()
    root = Path(_git("rev-parse", "--show-toplevel", folder=here))
    commit = _find_commit(revision, root)
    temporary = Path(tempfile.mkdtemp(prefix="sgdbench-")).resolve()
    checkout = temporary / "checkout" / root.name
    try:
        _git("worktree", "add", "--quiet", "--detach", str(checkout), commit, folder=root)
        changes = len(_git("status", "--porcelain", folder=root).splitlines())
        state = f" with {format_count(changes, 'uncommitted change')}" if changes else ""
        short, head = (_git("rev-parse", "--short", name, folder=root) for name in (commit, "HEAD"))
        inside = here.relative_to(root)
        yield (
            _prepare(f"{revision} ({short})", checkout, checkout / inside, temporary / "A", setup),
            _prepare(f"the working tree ({head}{state})", root, here, temporary / "B", setup),
        )
    finally:
        with shielded_from_ctrl_c():
            # --force twice, because an interrupted checkout is locked.
            _git("worktree", "remove", "--force", "--force", str(checkout), folder=root, check=False)
            shutil.rmtree(temporary, ignore_errors=True)


class Benchmarks(NamedTuple):
    """The shortest time of each benchmark in seconds, and the imported files by module name."""

    times: dict[str, float]
    imported: dict[str, str]


def run_benchmarks(tree: Tree, arguments: Sequence[str]) -> Benchmarks:
    """Run the benchmarks of a tree in a fresh process; if pytest fails, print its output and raise a ValueError."""
    with tempfile.TemporaryDirectory(prefix="sgdbench-") as folder:
        times, files = Path(folder) / "times.json", Path(folder) / "files.json"
        shutil.copy(Path(__file__).with_name("imported_files.py"), Path(folder) / f"{PLUGIN}.py")
        path = os.pathsep.join(filter(None, [tree.environment.get("PYTHONPATH"), folder]))
        environment = tree.environment | {"PYTHONPATH": path, "SGDBENCH_IMPORTED": str(files)}
        own = ["-p", PLUGIN, "--benchmark-only", f"--benchmark-json={times}"]
        code, output = _run([tree.python, "-m", "pytest", *own, *arguments], tree.folder, environment)
        if code == NOTHING_COLLECTED or (code == PASSED and not times.stat().st_size):
            return Benchmarks({}, {})
        if code != PASSED:
            print(output, end="", file=sys.stderr)
            raise ValueError(f"the benchmarks of {tree.about} failed (exit code {code}); the output of pytest is above")
        seconds = {name: float(sample.seconds.min()) for name, sample in read_run(times).samples.items()}
        return Benchmarks(seconds, json.loads(files.read_text(encoding="utf-8")))


def check_imports(tree: Tree, other: Tree, imported: Mapping[str, str]) -> None:
    """Raise ValueError if a package of the tree was imported from elsewhere, such as from an editable install.

    Packages are recognized by their names in the tree. As an editable install may map others, files of the `other` tree
    are refused by any name.
    """
    names = _packages(_python_files(tree))
    others = {(other.root / file).resolve() for file in _python_files(other)}
    for name, file in imported.items():
        place = Path(file).resolve()
        elsewhere = not any(place.is_relative_to(folder) for folder in tree.own)
        if elsewhere and (name in names or place in others):
            raise ValueError(f"the benchmarks of {tree.about} import {name} from {place}: {SETUP_ADVICE}")


def _python_files(tree: Tree) -> list[str]:
    return _git("ls-files", "*.py", folder=tree.root).splitlines()


def _packages(files: Sequence[str]) -> set[str]:
    """Return the names by which the packages and single modules in these files can be imported."""
    paths = [Path(file) for file in files]
    packages = {path.parent for path in paths if path.name == "__init__.py"}
    outer = [package.parts for package in packages if package.parent not in packages]
    # Folders around a package may be part of its name: they need no __init__.py.
    names = {".".join(parts[i:]) for parts in outer for i in range(len(parts))}
    names |= {path.stem for path in paths if str(path.parent) in (".", "src")}
    return names - sys.stdlib_module_names


def _prepare(about: str, root: Path, folder: Path, place: Path, setup: str | None) -> Tree:
    if not folder.is_dir():
        raise ValueError(f"{about} has no folder {folder.relative_to(root)}: start in a folder that both trees have")
    # Flat and src layouts, of the repository and of the project in the current folder.
    first = [str(path) for path in dict.fromkeys([folder, folder / "src", root, root / "src"]) if path.is_dir()]
    environment = dict(os.environ)
    if setup is None:
        path = os.pathsep.join([*first, *filter(None, [os.environ.get("PYTHONPATH")])])
        tree = Tree(about, root, folder, sys.executable, environment | {"PYTHONPATH": path}, (root,))
    else:
        tree = _set_up(about, root, folder, place, setup)
    tree.environment["SGDBENCH_LAST_ON_PATH"] = os.pathsep.join(first) if setup else ""
    code, _ = _run([tree.python, "-c", "import pytest_benchmark"], folder, tree.environment)
    if code:
        way = "the command of --setup has to install it" if setup else "pip install pytest-benchmark, or give --setup"
        raise ValueError(f"pytest-benchmark is not installed for {tree.python}: {way}")
    return tree


def _set_up(about: str, root: Path, folder: Path, place: Path, setup: str) -> Tree:
    """Create a virtual environment at `place`, and run the command in it."""
    scripts = place / ("Scripts" if os.name == "nt" else "bin")
    search = os.pathsep.join([str(scripts), os.environ.get("PATH", os.defpath)])
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    environment |= {"PATH": search, "VIRTUAL_ENV": str(place)}
    for command in ([sys.executable, "-m", "venv", str(place)], setup):
        code, output = _run(command, folder, environment)
        if code:
            print(output, end="", file=sys.stderr)
            raise ValueError(f"--setup failed in {about} (exit code {code}); its output is above")
    return Tree(about, root, folder, str(scripts / "python"), environment, (root, place))


def _run(command: Sequence[str] | str, folder: Path, environment: Mapping[str, str]) -> tuple[int, str]:
    """Run a command (text: with the shell); return its exit code and output. An interrupt kills its processes."""
    with subprocess.Popen(  # noqa: S603 (what the user asked for)
        command,
        shell=isinstance(command, str),
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:  # Windows
                process.kill()
            raise
    return process.returncode, output


def _find_commit(revision: str, root: Path) -> str:
    words = ("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if commit := _git(*words, folder=root, check=False):
        return commit
    shallow = _git("rev-parse", "--is-shallow-repository", folder=root) == "true"
    hint = "; this clone is shallow: fetch the commit first" if shallow else ""
    raise ValueError(
        f"--against: the repository has no commit {revision!r}; give a branch, a tag or a commit, such as HEAD~1{hint}"
    )


def _git(*words: str, folder: Path, check: bool = True) -> str:
    """Return the output of git; if it fails, raise ValueError with git's message, or without `check` return ""."""
    # A git hook sets these variables.
    environment = {name: value for name, value in os.environ.items() if name not in GIT_VARIABLES}
    done = subprocess.run(  # noqa: S603
        ["git", "-c", f"core.hooksPath={os.devnull}", *words],  # noqa: S607
        cwd=folder,
        env=environment | {"GIT_LFS_SKIP_SMUDGE": "1", "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )
    if done.returncode == 0:
        return done.stdout.strip()
    if check:
        raise ValueError(f"--against: git: {done.stderr.strip()}")
    return ""

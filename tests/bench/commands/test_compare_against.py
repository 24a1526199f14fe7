"""A commit and the working tree by turns: real repositories, and a clock that each tree moves forward."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time

import pytest

from tests.support.benchmark_files import OPTIONS, clocked_repository, git
from tests.support.constants import HANG


@pytest.fixture(params=["src"])
def repository(request, sgdbench, tmp_path, monkeypatch):
    """A repository in the current folder, with src or flat: the working tree takes 1.2 times as long as its commit."""
    # Five turns, of processes of pytest that do not say that they are workers, and have one plug-in.
    for name in [name for name in os.environ if name.startswith("PYTEST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setattr("sgdbench.compare.turns.MIN_TURNS", 5)
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    root = tmp_path / "project"
    clocked_repository(root, request.param)
    monkeypatch.chdir(root)
    yield root
    # Nothing is left, whatever happened.
    assert len(git("worktree", "list").splitlines()) == 1
    assert not list((tmp_path / "t").iterdir())
    assert not list(root.rglob("hooked"))


@pytest.mark.usefixtures("repository")
def test_the_working_tree_is_held_against_a_commit(sgdbench):
    code, out, err = sgdbench("compare", "--against", "HEAD", "--gate", "1.1", "--json", "--", "-q", "test_io.py")
    assert (code, err) == (1, "")
    told = json.loads(out)
    (row,) = told["times"]
    assert (row["row"], row["verdict"]) == ("test_io.py::test_read", "past the gate")
    assert [row[name] for name in ("A_seconds", "B_seconds")] == pytest.approx([0.01, 0.012])
    assert [row[name] for name in ("low", "ratio", "high")] == pytest.approx([1.2] * 3)
    notes = {note["about"]: note["says"] for note in told["notes"]}
    assert notes["Only in A"] == "test_io.py::test_old."
    assert notes["Only in B"] == "test_io.py::test_new."
    assert notes["A"].startswith("HEAD (")
    assert notes["B"].endswith(" with 2 uncommitted changes)")
    assert notes["Times"].endswith(" of 5 processes each.")
    assert "intervals of all rows" in notes["Ratio"]


def test_a_package_that_is_installed_from_elsewhere_is_refused(refused, repository, tmp_path, monkeypatch):
    """As by the finder of an editable install; with --setup, each tree has one of its own."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "pytest_elsewhere.py").write_text(f"import sys\nsys.path.insert(0, {str(repository / 'src')!r})\n")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p pytest_elsewhere")
    place = repository / "src" / "pkg" / "__init__.py"
    err = refused("compare", "--against", "HEAD")
    assert f") import pkg from {place}: an installed package takes precedence over the tree." in err
    assert '--setup "pip install -e .[test]"\n' in err


def test_files_of_the_other_tree_are_refused_by_any_name(refused, repository, tmp_path, monkeypatch):
    """As where a package has another name than its folder, and an editable install maps it."""
    (repository / "src" / "pkg").rename(repository / "src" / "folder")
    test = (repository / "test_io.py").read_text().replace("from pkg.code", "from mapped.code")
    (repository / "test_io.py").write_text(test)
    (repository / "pyproject.toml").write_text(OPTIONS.replace("pkg.code.clock", "mapped.code.clock"))
    git("add", ".")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "renamed")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mapped").symlink_to(repository / "src" / "folder")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    err = refused("compare", "--against", "HEAD")
    assert f") import mapped from {repository / 'src' / 'folder' / '__init__.py'}: an installed package" in err


def test_setup_builds_each_tree_in_an_environment_of_its_own(sgdbench, refused, repository, tmp_path, monkeypatch):
    """Here by a command that needs no network, in environments without pip, and leaves a file in each tree."""
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@" --without-pip\n')
    python.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "pkg.py").write_text("raise ImportError")  # another project's, which the environments do not see
    (tmp_path / "install.py").write_text(f"""
import os, pathlib, sys, sysconfig
assert sys.prefix == os.environ["VIRTUAL_ENV"] != {sys.prefix!r}
pathlib.Path(sysconfig.get_path("purelib"), "own.pth").write_text({sysconfig.get_path("purelib")!r})
pathlib.Path("src/pkg/built").touch()
""")
    setup = f"python {tmp_path / 'install.py'}"
    # Both trees have run their benchmarks, with their own package.
    err = refused("compare", "--against", "HEAD", "--setup", setup, "--", "-k", "old or new")
    assert "have no benchmark in common" in err
    assert (repository / "src/pkg/built").exists()
    code, _, err = sgdbench("compare", "--against", "HEAD", "--setup", "echo 'no such package'; exit 3")
    assert code == 2
    assert err.startswith("no such package\nsgdbench: --setup failed in HEAD (")
    assert err.endswith("(exit code 3); its output is above\n")


def test_a_benchmark_that_fails_is_an_error_with_the_output_of_pytest(sgdbench, repository):
    (repository / "test_io.py").write_text("test_read = lambda benchmark: benchmark(lambda: 1 / 0)")
    code, out, err = sgdbench("compare", "--against", "HEAD")
    assert (code, out) == (2, "")
    assert "ZeroDivisionError: division by zero" in err
    *_, last = err.splitlines()
    assert last.startswith("sgdbench: the benchmarks of the working tree (")
    assert last.endswith("failed (exit code 1); the output of pytest is above")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["nosuch"], "the repository has no commit 'nosuch'; give a branch, a tag or a commit, such as HE"),
        (["--quiet"], "the repository has no commit '--quiet'"),
        (["HEAD", "--", "-k", "nosuch"], "no benchmarks were found in HEAD ("),
    ],
)
@pytest.mark.usefixtures("repository")
def test_bad_input_is_one_line(args, words, refused):
    assert words in refused("compare", "--against", *args)


@pytest.mark.parametrize("repository", [""], indirect=True)
@pytest.mark.usefixtures("repository")
def test_trees_without_src_import_their_own_package_and_turns_that_take_too_long_are_refused(refused):
    """That is after what each benchmark imported was looked at."""
    said = "but --time-limit is 1; raise it, or choose benchmarks"
    assert said in refused("compare", "--against", "HEAD", "--time-limit", "1")


def test_where_there_is_no_repository_no_such_folder_or_no_pytest_benchmark(refused, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "pytest_benchmark.py").write_text("raise ImportError")
    assert "pytest-benchmark is not installed for " in refused("compare", "--against", "HEAD")
    (repository / "new").mkdir()
    monkeypatch.chdir(repository / "new")
    assert ") has no folder new: start in a folder that both trees have\n" in refused("compare", "--against", "HEAD")
    monkeypatch.chdir(tmp_path)
    assert "--against: git: fatal: not a git repository" in refused("compare", "--against", "HEAD")
    monkeypatch.chdir(repository)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs POSIX's signals")
def test_an_interrupt_leaves_neither_a_worktree_nor_processes(repository, tmp_path):
    waiting = tmp_path / "waiting"
    (repository / "test_io.py").write_text(f"""
import os, pathlib, time
def wait():
    pathlib.Path({str(waiting)!r}).write_text(str(os.getpid()))
    time.sleep(1000)
test_read = lambda benchmark: benchmark(wait)
""")
    command = [sys.executable, "-m", "sgdbench.cli", "compare", "--against", "HEAD"]
    environment = os.environ | {"TMPDIR": str(tmp_path / "t")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + HANG
        while not (waiting.exists() and waiting.read_text()) and time.monotonic() < end:
            time.sleep(0.05)
        assert len(git("worktree", "list").splitlines()) == 2
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=HANG)
    assert process.returncode == 128 + signal.SIGTERM
    assert err == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(waiting.read_text()), 0)

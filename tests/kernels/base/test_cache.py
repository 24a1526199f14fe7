"""The cache folder: private, optional, and shared by processes."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from sgdbench import fit
from sgdbench.kernels.base import cache
from sgdbench.kernels.base.checksum import find_flaw
from tests.drills.flips import flip
from tests.support.anew import begin_anew
from tests.support.constants import HANG

# Trains a model; prints how it went as JSON.
CHILD = """
import json, sys, warnings
from numba.core import event
with event.install_recorder("numba:compile") as compilations, warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    from sgdbench import fit
    x = [i / 50 for i in range(100)]
    result = fit("a*x + b*x**3", x, x, batch_size=9)
print(json.dumps({
    "params": result.params.tolist(),
    "compiled": len(compilations.buffer),
    "imported": sorted({"sympy", "scipy.linalg", "numba.np.linalg"} & set(sys.modules)),
    "warnings": [f"{one.category.__name__}: {one.message}" for one in caught],
}))
"""


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder that two processes make and fill at once, and what they printed: first one that compiled."""
    folder = tmp_path_factory.mktemp("cache") / "made" / "here"
    environment, command = (
        os.environ | {"SGDBENCH_CACHE_DIR": str(folder)},
        [sys.executable, "-W", "error", "-c", CHILD],
    )
    children = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    printed = [child.communicate(timeout=HANG)[0] for child in children]
    assert [child.returncode for child in children] == [0, 0]
    return folder, *sorted(map(json.loads, printed), key=lambda told: -told["compiled"])


@pytest.fixture
def wanted(monkeypatch):
    """Ask for a cache folder by environment variables."""

    def ask(**environment):
        for name in ("SGDBENCH_CACHE_DIR", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, str(value))
        return cache.folder.__wrapped__()

    return ask


def test_processes_at_once_in_an_empty_folder(filled):
    folder, first, other = filled
    assert first["compiled"] > 0
    assert first["warnings"] == other["warnings"] == []
    assert first["params"] == other["params"]
    kinds = [file.suffix for file in folder.iterdir()]
    assert set(kinds) == {".bc", ".json", ".nbc", ".py", ".seconds"}
    assert (kinds.count(".py"), kinds.count(".nbc")) == (1, 2)  # a kernel, and what drives all of them


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0, 0o777])
def test_a_missing_folder_is_made_for_the_user_alone_whatever_the_umask(wanted, tmp_path, monkeypatch, umask):
    before = os.umask(umask)
    try:
        folder = wanted(SGDBENCH_CACHE_DIR=tmp_path / "made" / "here")
        monkeypatch.setattr(cache, "folder", lambda: folder)
        cache.write("name", "text")
    finally:
        os.umask(before)
    assert cache.read("name") == "text"
    assert {place.stat().st_mode & 0o777 for place in (folder, folder.parent)} == {0o700}
    assert (folder / "name").stat().st_mode & 0o777 == 0o600


def test_a_second_process_compiles_nothing_and_imports_nothing_to_compile_with(filled, python):
    folder, first, _ = filled
    second = json.loads(python(CHILD, SGDBENCH_CACHE_DIR=str(folder)))
    assert first["imported"] == ["numba.np.linalg", "scipy.linalg", "sympy"]
    assert second == first | {"compiled": 0, "imported": []}


def damaged_files(folder):
    """The files of a cache that are not what was written."""
    return [path.name for path in sorted(folder.iterdir()) if find_flaw(path.read_bytes(), path.name.encode())]


def train_here(monkeypatch, folder, kernel):
    """Train in this process, which begins anew with this folder; return the parameters."""
    begin_anew(monkeypatch, folder)
    x = [i / 50 for i in range(100)]
    return fit("a*x + b*x**3", x, x, batch_size=9, kernel=kernel).params.tolist()


def test_a_fit_mends_a_cache_of_which_every_file_is_damaged(filled, python, tmp_path):
    folder, first, _ = filled
    copy, rng = shutil.copytree(folder, tmp_path / "copy"), np.random.default_rng(0)
    for file in copy.iterdir():
        flip(file, rng)
    assert damaged_files(copy) == sorted(file.name for file in folder.iterdir())
    assert json.loads(python(CHILD, SGDBENCH_CACHE_DIR=str(copy)))["params"] == first["params"]
    assert damaged_files(copy) == []
    assert sorted(file.name for file in copy.iterdir()) == sorted(file.name for file in folder.iterdir())


def test_without_a_folder_it_warns_once_and_works(filled, monkeypatch):
    with pytest.warns(RuntimeWarning) as caught:
        assert train_here(monkeypatch, "/dev/null/cache", "reference") == filled[1]["params"]
    (warning,) = caught
    assert str(warning.message).startswith("the kernel cache /dev/null/cache cannot be written (Not a directory)")


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files, which Windows has not")
def test_on_a_full_disk_it_warns_and_works(filled, monkeypatch, tmp_path):
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.warns(RuntimeWarning) as caught:
            assert train_here(monkeypatch, tmp_path, "fused") == filled[1]["params"]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert all("cannot be used" in str(warning.message) for warning in caught)
    assert not [*tmp_path.glob("**/*.tmp")]


def test_where_the_folder_is(wanted, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert wanted() == tmp_path / ".cache" / "sgdbench"
    assert wanted(XDG_CACHE_HOME=tmp_path / "xdg") == tmp_path / "xdg" / "sgdbench"
    assert wanted(XDG_CACHE_HOME=tmp_path, SGDBENCH_CACHE_DIR=tmp_path / "own") == tmp_path / "own"
    assert wanted(SGDBENCH_CACHE_DIR="relative") == tmp_path / "relative"


@pytest.fixture
def place(monkeypatch, tmp_path):
    """An empty cache folder."""
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    return tmp_path


def test_a_text_is_written_whole_or_not_at_all(monkeypatch, place):
    assert cache.read("name") is None
    cache.write("name", "first")
    assert cache.read("name") == "first"

    def fails(*_, **__):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fails)
    cache.write("name", "second")
    assert cache.read("name") == "first"
    assert [file.name for file in place.iterdir()] == ["name"]


def test_no_flipped_bit_is_read(place):
    cache.write("name", "some text\nof two lines")
    file = place / "name"
    whole = file.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        assert cache.read("name") is None
    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        assert cache.read("name") is None
    cache.write("name", "some text\nof two lines")
    assert file.read_bytes() == whole


def test_a_file_under_another_name_is_not_read(place):
    cache.write("name", "text")
    (place / "name").rename(place / "other")
    assert cache.read("other") is None

import os
import sys
from functools import partial

import pandas as pd
import pytest
from matplotlib.figure import Figure

from sgdbench.system.atomic import replace_atomically, sync_folder, unsynced_files, write_text


def test_the_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "new" / "folder" / "a.txt"
    with replace_atomically(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert os.listdir(path.parent) == ["a.txt"]


def test_an_error_leaves_the_old_file_and_no_rubbish(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def write_half():
        with replace_atomically(path) as temporary:
            temporary.write_text("ha")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replace_atomically(tmp_path / "a.txt"):
        pass
    assert os.listdir(tmp_path) == []


def test_permissions_are_those_of_any_new_file(tmp_path):
    plain = tmp_path / "plain.txt"
    plain.write_text("x")
    with replace_atomically(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    assert (tmp_path / "a.txt").stat().st_mode == plain.stat().st_mode


def test_an_error_without_a_number_names_the_file_that_the_user_knows(tmp_path):
    """As those of Pillow; tests below have errors of the system."""
    with pytest.raises(OSError, match="encoder error") as caught, replace_atomically(tmp_path / "a.txt"):
        raise OSError("encoder error")
    assert caught.value.filename == str(tmp_path / "a.txt")


def test_an_error_about_another_file_stays_as_it_is(tmp_path):
    with pytest.raises(FileNotFoundError) as caught, replace_atomically(tmp_path / "a.txt"):
        (tmp_path / "font.ttf").read_bytes()
    assert caught.value.filename == str(tmp_path / "font.ttf")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "a.txt").mkdir()
    with pytest.raises(IsADirectoryError) as caught, replace_atomically(tmp_path / "a.txt") as temporary:
        temporary.touch()
    assert caught.value.filename == str(tmp_path / "a.txt")
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes")
def test_a_pipe_is_refused_and_stays_one(tmp_path):
    """Written as root, `/dev/null` became a file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OSError, match="it is a device or a pipe, and only regular files are replaced"):
            write_text(tmp_path / name, "x")
        assert (tmp_path / name).is_fifo()
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files, which Windows has not")
@pytest.mark.parametrize(
    "write",
    [
        pd.DataFrame({"a": range(10_000)}).to_csv,
        pd.DataFrame({"a": range(10_000)}).to_parquet,
        partial(Figure().savefig, format="png"),
    ],
    ids=["CSV", "Parquet", "PNG"],
)
def test_a_full_disk_names_the_file_whoever_writes(tmp_path, write):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught, replace_atomically(tmp_path / "a.dat") as file:
            write(file)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (caught.value.filename, caught.value.strerror) == (str(tmp_path / "a.dat"), "File too large")
    assert os.listdir(tmp_path) == []


def test_only_files_that_are_to_stay_are_brought_to_the_disk_at_once(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fsync", synced.append)
    with unsynced_files():
        write_text(tmp_path / "a.txt", "a")
        sync_folder(tmp_path)
    assert synced == []
    write_text(tmp_path / "b.txt", "b")
    assert len(synced) == 1
    assert [(tmp_path / name).read_text() for name in ("a.txt", "b.txt")] == ["a", "b"]

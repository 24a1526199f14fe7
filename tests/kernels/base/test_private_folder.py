"""What others could have written is refused; what is made, others cannot write."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from sgdbench.kernels.base import cache
from sgdbench.kernels.base.private_folder import HAS_MODES

pytestmark = pytest.mark.skipif(not HAS_MODES, reason="Windows has no such modes")
UNPRIVILEGED = 65534


@pytest.fixture
def shared():
    """A folder of ours that everybody can look into; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        yield Path(name)


@pytest.fixture
def somebody():
    """Run a command as another user."""
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can act as another user")

    def run(*command):
        subprocess.run([*map(str, command)], user=UNPRIVILEGED, group=UNPRIVILEGED, extra_groups=[], check=True)

    return run


@pytest.fixture
def use(monkeypatch):
    """Let a folder be the cache, looked at as it is when a process first asks for it."""

    look = cache.folder.__wrapped__

    def ask(path):
        monkeypatch.setenv("SGDBENCH_CACHE_DIR", str(path))
        found = look()
        monkeypatch.setattr(cache, "folder", lambda: found)

    return ask


def refused(place):
    told = rf"^the kernel cache .* can be written by others.* \({place} belongs to user \d+ .*: delete it; (?!.*chmod)"
    return pytest.raises(ValueError, match=told)


def made_by(content, name, folder, use):
    """A file with the checksum that it should have: whoever can plant one can compute it."""
    use(folder)
    cache.write(name, content)
    (folder / name).chmod(0o644)
    return folder / name


def test_what_others_planted_is_not_read_when_the_folder_has_been_closed(shared, somebody, use):
    evil = made_by("evil", "kernel", shared / "elsewhere", use)
    (shared / "elsewhere").chmod(0o755)
    folder = shared / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    somebody("cp", evil, folder / "kernel")
    with refused(folder):
        use(folder)
    folder.chmod(0o700)
    use(folder)
    with refused(folder / "kernel"):
        cache.read("kernel")
    shutil.rmtree(folder)
    use(folder)
    assert cache.read("kernel") is None


def test_a_file_that_others_can_write_to_is_not_read(tmp_path, use):
    file = made_by("text", "kernel", tmp_path, use)
    assert cache.read("kernel") == "text"
    for mode in (0o666, 0o620):
        file.chmod(mode)
        with refused(file):
            cache.read("kernel")


@pytest.mark.parametrize("mode", [0o770, 0o702])
def test_a_folder_that_was_opened_to_others_later_is_refused(tmp_path, use, mode):
    use(tmp_path / "cache")
    cache.write("kernel", "text")
    (tmp_path / "cache").chmod(mode)
    for call in (lambda: cache.read("kernel"), lambda: cache.write("kernel", "text"), lambda: use(tmp_path / "cache")):
        with refused(tmp_path / "cache"):
            call()


def test_a_folder_of_somebody_else_is_refused(tmp_path, use, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    with refused(tmp_path):
        use(tmp_path)


def test_a_folder_below_one_that_others_can_write_to_is_refused(tmp_path, use):
    """They could put another in its place."""
    parent = tmp_path / "parent"
    use(parent / "between" / "cache")
    parent.chmod(0o775)
    with refused(parent):
        cache.read("kernel")
    with refused(parent):
        use(parent / "between" / "cache")
    with refused(parent):
        use(parent / "new")
    assert not (parent / "new").exists()


def test_a_folder_below_one_of_somebody_else_is_refused(shared, somebody, use):
    parent = shared / "theirs"
    parent.mkdir()
    use(parent / "cache")
    os.chown(parent, UNPRIVILEGED, UNPRIVILEGED)
    somebody("mv", parent / "cache", parent / "gone")
    somebody("mkdir", parent / "cache")
    with refused(parent):
        cache.read("kernel")
    with refused(parent):
        use(parent / "cache")


def test_in_a_sticky_folder_what_is_ours_is_ours(shared, somebody, use):
    """As in /tmp: others can write there, and not touch it."""
    shared.chmod(0o1777)
    use(shared / "cache")
    cache.write("kernel", "text")
    assert cache.read("kernel") == "text"
    somebody("mkdir", shared / "theirs")
    with refused(shared / "theirs"):
        use(shared / "theirs")
    somebody("ln", "-s", shared / "cache", shared / "link")
    with refused(shared / "link"):
        use(shared / "link")


def test_a_sticky_folder_is_no_cache(tmp_path, use):
    tmp_path.chmod(0o1777)
    with refused(tmp_path):
        use(tmp_path)


def test_the_cache_may_be_behind_links_of_ours(tmp_path, use):
    (tmp_path / "disk").mkdir(mode=0o700)
    (tmp_path / "relative").symlink_to("disk/../disk")
    (tmp_path / "absolute").symlink_to(tmp_path / "relative")
    use(tmp_path / "absolute" / "cache")
    cache.write("kernel", "text")
    assert cache.read("kernel") == "text"
    assert (tmp_path / "disk" / "cache" / "kernel").is_file()


def test_links_in_a_circle_end(tmp_path, use):
    (tmp_path / "here").symlink_to("there")
    (tmp_path / "there").symlink_to("here")
    with pytest.warns(RuntimeWarning, match="symbolic links"):
        use(tmp_path / "here")


def test_no_link_is_followed_out_of_the_cache(tmp_path, use):
    outside = made_by("text", "kernel", tmp_path / "outside", use)
    use(tmp_path / "cache")
    (tmp_path / "cache" / "kernel").symlink_to(outside)
    assert cache.read("kernel") is None
    cache.write("kernel", "new")
    assert cache.read("kernel") == "new"
    use(tmp_path / "outside")
    assert cache.read("kernel") == "text"


def test_what_is_no_file_is_not_waited_for(tmp_path, use):
    use(tmp_path)
    os.mkfifo(tmp_path / "kernel")
    assert cache.read("kernel") is None

"""A drill: another user tries to plant code in the kernel cache, and it must never be read.

Folders of random owners and modes lead to a cache. Another user tries to write into it, or to put another folder or a
link in the place of one on the way; sometimes the owner then takes away the rights of others, which keeps what was
planted. The cache is looked into before and after. Only root can act as others. The suite does it with a few such
caches, and has a test of each attack (`tests/kernels/base/test_private_folder.py`). By hand:

    python -m tests.drills.other_user --caches 2000

Printed is what became of the caches. The exit code is 1 if anything planted was read, or a cache was refused that
nobody else could have written to.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np

from kernels.base import cache
from kernels.base.checksum import LAST_LINE, add_checksum

OWNER, OTHER = 4001, 65534
SAFE, OPEN = (0o700, 0o755, 0o711), (0o777, 0o775, 0o1777, 0o757)
OURS, PLANTED = "ours", "planted"
ATTEMPTS = ("overwrite", "replace file", "replace folder", "put a link")


def act_as(user, work, *arguments):
    """Do something as another user, in another process; return what it returns."""
    here, there = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.umask(0)
            os.write(there, json.dumps(work(*arguments)).encode())
            os._exit(0)
        finally:
            traceback.print_exc()
            os._exit(1)
    os.close(there)
    with open(here) as pipe:
        found = pipe.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(found)


def make_folders(base, rng):
    """Three folders below each other, the last of which is the cache; return them, and whether they are the owner's."""
    folders, private = [base], True
    dangerous = rng.random() < 0.7
    for level in range(3):
        folders.append(folders[-1] / f"level{level}")
        folders[-1].mkdir()
    for folder in folders[1:]:
        owner = int(rng.choice([OWNER, 0, OTHER], p=[0.8, 0.1, 0.1])) if dangerous else OWNER
        mode = int(rng.choice(OPEN if dangerous and rng.random() < 0.4 else SAFE))
        os.chown(folder, owner, owner)
        folder.chmod(mode)
        private &= owner == OWNER and mode in SAFE
    return folders[1:], private


def look(folder, write):
    """What the owner reads from a cache, and writes into it first."""
    os.environ["SGDBENCH_CACHE_DIR"] = str(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the owner may not write either, there is no cache
        try:
            if write:
                cache.write("kernel", OURS)
            return cache.read("kernel") or "nothing"
        except ValueError as error:
            return "refused" if "can be written by others" in str(error) and "\n" not in str(error) else str(error)


def attack(folders, scratch, order):
    """Try to make the cache hold what is planted, which has the checksum that it should have."""
    content = add_checksum(PLANTED.encode() + LAST_LINE, b"kernel")
    file = folders[-1] / "kernel"

    def attempt(number, kind, folder):
        below = folders[folders.index(folder) + 1 :]
        new = (folder.parent if kind == "replace folder" else scratch) / f"new{number}"
        if kind == "overwrite":
            file.write_bytes(content)
        elif kind == "replace file":
            file.with_name("mine").write_bytes(content)
            file.with_name("mine").rename(file)
        else:
            end = new.joinpath(*[each.name for each in below])
            end.mkdir(parents=True)
            (end / "kernel").write_bytes(content)
            folder.rename(folder.with_name(f"away{number}"))
            new.rename(folder) if kind == "replace folder" else folder.symlink_to(new)

    for folder in folders:
        with suppress(OSError):
            folder.chmod(0o777)
    for number, (kind, level) in enumerate(order):
        try:
            attempt(number, kind, folders[level])
            if file.read_bytes() == content:
                return kind
        except OSError:
            continue
    return None


def take_rights_away(folders):
    """What people do who have read that others can write to a folder."""
    for folder in folders:
        if not folder.is_symlink():
            folder.chmod(folder.stat().st_mode & 0o755)


def try_cache(place, rng):
    """Return how another user planted something in a cache, or None, what was read then, and what was wrong."""
    base = Path(tempfile.mkdtemp(dir=place))
    base.chmod(0o755)
    scratch = base / "scratch"
    scratch.mkdir()
    os.chown(scratch, OTHER, OTHER)
    folders, private = make_folders(base, rng)
    before = act_as(OWNER, look, folders[-1], True)
    order = [(kind, level) for kind in ATTEMPTS for level in range(3)]
    rng.shuffle(order)
    planted = act_as(OTHER, attack, folders, scratch, [(str(kind), int(level)) for kind, level in order])
    if rng.random() < 0.5:
        take_rights_away(folders)
    after = act_as(OWNER, look, folders[-1], False)
    shutil.rmtree(base)
    right = {OURS, "nothing", "refused"}
    faults = [f"{planted}: {found!r} was read" for found in (before, after) if found not in right]
    if private and (before, after) != (OURS, OURS):
        faults.append(f"a private cache: {before}, then {after}")
    return planted, after, faults


def count_outcomes(caches, seed=0):
    """Return how many caches ended in which way, and what was wrong."""
    rng, counts, faults = np.random.default_rng(seed), Counter(), []
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        for _ in range(caches):
            planted, after, found = try_cache(Path(place), rng)
            counts[planted or "nothing planted", after] += 1
            faults += found
    return counts, faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--caches", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if os.getuid() != 0:
        sys.exit("only root can act as another user")
    counts, faults = count_outcomes(arguments.caches, arguments.seed)
    for (planted, after), count in sorted(counts.items()):
        print(f"{planted:20}{after:20}{count:6,}")
    print(*faults, sep="\n")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()

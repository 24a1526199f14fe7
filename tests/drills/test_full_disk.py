"""The drill of full disks in its short form."""

import json

import pytest

from tests.drills.full_disk import in_a_namespace


def test_a_disk_that_is_full_or_read_only_loses_nothing_and_names_what_the_user_knows():
    done = in_a_namespace("--sweep", "--sizes", "3")
    if done is None:
        pytest.skip("needs `unshare`, and the permission to mount a file system in memory")
    assert done.returncode == 0, done.stdout + done.stderr
    disks = [json.loads(line) for line in done.stdout.splitlines()]
    assert {one["said"] != "" for one in disks} == {True}
    # On the smallest ones there is no room for a result, and on a larger one for some of the 16.
    assert (disks[0]["stored"], disks[-1]["disk"]) == (0, "ro")
    assert any(0 < one["stored"] < 16 for one in disks)

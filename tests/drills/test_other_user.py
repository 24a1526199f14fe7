"""The drill of another user in its short form."""

import json
import os

import pytest

CODE = """
import json
from tests.drills.other_user import count_outcomes
counts, faults = count_outcomes(40)
print(json.dumps([[(planted, after) for planted, after in counts], faults]))
"""


def test_what_another_user_planted_is_never_read(python):
    if not hasattr(os, "getuid") or os.getuid() != 0:
        pytest.skip("only root can act as another user")
    ends, faults = json.loads(python(CODE))
    assert faults == []
    # Each attack succeeded somewhere, so there was something to be refused.
    assert {planted for planted, _ in ends} == {
        *("overwrite", "replace file", "replace folder", "put a link", "nothing planted"),
    }
    assert ["nothing planted", "ours"] in ends

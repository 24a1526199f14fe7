"""Inputs at random: accepted, or refused in one line; anything else is a failure.

Each other module here makes a target in an empty folder. With `--hypothesis-profile=nightly` each takes a thousand
times as many inputs.
"""

import importlib
import os
import subprocess

import pytest
from hypothesis import HealthCheck, example, given, settings

from tests.fuzz.harness import ForbiddenError, guarded, refusal

# In the suite, for a hundred examples of other tests.
INPUTS = {"expression": 1000, "spec": 300, "derivative": 50, "study": 100, "table": 200, "run_folder": 30}


@pytest.mark.parametrize("name", INPUTS)
def test_whatever_is_read_is_accepted_or_refused_in_one_line(name, tmp_path):
    target = importlib.import_module(f"tests.fuzz.{name}").make_target(tmp_path)
    found = set()

    @settings(
        max_examples=INPUTS[name] * settings().max_examples // 100,
        derandomize=settings.get_current_profile_name() != "nightly",
        suppress_health_check=list(HealthCheck),  # how long an input takes says how busy the machine is
        database=None,
    )
    @given(target.inputs)
    def examine(data):
        with guarded(tmp_path):
            found.add(target.examine(data))

    for data in target.corpus:
        examine = example(data)(examine)
    examine()
    assert "refused" in found
    assert len(found) > 1


# What the harness itself is worth


def test_what_must_not_happen_is_noticed(tmp_path):
    for forbidden in (
        lambda: subprocess.run(["true"], check=True),
        lambda: os.system("true"),
        lambda: exec("1 + 1"),
        lambda: (tmp_path.parent / "elsewhere").write_text(""),
    ):
        forbidden()  # only while a target is examined
        with pytest.raises(ForbiddenError), guarded(tmp_path):
            forbidden()
    with guarded(tmp_path):
        (tmp_path / "inside").write_text("")
        (tmp_path / "inside").unlink()


def test_an_error_of_two_lines_is_no_refusal():
    def two_lines():
        raise ValueError("two\nlines")

    with pytest.raises(AssertionError, match="not one line"):
        refusal(two_lines, ValueError)

"""Each target for about a quarter of a second; the long runs are by hand."""

import importlib
import os
import random
import subprocess

import pytest

pytest.importorskip("resource", reason="needs the timers and limits of POSIX")
from tests.fuzz.__main__ import TARGETS
from tests.fuzz.harness import Target, fuzz, mutate

INPUTS = {"expression": 1000, "spec": 300, "derivative": 30, "study": 100, "table": 200, "run_folder": 30}


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_is_read_is_accepted_or_refused_in_one_line(name, tmp_path):
    target = importlib.import_module(f"tests.fuzz.{name}").make_target(tmp_path)
    # How long an input takes says how busy the machine is; what takes a minute never ends.
    fuzzed = fuzz(target, INPUTS[name], seed=0, limit=60.0)
    assert not fuzzed.failures
    assert fuzzed.inputs == INPUTS[name]
    assert fuzzed.outcomes["refused"]
    assert len(fuzzed.outcomes) > 1


# What the harness itself is worth


def test_what_must_not_happen_is_noticed(tmp_path):
    def examine(data):
        match data:
            case b"run":
                subprocess.run(["true"], check=True)
            case b"shell":
                os.system("true")
            case b"text":
                exec("1 + 1")
            case b"write":
                (tmp_path.parent / "elsewhere").write_text("")
            case b"inside":
                (tmp_path / "inside").write_text("")
                (tmp_path / "inside").unlink()
            case b"loop":
                while True:
                    pass
            case b"lines":
                raise ValueError("two\nlines")
        return "accepted"

    bad = [b"run", b"shell", b"text", b"write", b"loop", b"lines"]
    corpus = [b"inside", *bad, b""]
    fuzzed = fuzz(Target(corpus, [b"piece"], examine, tmp_path), len(corpus), 0, limit=0.2)
    assert fuzzed.outcomes == {"accepted": 2, "failed": len(bad)}
    assert {data for _, data in fuzzed.failures.values()} == set(bad)
    subprocess.run(["true"], check=True)  # only while a target is examined


def test_mutations_follow_from_the_seed():
    corpus, pieces = [b"a*x + b", b"exp(x)"], [b"**"]
    first, again = ([mutate(rng, corpus, pieces) for _ in range(200)] for rng in map(random.Random, (5, 5)))
    assert first == again
    assert len(set(first)) > 150

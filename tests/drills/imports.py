"""A drill: signals strike a command at random moments while it starts, and it must end without a traceback.

Before its own first line a command cannot do anything about a signal: what Python prints then is counted as Python's.
The suite interrupts imports where it hurts most (`tests/bench/commands/test_interrupts.py`). By hand:

    python -m tests.drills.imports --times 60

It prints how the commands ended, signal by signal, and ends with exit code 1 if there was a traceback of ours.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import Counter

import numpy as np
import pandas as pd

from tests.support.constants import ROOT

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Imports nearly everything, and then takes an hour.
COMMAND = ("compare", "fused", "reference", "--seconds", "3600")
SILENT, KILLED, PYTHON, TRACEBACK, OTHER = OUTCOMES = (
    "its exit code",  # 130, 143 or 129
    "killed",  # before it was ready, by the signal itself
    "Python's traceback",
    "traceback",
    "another end",
)


def heed_signals():
    """Undo what a shell does to a program in the background: it ignores Ctrl-C, and so does all that it starts."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.default_int_handler)


def start(*args):
    """Start the command."""
    return subprocess.Popen(
        [sys.executable, "-m", "bench.cli", *args],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def seconds_until_ready():
    """How long it takes to import everything and to load the kernels, and a little more."""
    started = time.monotonic()
    assert start(*COMMAND[:-1], "0.1").wait() == 0
    return time.monotonic() - started


def strike(number, seconds):
    """Send a signal to the command after so many seconds; return how it ended and what it said."""
    process = start(*COMMAND)
    time.sleep(seconds)
    process.send_signal(number)
    out, err = process.communicate(timeout=300)
    return outcome_of(process.returncode, number, out + err), err


def outcome_of(code, number, words):
    """How a command ended that got a signal."""
    if "Traceback" in words or "Exception ignored" in words or "Fatal Python error" in words:
        return TRACEBACK if f"{os.sep}bench{os.sep}" in words else PYTHON
    return {128 + number: SILENT, -number: KILLED}.get(code, OTHER)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=60, help="how many of each signal")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, counts = np.random.default_rng(arguments.seed), {}
    heed_signals()
    longest = seconds_until_ready()
    print(f"Within {longest:.2f} seconds of the start:")
    for number in SIGNALS:
        for _ in range(arguments.times):
            seconds = longest * rng.random()
            outcome, err = strike(number, seconds)
            counts.setdefault(number.name, Counter())[outcome] += 1
            print(f"{number.name} after {seconds:.3f} s: {outcome}", flush=True)
            if outcome not in (SILENT, KILLED):
                print(err, flush=True)
    print(pd.DataFrame(counts, index=OUTCOMES).T.fillna(0).astype(int).to_string())
    sys.exit(1 if any(own[TRACEBACK] or own[OTHER] for own in counts.values()) else 0)


if __name__ == "__main__":
    main()

"""Fuzz one target from the command line: `python -m tests.fuzz expression --inputs 1000000 --seed 1`.

Each other module here makes one target in an empty folder: a small corpus, the pieces that mutations insert, and the
function that examines an input. An input is accepted or refused in one line; anything else is a failure. The suite runs
each target for less than a second.

It prints what became of the inputs, and an input for each place where something failed, and ends with exit code 1
then. An input may take a second of processor time, and the process 500 MB. The inputs follow from the seed.
"""

import argparse
import importlib
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path

TARGETS = ("expression", "spec", "derivative", "study", "table", "run_folder")
SECONDS, MEGABYTES = 1.0, 500


def main():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which processes in the background ignore
    with tempfile.TemporaryDirectory(prefix="sgdbench-fuzz-") as folder:
        # What is derived is not kept: it would be millions of files.
        os.environ["SGDBENCH_CACHE_DIR"] = folder
        from tests.fuzz.harness import fuzz

        target = importlib.import_module(f"tests.fuzz.{asked.target}").make_target(Path(folder).resolve())
        sys.exit(report(asked.target, fuzz(target, asked.inputs, asked.seed, limit=SECONDS)))


def report(name, fuzzed):
    """Print what became of the inputs; returns the exit code."""
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    outcomes = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(fuzzed.outcomes.items()))
    print(f"{name}: {fuzzed.inputs:,} inputs, {outcomes}; slowest {fuzzed.slowest:.2f} s, at most {memory:.0f} MB")
    for where, (message, data) in fuzzed.failures.items():
        print(f"\n{where}\n  {message}\n  {data!r}")
    if memory > MEGABYTES:
        print(f"\nmore than {MEGABYTES} MB")
    sys.stdout.flush()
    return int(bool(fuzzed.failures) or memory > MEGABYTES)


if __name__ == "__main__":
    main()

"""A drill: `sgdbench run` or `tune` is killed at random moments, and --resume must bring the same results.

The suite kills the sweep alone, which takes less time (`tests/bench/engine/test_sweep.py`), and the store
(`tests/bench/store/test_run_folder.py`). By hand, the sweep again and again, and the whole command, from the
study to the report:

    python -m tests.drills.kills --sweeps 200 --kills 100
    python -m tests.drills.kills --sweeps 0 --kills 100 --command tune

Each is forked from a process that has imported and compiled everything. Printed is how the commands ended, signal by
signal; the exit code is 1 if anything was lost or changed, or there was a traceback.
"""

import argparse
import multiprocessing
import os
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd

from bench import load_run, load_tuning
from bench.store.results import read_result
from bench.store.run_folder import read_run
from bench.store.tuning import is_tuning_folder
from tests.drills.flips import STUDY, what_is_read, write_study

SIGNALS = (signal.SIGKILL, signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
KILLED, INTERRUPTED, DONE, OTHER = OUTCOMES = ("killed", "its exit code", "came too late", "another end")
# A part of the time is for training, so that there are some parts to be lost.
COMMANDS = {"run": [], "tune": ["--epochs", "300", "--trials", "150", "--optimizer", "sgd,momentum(log1m:0.5:0.99)"]}
# Tables of a run's evidence that hold times, and that of the journal's checksum: it covers dates.
MEASURED = {"check", "costs", "speed", "speed_rounds", "times", "journal"}
LONGER = STUDY.replace("epochs = 6, target = 0.02", "epochs = 20_000").replace("[0, 1]", "[0, 1, 2, 3, 4, 5, 6, 7]")


def heed_signals():
    """Undo what a shell does to a program in the background: it ignores Ctrl-C, and so does all that it starts."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def import_everything():
    """Import what the command would, once for all that are forked."""
    for module in ("bench.cli", "bench.commands.tune", "bench.engine.tune", "bench.commands.options", "scipy.stats"):
        import_module(module)


def run_command(place, folder, number=None, seconds=0.0, command="run"):
    """Run a command in another process and send it a signal after a while; return its exit code and its words."""
    words = place / "words.txt"
    child = os.fork()
    if child == 0:
        from bench import cli

        signal.signal(signal.SIGINT, lambda *_: os._exit(130))  # as in the first lines of bench/cli.py
        output = os.open(words, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1), os.dup2(output, 2)
        own = COMMANDS[command]
        sys.argv = ["sgdbench", command, str(place / "study.toml"), "--out", str(folder), "--resume", *own]
        code = 1
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
            sys.stdout.flush()
        finally:
            os._exit(code)
    ended, deadline = 0, time.monotonic() + seconds
    while number and not ended and time.monotonic() < deadline:
        time.sleep(0.005)
        ended, status = os.waitpid(child, os.WNOHANG)
    if not ended:
        if number:
            os.kill(child, number)
        status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status), words.read_text(encoding="utf-8")


def outcome_of(code, number):
    """How a command ended that got a signal."""
    return {-number: KILLED, 128 + number: INTERRUPTED, 0: DONE}.get(code, OTHER)


def results_of(folder):
    """What must be the same to the last bit: all but what was measured."""
    read = what_is_read(folder).items()
    found = {key: value for key, value in read if key[0] in ("run", "planned") and key[-1] not in MEASURED}
    return found | ({"trials": load_tuning(folder).trials.to_csv()} if is_tuning_folder(folder) else {})


def trained_in(folder):
    """How many configurations have results. A folder that was killed at its birth has none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return len(read_result(read_run(folder)).frame)
        except ValueError as error:
            if "is no run folder" in str(error) or "holds no sweep" in str(error):
                return 0
            raise


def kill_until_done(command, place, folder, choose, seconds, rng):
    """Run a study until it comes to its end by itself, which signals prevent; yield each end and each fault."""
    stored = 0
    while True:
        number = choose()
        code, words = run_command(place, folder, number, seconds * rng.random(), command)
        faults = ["a traceback"] if "Traceback" in words else []
        if outcome_of(code, number) == OTHER:
            faults.append(f"exit code {code}")
        if (now := trained_in(folder)) < stored:
            faults.append(f"{stored - now} configurations lost")
        stored = now
        outcome = outcome_of(code, number)
        yield number, outcome, [f"{fault} after {number.name}:\n{words}" for fault in faults]
        if outcome == DONE:
            return


def kill_commands(command, place, kills, rng):
    """Run a command again and again, until there were so many signals; return how it ended, and the faults."""
    write_study(place, LONGER)
    run_command(place, place / "first", command=command)  # which compiles
    started = time.monotonic()
    code, words = run_command(place, place / "undisturbed", command=command)
    assert code == 0, words
    seconds = time.monotonic() - started
    print(f"An undisturbed run takes {seconds:.1f} seconds.", flush=True)
    expected = results_of(place / "undisturbed")
    counts, faults, runs = {number.name: Counter() for number in SIGNALS}, [], 0
    while sum(own.total() - own[DONE] for own in counts.values()) < kills:
        runs += 1
        folder = place / f"run{runs}"
        for number, outcome, found in kill_until_done(
            command, place, folder, lambda: SIGNALS[rng.integers(len(SIGNALS))], seconds, rng
        ):
            counts[number.name][outcome] += 1
            faults += found
            print(number.name, outcome, *found, flush=True)
        if results_of(folder) != expected:
            faults.append(f"run {runs} has other results")
        faults += [f"{path} is left" for path in folder.rglob("*.partial")]
        if not (folder / "report.html").exists():
            faults.append(f"run {runs} has no report")
        print(f"{runs} runs came to their end, with {len(faults)} faults.", flush=True)
    return counts, faults


def kill_sweeps(folder, kills):
    """Kill sweeps by SIGKILL; each must end with the results of one that was not disturbed."""
    from tests.support.sweeps import assert_same, kill_at_random_moments, kill_grid, swept

    killed, expected = kill_at_random_moments(folder, beforehand=False, kills=kills), swept(grid=kill_grid())
    for run in killed:
        assert_same(load_run(run), expected)
    print(f"{sum(map(len, killed.values())):,} sweeps were killed, and {len(killed):,} came to their end.", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sweeps", type=int, default=200)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--command", choices=list(COMMANDS), default="run")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    import_everything()
    heed_signals()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        os.environ.setdefault("SGDBENCH_CACHE_DIR", str(place / "cache"))
        counts, faults = kill_commands(arguments.command, place, arguments.kills, np.random.default_rng(arguments.seed))
        if arguments.sweeps:
            (place / "sweeps").mkdir()
            child = multiprocessing.get_context("spawn").Process(
                target=kill_sweeps, args=(place / "sweeps", arguments.sweeps)
            )
            child.start()
            child.join()
            faults += ["a sweep lost something"] if child.exitcode else []
    print(pd.DataFrame(counts, index=OUTCOMES).T.fillna(0).astype(int).to_string(), *faults, sep="\n")
    sys.exit(1 if faults or any(own[OTHER] for own in counts.values()) else 0)


if __name__ == "__main__":
    main()

"""Sources of a comparison: two variants, timed in turns; the folders of two runs; or two pytest-benchmark files."""

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from sgdbench.compare.pytest_benchmark import read_run
from sgdbench.compare.ratios import EPOCHS_COST, LOSS_COST, RATIO_COLUMNS, Sample, compare_runs, times
from sgdbench.kernels.base.checks import check_positive, describe, did_you_mean, list_names
from sgdbench.store.results import read_sweep
from sgdbench.store.run_folder import OMITTED_FACTS, describe_differences
from sgdbench.store.tuning import is_tuning_folder, read_search
from sgdbench.study.load import load_study
from sgdbench.study.suite import is_suite_folder
from sgdbench.system.environment import ENVIRONMENT
from sgdbench.tables.confirm import rank_stored
from sgdbench.tables.costs import LOSS_FLOOR, ranking_loss
from sgdbench.tables.rank import recommended_choice, runs_of
from sgdbench.tables.search import rank_search
from sgdbench.tables.speed_tables import find_untimed
from sgdbench.tables.words import describe_choice, format_count
from sgdbench.timing.own_variants import find_variant
from sgdbench.timing.paired import ratio, take_turns
from sgdbench.timing.problem import Problem, UnavailableError
from sgdbench.timing.speed import describe_noise
from sgdbench.timing.variants import VARIANTS_BY_NAME, Call
from sgdbench.timing.verify import NotVerifiedError, no_compilation, verify
from sgdbench.timing.workload import problem_for, study_problems

RUN_FILE, SPEED_FILE, ROUNDS_FILE = "sgdbench.json", "speed.parquet", "speed_rounds.parquet"
BENCHMARK_FILE, RUN_FOLDER, VARIANT = "a file of pytest-benchmark", "the folder of a run", "a variant"
CALL_UNIT = "call"
NO_RUNS, NO_EPOCHS, NO_LOSSES = (
    pd.DataFrame(),
    *(pd.DataFrame(columns=cost.columns) for cost in (EPOCHS_COST, LOSS_COST)),
)
DEFAULT_SECONDS = 10.0
DIFFERENT_TIMES_WARNING = (
    "A and B were measured at different times, and machines drift: the ratio includes how the machine changed in "
    "between, and its interval cannot show by how much."
)
AGAINST_COMMIT_ADVICE = " `sgdbench compare --against COMMIT` measures a commit and the working tree in turns."


class Comparison(NamedTuple):
    """Ratios of B to A, as from `sgdbench.compare.ratios`, before they are checked against gates; tables may be empty.

    A note is the subject of a sentence, and the sentence.
    """

    times: pd.DataFrame
    notes: list[tuple[str, str]]
    epochs: pd.DataFrame = NO_EPOCHS
    losses: pd.DataFrame = NO_LOSSES


class Measurement(NamedTuple):
    """The workload on which two variants are timed, and for how long; None stands for the default."""

    study: str | None = None
    optimizer: str | None = None
    batch_size: int | str | None = None
    shuffle: bool | None = None
    seconds: float | None = None

    def refuse(self, reason: str) -> None:
        """Raise a ValueError with the reason if any setting was given."""
        if given := [f"--{name.replace('_', '-')}" for name, value in self._asdict().items() if value is not None]:
            raise ValueError(f"{given[0]} is for two variants, which are timed now; {reason}")


def compare_sources(base: str, new: str, measurement: Measurement) -> Comparison:
    """Compare two variants, two folders of runs, or two .json files of pytest-benchmark, by their names.

    Variants are timed on the work of `measurement`; one that does not match the reference raises NotVerifiedError.
    Sources of two kinds, damaged sources and those with nothing in common raise a ValueError.
    """
    kinds = kind_of_source(base), kind_of_source(new)
    if kinds[0] != kinds[1]:
        raise ValueError(f"A, {base}, is {kinds[0]} and B, {new}, is {kinds[1]}: both must be of the same kind")
    if kinds[0] == VARIANT:
        return _compare_variants(base, new, measurement)
    if Path(base).resolve() == Path(new).resolve():
        raise ValueError(f"A and B are both {base}; give two different ones")
    measurement.refuse(f"{base} and {new} were timed before")
    read = _read_file if kinds[0] == BENCHMARK_FILE else _read_folder
    comparison = _compare_stored(read(Path(base)), read(Path(new)))
    if comparison.times.empty and comparison.epochs.empty and comparison.losses.empty:
        notes = [note for note in comparison.notes if note[0] not in ("Times", "Different")]
        reasons = [f"{about}: {sentence.removesuffix('.')}" for about, sentence in notes]
        raise ValueError(". ".join([f"{base} and {new} have no row in common", *reasons]))
    return comparison


def kind_of_source(name: str) -> str:
    """Return the kind of a source; a folder with the name of a variant must be written as ``"./fused"``."""
    if name.endswith(".json"):
        return BENCHMARK_FILE
    if name in VARIANTS_BY_NAME:
        return VARIANT
    if any((Path(name) / file).exists() for file in (RUN_FILE, ROUNDS_FILE)):
        return RUN_FOLDER
    if is_suite_folder(Path(name)):
        raise ValueError(f"{name} is the folder of a suite; compare the problem folders inside it")
    if find_variant(name):  # an installed plug-in's
        return VARIANT
    raise ValueError(
        f"{describe(name)} is not a variant, results folder or JSON file{did_you_mean(name, VARIANTS_BY_NAME)}; "
        f"variants are {'; '.join(VARIANTS_BY_NAME)}"
    )


def _compare_variants(base: str, new: str, measurement: Measurement) -> Comparison:
    if base == new:
        raise ValueError(f"A and B are both the variant {base!r}; give two different ones")
    settings = {name: value for name, value in measurement._asdict().items() if value is not None}
    seconds = check_positive("--seconds", settings.pop("seconds", DEFAULT_SECONDS))
    study = load_study(settings.pop("study", "quadratic"))
    problem, batch = study_problems(study, study.dataset()[0], **settings)
    problems = {name: problem_for(VARIANTS_BY_NAME[name], problem, batch) for name in (base, new)}
    calls = {name: _prepare_verified(name, own) for name, own in problems.items()}
    with no_compilation():
        timings = take_turns(calls, baseline=base, seconds=seconds)
    updates = {name: own.sample_updates for name, own in problems.items()}
    low, middle, high = ratio(timings, new, base).scaled(updates[base] / updates[new])
    medians = [float(np.median(timings.of(name))) / updates[name] for name in (base, new)]
    row = dict(zip(RATIO_COLUMNS, (f"{new} / {base}", *medians, middle, low, high, ""), strict=True))
    given = "; ".join(
        f"{name} trained {format_count(own.runs, 'run')} of {own.epochs:,} epochs on {own.y.size:,} samples"
        for name, own in problems.items()
    )
    notes = [("Times", f"of a sample-update, both taken in turns. {given}."), *describe_noise(timings)]
    return Comparison(pd.DataFrame([row]), notes)


def _prepare_verified(name: str, problem: Problem) -> Call:
    try:
        return verify(VARIANTS_BY_NAME[name], problem)[0]
    except UnavailableError as reason:
        raise ValueError(f"{name} cannot be timed here: {reason}") from None
    except NotVerifiedError as reason:
        raise NotVerifiedError(f"{name} is {reason}") from None


class _Stored(NamedTuple):
    """Stored times, each of one `unit` of work, and the configurations of a run, if there are any.

    `missing` has the reasons why variants were not timed, and `facts` identify the run. `best` are the runs of its best
    choice, which fresh seeds confirmed, and losses below `floor` are equal (see
    `sgdbench.kernels.train.attainable_loss.AttainableLoss`). `rules` are users' rules, with the digest of each.
    """

    samples: dict[str, Sample]
    unit: str
    missing: dict[str, str]
    frame: pd.DataFrame
    facts: dict[str, str]
    environment: dict[str, str]
    best: pd.DataFrame = NO_RUNS
    floor: float = LOSS_FLOOR
    rules: Mapping[str, str] = MappingProxyType({})


def _compare_stored(a: _Stored, b: _Stored) -> Comparison:
    timed = times(a.samples, b.samples)
    careful = (
        f"{DIFFERENT_TIMES_WARNING}{AGAINST_COMMIT_ADVICE if a.unit == CALL_UNIT else ''}{_describe_other_work(a, b)}"
    )
    notes = [("Times", f"of a {a.unit}. {careful}")] if len(timed) else []
    notes += only_in_one(a.samples, b.samples)
    for name, own, other in (("A", a, b), ("B", b, a)):
        untimed = {variant: reason for variant, reason in own.missing.items() if variant in other.samples}
        notes += [(f"{variant} was not timed in {name}", f"{reason}.") for variant, reason in untimed.items()]
    compared = {}
    if a.facts and b.facts:
        reached = any(one.frame["epochs_to_target"].notna().any() for one in (a, b) if len(one.frame))
        name, cost = ("epochs", EPOCHS_COST) if reached else ("losses", LOSS_COST)
        if reason := _reason_incomparable(a, b, reached=reached):
            notes.append((name.capitalize(), reason))
        else:
            compared[name] = compare_runs(cost, a.frame, b.frame, (a.best, b.best), max(a.floor, b.floor))
            if not reached:
                of = "training" if ranking_loss(a.frame) == "final_loss" else "held-out"
                has_patience = any(one.facts["patience"] != "none" for one in (a, b))
                where = "with the parameters that each run keeps" if has_patience else "at the end of each run"
                notes.append(("Losses", f"{where}, on the {of} samples, as no run reached a target."))
            for name, own in (("A", a), ("B", b)):
                best_choice = describe_choice(own.best.iloc[0], int(own.facts["samples"]))
                if own.best["status"].eq("diverged").all():
                    best_choice = "none: every run diverged"
                notes.append((f"Best of {name}", f"{best_choice}."))
    ours, theirs = a.facts | a.environment, b.facts | b.environment
    ours, theirs = ({name: facts[name] for name in ours if name in theirs} for facts in (ours, theirs))
    sources = [f"{rule}: another source" for rule in _other_rules(a, b)]
    differences = [describe_differences(ours, theirs, ("in A", "in B")), *sources]
    if warning := "; ".join(filter(None, differences)):
        notes.append(("Different", f"{warning}."))
    return Comparison(timed, notes, **compared)


def _read_file(path: Path) -> _Stored:
    run = read_run(path)
    if run.samples and not any(sample.seconds.size for sample in run.samples.values()):
        raise ValueError(
            f"{path} has no raw times, which intervals need; rerun pytest with --benchmark-json=FILE, or with "
            "--benchmark-save-data beside --benchmark-autosave"
        )
    return _Stored(run.samples, CALL_UNIT, {}, NO_RUNS, {}, run.facts)


def _read_folder(folder: Path) -> _Stored:
    """Read the folder of a run or of a search, or that of `sgdbench speed`."""
    best, floor, rules = NO_RUNS, LOSS_FLOOR, dict[str, str]()
    if (folder / RUN_FILE).exists():
        runs = rank_search(read_search(folder)) if is_tuning_folder(folder) else rank_stored(read_sweep(folder))
        result, evidence = runs.result, runs.evidence
        frame = result.frame.assign(start=[values.tobytes() for values in result.starts])
        floor = max(result.optimum.rounding or LOSS_FLOOR, result.optimum.held_out_floor)
        if len(frame):
            best = runs_of(frame, recommended_choice(runs.ranked))
        identity, environment = OMITTED_FACTS | result.run.identity, result.run.environment
        rules = {name: rule["sha256"] for name, rule in result.run.rules.items()}
        if len(settings := evidence.get("settings", NO_RUNS)):
            identity |= {"epochs": str(settings["epochs"].iloc[0])}
    else:
        evidence = {
            path.stem: _read_table(path) for path in (folder / SPEED_FILE, folder / ROUNDS_FILE) if path.exists()
        }
        about = folder / ENVIRONMENT
        environment = json.loads(about.read_text(encoding="utf-8")) if about.exists() else {}
        frame, identity = NO_RUNS, {}
    samples = {}
    if "speed_rounds" in evidence:
        rounds = evidence["speed_rounds"].groupby("variant", sort=False)["ns"]
        samples = {str(variant): Sample.of(1e-9 * ns.to_numpy(dtype=float)) for variant, ns in rounds}
    missing = find_untimed(evidence["speed"]) if "speed" in evidence else {}
    machine = {name: str(fact) for name, fact in environment.items()}
    return _Stored(samples, "sample-update", missing, frame, identity, machine, best, floor, rules)


def _read_table(path: Path) -> pd.DataFrame:
    columns = ["variant", "ns", *(["note"] if path.name == SPEED_FILE else [])]
    try:
        return pd.read_parquet(path, columns=columns)
    except ValueError as error:
        raise ValueError(f"{path} is damaged, or not from sgdbench: {error}") from None


def _reason_incomparable(a: _Stored, b: _Stored, *, reached: bool) -> str | None:
    """Return a sentence on why epochs to the target (or losses, if it was never reached) cannot be compared."""
    if a.frame.empty or b.frame.empty:
        return f"{'A' if a.frame.empty else 'B'} has no runs yet."
    for name, what in ({"data": "data"} | ({} if reached else {"validation": "held-out samples"})).items():
        if a.facts[name] != b.facts[name]:
            return f"not compared: the {what} differ."
    # A run reaches the target at one of its checkpoints, so other checkpoints change when it stops.
    for name in ("loss", "target", "record") if reached else ("loss",):
        if a.facts[name] != b.facts[name]:
            return f"not compared: the {name} is {a.facts[name]} in A and {b.facts[name]} in B."
    if other := next((rule for rule in _other_rules(a, b) if rule.startswith("loss ")), None):
        return f"not compared: the source of the {other} differs between A and B."
    if not reached and any(one.frame.filter(like="_loss").lt(0).any(axis=None) for one in (a, b)):
        return "not compared: losses below 0 have no ratio."
    return None


def _other_rules(a: _Stored, b: _Stored) -> list[str]:
    """Return the names of users' rules that differ between two runs, such as ``"loss fair"``."""
    return [name for name, digest in a.rules.items() if b.rules.get(name, digest) != digest]


def _describe_other_work(a: _Stored, b: _Stored) -> str:
    """Return a sentence if a sample-update is different work in the two runs, else nothing."""
    ours, theirs = a.facts | a.environment, b.facts | b.environment
    shared = ours.keys() & theirs.keys()
    losses = [rule for rule in _other_rules(a, b) if rule.startswith("loss ")]
    differ = [name for name in ("model", "inputs", "loss", "work") if name in shared and ours[name] != theirs[name]]
    if bool(a.facts) != bool(b.facts):
        return f" One is a run and one is from `sgdbench speed`; a {a.unit} may be different work in each."
    if not (differences := [*differ, *losses]):
        return ""
    return (
        f" A {a.unit} is different work in A and B (they differ in {differences[0]}); no ratio measures a code change."
    )


def only_in_one(a: Collection[str], b: Collection[str]) -> list[tuple[str, str]]:
    """Return notes on the rows that only A or only B has."""
    alone = {"A": [row for row in a if row not in b], "B": [row for row in b if row not in a]}
    return [(f"Only in {name}", f"{list_names(rows, '; ')}.") for name, rows in alone.items() if rows]

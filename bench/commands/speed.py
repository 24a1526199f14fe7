"""The command `sgdbench speed`: verify variants, time them in turns and compare them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sgdbench.charts.speed import speed_chart
from sgdbench.commands.console import mapping_display, print_sentence, print_table
from sgdbench.commands.stages import show_progress
from sgdbench.kernels.base.checks import check_positive, describe, did_you_mean, list_names
from sgdbench.plots.failures import skip_failed_figure
from sgdbench.store.run_folder import IDENTITY_FILE
from sgdbench.study.schema import Study
from sgdbench.system.atomic import explain_unwritable, replace_atomically, write_text
from sgdbench.system.environment import ENVIRONMENT, environment
from sgdbench.tables.formatting import write_tables
from sgdbench.tables.render import readable_table
from sgdbench.tables.speed_tables import (
    budget_footnotes,
    budget_summary,
    describe_fastest,
    footnotes,
    speed_summary,
)
from sgdbench.timing.budget import TARGETS, targets_table
from sgdbench.timing.own_variants import PLUGIN_ADVICE, find_variant
from sgdbench.timing.speed import Speed, speed
from sgdbench.timing.variants import VARIANTS_BY_NAME, Variant
from sgdbench.timing.workload import BASELINE, study_problems

# About how long each row of the budget is measured.
TARGET_SECONDS = 6.0


def select_variants(only: Sequence[str] | None, *, peers: bool) -> list[Variant]:
    """Return the variants of these names in the registry's order; by default all, with or without peers."""
    if only is None:
        return [variant for variant in VARIANTS_BY_NAME.values() if peers or not variant.package]
    if peers:
        raise ValueError("--peers and --only exclude each other; name the peers in --only")
    names = {*_match_names(only), BASELINE}
    return [variant for variant in VARIANTS_BY_NAME.values() if variant.name in names]


def _match_names(parts: Sequence[str]) -> Iterator[str]:
    """Yield names of variants, some of which contain a comma: "lanes, all cores" is one variant."""
    while parts:
        ends = range(len(parts), 0, -1)
        end = next((end for end in ends if find_variant(", ".join(parts[:end]))), None)
        if end is None:
            accepted = list_names(VARIANTS_BY_NAME, "; ")
            close = did_you_mean(parts[0], VARIANTS_BY_NAME)
            raise ValueError(
                f"--only must name variants among {accepted}, not {describe(parts[0])}{close}{PLUGIN_ADVICE}"
            )
        yield ", ".join(parts[:end])
        parts = parts[end:]


def run_speed(
    study: Study,
    only: Sequence[str] | None,
    *,
    peers: bool,
    optimizer: str,
    batch_size: int | str,
    shuffle: bool,
    seconds: float,
    targets: bool,
    out: Path,
) -> bool:
    """Verify and time variants, print the table and write it to a folder.

    Return whether every variant that could run, including those of the budget, matches the reference.
    """
    check_positive("--seconds", seconds)
    if (out / IDENTITY_FILE).exists():
        raise ValueError(f"{out} is the folder of a run and was not changed: choose another one with --out")
    with explain_unwritable(out):  # before measuring
        out.mkdir(parents=True, exist_ok=True)
    variants = select_variants(only, peers=peers)
    data, _ = study.dataset(**mapping_display())
    problem, batch = study_problems(study, data, optimizer=optimizer, batch_size=batch_size, shuffle=shuffle)
    with show_progress("variants", len(variants)) as advance:
        measured = speed(variants, problem, batch, seconds=seconds, roofs=True, progress=advance)
    tables = {"speed": measured.table}
    if conclusion := describe_fastest(measured.table):
        print_sentence("Fastest kernel", conclusion)
        print()
    order = "a fresh order each epoch" if problem.shuffle else "in sequence"
    size = "sample by sample" if problem.batch_size == 1 else f"batches of {problem.batch_size:,}"
    work = f"{problem.model.expression}, {problem.y.size:,} samples, {problem.optimizer}, {size}, {order}"
    print_speed(measured, work)
    if targets:
        with show_progress("targets", len(TARGETS)) as advance:
            tables["targets"] = targets_table(seconds=TARGET_SECONDS, progress=advance)
        print_table(budget_summary(tables["targets"]), "Performance budget: speedup and its target")
        for remark in budget_footnotes(tables["targets"]):
            print_sentence(*remark.split(": ", 1))
    write_tables(tables, out, readable_table)
    with replace_atomically(out / "speed_rounds.parquet") as path:
        measured.rounds.to_parquet(path, index=False)
    packages = {variant.package for variant in variants if variant.package and not variant.missing()}
    facts = environment() | _versions(packages) | {"work": work}
    write_text(out / ENVIRONMENT, json.dumps(facts, indent=1))
    from sgdbench.plots.draw import draw_chart  # noqa: PLC0415 (matplotlib, which `run` imports elsewhere)
    from sgdbench.plots.style import save  # noqa: PLC0415

    with skip_failed_figure("the figure speed"):
        save(draw_chart(speed_chart(measured.table)), out, "speed")
    print(f"Tables and figure: {out}")
    return not any(tables[name]["verified"].eq(False).any() for name in ("speed", "targets") if name in tables)


def _versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of packages; a folder that has the name of a package has none."""
    versions = {}
    for package in sorted(packages):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions


def print_speed(measured: Speed, title: str) -> None:
    """Print the measured times, the variants that were not timed, and the noise."""
    print_table(speed_summary(measured.table), title)
    for remark in footnotes(measured.table):
        print_sentence(*remark.split(": ", 1))
    for note in measured.notes:
        print_sentence(*note)

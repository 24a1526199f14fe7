"""Suites: one grid tried on several problems, each of which is a study."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgdbench.study.builtin import builtin_paths
from sgdbench.study.load import check_table, load_study, read_study_table, resolve_paths, study_of_table
from sgdbench.study.schema import Named, Study, folder_name

SHARED_SECTIONS = ("grid", "run")
SUITE_KEYS = (*Named.model_fields, "problem", *SHARED_SECTIONS)
SUITE_FILE = "suite.toml"
"""The file in which the folder of a suite names the folders of its runs."""


@dataclass(frozen=True)
class Suite:
    """Several studies, one per problem, each with its own name."""

    name: str
    title: str
    description: str
    studies: tuple[Study, ...]


def load_suite(name: str) -> Suite | None:
    """Read a suite, a built-in one or a TOML file; return None if it is not a suite.

    It has a table ``[[problem]]`` for each problem, and ``[grid]`` and ``[run]`` for all of them. A problem has the
    tables of a study; keys of its own ``grid`` and ``run`` take precedence over shared ones. A ValueError names in one
    line the file, the problem, the key, its value and what is accepted.
    """
    path = builtin_paths("suites").get(name, Path(name))
    if path.suffix != ".toml" or not path.is_file():
        return None
    table = read_study_table(path)
    if "problem" not in table:
        return None
    if unknown := next((key for key in table if key not in SUITE_KEYS), None):
        raise ValueError(f"{path}: {unknown} is not a key of a suite; available: {', '.join(SUITE_KEYS)}")
    problems = table["problem"]
    texts = {key: table[key] for key in Named.model_fields if key in table}
    named = check_table(Named, texts, lambda key: f"{path}: ")
    if not isinstance(problems, list) or not all(isinstance(problem, dict) for problem in problems) or not problems:
        raise ValueError(f"{path}: problem must be one or more tables [[problem]]")
    studies = tuple(_make_study(table, problem, path) for problem in problems)
    folders = [folder_name(study.name) for study in studies]
    if twice := next((one for one in folders if folders.count(one) > 1), None):
        raise ValueError(f"{path}: problem names must be distinct, but two would use the folder {twice!r}")
    tried = {study.name: study.make_grid().optimizer for study in studies}
    if other := next(
        (name for name, optimizers in tried.items() if set(optimizers) != set(tried[studies[0].name])), None
    ):
        raise ValueError(
            f"{path}, problem {other!r}: grid.optimizer must list the optimizers of the other problems, not "
            f"{', '.join(tried[other])}"
        )
    return Suite(named.name, named.title or named.name, named.description or "", studies)


def find_study_of(data: str) -> Study | None:
    """Return the built-in study with the name of built-in data, or the first problem of a suite that uses them."""
    if data in builtin_paths("studies"):
        return load_study(data)
    suites = [suite for name in builtin_paths("suites") if (suite := load_suite(name))]
    return next((study for suite in suites for study in suite.studies if study.data.builtin == data), None)


def is_suite_folder(folder: Path) -> bool:
    """Return whether a folder holds the runs of a suite."""
    return (folder / SUITE_FILE).is_file()


def _make_study(table: Mapping[str, Any], problem: Mapping[str, Any], path: Path) -> Study:
    """Return the study of a problem; paths of data are relative to the file."""
    name = problem.get("name", "")
    merged = {key: value for key, value in problem.items() if key not in SHARED_SECTIONS}
    for section in SHARED_SECTIONS:
        shared, own = table.get(section, {}), problem.get(section, {})
        if not isinstance(shared, dict) or not isinstance(own, dict):
            raise ValueError(f"{path}, problem {name!r}: {section} must be a table")
        merged[section] = shared | own
    resolve_paths(merged, path)
    try:
        return study_of_table(merged)
    except ValueError as error:
        raise ValueError(f"{path}, problem {name!r}: {error}") from None

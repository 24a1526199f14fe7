"""The report of a suite: the best optimizers on each problem, and the widths of their ranges of good learning rates."""

import os
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from sgdbench.charts.performance_profile import NAMED, profile_chart, rate_ranges, ratio_map
from sgdbench.report.run_data import RunData
from sgdbench.report.short_report import Figures, write_short_report
from sgdbench.tables.facts import FewestSamples, LeadingOptimizer, LeftOut, NothingCompared, WidestRates
from sgdbench.tables.formatting import escape_markdown, percentage, text
from sgdbench.tables.performance_profile import (
    cost_ratios,
    good_rates,
    performance_profile,
    problem_ratios,
    profile_summary,
)
from sgdbench.tables.words import format_count, sentences

SHARES = {"won": "best", "within_2": "within 2 times", "within_10": "within 10 times", "solved": "solved"}


@dataclass(frozen=True, eq=False)
class SuiteData:
    """The runs of a suite by the names of the problems."""

    title: str
    description: str
    runs: dict[str, RunData]

    @cached_property
    def compared(self) -> dict[str, RunData]:
        """The problems of which some run reached the target, and which have been tried on fresh seeds."""
        fresh = {name: run for name, run in self.runs.items() if run.fresh is not None}
        return {name: run for name, run in fresh.items() if run.ranked["converged"].any()}

    @cached_property
    def ratios(self) -> dict[str, pd.DataFrame]:
        """The costs of the optimizers relative to the best one, by problem."""
        return {
            name: cost_ratios(run.ranked, run.fresh) for name, run in self.compared.items() if run.fresh is not None
        }

    @cached_property
    def rates(self) -> dict[str, pd.DataFrame]:
        """The ranges of good learning rates, by problem."""
        return {name: good_rates(run.ranked) for name, run in self.compared.items()}

    @cached_property
    def summary(self) -> pd.DataFrame:
        """The optimizers over all problems, best first."""
        return profile_summary(self.ratios, self.rates)


def write_suite_report(data: SuiteData, folder: Path, *, svg: bool = False) -> Path:
    """Write report.html, report.md, tables/ and figures/ of a suite to its folder, and return the page."""
    frames: dict[str, pd.DataFrame | None] = dict.fromkeys(("optimizers", "ratios", "rates", "profile"))
    tables: dict[str, pd.DataFrame] = {}
    figures: Figures = dict.fromkeys(("profile", "ratios", "rates"))
    if data.ratios:
        summary, by_problem = data.summary, problem_ratios(data.ratios).loc[data.summary["optimizer"]]
        profile = performance_profile(data.ratios)
        frames = {
            "optimizers": summary,
            "ratios": by_problem.reset_index(),
            "rates": pd.concat([table.assign(problem=name) for name, table in data.rates.items()], ignore_index=True),
            "profile": profile,
        }
        order = summary["optimizer"].tolist()
        tables = {"The optimizers over all problems": readable_summary(summary)}
        figures = {
            "profile": partial(profile_chart, profile, named=order[:NAMED]),
            "ratios": partial(ratio_map, by_problem),
            "rates": partial(rate_ranges, data.rates, order=order),
        }
    runs = _runs(data, folder)
    listed = "\n".join(
        f"- [{escape_markdown(run['name'])}]({run['link']}): {escape_markdown(run['about'])}" for run in runs
    )
    return write_short_report(
        folder,
        "suite.html.j2",
        data.title,
        sentences(find_suite_conclusions(data)),
        frames=frames,
        tables=tables,
        figures=figures,
        svg=svg,
        more=f"## Problems\n\n{listed}",
        description=text(data.description[:1].upper() + data.description[1:]),
        runs=runs,
    )


def find_suite_conclusions(data: SuiteData) -> list[Any]:
    """Return the conclusions: the best optimizer over all, on each problem, and by its range of rates."""
    conclusions: list[Any] = [NothingCompared()]
    if data.ratios:
        first = data.summary.iloc[0]
        solved = sum(int(table.notna().any().sum()) for table in data.ratios.values())
        unsolved = sum(table.shape[1] for table in data.ratios.values()) - solved
        shares = float(first["solved"]), float(first["within_2"])
        conclusions = [
            LeadingOptimizer(str(first["optimizer"]), *shares, solved, len(data.ratios), unsolved),
            *(FewestSamples(name, _find_cheapest(table)) for name, table in data.ratios.items()),
            find_widest_rates(data.summary),
        ]
    lacks: dict[str, tuple[str, ...]] = {}
    for name, run in data.runs.items():
        if name not in data.ratios:
            reached = run.frame["status"].eq("converged").any()
            lack = "target" if run.target is None else "fresh seeds" if reached else "success"
            lacks[lack] = (*lacks.get(lack, ()), name)
    return [*conclusions, LeftOut(lacks)] if lacks else conclusions


def _find_cheapest(ratios: pd.DataFrame) -> tuple[str, ...]:
    """Return the optimizers whose median ratio on a problem is within 5 % of the lowest one."""
    medians = problem_ratios({"": ratios})[""].sort_values(kind="stable")
    # Also in instances that no optimizer solves, which have no ratio.
    if not (np.isfinite(ratios).mean(axis=1) > 1 / 2).any():
        return ()
    return tuple(str(other) for other, ratio in medians.items() if ratio <= 1.05 * medians.iloc[0])


def find_widest_rates(summary: pd.DataFrame) -> WidestRates:
    """Return the three widest ranges of good learning rates; a single rate that is good is no range."""
    wide = summary[summary["decades"] > 0].sort_values("decades", ascending=False, kind="stable").head(3)
    return WidestRates(dict(zip(wide["optimizer"], wide["decades"], strict=True)))


def readable_summary(summary: pd.DataFrame) -> pd.DataFrame:
    """Return the table of optimizers with intervals, as it is read."""
    table = pd.DataFrame({"optimizer": summary["optimizer"]})
    for name, title in SHARES.items():
        ends = summary[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
        table[title] = [f"{percentage(value)} [{100 * low:.0f}, {100 * high:.0f}]" for value, low, high in ends]
    ends = summary[["ratio", "ratio_low", "ratio_high"]].to_numpy(float)
    table["times the best"] = [f"{_ratio(value)} [{_ratio(low)}, {_ratio(high)}]" for value, low, high in ends]
    table["decades"] = [f"{width:.2f}" for width in summary["decades"]]
    return table


def _ratio(value: float) -> str:
    return "fails" if not value < float("inf") else text(value, 2)


def _runs(data: SuiteData, folder: Path) -> list[dict[str, Any]]:
    """Return the problems with links to their reports and a description."""
    rows = []
    for name, run in data.runs.items():
        link = os.path.relpath(run.result.run.folder / "report.html", folder).replace(os.sep, "/")
        target = "" if run.target is None else f", target {run.criterion.label} {text(run.target)}"
        about = (
            f"{run.title}: {run.result.model.expression}{run.source}, {format_count(len(run.frame), 'configuration')}"
        )
        rows.append({"name": name, "link": quote(link), "about": f"{about}{target}"})
    return rows

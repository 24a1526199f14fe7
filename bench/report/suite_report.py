"""The report of a suite: the best optimizers on each problem, and the widths of their ranges of good learning rates."""

import os
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from bench.plots.performance_profile import NAMED, performance_profiles, rate_ranges, ratios_by_problem
from bench.report.run_data import RunData
from bench.report.short_report import Figures, write_short_report
from bench.tables.formatting import escape_markdown, percentage, text
from bench.tables.performance_profile import (
    cost_ratios,
    good_rates,
    performance_profile,
    problem_ratios,
    profile_summary,
)
from bench.tables.words import format_count

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
            "profile": (
                "How often each optimizer is within a factor of the best one.",
                partial(performance_profiles, profile, named=order[:NAMED]),
            ),
            "ratios": (
                "Samples to the target on each problem, relative to the best optimizer.",
                partial(ratios_by_problem, by_problem),
            ),
            "rates": (
                "How wide the range of good learning rates is.",
                partial(rate_ranges, data.rates, order=order),
            ),
        }
    runs = _runs(data, folder)
    listed = "\n".join(
        f"- [{escape_markdown(run['name'])}]({run['link']}): {escape_markdown(run['about'])}" for run in runs
    )
    return write_short_report(
        folder,
        "suite.html.j2",
        data.title,
        describe_suite(data),
        frames=frames,
        tables=tables,
        figures=figures,
        svg=svg,
        more=f"## Problems\n\n{listed}",
        description=text(data.description[:1].upper() + data.description[1:]),
        runs=runs,
    )


def describe_suite(data: SuiteData) -> dict[str, str]:
    """Return the conclusions by subject: the best optimizer over all, on each problem, and by its range of rates."""
    if not data.ratios:
        return {"Over all": "There is nothing to compare."} | _describe_left_out(data)
    summary = data.summary
    first = summary.iloc[0]
    instances = sum(table.shape[1] for table in data.ratios.values())
    solved = sum(int(table.notna().any().sum()) for table in data.ratios.values())
    left = instances - solved
    others = f" No optimizer solves {format_count(left, 'other instance')}." if left else ""
    sentences = {
        "Over all": (
            f"{first['optimizer']} leads: it solves {percentage(first['solved'])} of "
            f"{format_count(solved, 'instance')} of {format_count(len(data.ratios), 'problem')} on fresh seeds, "
            f"and {percentage(first['within_2'])} with at most twice the samples of the best optimizer.{others}"
        )
    }
    for name, table in data.ratios.items():
        sentences[f"Fewest samples: {name}"] = _name_cheapest(table)
    return sentences | {"Widest good rates": describe_rate_ranges(summary)} | _describe_left_out(data)


def _describe_left_out(data: SuiteData) -> dict[str, str]:
    """Return a sentence on the problems on which nothing is compared, with the reasons; empty if there are none."""
    others = {name: run for name, run in data.runs.items() if name not in data.ratios}
    reasons: dict[str, list[str]] = {}
    for name, run in others.items():
        reached = run.frame["status"].eq("converged").any()
        lacks = "run was made on fresh seeds" if reached else "run of the grid reached the target"
        reasons.setdefault(lacks if run.target is not None else "target was set", []).append(name)
    parts = [f"{', '.join(names)}, where no {lacks}" for lacks, names in reasons.items()]
    return {"Left out": f"{'; '.join(parts)}."} if parts else {}


def _name_cheapest(ratios: pd.DataFrame) -> str:
    """Return the optimizers whose median ratio on a problem is within 5 % of the lowest one."""
    medians = problem_ratios({"": ratios})[""].sort_values(kind="stable")
    # Also in instances that no optimizer solves, which have no ratio.
    if not (np.isfinite(ratios).mean(axis=1) > 1 / 2).any():
        return "No optimizer reaches the target in most of its runs on fresh seeds."
    close = [str(other) for other, ratio in medians.items() if ratio <= 1.05 * medians.iloc[0]]
    more = f", and {format_count(len(close) - 3, 'other')}" if len(close) > 3 else ""
    return f"{', '.join(close[:3])}{more}."


def describe_rate_ranges(summary: pd.DataFrame) -> str:
    """Return the optimizers with the widest ranges of good learning rates; a single rate that is good is no range."""
    wide = summary[summary["decades"] > 0].sort_values("decades", ascending=False, kind="stable").head(3)
    if wide.empty:
        return "No optimizer has two neighboring learning rates that are both good on any problem."
    listed = ", ".join(f"{row.optimizer} ({row.decades:.2g})" for row in wide.itertuples())
    return f"{listed}, in decades of learning rates, on average over the problems."


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

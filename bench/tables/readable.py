"""Tables for readers: the columns that matter, as text, and no speedup of results that are not verified."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from bench.tables.estimates import format_estimate
from bench.tables.formatting import MISSING, display, duration, text
from bench.tables.phrases import describe_estimate, describe_ratio, format_share
from bench.tables.ranking import varies
from bench.tables.run_costs import choice_columns
from kernels.base.run import Floats
from kernels.compile.kinds import KERNELS

FULL = "full"
_NUMBER = re.compile(r"-?[\d∞]")


class Column(NamedTuple):
    """The heading of a column, and whether the column is numeric."""

    title: str
    numeric: bool


class TextTable(NamedTuple):
    """A table as text."""

    columns: list[Column]
    rows: list[list[str]]


def text_table(table: pd.DataFrame) -> TextTable:
    """Return the cells of a table as text."""
    cells = display(table)
    rows = cells.to_numpy().tolist()
    columns = [Column(str(title), _is_numeric([row[i] for row in rows])) for i, title in enumerate(cells.columns)]
    return TextTable(columns, rows)


def _is_numeric(cells: list[str]) -> bool:
    present = [cell for cell in cells if cell not in (MISSING, FULL)]
    return bool(present) and all(_NUMBER.match(cell) for cell in present)


def describe_batch_size(size: float, samples: int | None) -> str:
    """Return a batch size as text: "full" if it is all the samples."""
    return FULL if size == samples else text(size)


def readable_table(name: str, table: pd.DataFrame, samples: int | None = None) -> pd.DataFrame:
    """Return the columns of a measurement that a report shows; of speeds and times a shorter table.

    Parameters
    ----------
    name : str
    table : DataFrame
    samples : int, optional
        The number of samples in the data: a batch of all of them is called full.
    """
    shown = _select_columns(name, table)
    if samples is None:
        return shown
    if "batch_size" in shown:
        shown = shown.assign(batch_size=[describe_batch_size(size, samples) for size in shown["batch_size"]])
    if name == "effects":
        is_full = shown["setting"].eq("batch size") & shown["value"].eq(text(samples))
        shown = shown.assign(value=shown["value"].mask(is_full, FULL))
    return shown


def _select_columns(name: str, table: pd.DataFrame) -> pd.DataFrame:
    summaries = {
        "targets": budget_summary,
        "best": ranking_summary,
        "best_by_optimizer_and_batch_size": ranking_summary,
        "optimizers": optimizer_summary,
        "importance": importance_summary,
    }
    if name in summaries:
        return summaries[name](table)
    match name:
        case "speed":
            return _summarize_verified_speed(table)
        case "effects" if "converged" in table and not table["converged"].any():
            costs = [f"best_{cost}" for cost in ("samples", "updates", "seconds")]
            table = table.drop(columns=["converged", *costs], errors="ignore")
        case "times":
            table = fastest_choices(table)
        case "check":
            table = table.assign(verified=table["verified"].map({True: "✓ yes", False: "✗ no"}))
    constant = [column for column in ("schedule", "shuffle") if column in table and not varies(table, column)]
    return table.drop(columns=["config_id", *constant], errors="ignore")


def _summarize_verified_speed(speed: pd.DataFrame) -> pd.DataFrame:
    """Return the summary of the speeds that are verified, with a mark at each variant."""
    summary = speed_summary(_mask_unverified(speed))
    summary = summary.loc[:, (summary != MISSING).any()]
    marks = ["✗" if verified.startswith("no") else "✓" for verified in summary["verified"]]
    return summary.assign(verified=[f"{mark} {how}" for mark, how in zip(marks, summary["verified"], strict=True)])


_CAPTIONS = {
    "best": (
        "Medians over all starts and seeds with 95 % intervals; a run that missed the target counts as infinitely "
        "expensive. Tied choices are statistically indistinguishable from the best one."
    ),
    "optimizers": (
        "Each optimizer has its own best choice of the other settings. Its cost is compared with that of the best "
        "choice run by run, from the same starts with the same seeds. The ratio is the median; its interval is wide "
        "enough for all of them to hold with a confidence of 95 %. The more choices are tried, the more the best one "
        "owes to luck; fresh seeds show what it is worth without."
    ),
    "importance": (
        "Main effects on the logarithm of the cost over the whole grid, as in an analysis of variance: the share of "
        "the variance that the means of a setting's values explain, and how many times the mean cost of the best value "
        "the worst one has. A run that fails counts ten times the most expensive one. A setting that matters only "
        "together with another has a small share."
    ),
    "speed": (
        "Medians with 95 % confidence intervals. The results of each variant were compared with those of the reference "
        "before it was timed. Break-even is the number of sample-updates that repay the compile time (cold), compared "
        "with the reference. The roof is the arithmetic of a kernel by itself, timed in the same turns; the share is "
        "its time divided by the kernel's."
    ),
    "times": (
        "The best choice of each optimizer with each kernel. Success is the share of runs that reach the target, as "
        "Wilson's 95 % confidence interval."
    ),
    "theory": (
        "The predicted edge is the learning rate above which training diverges, from the matrix of one epoch. The "
        "columns after it are observed in the first epochs of the runs."
    ),
    "rates": (
        "The factor by which an epoch multiplies the distance to the solution, predicted from the matrix of one epoch "
        "and measured in the runs."
    ),
}


def caption(name: str, table: pd.DataFrame) -> str:
    """Return the caption of a table: what it holds, which variants were not measured, and why."""
    missing = footnotes(_mask_unverified(table)) if name == "speed" else []
    return " ".join([*([_CAPTIONS[name]] if name in _CAPTIONS else []), *(f"{remark}." for remark in missing)])


def _mask_unverified(speed: pd.DataFrame) -> pd.DataFrame:
    """Remove the speed of variants whose results are not verified."""
    return speed.assign(ns=speed["ns"].where(speed["verified"].fillna(False).astype(bool)))


def ranking_summary(ranked: pd.DataFrame) -> pd.DataFrame:
    """Return a ranking as text: the choice, its success, its costs with their intervals, and whether it is tied."""
    choice = [name for name in ranked if name in choice_columns(ranked)]
    varying = [name for name in choice if varies(ranked, name)] or choice
    cells = ranked[varying].copy()
    # Where no run reached a target, or there was none, it is a success to end at a finite loss.
    successes = ranked["converged"] if ranked["converged"].any() else ranked["runs"] - ranked["diverged"]
    cells["converged" if ranked["converged"].any() else "finite"] = [
        f"{text(int(part))}/{text(int(runs))}" for part, runs in zip(successes, ranked["runs"], strict=True)
    ]
    for name, as_text in (
        ("samples", text),
        ("updates", text),
        ("seconds", duration),
        ("final_loss", text),
        ("validation_loss", text),
    ):
        if name in ranked and ranked[name].notna().any():
            # Formatted, it is a text: its heading is not that of a time.
            heading = "time" if name == "seconds" else name
            cells[heading] = [describe_estimate(row, name, as_text) for _, row in ranked.iterrows()]
    recommended, tied = ranked["recommended"].to_numpy(bool), ranked["tied"].to_numpy(bool)
    return cells.assign(tied=np.select([recommended, tied], ["recommended", "tied"], ""))


def optimizer_summary(compared: pd.DataFrame) -> pd.DataFrame:
    """Return the comparison of optimizers as text: the best choice of each, its success, its cost and the verdict."""
    cells = compared[["optimizer", *(name for name in choice_columns(compared) if name != "optimizer")]].copy()
    for name in ("schedule", "shuffle", "dtype"):
        if name in cells and not varies(compared, name):
            cells = cells.drop(columns=name)
    cells["choices tried"] = compared["tried"]
    cells["success"] = [format_share(row["success"] * row["runs"], row["runs"]) for _, row in compared.iterrows()]
    cells["ratio"] = [describe_ratio(row) for _, row in compared.iterrows()]
    return cells.assign(verdict=compared["verdict"])


def importance_summary(effects: pd.DataFrame) -> pd.DataFrame:
    """Return the main effects as text."""
    shares = [f"{share:.0%}" for share in effects["share"]]
    factors = [f"{_format_two_digits(factor)} times" for factor in effects["factor"]]
    named = effects[["setting"]].assign(explains=shares, best=effects["best"], worst=effects["worst"])
    return named.assign(**{"worst against best": factors})


def fastest_choices(times: pd.DataFrame) -> pd.DataFrame:
    """Return the best choice of each optimizer with each kernel from `times_to_target`, with success as one cell."""
    chosen = times.drop_duplicates(["optimizer", "variant"]).sort_values(["optimizer", "variant"], ignore_index=True)
    interval = [
        f"{low:.0%} to {high:.0%}" for low, high in zip(chosen["success_low"], chosen["success_high"], strict=True)
    ]
    ends = [name for name in map(str, chosen) if name.endswith(("_low", "_high"))]
    table = chosen.drop(columns=["success", *ends])
    for name in ("seconds_per_update", "seconds_to_target"):
        if {f"{name}_low", f"{name}_high"} <= set(ends):
            # Formatted, it is a text: its heading is not that of a time.
            cells = [describe_estimate(row, name, duration) for _, row in chosen.iterrows()]
            table = table.assign(**{name: cells}).rename(columns={name: name.replace("seconds", "time")})
    table.insert(table.columns.tolist().index("converged") + 1, "success", interval)
    return table


def speed_summary(speed: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `bench.timing.speed.speed` as text, without the variants that were not measured.

    Parameters
    ----------
    speed : DataFrame

    Returns
    -------
    DataFrame
        `variant`; `verified`, the largest difference from the reference, with "no" where it is too large, and that of
        the losses, relative, where a kernel of ours fuses operations; `ns per
        sample-update`; `million per second`; `speedup over reference`; `speedup over C`; `share of the roof`,
        where roofs were measured; `compile time (cold)`;
        `compile time (cached)`; `break-even`, the number of sample-updates that repay the cold compile time compared
        with the reference; and `threads`. Times and speedups come with 95 % intervals, and are missing where the
        results are wrong.
    """
    wrong = speed["verified"].eq(False).fillna(False).astype(bool)
    rows = speed[speed["ns"].notna() | wrong]
    verified = [
        _describe_disagreement(error) if is_wrong else _describe_agreement(error) + _describe_losses(variant, losses)
        for variant, error, losses, is_wrong in zip(
            rows["variant"], rows["error"].to_numpy(float), _loss_errors(rows), wrong[rows.index], strict=True
        )
    ]
    cells = pd.DataFrame(
        {
            "variant": rows["variant"],
            "verified": verified,
            "ns per sample-update": _format_intervals(rows, "ns"),
            "million per second": (rows["updates_per_second"] / 1e6).map(_format_three_digits),
            "speedup over reference": _format_intervals(rows, "to_reference"),
            "speedup over C": _format_intervals(rows, "to_c"),
            "share of the roof": _format_intervals(rows, "share"),
            "compile time (cold)": rows["compile_seconds"].map(duration),
            "compile time (cached)": rows["load_seconds"].map(duration),
            "break-even": rows["break_even"].map(_format_two_digits),
            "threads": rows["threads"],
        }
    )
    if cells["share of the roof"].eq(MISSING).all():
        cells = cells.drop(columns="share of the roof")
    measured = ~cells.columns.isin(["variant", "verified", "threads"])
    return cells.mask(np.outer(wrong[rows.index], measured), MISSING)


def describe_noise(name: str, noise: tuple[float, float, float]) -> str:
    """Return a sentence on how much a variant seems to differ from itself."""
    low, middle, high = (f"{100 * (bound - 1):+.2f}" for bound in noise)
    return f"{name} against itself differs by {middle} % [{low}, {high}]."


def find_untimed(speed: pd.DataFrame) -> dict[str, str]:
    """Return the variants that were not timed, each with the reason."""
    left_out = speed[speed["ns"].isna()]
    reasons = left_out["note"].str.removeprefix("not verified: ")
    return dict(zip(left_out["variant"], reasons, strict=True))


def footnotes(speed: pd.DataFrame) -> list[str]:
    """Return a sentence for each variant that was not timed, and for each reason why kernels have no roof."""
    untimed = [f"{variant} was not timed: {reason}" for variant, reason in find_untimed(speed).items()]
    without = speed[speed["verified"].eq(True).fillna(False) & speed["note"].ne("")]
    reasons = without.groupby("note", sort=False)["variant"].agg(", ".join)
    return untimed + [f"{variants}: no roof, because {reason}" for reason, variants in reasons.items()]


def budget_summary(targets: pd.DataFrame) -> pd.DataFrame:
    """Return the table of `bench.timing.budget.targets_table` as text."""
    rows = zip(targets["faster"], targets["target"], targets["verified"], strict=True)
    return pd.DataFrame(
        {
            "what": targets["what"],
            "variant": targets["variant"],
            "against": targets["against"],
            "speedup": _format_intervals(targets, "faster"),
            "target": targets["target"].map(_format_three_digits),
            "reached": [_describe_target(*row) for row in rows],
        }
    )


def budget_footnotes(targets: pd.DataFrame) -> list[str]:
    """Return a sentence for each row of the budget that was not measured, with the reason."""
    left_out = targets[targets["faster"].isna()]
    return [f"{row['variant']} against {row['against']}: {row['note']}" for row in left_out.to_dict("records")]


def _describe_target(faster: float, target: float, verified: bool | None) -> str:
    if pd.isna(faster):
        return MISSING if pd.isna(verified) else "not verified"
    return "yes" if faster >= target else f"no, {100 * (1 - faster / target):.0f} % short"


def _loss_errors(speed: pd.DataFrame) -> Floats:
    """Return the errors of the losses; nan in tables of before."""
    missing = np.full(len(speed), np.nan)
    return speed["error_loss"].to_numpy(float) if "error_loss" in speed else missing


def _describe_losses(variant: str, error: float) -> str:
    """Return by how much losses differ where they may come from a factor of the samples."""
    fuses = variant in KERNELS and KERNELS[variant].fma
    return f", losses {error:.1g}" if fuses and np.isfinite(error) else ""


def _describe_agreement(error: float) -> str:
    return "bit for bit" if error == 0 else f"within {error:.1g}"


def _describe_disagreement(error: float) -> str:
    return "no" if pd.isna(error) else f"no: off by {error:.3g}"


def _format_intervals(table: pd.DataFrame, name: str) -> pd.Series:
    if name not in table:  # which runs of before have not measured
        return pd.Series(MISSING, table.index)
    cells = zip(table[name], table[f"{name}_low"], table[f"{name}_high"], strict=True)
    return pd.Series(
        [MISSING if pd.isna(value) else _format_interval(value, low, high) for value, low, high in cells], table.index
    )


def _format_interval(value: float, low: float, high: float) -> str:
    return format_estimate(value, low, high, _format_three_digits)


def _format_three_digits(value: float) -> str:
    """Return a number with three significant digits."""
    if not np.isfinite(value):
        return text(value)
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{value:#.3g}"


def _format_two_digits(value: float) -> str:
    return MISSING if pd.isna(value) else f"{float(f'{value:.2g}'):,.0f}"

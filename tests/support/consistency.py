"""The conclusions of a run, held against its tables and against each other."""

import numpy as np
import pandas as pd

from sgdbench.tables import facts
from sgdbench.tables.conclusions import settings_of
from sgdbench.tables.confirm import is_confirmed
from sgdbench.tables.costs import choice_columns, find_choices
from sgdbench.tables.rank import leaders, recommended_choice
from sgdbench.tables.words import MARGIN, describe_choice


def contradictions(ranked, compared, conclusions, samples=None):
    """A sentence for each contradiction between the facts about a run and its tables or other facts.

    They are those of `RunData`, compared where that is on fresh seeds; a batch of `samples` is called full.
    """
    known = {type(fact): fact for fact in conclusions}
    if not ranked["recommended"].any():
        said = [kind.__name__ for kind in (facts.Ties, facts.Rivals, facts.Edge) if kind in known]
        return [f"nothing succeeded, and yet there are {kind}" for kind in said]
    best = recommended_choice(ranked)
    found = [*_about_best(ranked, best, known, samples), *_about_ties(ranked, best, known, samples)]
    found += _about_edges(ranked, best, known)
    if compared is not None:
        found += [*_about_table(ranked, best, compared), *_about_rivals(compared, known[facts.Rivals])]
    return found


def _about_best(ranked, best, known, samples):
    found, said = [], known[facts.BestChoice]
    if not ranked["recommended"].iloc[0]:
        found.append("the recommended choice is not the first row")
    if ranked["recommended"].sum() != 1:
        found.append(f"{ranked['recommended'].sum()} choices are recommended")
    if not best["tied"]:
        found.append("the best choice is not tied with itself")
    if said.settings != settings_of(best, samples):
        found.append(f"the best choice is {settings_of(best, samples)}, and not {said.settings}")
    if said.reason != best["reason"]:
        found.append(f"the reason is {best['reason']!r}, and not {said.reason!r}")
    counts = ["runs", "converged", "diverged"]
    outcomes = [("", said.outcome)]
    if (facts.Confirmation in known) != is_confirmed(best):
        found.append("what is confirmed is not the best choice")
    elif is_confirmed(best):
        outcomes += [("confirmed_", known[facts.Confirmation].fresh), ("", known[facts.Confirmation].before)]
    for prefix, outcome in outcomes:
        if [getattr(outcome, name) for name in counts] != [best[f"{prefix}{name}"] for name in counts]:
            found.append(f"the outcome of the best choice is not {outcome}")
    return found


def _about_ties(ranked, best, known, samples):
    found, others = [], ranked[ranked.index != best.name]
    if (others["tied"] == others["verdict"].isin(["worse", "fails"])).any():
        found.append("a choice is tied and worse, or neither")
    groups = known[facts.Ties].groups if facts.Ties in known else ()
    counts = others.loc[others["tied"], "verdict"].value_counts().to_dict()
    if {group.verdict: group.count for group in groups} != counts:
        found.append(f"other choices are {counts}, and not {groups}")
    for group in groups:
        first = others[others["verdict"] == group.verdict].head(len(group.named))
        settings = [settings_of(row, samples) for _, row in first.iterrows()]
        pairs = zip(group.named, settings, strict=False)
        if len(settings) < len(group.named) or not all(named.items() <= own.items() for named, own in pairs):
            found.append(f"the first that are {group.verdict} are {settings}, and not {group.named}")
    return found


def _about_edges(ranked, best, known):
    alike = [name for name in choice_columns(ranked) if name != "lr"]
    rates = ranked["lr"][find_choices(ranked, best.to_frame().T, alike).notna().to_numpy()]
    edge, found = known.get(facts.Edge), []
    ends = {"highest": rates.max(), "lowest": rates.min()}
    at_edge = [end for end, rate in ends.items() if len(rates) > 1 and rate == best["lr"]]
    if [edge.end] != at_edge or (edge.lr, edge.tried) != (best["lr"], len(rates)) if edge else at_edge:
        found.append(f"the best rate is {best['lr']} of {sorted(rates)}, and it says {edge}")
    if edge and MARGIN in known[facts.BestChoice].reason:
        found.append("the best rate is at the edge of the grid, and it is said to be far from failing")
    return found


def _about_table(ranked, best, compared):
    # A report leaves out what does not vary.
    by, found = [name for name in choice_columns(ranked) if name in compared], []
    first = compared.iloc[0]
    if any(first[name] != best[name] for name in by):
        found.append(f"the best choice is {describe_choice(best)}, and the first optimizer has {first[by].to_dict()}")
    if is_confirmed(best):
        pairs = [(first[name], best[f"confirmed_{name}"]) for name in ("runs", "converged", "samples", "final_loss")]
        if not first["converged"]:
            # The samples to the target are infinite or missing, as runs of other choices reached it or not.
            pairs[2] = tuple(np.isfinite(samples) for samples in pairs[2])
        if not all(one == other or (pd.isna(one) and pd.isna(other)) for one, other in pairs):
            found.append(f"the first optimizer and the confirmed figures differ: {pairs}")
    verdicts = ranked.set_index(by)["verdict"]
    shown = leaders(ranked).set_index("optimizer")
    for row in compared.iloc[1:].to_dict("records"):
        name, verdict, low, high = row["optimizer"], row["verdict"], row["ratio_low"], row["ratio_high"]
        if np.isnan(low):
            expected = ["too few runs"]
        elif low <= 1 <= high:
            expected = ["indistinguishable", *(["within 5 %"] if low == high else [])]
        else:
            expected = ["within 5 %" if 1 / 1.05 <= row["ratio"] <= 1.05 else "worse" if low > 1 else "better"]
        if verdict not in ("fails", *expected):
            found.append(f"{name} is called {verdict}, with an interval from {low} to {high}")
        if shown.loc[name, "lr"] != row["lr"]:
            found.append(f"the best choice of {name} is another one in the ranking")
        if verdict not in ("too few runs", own := verdicts[tuple(row[name] for name in by)]):
            found.append(f"{name} is called {verdict}, and its best choice {own}")
        if verdict in ("worse", "fails") and ranked.loc[ranked["optimizer"] == name, "tied"].any():
            found.append(f"{name} is called {verdict}, and a choice of it is tied")
    # Where no run reached the target, losses are compared.
    leads = first["success"] > 0 or (not compared["converged"].any() and np.isfinite(first["final_loss"]))
    if compared["verdict"].eq("best").tolist() != [leads, *[False] * (len(compared) - 1)]:
        found.append(f"the verdicts are {compared['verdict'].tolist()}")
    return found


def _about_rivals(compared, rivals):
    names, found = compared["optimizer"].tolist(), []
    if [rivals.first, *(rival.name for rival in rivals.others)] != names:
        found.append(f"{names} are compared, and not {rivals}")
        return found
    for rival, row in zip(rivals.others, compared.iloc[1:].to_dict("records"), strict=True):
        value, low, high = rival.ratio
        is_inside = low <= 1 <= high
        if rival.verdict != row["verdict"]:
            found.append(f"{rival.name} is {row['verdict']}, and not {rival.verdict}")
        if rival.verdict in ("fails", "too few runs"):
            continue
        if (rival.verdict == "indistinguishable") != is_inside and not (rival.verdict == "within 5 %" and low == high):
            found.append(f"1 is {'in' if is_inside else 'out'}side of the interval of {rival}")
        if rival.verdict == "worse" and (value < 1) != rival.cost.startswith("improvement"):
            found.append(f"it is not slower, and called worse: {rival}")
        if rival.verdict == "within 5 %" and not 1 / 1.05 - 1e-9 <= value <= 1.05 + 1e-9:
            found.append(f"it is more than 5 %: {rival}")
    return found

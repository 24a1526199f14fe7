"""What a run says in words, held against its tables and against what it says elsewhere."""

import re
from itertools import product

import numpy as np
import pandas as pd

from bench.tables.phrases import describe_choice, name_settings
from bench.tables.ranking import leaders, recommended_choice, varies
from bench.tables.run_costs import choice_columns, find_choices
from bench.tables.winners import is_confirmed

NUMBER = r"-?[\d,.]+(?:e-?\d+)?|-?∞"
RATIO = re.compile(
    rf"(?:needs|ends at|ends) (?P<value>{NUMBER})(?: \[(?P<low>{NUMBER}), (?P<high>{NUMBER})\]| ± (?P<half>{NUMBER}))? "
    r"times (?:the (?:samples|loss)|as far above the lowest loss)(?: \((?P<remark>[^)]*)\))?"
)
EDGE = re.compile(r"(?P<rate>\S+?),? is the (?P<end>highest|lowest) of (?:the )?(?P<tried>\d+) ")
TIES = {
    "indistinguishable": re.compile(r"([\d,]+) other choices? (?:is|are) statistically indistinguishable from it"),
    "within 5 %": re.compile(r"([\d,]+) other choices? (?:is|are) within 5 % of it"),
    "too few runs": re.compile(r"([\d,]+) other choices? (?:has|have) too few runs to be compared with it"),
}
ROOM = "its learning rate is farthest from failing"


def contradictions(
    ranked: pd.DataFrame,
    compared: pd.DataFrame | None,
    headline: dict[str, str],
    verdict: dict[str, str],
    samples: int | None = None,
) -> list[str]:
    """Return a sentence for each contradiction between the words about a run and its tables or other words.

    They are those of `RunData`, compared where that is on fresh seeds; a batch of `samples` is called full.
    """
    if not ranked["recommended"].any():
        said = [about for about in ("Ties", "Optimizers", "Edge of the grid") if about in headline or about in verdict]
        return [f"nothing succeeded, and yet there is something about {about}" for about in said]
    best = recommended_choice(ranked)
    found = [*_about_best(ranked, best, verdict, samples), *_about_ties(ranked, best, headline, verdict)]
    found += _about_edges(ranked, best, headline, verdict)
    if compared is not None:
        found += [*_about_table(ranked, best, compared), *_about_optimizers(compared, headline, verdict)]
    return found


def _about_best(ranked: pd.DataFrame, best: pd.Series, verdict: dict[str, str], samples: int | None) -> list[str]:
    found = []
    if not ranked["recommended"].iloc[0]:
        found.append("the recommended choice is not the first row")
    if ranked["recommended"].sum() != 1:
        found.append(f"{ranked['recommended'].sum()} choices are recommended")
    if not best["tied"]:
        found.append("the best choice is not tied with itself")
    if describe_choice(best, samples) not in verdict["Best choice"]:
        found.append(f"the best choice is {describe_choice(best, samples)}, and it says {verdict['Best choice']!r}")
    if best["reason"] and best["reason"] not in verdict["Best choice"]:
        found.append(f"the reason is {best['reason']!r}, and it says {verdict['Best choice']!r}")
    for superlative, name in (("the lowest final loss", "final_loss"), ("the fewest samples", "samples")):
        if superlative in verdict["Best choice"] and best[name] > ranked[name].min():
            found.append(f"it says {superlative}, and {ranked[name].min()} is lower than {best[name]}")
    if ("Confirmed" in verdict) != is_confirmed(best):
        found.append("what is confirmed is not the best choice")
    return found


def _about_ties(ranked: pd.DataFrame, best: pd.Series, headline: dict[str, str], verdict: dict[str, str]) -> list[str]:
    found, others = [], ranked[ranked.index != best.name]
    if (others["tied"] == others["verdict"].isin(["worse", "fails"])).any():
        found.append("a choice is tied and worse, or neither")
    for (word, sentence), words in product(TIES.items(), (headline, verdict)):
        told, count = sentence.search(words.get("Ties", "")), int(others["verdict"].eq(word).sum())
        if (int(told[1].replace(",", "")) if told else 0) != count:
            found.append(f"{count} other choices are {word}, and it says {words.get('Ties', 'nothing')!r}")
    named = pd.concat([others[others["verdict"] == word].head(2) for word in list(TIES)[:2]])
    rates = [name_settings(row)["lr"] for _, row in named.iterrows()]
    missing = [lr for lr in rates if varies(ranked, "lr") and lr not in verdict.get("Ties", "")]
    return [*found, *(f"{choice} is tied, and not named" for choice in missing)]


def _about_edges(ranked: pd.DataFrame, best: pd.Series, headline: dict[str, str], verdict: dict[str, str]) -> list[str]:
    alike = [name for name in choice_columns(ranked) if name != "lr"]
    rates = ranked["lr"][find_choices(ranked, best.to_frame().T, alike).notna().to_numpy()]
    at_edge = len(rates) > 1 and best["lr"] in (rates.min(), rates.max())
    found = []
    for words in (headline, verdict):
        told = EDGE.search(words.get("Edge of the grid", ""))
        if bool(told) != at_edge:
            found.append(f"the best rate is {best['lr']} of {sorted(rates)}, and it says {told and told[0]!r}")
        elif told:
            end = rates.max() if told["end"] == "highest" else rates.min()
            if end != best["lr"] or int(told["tried"]) != len(rates):
                found.append(f"the best rate is {best['lr']} of {sorted(rates)}, and it says {told[0]!r}")
    if at_edge and ROOM in verdict["Best choice"]:
        found.append("the best rate is at the edge of the grid, and it is said to be far from failing")
    return found


def _about_table(ranked: pd.DataFrame, best: pd.Series, compared: pd.DataFrame) -> list[str]:
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


def _about_optimizers(compared: pd.DataFrame, headline: dict[str, str], verdict: dict[str, str]) -> list[str]:
    found = []
    rows = compared.set_index("optimizer")
    for words in (headline.get("Optimizers", ""), verdict.get("Optimizers", "")):
        if not words.lower().startswith(f"compared with {compared['optimizer'].iloc[0]}".lower()):
            found.append(f"{compared['optimizer'].iloc[0]} is the first, and it says {words!r}")
        for part in re.split(r"; |: |, (?=\w+ (?:needs|ends|reaches))", words.removesuffix(".")):
            name, ratio = part.split(" ", 1)[0], RATIO.search(part)
            if ratio is None or name not in rows.index:
                continue
            low, high = _ends(ratio)
            remark, is_inside = ratio["remark"] or "", low <= 1 <= high
            if (remark == "statistically indistinguishable") != is_inside and remark[:8] != "too few ":
                found.append(f"1 is {'in' if is_inside else 'out'}side of the interval of {part!r}")
            if not remark and float(ratio["value"].replace(",", "").replace("∞", "inf")) <= 1:
                found.append(f"it is not slower, and there is no remark: {part!r}")
            if remark == "within 5 %" and not 1 / 1.05 <= float(ratio["value"]) <= 1.05:
                found.append(f"it is more than 5 %: {part!r}")
            if rows.loc[name, "verdict"] == "fails":
                found.append(f"{name} fails, and it says {part!r}")
    return found


def _ends(ratio: re.Match[str]) -> tuple[float, float]:
    """Return the ends of a printed interval."""
    value, low, high, half = (
        float(part.replace(",", "").replace("∞", "inf")) if part else np.nan
        for part in ratio.group("value", "low", "high", "half")
    )
    if half == half:
        return round(value - half, 9), round(value + half, 9)
    return (low, high) if low == low else (value, value)

"""No two conclusions of a run disagree, in simulated studies whose truth is known, and the check notices if they do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy import inf

from sgdbench.tables import facts
from sgdbench.tables.conclusions import further_conclusions, leading_conclusions
from sgdbench.tables.confirm import confirm, winners
from sgdbench.tables.costs import CHOICES, find_choices
from sgdbench.tables.optimizer_comparison import compare_optimizers
from sgdbench.tables.rank import ranking, varies
from tests.support.consistency import contradictions
from tests.support.simulated import costs_of, runs_of

NAMES = ["sgd", "adam", "momentum", "nesterov"]


def choices_of(rng, optimizers):
    """Settings with their median cost and their rate of success; optimizers differ a little, much, or not at all."""
    optimizer, lr = (grid.ravel() for grid in np.meshgrid(NAMES[:optimizers], np.geomspace(0.1, 1.6, 5), indexing="ij"))
    gaps = rng.choice([1.0, 1.0, 1.04, 1.15, 1.5], optimizers)
    best = rng.choice([0.1, 0.2, 0.4, 0.8, 1.6], optimizers)
    distance = np.log(lr / np.repeat(best, 5))
    success = np.where(lr > 2.1 * np.repeat(best, 5), 0.2, np.repeat(rng.choice([1.0, 1.0, 0.9, 0.5], optimizers), 5))
    medians = 1e4 * np.repeat(gaps, 5) * np.exp(rng.choice([0.02, 0.3]) * distance**2)
    return pd.DataFrame({"optimizer": optimizer, "lr": lr, "median": medians, "success": success})


def train(rng, choices, pairs, *, noise, spread, target, seeds=0):
    costs = costs_of(
        rng, choices["median"].to_numpy(), pairs, noise=noise, spread=spread, success=choices["success"].to_numpy()
    )
    settings = {name: choices[name].to_numpy() for name in ("optimizer", "lr")}
    if target is not None:
        return runs_of(costs, seeds=seeds, **settings)
    lost = ~np.isfinite(costs.ravel())
    losses = np.where(lost, np.nan, 1e-6 * costs.ravel())
    frame = runs_of(np.full(costs.shape, inf), seeds=seeds, **settings)
    return frame.assign(final_loss=losses, status=pd.Categorical(np.where(lost, "diverged", "max_epochs")))


def judge_study(rng, number):
    """Return the tables of and conclusions from a simulated study, and its truth."""
    choices = choices_of(rng, 1 + number % 4)
    target = 1e-3 if number % 3 else None
    about = {"noise": ["normal", "heavy", "skewed"][number % 3], "spread": rng.choice([0.0, 0.02, 0.1, 0.4])}
    frame = train(rng, choices, int(rng.choice([1, 3, 5, 10])), target=target, **about)
    ranked = ranking(frame)
    truth = choices.set_index(["optimizer", "lr"])
    fresh = None
    if ranked["tied"].any() and number % 5:
        again = choices[find_choices(choices, winners(ranked), ["optimizer", "lr"]).notna().to_numpy()]
        fresh = train(rng, again, int(rng.choice([3, 8, 20, 40])), target=target, seeds=100, **about)
        ranked = confirm(ranked, fresh)
    compared = None
    if fresh is not None and varies(fresh, "optimizer"):
        compared = compare_optimizers(fresh, ranked)
    found = leading_conclusions(frame, ranked, target, compared)
    return ranked, compared, [*found, *further_conclusions(frame, ranked, target)], truth


def test_no_two_conclusions_disagree():
    rng = np.random.default_rng(0)
    for number in range(24):
        ranked, compared, found, _ = judge_study(rng, number)
        assert contradictions(ranked, compared, found) == [], (number, found)


def test_what_is_said_of_optimizers_is_true_in_95_of_100_studies():
    """Whether the best choice was selected by the sweep or by the fresh seeds themselves."""
    rng = np.random.default_rng(10)
    right, revised = [], 0
    for number in range(40):
        choices = choices_of(rng, 4).assign(success=1.0)
        about = {"noise": ["normal", "heavy", "skewed"][number % 3], "spread": 0.2, "target": 1e-3}
        ranked = ranking(train(rng, choices, 3, **about))
        again = choices[find_choices(choices, winners(ranked), ["optimizer", "lr"]).notna().to_numpy()]
        fresh = train(rng, again, 20, seeds=100, **about)
        confirmed = confirm(ranked, fresh)
        revised += not confirmed[CHOICES].iloc[0].equals(ranked[CHOICES].iloc[0])
        compared = compare_optimizers(fresh, confirmed)
        medians = choices.set_index(["optimizer", "lr"])["median"].loc[
            list(compared[["optimizer", "lr"]].itertuples(index=False, name=None))
        ]
        ratio = medians.to_numpy() / medians.iloc[0]
        wrong = compared["verdict"].eq("worse") & (ratio < 1.0001) | compared["verdict"].eq("better") & (ratio > 0.9999)
        right.append(not wrong.any())
    assert np.mean(right) >= 0.95
    assert 3 <= revised < 20


@pytest.fixture(scope="module")
def sound():
    """A study of which there is something to say about everything."""
    rng = np.random.default_rng(13)
    costs = [100, 150, 180, 101, 180]
    settings = {"optimizer": ["sgd", "sgd", "sgd", "adam", "momentum"], "lr": [0.1, 0.2, 0.4, 0.1, 0.1]}
    frame = runs_of(1000 * costs_of(rng, costs, 5, spread=0.05), **settings)
    ranked = ranking(frame)
    fresh = runs_of(1000 * costs_of(rng, costs, 20, spread=0.05), seeds=10, **settings)
    ranked = confirm(ranked, fresh)
    compared = compare_optimizers(fresh, ranked)
    found = leading_conclusions(frame, ranked, 1e-3, compared)
    assert contradictions(ranked, compared, found) == []
    kinds = [facts.BestChoice, facts.Ties, facts.Confirmation, facts.Edge, facts.Rivals]
    assert [type(fact) for fact in found] == kinds
    return ranked, compared, found


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        (facts.BestChoice, {"reason": "It has the fewest samples."}),
        (facts.BestChoice, {"settings": {"optimizer": "adam"}}),
        (facts.Rivals, {"first": "adam"}),
        (facts.Rivals, {"others": ()}),
        (facts.Ties, {"groups": (facts.Alike("indistinguishable", 2, ()),)}),
        (facts.Ties, {"groups": (facts.Alike("indistinguishable", 1, ({"optimizer": "sgd"},)),)}),
        (facts.Edge, {"end": "highest"}),
        (facts.Edge, {"tried": 4}),
    ],
)
def test_the_check_notices_a_conclusion_that_disagrees(sound, kind, change):
    ranked, compared, found = sound
    assert contradictions(ranked, compared, [replace(fact, **change) if type(fact) is kind else fact for fact in found])


@pytest.mark.parametrize(("name", "change"), [("adam", {"verdict": "worse"}), ("momentum", {"verdict": "within 5 %"})])
def test_the_check_notices_a_rival_that_disagrees(sound, name, change):
    ranked, compared, found = sound
    *others, rivals = found
    changed = tuple(replace(rival, **change) if rival.name == name else rival for rival in rivals.others)
    assert contradictions(ranked, compared, [*others, replace(rivals, others=changed)])


def test_the_check_notices_tables_that_disagree(sound):
    ranked, compared, found = sound
    swapped = ranked.sort_values("optimizer", ignore_index=True).assign(recommended=ranked["recommended"])
    assert contradictions(swapped, compared, found)
    assert contradictions(ranked.assign(tied=True), compared, found)
    assert contradictions(ranked, compared.iloc[::-1].reset_index(drop=True), found)
    assert contradictions(ranked, compared.assign(ratio_low=0.9), found)
    assert contradictions(ranked, compared, [fact for fact in found if not isinstance(fact, facts.Confirmation)])

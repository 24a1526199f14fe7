"""What is said about runs, held against golden texts, which a person reads.

`SGDBENCH_GOLDEN=write pytest tests/bench/tables/test_words.py` writes them anew; read the difference before it is
committed.
"""

from functools import partial

import numpy as np
import pytest

from sgdbench.kernels.losses.classes import Classes
from sgdbench.kernels.train.attainable_loss import AttainableLoss, unknown_loss
from sgdbench.tables import facts
from sgdbench.tables.conclusions import PLAIN
from sgdbench.tables.words import (
    describe_no_choice,
    describe_rival,
    format_share,
    name_best_choice,
    say_check,
    say_fit_advice,
    say_recommendation,
    sentences,
)
from tests.support.constants import ROOT
from tests.support.frames import ALIKE, APART, conclude, joined, lost, make_frame, reaching
from tests.support.written import hold_text

GOLDEN = ROOT / "tests" / "bench" / "tables" / "golden"
KNOWN = AttainableLoss(0.25, 5.75, None, "least squares")
FEW = reaching([100, 110, 120, None, None, None])
MOSTLY_LOST = joined(lost(4), make_frame(2, seed=[4, 5], final_loss=[1.0, 2.0]))
OPTIMIZERS = [reaching(np.arange(6) + cost, optimizer=name) for name, cost in (("sgd", 100), ("adam", 300))]
TIMED = {f"seconds_per_update{end}": each for end, each in (("", 1e-8), ("_low", 0.9e-8), ("_high", 1.1e-8))}
PRECISION = {"dtype": ["float32"] * 6 + ["float64"] * 6, "seed": [*range(6)] * 2}
SGD = {"optimizer": "sgd", "lr": 0.5, "schedule": "constant", "batch_size": "full", "shuffle": False}


def rival(verdict, cost, value, low=np.nan, high=np.nan):
    return facts.Rival("adam", verdict, cost, facts.Estimate(value, low, high), 3, 20)


def rivals_of():
    costs = ("samples", "final_loss", "distance", "improvement")
    ratios = {"indistinguishable": (1.04, 0.9, 1.2), "within 5 %": (1.0001, 1.0, 1.0002), "worse": (2.5, 2.1, 2.9),
              "better": (0.5, 0.4, 0.6), "too few runs": (1.0,), "fails": (3.0,)}  # fmt: skip
    return [rival(verdict, cost, *ratio) for cost in costs for verdict, ratio in ratios.items()]


def shortfalls():
    changes = [
        ("rates", {"end": "highest", "tried": 2, "beyond": "refine=2", "risen": False}),
        ("rates", {"end": "lowest", "tried": 2, "beyond": "refine=2", "risen": True}),
        ("rates", {"end": "", "tried": 0, "beyond": "refine=2", "risen": True}),
        ("target", {"advised": 0.3, "standardized": False, "leaves": 0.5}),
        ("target", {"advised": 0.3, "standardized": True, "leaves": 1.5}),
        ("schedule", {"epochs": 20, "larger": True}),
        ("schedule", {"epochs": 20, "larger": False}),
        ("others", {"is_linear": True}),
        ("others", {"is_linear": False}),
        *((change, {}) for change in ("decay", "epochs", "slower schedule", "starts", "standardize")),
    ]
    found = [facts.Shortfall(3.0, KNOWN, (facts.Advice(*change),)) for change in changes]
    two = facts.Shortfall(6.0, KNOWN, (facts.Advice("epochs"), facts.Advice("starts")))
    unknown = facts.Shortfall(6.0, unknown_loss("it has too many parameters"), found[2].advice)
    return [*found, two, unknown]


def each(found):
    """Facts of one kind, one below the other."""
    return "".join(f"{sentence}\n" for fact in found() for sentence in sentences([fact]).values())


def run_of(*frame, short=False, **given):
    return lambda: "".join(
        f"{about}: {sentence}\n" for about, sentence in sentences(conclude(*frame, **given), short=short).items()
    )


FRESH = joined(reaching([140, 150, 160, 170, 180, None], lr=0.1), reaching([300] * 6, lr=0.2))
SAID = {
    "best choice": run_of(APART, **TIMED),
    "best choice, briefly": run_of(APART, fresh=FRESH, short=True),
    "ties": run_of(joined(*ALIKE), fresh=ALIKE[0], short=True),
    "within 5 percent": run_of(joined(*(reaching([100 + 4 * k] * 6, lr=0.1 * 2**k) for k in range(3)))),
    "one run": run_of(reaching(np.array([100.0])), short=True),
    "few reach the target": run_of(FEW, fresh=FEW),
    "most diverge": run_of(MOSTLY_LOST, None, fresh=MOSTLY_LOST),
    "all diverge": run_of(joined(lost(lr=0.1), lost(lr=0.2))),
    "no run reaches the target": run_of(reaching([None] * 6), fresh=reaching([90] * 6)),
    "fresh seeds alone miss it": run_of(reaching([90] * 6), fresh=reaching([None] * 6)),
    "all seeds alike": run_of(APART, fresh=FRESH, about=PLAIN._replace(same=True, chosen_in="the search")),
    "fewer checkpoints": run_of(reaching([90] * 6), fresh=reaching([80] * 6), about=PLAIN._replace(finer=True)),
    "optimizers": run_of(joined(*OPTIMIZERS), fresh=joined(*OPTIMIZERS), short=True),
    "many optimizers": run_of(joined(*(reaching([100 + k] * 6, optimizer=f"momentum(0.{k:02})") for k in range(40)))),
    "precision": run_of(make_frame(12, status=["diverged"] * 6 + ["max_epochs"] * 6, **PRECISION), None),
    "recommendations": lambda: "".join(f"{say_recommendation(facts.Recommendation(*one))}\n" for one in [
        ("samples", 1, 1, 1, "updates", 1.0), ("samples", 3, 1, 1, "updates", 1.0),
        ("samples", 3, 3, 1, "seconds", 1.0), ("samples", 3, 3, 2, "updates", 1.0), ("updates", 3, 2, 2, "", 1.0),
        ("samples", 3, 2, 2, "", 14.14), ("final_loss", 2000, 1500, 1200, "updates", 2.0),
    ]),
    "fit advice": lambda: "".join(f"{say_fit_advice(one)}\n" for one in [
        facts.FitAdvice("not finite", 0.5), facts.FitAdvice("overfits", 0.5), facts.FitAdvice("", 0.5, 1.0, tried=7),
        facts.FitAdvice("high rate", 0.5, 0.23456, " near the lowest loss", tried=7),
        facts.FitAdvice("high rate", 0.5, 0.23456, changes={"lr": 0.1, "seed": 2, "shuffle": True}, left=0.0123),
        facts.FitAdvice("low rate", 1e-5, 0.2, changes={"lr": 0.1, "schedule": "halve(4)"}, loss=0.25),
        facts.FitAdvice("scale", 0.1, changes={"standardize": True, "lr": 0.01}, left=0.0),
        facts.FitAdvice("decay", 0.1, changes={"optimizer": "sgd(weight_decay=0.01)"}, left=0.04),
        *(facts.FitAdvice(problem, 0.1, changes={"epochs": 400}, left=0.04) for problem in
          ("start", "epochs", "schedule", "steps", "single samples", "small batches", "order")),
    ]),
    "check": lambda: "".join(f"{say_check(one)}\n" for one in [
        facts.ReferenceCheck(6, 72, 0.0, np.nan, None), facts.ReferenceCheck(1, 1, 1.5e-12, 2e-14, 0.5),
        facts.NotChecked(yet=True), facts.NotChecked(yet=False),
    ]),
    "suite": partial(each, lambda: [
        facts.LeadingOptimizer("adam", 1.0, 0.67, 3, 1, 1),
        facts.LeadingOptimizer("adam", 0.98, 0.5, 50, 5, 0),
        facts.NothingCompared(),
        *(facts.FewestSamples("line", tuple("abcdef"[:count])) for count in (0, 1, 3, 6)),
        facts.WidestRates({"b": 0.25, "c": 0.1251}),
        facts.WidestRates({}),
        facts.LeftOut({"target": ("a", "b"), "success": ("c",), "fresh seeds": ("d",)}),
    ]),
    "rivals": lambda: "".join(f"{found.verdict}: {describe_rival(found)}\n" for found in rivals_of()),
    "shortfalls": partial(each, shortfalls),
    "lowest loss": partial(each, lambda: [
        *(facts.LowestLoss(KNOWN, loss) for loss in (0.25, 0.5, 9.0, np.nan)),
        facts.LowestLoss(AttainableLoss(0.25, 0.25, None, "least squares", "roughly"), 0.3),
        facts.LowestLoss(unknown_loss("it has too many parameters"), 0.3),
        facts.UnreachableTarget(0.1, 0.25, 0.3),
        facts.UnreachableTarget(0.25007, 0.250070343, None),
        facts.UnreachableTarget(0.1, 0.25, 0.3, standardized=True),
    ]),
    "data": partial(each, lambda: [
        facts.OnTestRows("loss", {"loss": facts.Estimate(0.3, 0.2, 0.5), "rmse": facts.Estimate(4.5, 4.4, 4.6)}, 20, 78,
                         fresh=True, units=" in the table's units"),
        facts.OnTestRows("log loss", {"loss": facts.Estimate(0.3), "accuracy": facts.Estimate(0.9)}, 1, 1,
                         fresh=False, units=""),
        facts.NoGain("test rows", 5.0, 4.0),
        facts.NoSkill("held-out rows", 0.98, 0.98),
        *(facts.Units(center, center == "both", "") for center in ("both", "none", "x")),
        facts.Solution({"a": "1.5", "b": "2"}, 2, "table", 0.31234567, "", ""),
        facts.Solution({}, 40, "", 2.18e-8, "standardized", "The parameters are in standardized units."),
        facts.Losses("absolute residual"),
        facts.Metric("accuracy", {"the training samples": 0.9, "the held-out samples": 0.8}),
        Classes((False, True)),
    ]),
    "search": partial(each, lambda: [
        facts.Search(0, "tpe", {}, 0),
        facts.Search(20, "tpe", {"pruned": 13, "diverged": 1}, 3.5512e6),
        facts.NoChoice("trial", diverged=False),
        facts.NoChoice("trial", at_start=True),
        facts.AgainstGrid("the grid", "the search", rival("worse", "samples", 2.0), SGD, facts.Seeds("fresh")),
        facts.TunedRivals("sgd", (rival("worse", "samples", 2.0, 1.5, 2.5),) * 2, None, facts.Seeds("fresh")),
        facts.Rivals("sgd", (rival("worse", "samples", 2.0),) * 6, 4, facts.Seeds("same")),
        facts.Rivals("sgd", (rival("worse", "samples", 2.0),), 4, facts.Seeds("selected", 5)),
    ]),
}  # fmt: skip


@pytest.mark.parametrize("name", SAID)
def test_sentences_are_those_that_were_read(name):
    hold_text(GOLDEN / f"{name}.txt", SAID[name]())


def test_every_golden_text_is_of_a_case():
    assert {path.stem for path in GOLDEN.iterdir()} == {*SAID}


def test_sentences_on_one_subject_are_joined():
    _, *others = shortfalls()
    said = sentences([others[0], facts.UnreachableTarget(0.1, 0.25, None)])
    assert list(said) == ["Not arrived"]
    assert said["Not arrived"].endswith(": no run can reach it.")


def test_a_problem_of_a_suite_has_one_short_sentence():
    assert name_best_choice(conclude(APART)) == "sgd, learning rate 0.1, batch size 1."
    assert name_best_choice([facts.NoChoice("run")]) == "every run diverged. Lower learning rates would help."


def test_one_run_is_not_all():
    assert [format_share(*share) for share in ((1, 1), (2, 2), (3, 3), (0, 1))] == ["1 of 1", "both", "all 3", "0 of 1"]


def test_no_rate_helps_runs_that_start_where_the_loss_is_not_finite():
    assert describe_no_choice(facts.NoChoice("run")) == "Lower learning rates would help."
    assert describe_no_choice(facts.NoChoice("run", at_start=True)).startswith("The loss is not finite at the start")

"""Variants of the user's own: verified and timed as the built-in ones, by name everywhere."""

import re
import sys
from dataclasses import replace

import numpy as np
import pytest

import sgdbench
from sgdbench.charts.speed import speed_chart
from sgdbench.commands.speed import select_variants
from sgdbench.compare.sources import VARIANT, kind_of_source
from sgdbench.timing.own_variants import find_variant, register_variant
from sgdbench.timing.problem import Trained, classic
from sgdbench.timing.speed import speed
from sgdbench.timing.variants import VARIANTS, VARIANTS_BY_NAME
from sgdbench.timing.verify import NotVerifiedError, verify
from tests.support.benchmark_files import run_pytest
from tests.support.constants import ROOT

PROBLEM = classic(2, n=40)
REFERENCE = VARIANTS_BY_NAME["reference"]


@pytest.fixture(autouse=True)
def clean():
    """Nothing that a test registers is known to the next."""
    yield
    for name in VARIANTS_BY_NAME.keys() - {variant.name for variant in VARIANTS}:
        del VARIANTS_BY_NAME[name]


def right(problem):
    return lambda: tuple(REFERENCE.ready(problem)())


def documented():
    """The file and the test of the section on variants."""
    text = (ROOT / "bench/docs/tutorials/own-optimizer.md").read_text("utf-8").partition("\n## Time your own")[2]
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for language, block in blocks if language == "python"]


def test_a_variant_is_known_by_its_name():
    assert sgdbench.register_variant is register_variant
    assert register_variant("mine", right) is right
    assert [*VARIANTS_BY_NAME] == [*(variant.name for variant in VARIANTS), "mine"]
    assert [variant.name for variant in select_variants(["mine"], peers=False)] == ["fused", "mine"]
    assert select_variants(None, peers=False)[-1].name == "mine"
    assert kind_of_source("mine") == VARIANT
    assert find_variant("other") is None


def test_what_is_documented_is_right():
    exec(documented()[0], {})
    call, errors = verify(VARIANTS_BY_NAME["matrices"], PROBLEM)
    assert errors.largest < 1e-12
    assert isinstance(call(), Trained)


def test_optimizers_are_names_or_have_their_options():
    register_variant("mine", right, optimizers=["sgd", "adam"])
    register_variant("more", right, optimizers={"adam": ["beta1"]}, losses=["squared", "huber"])

    def lacks(name, **changes):
        return VARIANTS_BY_NAME[name].lacks(replace(PROBLEM, **changes))

    assert lacks("mine", optimizer="adam(0.8, 0.9, 0.01)") is None
    assert lacks("mine", optimizer="adam(weight_decay=0.1)") == "it supports adam only without weight_decay"
    assert lacks("more", optimizer="adam(0.8)") is None
    assert lacks("more", optimizer="adam(0.8, 0.9, 0.01)") == "it supports adam only without beta2 and eps"
    assert lacks("more", optimizer="sgd") == "it does not support sgd"
    assert lacks("more", optimizer="adam", loss="huber(0.5)") is None
    assert lacks("more", optimizer="adam", loss="hinge") == "it supports only the squared and huber losses"


def test_a_variant_has_its_row_and_its_bar():
    register_variant("mine", right)
    register_variant("wrong", lambda problem: lambda: (problem.inits, np.zeros((problem.epochs + 1, 1))))
    register_variant("broken", lambda problem: lambda: 1 / 0)
    register_variant("odd", lambda problem: lambda: ([1.0], [2.0]))
    register_variant("leaves", lambda problem: lambda: sys.exit(3))
    names = ["mine", "wrong", "broken", "odd", "leaves"]
    table = speed([REFERENCE, *(VARIANTS_BY_NAME[name] for name in names)], PROBLEM, PROBLEM, seconds=0.1).table
    rows = table.set_index("variant")
    assert rows.loc["mine", "verified"]
    assert rows.loc["mine", "ns"] > 0
    assert rows.loc["wrong", "verified"] == False  # noqa: E712 (None is another answer)
    assert rows.loc["broken", "note"] == "not measured: ZeroDivisionError: division by zero"
    assert rows.loc["leaves", "note"] == "not measured: SystemExit: 3"
    assert "parameters and losses of the shapes (1, 3) and (3, 1), not (1,) and (1,)" in rows.loc["odd", "note"]
    assert "mine" in speed_chart(table).panels[0].y.ticks[0].labels
    with pytest.raises(NotVerifiedError):
        verify(VARIANTS_BY_NAME["wrong"], PROBLEM)


def test_what_a_variant_writes_to_the_problem_changes_no_other():
    def prepare(problem):
        def train():
            trained = right(problem)()
            for array in (*problem.x, problem.y, problem.inits, problem.rates):
                np.add(array, 1, out=array)
            return trained

        return train

    register_variant("mine", prepare)
    with pytest.raises(NotVerifiedError, match="the second call is off"):
        verify(VARIANTS_BY_NAME["mine"], PROBLEM)
    assert verify(REFERENCE, PROBLEM)[1].largest == 0


def test_another_project_times_it(tmp_path):
    """The fixture alone, as somebody else would use it: it fails where the result is wrong."""
    variant, test = documented()
    (tmp_path / "my_variant.py").write_text(variant)
    (tmp_path / "test_it.py").write_text(
        test.replace("classic(epochs=20)", "classic(epochs=1, n=40)")
        + "\n\ndef test_wrong(variant_benchmark):\n"
        + "    from sgdbench import register_variant\n    import numpy as np\n"
        + "    register_variant('wrong', lambda problem: lambda: (problem.inits, np.zeros((problem.epochs + 1, 1))))\n"
        + "    variant_benchmark('wrong', classic(epochs=1, n=40))\n"
    )
    options = ["-q", "--benchmark-only", "--benchmark-max-time=0.05"]
    out = run_pytest(*options, tmp_path, folder=tmp_path, exit_code=1)
    assert "1 failed, 1 passed" in out
    assert "\nwrong: not verified: the first call is off by" in out  # and no traceback of ours
    assert "test_matrices" in out

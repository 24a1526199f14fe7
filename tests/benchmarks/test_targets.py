"""The targets that are ratios, each measured in one run.

They are recorded, never asserted: how fast a machine is makes no test fail.
"""

import pytest

from bench.problem import classic
from bench.variants import VARIANTS

BY_NAME = {variant.name: variant for variant in VARIANTS}
FULL, SHORT, SHUFFLED = classic(100), classic(1), classic(100, 16, shuffle=True)


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize(
    ("ours", "other", "problem", "short", "least"),
    [
        pytest.param("fused", "C", FULL, FULL, 1.4, id="per-sample"),
        pytest.param("fused-fma", "C", FULL, FULL, 1.9, id="per-sample-fma"),
        pytest.param("fused", "C", SHUFFLED, SHUFFLED, 1.5, id="minibatch"),
        pytest.param("fused", "lesson", FULL, SHORT, 1500, id="lesson"),
        pytest.param("fused", "NumPy scalars", FULL, SHORT, 100, id="scalars"),
    ],
)
def test_ratio(ours, other, problem, short, least, prepared, race, reach):
    ratios = race(prepared(BY_NAME[ours], problem), prepared(BY_NAME[other], short))
    per_update = ratios * problem.updates / short.updates
    order = "shuffled" if problem.shuffle else "in sequence"
    reach(f"{ours} against {other}, batches of {problem.batch_size}, {order}", per_update, least=least, unit=" x")

"""The quadratic, sample by sample, by the number of samples: does an update cost the same where data leave a cache?"""

import pytest

from bench.timing.problem import classic
from bench.timing.variants import BY_NAME

SIZES = (800, 10_000, 1_000_000)
PROBLEMS = {
    (n, order): classic(max(1, 80_000 // n), n=n, shuffle=order == "shuffled")
    for n in SIZES
    for order in ("in sequence", "shuffled")
}


@pytest.mark.benchmark(group="by the number of samples: time of a sample-update")
@pytest.mark.parametrize(("n", "order"), PROBLEMS, ids=lambda fact: fact if isinstance(fact, str) else f"{fact:,}")
@pytest.mark.parametrize("name", ["fused", "C"])
def test_samples(name, n, order, variant_benchmark):
    variant_benchmark(BY_NAME[name], PROBLEMS[n, order])

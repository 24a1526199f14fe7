"""Per-sample SGD on the quadratic, 800 samples: every variant of the registry that trains one run at a time."""

import pytest

from bench.timing.problem import classic
from tests.benchmarks.contestants import contestants

FULL, SHORT = classic(100), classic(2)


@pytest.mark.benchmark(group="one run, sample by sample: time of a sample-update")
@pytest.mark.parametrize("variant", contestants(FULL, many=False), ids=lambda variant: variant.name)
def test_per_sample(variant, variant_benchmark):
    # Few epochs of a slow one will do: what is compared is the time of an update.
    variant_benchmark(variant, SHORT if variant.slow else FULL)

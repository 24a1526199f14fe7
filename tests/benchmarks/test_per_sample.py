"""Per-sample SGD on the quadratic, 800 samples: every variant of the registry that trains one run at a time."""

import pytest

from bench.timing.problem import classic
from bench.timing.variants import VARIANTS

FULL, SHORT = classic(100), classic(2)


@pytest.mark.benchmark(group="per-sample")
@pytest.mark.parametrize("variant", [v for v in VARIANTS if not v.many], ids=lambda variant: variant.name)
def test_per_sample(variant, measure):
    # Few epochs of a slow one will do: what is compared is the time of an update.
    measure(variant, SHORT if variant.slow else FULL)

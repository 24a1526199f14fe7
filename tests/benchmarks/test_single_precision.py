"""Lanes of float32 against lanes of float64, on the quadratic: sample by sample and in batches of 16."""

from dataclasses import replace

import pytest

from bench.timing.problem import many
from bench.timing.variants import BY_NAME

RUNS = many(runs=1024, epochs=40)


@pytest.mark.benchmark(group="precision, 1,024 runs: time of a sample-update")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [1, 16], ids=lambda size: f"batches of {size}")
def test_float32(batch_size, dtype, variant_benchmark):
    variant_benchmark(BY_NAME["lanes"], replace(RUNS, batch_size=batch_size, dtype=dtype))

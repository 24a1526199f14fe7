"""Lanes of float32 against lanes of float64, on the quadratic: sample by sample and in batches of 16."""

from dataclasses import replace

import pytest

from bench.timing.problem import many
from bench.timing.variants import BY_NAME

RUNS = many(runs=1024, epochs=40)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("batch_size", [1, 16])
@pytest.mark.parametrize("optimizer", ["sgd", pytest.param("adam", marks=pytest.mark.only_measured)])
def test_float32(optimizer, batch_size, dtype, measure, benchmark):
    benchmark.group = f"precision: {optimizer}, batches of {batch_size}"
    variant = BY_NAME["lanes"]._replace(name=f"lanes, {dtype}")
    measure(variant, replace(RUNS, optimizer=optimizer, batch_size=batch_size, dtype=dtype))

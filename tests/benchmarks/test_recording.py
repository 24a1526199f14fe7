"""What a finer clock costs: the classic run of 100 epochs, recorded at the ends of epochs and at marks between them."""

import pytest

from kernels import fit, models


@pytest.mark.parametrize("record", ["epoch", "log", "log:100"])
@pytest.mark.parametrize("batch_size", [1, 16])
def test_recording(batch_size, record, classic, benchmark):
    benchmark.group = f"recording a run of 100 epochs, batches of {batch_size}"
    x, y = classic
    settings = {"init": [-1, 10, 26], "lr": 0.5, "schedule": "halve(10)", "batch_size": batch_size, "record": record}
    result = benchmark(lambda: fit(models.quadratic, x, y, **settings))
    assert len(result.loss) > (101 if record == "epoch" else 110) - 1

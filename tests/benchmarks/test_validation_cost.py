"""What the loss on held-out samples costs: the classic run of 100 epochs, with as many of them as are trained on."""

import pytest

from sgdbench import fit, models
from sgdbench.timing.paired import ratio_of, take_turns


@pytest.mark.benchmark(group="targets")
@pytest.mark.parametrize("batch_size", [1, 16])
def test_validation(batch_size, classic, benchmark, reach):
    settings = {"init": [-1, 10, 26], "lr": 0.5, "schedule": "halve(10)", "batch_size": batch_size, "record": "log"}
    calls = {
        "held out": lambda: fit(models.quadratic, *classic, validation=classic, **settings),
        "none": lambda: fit(models.quadratic, *classic, **settings),
    }
    # The samples held out are those trained on: so are the losses, whatever is timed.
    run = calls["held out"]()
    assert (run.validation_loss == run.loss).all()
    if not benchmark.enabled:
        benchmark(lambda: None)
        return
    timings = benchmark.pedantic(take_turns, (calls,), {"baseline": "none", "seconds": 2.0})
    ratio = ratio_of(timings.of("held out"), timings.of("none"), paired=True)
    reach(
        f"as many samples held out as trained on, batches of {batch_size}",
        list(ratio),
        quantiles=(0, 0.5, 1),
        most=1.25,
        unit=" x",
    )

"""The figures of the best choice on the rows for the test, over its runs."""

import numpy as np
import pandas as pd
import pytest
from numpy import nan

from bench.tables.on_test_rows import summarize_judged


def judged(**figures):
    runs = len(next(iter(figures.values())))
    known = {"config_id": [str(run) for run in range(runs)], "samples_seen": 100, "rows": 40, "constant": 2.0}
    return pd.DataFrame(known | figures)


def test_a_figure_that_is_no_number_is_the_worst():
    """Where two of five runs diverged, the median is the worst of the others; where three did, it is infinite."""
    loss, r2 = [0.1, 0.2, 0.3, nan, nan], [0.9, 0.8, 0.7, nan, nan]
    found = summarize_judged(judged(loss=loss, r2=r2, accuracy=[nan] * 5))
    assert (found["runs"], found["rows"], found["constant"]) == (5, 40, 2)
    assert (found["loss"], found["r2"]) == pytest.approx((0.3, 0.7))
    assert "accuracy" not in found
    assert summarize_judged(judged(loss=loss, accuracy=[0.7, 0.8, 0.9, nan, nan]))["accuracy"] == 0.7
    found = summarize_judged(judged(loss=[0.1, 0.2, nan, nan, nan], r2=[0.9, 0.8, nan, nan, nan]))
    assert (found["loss"], found["r2"]) == (np.inf, -np.inf)


def test_intervals_are_those_of_the_order_of_the_runs():
    loss = np.arange(1.0, 21.0)
    found = summarize_judged(judged(loss=loss, r2=1 - loss / 40))
    assert found["loss_low"] < found["loss"] == 10.5 < found["loss_high"]
    # A share of the variance is the better the higher it is: the ends change places.
    assert found["r2_low"] < found["r2"] < found["r2_high"]
    ends = 1 - found["loss_high"] / 40, 1 - found["loss_low"] / 40
    assert (found["r2_low"], found["r2_high"]) == pytest.approx(ends)

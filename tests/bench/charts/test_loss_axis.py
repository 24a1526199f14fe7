"""The axis of losses: what is in view."""

import numpy as np
import pandas as pd

from sgdbench.charts.loss_axis import clock_range
from tests.support.frames import make_curves, make_frame
from tests.support.gallery import loss_curves


def test_an_optimizer_that_was_not_timed_does_not_count_on_the_clock():
    line = {"start": "near", "samples": [0, 1, 2], "median": [1.0, 0.5, 0.1]}
    timed = pd.DataFrame(line | {"optimizer": "sgd", "seconds": [0.0, 1.0, 2.0]})
    lost = pd.DataFrame(line | {"optimizer": "adam", "seconds": np.nan})
    both = pd.concat([timed, lost], ignore_index=True)
    assert clock_range(both, "seconds", 0.2) == clock_range(timed, "seconds", 0.2) == (0.5, 2.0)
    assert np.isfinite(clock_range(lost, "seconds", 0.2)).all()


def test_a_target_above_all_losses_is_in_view():
    (axis,) = loss_curves(make_frame(1), make_curves({"run0": [1, 0.5]}), target=50.0).axes
    assert axis.get_ylim()[1] >= 50


def test_losses_within_a_decade_fill_the_panel():
    (axis,) = loss_curves(make_frame(1), make_curves({"run0": [0.9, 0.5, 0.31]})).axes
    bottom, top = axis.get_ylim()
    assert 0.28 < bottom < 0.31 < 0.9 < top < 1
    np.testing.assert_allclose(axis.get_yticks(), [0.4, 0.6, 0.8])

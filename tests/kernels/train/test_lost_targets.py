"""Losses of 0 by rounding alone, told from those that are right."""

import numpy as np
import pytest

from sgdbench import Model
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.train.lost_targets import LARGE_PARAM, first_spurious_zero

X = np.linspace(1, 2, 6)


@pytest.mark.parametrize(
    ("params", "losses", "expected"),
    [
        ([1e30, 1e30], [3.0, 2.0, 0.0, 0.0], 2),
        ([-1e30, -1e30], [3.0, 0.0], 1),  # the size counts, not the sign
        ([1e30, 1e30], [0.0, 0.0], 0),
        ([1e30, 1e30], [3.0, 2.0], None),
        ([LARGE_PARAM, LARGE_PARAM], [3.0, 0.0], None),  # so small that the targets are in the sum
        ([2e7, 0.0], [3.0, 0.0], None),  # the predictions are right
        ([1.5e7, 0.0], [3.0, 0.0], None),  # they are off by a quarter of the targets: more is lost by rounding
        ([0.5e7, 0.0], [3.0, 0.0], 1),
    ],
)
def test_the_first_checkpoint_whose_loss_is_no_loss(params, losses, expected):
    model, data = Model("a*x - b*x"), allocate_data((X,), 2e7 * X)
    found = first_spurious_zero(model, make_loss("squared"), np.array(params), data, np.array(losses))
    assert found == expected
    assert first_spurious_zero(model, make_loss("logistic"), np.array(params), data, np.array(losses)) is None

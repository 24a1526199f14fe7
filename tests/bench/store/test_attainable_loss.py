"""The attainable loss of a run: a lower end of a run takes its place, if more than rounding is between them."""

import numpy as np
import pandas as pd
import pytest

from sgdbench import Model
from sgdbench.kernels.train.attainable_loss import AttainableLoss
from sgdbench.store.attainable_loss import lowered_by


@pytest.mark.parametrize(("losses", "loss"), [([1 - 1e-7, 1.1], 1.0), ([1 - 1e-7, 0.9], 0.9), ([0.8, 0.9], 0.8)])
def test_a_loss_in_float32_is_not_lower_by_its_rounding(losses, loss):
    """Of 60 fits of a line in float32, 34 were said to end below least squares."""
    frame = pd.DataFrame(
        {"final_loss": losses, "status": "max_epochs", "dtype": ["float32", "float64"], "param_a": 0.0}
    )
    found = AttainableLoss(1.0, 2.0, np.ones(1), "least squares")
    assert lowered_by(found, frame, Model("a*x")).loss == loss

"""Figures of a search."""

import pandas as pd

from bench.plots.tuning import slices
from tests.support.figures import texts


def test_shares_are_said_to_be_those_of_the_main_effects():
    values = pd.DataFrame({"value": [1.0, 2.0, 2.0, 1.0], "state": "complete", "lr": [0.1, 0.1, 1.0, 1.0]})
    told = texts(slices(values, {"lr": 0.7}, label="loss", logarithmic=False, name="sgd"))
    assert "70 % of the main effects" in told
    assert "A main effect is what a setting explains by itself" in told

"""Figures of suites."""

import numpy as np
import pandas as pd
import pytest

from bench.plots.performance_profile import rate_ranges, ratios_by_problem
from tests.support.figures import texts


@pytest.mark.parametrize(("lowest", "told"), [(0.1, False), (np.nan, True)])
def test_a_dot_that_is_missing_is_explained(lowest, told):
    rates = pd.DataFrame({"optimizer": ["sgd"], "best": 0.1, "lowest": lowest, "highest": lowest})
    assert ("No dot" in texts(rate_ranges({"line": rates}, order=["sgd"]))) is told


def test_ratios_are_said_to_be_those_to_the_best_of_each_run():
    # None of the two is the best in most runs, so that no median is 1.
    ratios = pd.DataFrame({"line": [1.04, 1.08]}, index=["sgd", "adam"])
    assert "1 is the optimizer with the fewest samples in a run." in texts(ratios_by_problem(ratios))

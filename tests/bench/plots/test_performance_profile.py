"""Figures of suites."""

import numpy as np
import pandas as pd
import pytest

from bench.plots.performance_profile import rate_ranges
from tests.support.figures import texts


@pytest.mark.parametrize(("lowest", "told"), [(0.1, False), (np.nan, True)])
def test_a_dot_that_is_missing_is_explained(lowest, told):
    rates = pd.DataFrame({"optimizer": ["sgd"], "best": 0.1, "lowest": lowest, "highest": lowest})
    assert ("No dot" in texts(rate_ranges({"line": rates}, order=["sgd"]))) is told

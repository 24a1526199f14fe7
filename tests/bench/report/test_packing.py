"""Numbers of the page: short where that is not seen."""

from base64 import b64decode

import numpy as np
import pytest

from bench.report.packing import pack_places


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.linspace(-3.0, 5.0, 50), "f4"),
        (np.array([1.0, np.nan, np.inf, 1e300, 2.0]), "f4"),
        (1.7e9 + np.linspace(0.0, 3600.0, 50), "f8"),  # seconds since 1970: float32 has one value for two minutes
        (np.full(3, np.nan), "f4"),
    ],
)
def test_places_on_an_axis_are_where_they_are_seen(values, kind):
    packed = pack_places(values)
    assert packed["type"] == kind
    drawn, seen = np.frombuffer(b64decode(packed["data"]), f"<{kind}"), np.abs(values) < 1e30
    if seen.any():
        assert np.abs(drawn[seen] - values[seen]).max() <= np.ptp(values[seen]) / 4000

"""What tests of kernels share: runs that are trained in slices of time."""

import pytest

from sgdbench.kernels.train import slices


@pytest.fixture
def checkpoint_by_checkpoint(monkeypatch):
    """Make every slice as short as can be, which ends at the next checkpoint."""
    monkeypatch.setattr(slices, "FIRST_SLICE", 1)
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0)


@pytest.fixture(params=["in one go", "checkpoint by checkpoint"])
def slicing(request):
    """A run of some length is trained in slices of time, or in one."""
    if request.param == "checkpoint by checkpoint":
        request.getfixturevalue("checkpoint_by_checkpoint")

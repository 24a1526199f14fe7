"""What tests of kernels share: runs that are trained in slices of time."""

import pytest

from kernels.train import slices


@pytest.fixture
def mark_by_mark(monkeypatch):
    """Make every slice as short as can be, which ends at the next mark."""
    monkeypatch.setattr(slices, "FIRST_SLICE", 1)
    monkeypatch.setattr(slices, "SLICE_SECONDS", 0)


@pytest.fixture(params=["in one go", "mark by mark"])
def slicing(request):
    """A run of some length is trained in slices of time, or in one."""
    if request.param == "mark by mark":
        request.getfixturevalue("mark_by_mark")

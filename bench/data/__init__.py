"""Samples in, and results back in the data's units."""

from bench.data.held_out import add_held_out, hold_out_share
from bench.data.memory_maps import load_table, open_table
from bench.data.scaling import standardize
from bench.data.table import builtin

__all__ = ["add_held_out", "builtin", "hold_out_share", "load_table", "open_table", "standardize"]


def __dir__() -> list[str]:
    """Return the names for consoles to complete."""
    return __all__

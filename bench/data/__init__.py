"""Samples in, and results back in the data's units."""

from bench.data.scaling import standardize
from bench.data.table import builtin, load_table

__all__ = ["builtin", "load_table", "standardize"]

"""The harness of sgdbench: studies, sweeps, measurement, tables, figures and reports."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.engine import sweep
    from bench.grid import Grid
    from bench.results import SweepResult, load_run

__all__ = ["Grid", "SweepResult", "load_run", "sweep"]

# Imported when asked for: `sgdbench --help` must not wait for numba and pandas.
_HOMES = {"Grid": "grid", "SweepResult": "results", "load_run": "results", "sweep": "engine"}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"bench.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'bench' has no attribute {name!r}")

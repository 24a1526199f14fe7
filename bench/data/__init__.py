"""Samples in, and results back in the data's units."""

from sgdbench.data.held_out import add_held_out, hold_out_share
from sgdbench.data.memory_maps import load_table, open_table
from sgdbench.data.scaling import standardize
from sgdbench.data.table import builtin

# Importing `typing` for TYPE_CHECKING takes milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from sgdbench.data.fit_table import carry_back
    from sgdbench.data.quality import table_quality

__all__ = [
    "add_held_out",
    "builtin",
    "carry_back",
    "hold_out_share",
    "load_table",
    "open_table",
    "standardize",
    "table_quality",
]

# These need what trains, and are imported on first use.
_HOMES = {"carry_back": "fit_table", "table_quality": "quality"}


def __dir__() -> list[str]:
    """Return the names for consoles to complete."""
    return __all__


if not TYPE_CHECKING:  # with this function, type checkers would accept any name

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            raise AttributeError(f"module 'sgdbench.data' has no attribute {name!r}")
        from importlib import import_module  # noqa: PLC0415

        return getattr(import_module(f"sgdbench.data.{_HOMES[name]}"), name)

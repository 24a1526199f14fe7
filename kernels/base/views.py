"""The texts and figures of results, made by functions of rooms above, which are imported when first used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

VIEWS = {
    "bench.report.notebook": ("plot_fit", "fit_html", "plot_sweep", "sweep_html"),
    "bench.report.answers": ("ranking", "best", "verdict", "report", "sweep_text", "tuning_text"),
}
PLACES = {name: module for module, names in VIEWS.items() for name in names}


def find_view(name: str) -> Callable[..., Any] | None:
    """Return the function of this name, or None if its package is not installed."""
    try:
        module = import_module(PLACES[name])
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(PLACES[name].partition(".")[0]):
            raise
        return None
    found: Callable[..., Any] = getattr(module, name)
    return found


def load_view(name: str) -> Callable[..., Any]:
    """Return the function of this name, or raise an ImportError if its package is not installed."""
    found = find_view(name)
    if found is None:
        raise ImportError(f"this needs {PLACES[name]}.{name}, and that package is not installed")
    return found

"""The texts and figures of results, made by functions of rooms above, which are imported when first used."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

VIEWS = {
    "bench.report.notebook": ("plot_fit", "fit_html", "plot_sweep", "sweep_html"),
    "bench.report.answers": ("ranking", "best", "verdict", "report", "sweep_text", "tuning_text"),
}
PLACES = {name: module for module, names in VIEWS.items() for name in names}


def load_view(name: str) -> Callable[..., Any]:
    """Return the function of this name."""
    found: Callable[..., Any] = getattr(import_module(PLACES[name]), name)
    return found

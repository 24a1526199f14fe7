"""How a result shows itself: another package draws it, and says so by an entry point; the mathematics draws nothing."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

GROUP = "sgdbench.views"


def view(name: str) -> Callable[..., Any] | None:
    """The function that a package offers under this name, or None."""
    for point in entry_points(group=GROUP, name=name):
        return point.load()  # type: ignore[no-any-return]
    return None

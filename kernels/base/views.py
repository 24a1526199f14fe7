"""How a result shows itself: another package draws it, and says so by an entry point; the mathematics draws nothing."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

GROUP = "sgdbench.views"


def find_view(name: str) -> Callable[..., Any] | None:
    """Return the function that a package offers under this name, or None."""
    for point in entry_points(group=GROUP, name=name):
        return point.load()  # type: ignore[no-any-return]
    return None


def load_view(name: str) -> Callable[..., Any]:
    """Return the function that a package offers under this name.

    Raises
    ------
    ImportError
        If there is none.
    """
    found = find_view(name)
    if found is None:
        raise ImportError(f"this needs a package that offers {name} in the group {GROUP}, as an installed bench does")
    return found

"""Who may import whom: a room of bench imports only rooms on lower lines, and kernels imports nothing of bench."""

import ast

import pytest

from tests.conftest import ROOT

# The command above, the mathematics and the system below; rooms on one line do not import each other.
LINES = [
    {"cli", "pytest_plugin"},
    {"commands"},
    {"report", "compare"},
    {"engine", "analysis", "timing", "plots"},
    {"study", "tables"},
    {"store", "data", "estimators"},
    {"kernels", "system"},
]
HEIGHT = {room: -line for line, rooms in enumerate(LINES) for room in rooms}


def imported(path):
    """The modules that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module):
    """The room of a module, or None for what is none of ours."""
    package, _, rest = module.partition(".")
    return package if package == "kernels" else rest.partition(".")[0] or None if package == "bench" else None


FILES = sorted(path for package in ("bench", "kernels") for path in (ROOT / package).rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    own = room_of(module)
    if module == "bench":  # hands on the names of the Python interface
        return
    assert own in HEIGHT, f"{path} is in no room: add it to LINES"
    for other in {room_of(name) for name in imported(path)} & set(HEIGHT) - {own}:
        assert HEIGHT[other] < HEIGHT[own], f"{module} imports from {other}"


def test_every_room_says_what_it_is_for():
    for room in {path.parent for path in FILES if path.parent != ROOT / "bench"}:
        docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
        assert docstring
        assert len(docstring.split(".")[0]) < 120

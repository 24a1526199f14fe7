"""Who may import whom: a room imports only rooms on lower lines, and inside a room no imports go in a circle."""

import ast
from graphlib import TopologicalSorter
from itertools import takewhile

from tests.support.constants import ROOT
from tests.support.rooms import HEIGHT

FOLDERS = {"bench": "sgdbench", "kernels": "sgdbench.kernels"}
PACKAGES = list(FOLDERS.values())


def imported(path):
    """The modules that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            if node.module not in PACKAGES:
                yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
            yield _module_named(node.args[0])


def _module_named(argument):
    """The module that a call of `import_module` names, up to what is not known before it runs: empty if all of it."""
    parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
    known = takewhile(lambda part: isinstance(part, ast.Constant), parts)
    return "".join(part.value for part in known).rstrip(".")


def room_of(module):
    """The room of a module, or None for what is none of ours; what no room has is a name that a package hands on."""
    package, *parts = f"{module}..".split(".")[:3]
    if package != "sgdbench":
        return None
    if parts[0] == "kernels":
        return f"kernels.{parts[1]}" if f"kernels.{parts[1]}" in HEIGHT else "kernels"
    return parts[0] if parts[0] in HEIGHT else "sgdbench"


def module_of(path):
    """The name by which a file is imported: its folder is called otherwise."""
    folder, *parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[folder], *parts]).removesuffix(".__init__")


FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def test_imports_go_down():
    for path in FILES:
        module = module_of(path)
        own = room_of(module)
        assert (own in ("sgdbench", "kernels")) == (module in PACKAGES), f"{path} is in no room: add it to LINES"
        names = set(imported(path))
        assert "" not in names, f"{path} imports a module whose name stands elsewhere"
        for other in {room_of(name) for name in names} - {own, None}:
            assert HEIGHT[other] < HEIGHT[own], f"{module} imports from {other}"


def test_no_imports_of_kernels_go_in_a_circle():
    modules = {module_of(path) for path in FILES if path.is_relative_to(ROOT / "kernels")} - {PACKAGES[1]}
    graph = {module: set() for module in modules}
    for path in FILES:
        if module_of(path) in graph:
            graph[module_of(path)] = set(imported(path)) & modules - {module_of(path)}
    assert len(list(TopologicalSorter(graph).static_order())) == len(modules)


def test_every_room_says_what_it_is_for():
    for room in {path.parent for path in FILES if path.parent not in (ROOT / "bench", ROOT / "kernels")}:
        docstring = ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8")))
        assert docstring
        assert len(docstring.split(".")[0]) < 120


def test_everything_is_imported_by_the_name_of_the_package_that_is_installed():
    """Not by that of a folder, which the tests could import too: a second copy of everything."""
    for path in [*FILES, *(ROOT / "tests").rglob("*.py")]:
        assert not {"bench", "kernels"} & {name.partition(".")[0] for name in imported(path)}, path


def test_no_test_module_imports_another():
    for path in (ROOT / "tests").rglob("*.py"):
        for name in imported(path):
            assert not (name.startswith("tests.") and name.rpartition(".")[2].startswith(("test_", "conftest"))), path

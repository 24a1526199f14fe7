"""Each literal in `bench` that names a column, or another key, is declared in `columns.txt`: a misspelt one fails.

Columns stay literals where a frame is read, `frame["config_id"]`, as is usual with pandas: constants would make about
a thousand subscripts longer, and hide the words that files on disk have. A misspelt literal may go unnoticed, as in
`if "seconds" in frame` or `row.get("share")`, which is why all of them are held against one list.
"""

import ast
from collections.abc import Iterator

import pytest

from tests.support.constants import ROOT

# Calls whose texts are names of columns, and arguments that have them in any call.
METHODS = {
    *("get", "pop", "groupby", "sort_values", "drop", "set_index", "drop_duplicates", "duplicated", "merge", "nunique"),
    *("reindex", "dropna", "intersection", "varies", "insert"),
}
ARGUMENTS = {"columns", "by", "on", "subset", "names", "left_on", "right_on"}


def texts_in(node: ast.AST) -> Iterator[str]:
    """Yield a literal text, or those of a literal list, tuple or set."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        for element in node.elts:
            yield from texts_in(element)


def names_in(source: str) -> set[str]:
    """Return the literal keys of a module: subscripts, `in`, and arguments of methods of frames."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Subscript):
            found += texts_in(node.slice)
        if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.In | ast.NotIn):
            found += texts_in(node.left)
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in METHODS:
                found += [text for argument in node.args for text in texts_in(argument)]
            if name == "assign":
                found += [keyword.arg for keyword in node.keywords if keyword.arg]
            found += [text for keyword in node.keywords if keyword.arg in ARGUMENTS for text in texts_in(keyword.value)]
    return {name for name in found if name.isidentifier()}


def read_declared() -> set[str]:
    lines = (ROOT / "tests" / "bench" / "tables" / "columns.txt").read_text(encoding="utf-8").splitlines()
    return {line for line in lines if line and not line.startswith("#")}


def test_each_literal_key_is_declared_and_each_declared_one_is_used():
    used = {path: names_in(path.read_text(encoding="utf-8")) for path in (ROOT / "bench").rglob("*.py")}
    declared = read_declared()
    unknown = {str(path): sorted(names - declared) for path, names in used.items() if names - declared}
    assert not unknown, "misspelt, or not yet in columns.txt"
    assert declared - set().union(*used.values()) == set()


@pytest.mark.parametrize(
    "use",
    [
        *('frame["optimiser"]', 'frame[["lr", "optimiser"]]', 'frame.loc[rows, "optimiser"]', '"optimiser" in frame'),
        *('row.get("optimiser")', 'frame.groupby(["optimiser", "lr"])', "frame.assign(optimiser=1)"),
        *('frame.drop(columns="optimiser")', 'pd.DataFrame(rows, columns=["optimiser"])', 'varies(frame, "optimiser")'),
    ],
)
def test_a_misspelt_column_is_found(use):
    assert names_in(use) - read_declared() == {"optimiser"}

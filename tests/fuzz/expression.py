"""Texts given as expressions: read, or refused in one line with its column."""

import re

from sgdbench import Model
from sgdbench.kernels.model.expression import names, parse
from tests.fuzz.harness import Target, mutations, refusal

CORPUS = [
    "a*x**2 + b*x + c",
    "h*exp(-(x - m)**2/(2*s**2)) + c",
    "where(x < m, max(a, b), min(x, 0.5e-3)) - -relu(a)",
    "L*sigmoid(k*(x - x0))**-1.5 + arctan(\u00e9*x) - pi",
    "__import__('os').system('x')",
    "((((a))))**2**3",
    "2*sigmoid(w @ x + b) - v @ x",
]
PIECES = ["exp(", ")", "**", "where(x<a,", "lambda x: ", "e5", "9" * 30, "9**9**9", "\u00e9", "\u212a", "\u0660"]
PIECES += ["\0", "\n", "f'{a}'", "0x1", "1_0", "if ", "nan", "inf", "()", "a.b", "'", '"""', "#", "\\", "@", ":="]
PIECES += ["/", "//", "<", "(" * 60, "-" * 90]
COLUMN = re.compile(r"expression, column (\d+): ")


def make_target(place):
    """Return the target."""
    corpus, pieces = ([text.encode() for text in texts] for texts in (CORPUS, PIECES))
    return Target(mutations(corpus, pieces), examine, corpus)


def examine(data):
    """Read a text as an expression, and as that of a model."""
    text = data.decode("utf-8", "surrogateescape")
    message = ""
    try:
        tree = parse(text)
    except ValueError as error:
        message = str(error)
        assert len(message.splitlines()) == 1, message
        column = COLUMN.match(message)
        assert column or message.startswith(("expression is empty", "expression must have at most")), message
        assert not column or 1 <= int(column[1]) <= len(text) + 1, message
    model = refusal(lambda: Model(text, ("x1", "x2") if "@" in text else ("x",)), ValueError)
    if message:
        assert model is None or "@" in text
        return "accepted" if model else "refused"
    assert set(names(tree)) <= set(re.findall(r"\w+", text))
    return "accepted" if model else "refused as a model"

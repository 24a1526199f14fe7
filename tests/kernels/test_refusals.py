"""What is refused, and the whole sentence that says so, as it stands in the files of the folder `refusals`.

A file begins with the names that its calls use. With `SGDBENCH_GOLDEN=write` the sentences are written anew; look at
the difference before it is committed.
"""

from functools import cache
from pathlib import Path

import pytest

from tests.support.refusals import refusal_of
from tests.support.written import WRITE

FILES = sorted((Path(__file__).parent / "refusals").glob("*.txt"))
PROMPT = ">>> "


def rows_of(path):
    """The calls in a file, each with the line below it."""
    lines = path.read_text("utf-8").splitlines()
    found = [
        (line.removeprefix(PROMPT), lines[place + 1]) for place, line in enumerate(lines) if line.startswith(PROMPT)
    ]
    assert len(found) == len(dict(found)), f"{path} has a call twice"
    return found


@cache
def names_of(path):
    """The names that the calls of a file use."""
    names = {}
    exec(compile(path.read_text("utf-8").partition(PROMPT)[0], path.name, "exec"), names)
    return names


@pytest.mark.parametrize(
    ("path", "call", "sentence"),
    [pytest.param(path, *row, id=f"{path.stem}-{row[0]}") for path in FILES for row in rows_of(path)],
)
def test_a_sentence_says_what_is_wrong(path, call, sentence):
    found = refusal_of(eval, call, names_of(path))
    if WRITE:
        text = path.read_text("utf-8").replace(f"{PROMPT}{call}\n{sentence}\n", f"{PROMPT}{call}\n{found}\n")
        path.write_text(text, "utf-8")
    else:
        assert found == sentence

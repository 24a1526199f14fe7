"""Refusals: calls and commands, and the line with which all of them refuse, in text files.

A file begins with Python code: the names that its calls use, and in `FILES` what stands in the current folder, by name.
A row has calls (`>>> `) or commands (`$ sgdbench `), or both where they refuse the same, and below them the sentence:
of a ValueError, or of another error with its name before it. A command prints it after "sgdbench: ", with exit code 2.
At the end of a sentence, `...` stands for what another library or version of Python says.

With `SGDBENCH_GOLDEN=write` the sentences are written anew; look at the difference before it is committed.
"""

import shlex
from functools import cache
from pathlib import Path

import pytest

from tests.support.written import WRITE

CALL, COMMAND = ">>> ", "$ sgdbench "


def refusal_of(call, *args, **kwargs):
    """The sentence of the ValueError that a call raises, which is one line."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - who calls looks at the text
        call(*args, **kwargs)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    return sentence


def refusal_rows(folder):
    """The rows of the files in a folder, as parameters: the file, the calls and commands, the sentence."""
    rows = []
    for path in sorted(folder.glob("*.txt")):
        requests = []
        for line in path.read_text("utf-8").splitlines():
            if line.startswith((CALL, COMMAND)):
                requests.append(line)
            elif requests:
                rows.append(pytest.param(path, requests, line, id=f"{path.stem}-{requests[0].removeprefix(CALL)}"))
                requests = []
    names = [row.id for row in rows]
    assert len(names) == len(set(names)), "a call is there twice"
    return rows


def hold_refusal(path, requests, sentence, sgdbench=None):
    """Hold what calls and commands say in the current folder, whose path is left out, against their row's sentence."""
    names = _names_of(path)
    for name, content in names.get("FILES", {}).items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(content, "utf-8")
    for place, line in enumerate(requests):
        if line.startswith(CALL):
            found = _sentence_of_call(line.removeprefix(CALL), names)
        else:
            code, out, err = sgdbench(*shlex.split(line.removeprefix(COMMAND)))
            assert (code, out, err.count("\n")) == (2, "", 1)
            found = err.removeprefix("sgdbench: ").rstrip("\n")
        found = found.replace(f"{Path.cwd()}/", "")
        if sentence.endswith("..."):
            found = found[: len(sentence) - 3] + "..."
        if WRITE and place == 0:
            row = "\n".join(requests)
            text = path.read_text("utf-8").replace(f"{row}\n{sentence}\n", f"{row}\n{found}\n")
            path.write_text(text, "utf-8")
            sentence = found
        assert found == sentence


@cache
def _names_of(path):
    names = {}
    source = path.read_text("utf-8").partition(f"\n{CALL}")[0].partition(f"\n{COMMAND}")[0]
    exec(compile(source, path.name, "exec"), names)  # a rule's sentence has the name of its file
    return names


def _sentence_of_call(call, names):
    with pytest.raises((ValueError, TypeError, OSError)) as caught:
        eval(call, names)
    kind = "" if isinstance(caught.value, ValueError) else f"{caught.type.__name__}: "
    sentence = f"{kind}{caught.value}"
    assert len(sentence.splitlines()) == 1
    return sentence

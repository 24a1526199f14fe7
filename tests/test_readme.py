"""What the README shows works as it stands."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from typer.main import get_command

from bench.cli import app

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text("utf-8")


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind == language]


def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    first, second = blocks("python")
    exec(first, names)
    np.testing.assert_allclose(names["result"].params, [2, -4, 3], atol=1e-9)
    exec(second, names)
    assert len(names["result"].frame) == names["grid"].size == 20 * 4 * 2 * 5
    assert names["result"].curves["epoch"].max() == 100


def test_the_commands_have_these_options():
    commands = get_command(app).commands
    lines = [line.partition("#")[0] for line in "".join(blocks("")).replace("\\\n", " ").splitlines()]
    shown = [shlex.split(line)[1:] for line in lines if line.startswith("sgdbench")]
    assert {words[0] for words in shown} == set(commands)
    for command, *words in shown:
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(([^)#:]+)\)", TEXT))))
def test_links_lead_somewhere(target):
    assert (README.parent / target).exists()

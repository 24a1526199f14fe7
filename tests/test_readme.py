"""What the README shows works as it stands."""

import re
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.main import get_command

from bench.cli import app
from bench.data.table import builtin
from bench.study.load import load_study

README = Path(__file__).parent.parent / "README.md"
TEXT = README.read_text("utf-8")


def blocks(language):
    found = re.findall(r"^```(\w*)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind == language]


def test_the_python_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    first, second, regressor, _ = blocks("python")
    exec(first, names)
    np.testing.assert_allclose(names["result"].params, [2, -4, 3], atol=1e-9)
    exec(second, names)
    assert len(names["result"].frame) == names["grid"].size == 20 * 4 * 2 * 5
    assert names["result"].curves["epoch"].max() == 100
    exec(regressor, names)
    np.testing.assert_allclose(names["search"].best_estimator_.params_, [2, -4, 3], atol=1e-9)


OWN_DATA = [README.parent / "README.md", README.parent / "bench" / "README.md"]
# The same commands in seconds.
QUICK = ["--epochs", "2", "--optimizer", "sgd", "--kernel", "fused", "--confirm", "0", "--seed", "0"]


@pytest.fixture
def own_data(tmp_path, monkeypatch):
    """The tables that the sections on your own data are about, in the folder of the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "bench.commands.run.write_run_report", lambda run_data, **_: run_data.result.run.folder / "report.md"
    )
    data = builtin("auto-mpg")
    pd.DataFrame({"hp": data.x[:, 0], "mpg": data.y}).to_csv("cars.csv", index=False)
    heavy = (data.x[:, 0] > 100).astype(int)
    pd.DataFrame({"width": data.x[:, 0], "weight": data.x[:, 0] ** 2, "good": heavy}).to_csv("quality.csv", index=False)
    pd.DataFrame({"Engine Power (PS)": data.x[:, 0], "mpg": data.y}).to_csv("engines.csv", index=False)
    return tmp_path


def section(path):
    """The text of the section on your own data."""
    return re.search(r"^## Your own data\n(.*?)(?=^## |\Z)", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)[1]


def blocks_of(path, language):
    found = re.findall(r"^```(\w*)\n(.*?)^```", section(path), re.MULTILINE | re.DOTALL)
    return [text for kind, text in found if kind == language]


@pytest.mark.parametrize("path", OWN_DATA, ids=["README", "bench"])
def test_the_commands_on_your_own_data_run(path, own_data, sgdbench):
    lines = [line for block in blocks_of(path, "") for line in block.splitlines()]
    assert lines
    for line in lines:
        _, command, *words = shlex.split(line)
        quick = QUICK if command == "run" else []
        code, out, err = sgdbench(command, *words, *quick)
        assert (code, err) == (0, ""), (line, err)
        assert out


@pytest.mark.parametrize("path", OWN_DATA, ids=["README", "bench"])
def test_the_python_on_your_own_data_runs(path, own_data):
    for block in blocks_of(path, "python"):
        names = {}
        exec(block, names)
        found = names.get("mine") or names["found"]
        assert found.best().settings["lr"] > 0


def test_the_study_of_your_own_data_is_one(own_data):
    (block,) = blocks_of(OWN_DATA[1], "toml")
    (own_data / "mine.toml").write_text(block, encoding="utf-8")
    study = load_study(own_data / "mine.toml")
    data, scaling = study.dataset()
    assert scaling
    assert study.make_model(data).inputs == ("power",)
    assert (data.y.size, len(data.validation[1])) == (314, 78)
    assert study.make_grid().size == 9 * 3 * 5 * 2


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

"""What the page hands out for copying gives what the page announces: run as Python, as a study and as a command."""

import json
import re
import shlex
from functools import partial
from html import unescape

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sgdbench import fit, load_run, load_tuning, tune
from sgdbench.kernels.model.param_columns import params_from_columns
from sgdbench.report.answer import find_answer
from sgdbench.report.page import render_page
from sgdbench.report.run_data import run_data_of
from sgdbench.report.tune_data import read_tune_data
from sgdbench.report.tune_report import write_tune_report
from sgdbench.study.load import load_study, to_toml
from sgdbench.tables.rank import recommended_choice, runs_of
from tests.support.studies import sweep_settings, train_study

RNG = np.random.default_rng(3)
ROWS = 40
HP = np.round(RNG.uniform(50, 200, ROWS), 1)
TABLE = {
    "hp": HP,
    "mpg": np.round(45 - 0.2 * HP + RNG.normal(size=ROWS), 2),
    "good": np.where(HP + 20 * RNG.normal(size=ROWS) < 110, "yes", "no"),
    "speed": np.round(200 * HP / (60 + HP) + RNG.normal(size=ROWS), 2),
} | {f"u{k}": np.round(RNG.normal(size=ROWS), 2) if k else np.ones(ROWS) for k in range(30)}
LINEAR = {"y": "mpg", "model": "a*hp + b"}
# More numbers than are written out as a start, and a column that does not vary.
MANY = LINEAR | {"model": "w @ x + b", "x": [name for name in TABLE if name.startswith(("hp", "u"))]}
FILES = 'validation_path = "held-out.csv"\ntest_path = "test.csv"\ncache_dir = "columns"'
IN_BLOCKS = 'shuffling = "blocks(size=8, buffer=16)"'
KINDS = {
    "robust": LINEAR | {"data": "validation = 0.25\ntest = 0.2", "run": f'loss = "huber(0.5)"\n{IN_BLOCKS}'},
    "held-out files": LINEAR | {"data": FILES, "run": "patience = 2"},
    "classes": LINEAR | {"y": "good", "data": "validation = 0.25", "run": 'loss = "logistic"\npatience = 2'},
    "objective": {"builtin": "none", "model": "(1 - u)**2 + 2*(v - u)**2 - 1", "run": 'loss = "objective"'},
    "nonlinear": LINEAR | {"y": "speed", "model": "V*hp/(K + hp)", "data": 'center = "none"'},
    "target": LINEAR | {"run": "target = 0.9", "kernel": "fused"},
    "built-in data": {"builtin": "quadratic", "model": "a*x**2 + b*x + c", "grid": "", "kernel": "fused"},
    "float32": LINEAR | {"grid": 'dtype = "float32"\ninit = [0.0, 0.0]'},
    "plug-in": LINEAR | {"optimizer": "halved"},
    "vector of classes": LINEAR | {"model": "W @ x + b", "y": "good", "grid": "", "run": 'loss = "softmax"'},
    "hidden layer from zeros": LINEAR | {"model": 'mlp(3, "relu")', "grid": 'init = "zero"'},
    "many weights from draws": MANY | {"grid": 'init = "normal:0.5:2"'},
    "many weights": MANY | {"grid": ""},
}
# The command names the study of the run, and says the settings of the choice and its plug-ins.
RUN_BY_COMMAND = {"robust", "float32", "plug-in", "many weights"}
PLUGIN = """
from sgdbench import register_optimizer


@register_optimizer
def halved(theta, state, gradient, lr, clock, options):
    return theta - 0.5 * lr * gradient, state
"""


def write_study_file(
    folder, *, model, x=("hp",), y="mpg", builtin=None, data="", grid="init = [0.1, 0.2]", run="", confirm=5,
    optimizer="sgd", kernel="reference",
):  # fmt: skip
    lines = [",".join(TABLE), *(",".join(map(str, row)) for row in zip(*TABLE.values(), strict=True))]
    for name in ("table.csv", "held-out.csv", "test.csv"):
        (folder / name).write_text("\n".join(lines) + "\n", "utf-8")
    source = f'builtin = "{builtin}"' if builtin else f'path = "table.csv"\nx = {[*x]}\ny = "{y}"\nstandardize = true'
    text = (
        f'name = "one"\n[data]\n{source}\n{data}\n[model]\nexpression = {json.dumps(model)}\n'
        f"[grid]\nlr = [0.01, 0.1]\nbatch_size = [1]\nseed = [0, 1]\nshuffle = true\n"
        f'optimizer = "{optimizer}"\n{grid}\n'
        f'[run]\nepochs = 6\nkernel = "{kernel}"\nconfirm = {confirm}\n{run}\n'
    )
    (folder / "mine.toml").write_text(text, "utf-8")
    return load_study(folder / "mine.toml")


def announced(run_data, answer=None):
    """What is said of the best choice: its settings, and its figures on fresh seeds."""
    answer = answer or find_answer(run_data)
    return answer.settings, [(tile.value, tile.interval) for tile in answer.tiles], run_data.test_figures


def render(run_data):
    """What a page says of the best choice, and the texts that its buttons copy."""
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sgdbench.report.page.find_answer", lambda data: answers.append(find_answer(data)) or answers[0])
        texts = copied(render_page(run_data, {}))
    return announced(run_data, *answers), texts


def copied(text):
    """The texts that the buttons of a page copy."""
    found = re.findall(r'<pre id="(answer-\w+)" hidden>(.*?)</pre>', text, re.DOTALL)
    return {name: unescape(content) for name, content in found}


def announced_by_copy(texts, folder):
    """What is said of a run of the study that a page hands out."""
    (folder / "copied.toml").write_text(texts["answer-toml"], "utf-8")
    return announced(run_data_of(train_study(load_study(folder / "copied.toml"), folder / "again")))


def check_python(code, run_data):
    """The code ends where a run of the sweep ended, bit for bit, whose figures those of the page are."""
    made = {}
    exec(code, made)
    result, row = made["result"], recommended_choice(run_data.ranked)
    own = runs_of(run_data.frame, row)
    params = params_from_columns(result.model, own)
    same = np.flatnonzero((params == result.params).all(axis=1))
    assert same.size
    assert result.kept.loss == own["final_loss"].iloc[same[0]]
    assert result.status == own["status"].iloc[same[0]]
    assert (result.validation is None) == ("validation_loss" not in own)
    assert (result.test is None) == (run_data.data.test is None)
    if result.test is not None:
        np.testing.assert_array_equal(result.test[1], run_data.data.test[1])
    if result.validation is not None:
        assert result.kept.validation_loss == own["validation_loss"].iloc[same[0]]
        refitted = run_data.result.best().refit(run_data.data.x, run_data.data.y, kernel="reference")
        np.testing.assert_array_equal(refitted.params, result.params)
    if classes := run_data.data.classes:
        numbers = np.array([classes.labels.index(label) for label in made["labels"]])
        assert (numbers == result.y).mean() == pytest.approx(result.metrics["accuracy"])
    if scaling := made.get("scaling"):
        fitted, data = made["fitted"], made["data"]
        there = result.model.predict([*fitted.params.values()], data.x * scaling.x_scale + scaling.x_mean)
        assert_allclose(there, result.model.predict(result.params, data.x) * scaling.y_scale + scaling.y_mean, 1e-6)
    # What is kept is what is handed out: predictions have that loss.
    assert result.loss_at(result.params) == pytest.approx(
        result.kept.loss, rel=1e-5 if result.dtype == "float32" else 1e-12
    )


@pytest.fixture(autouse=True)
def _without_figures(monkeypatch):
    monkeypatch.setattr("sgdbench.report.figures.DRAWN", {})


@pytest.mark.usefixtures("rules_forgotten")
@pytest.mark.parametrize("kind", KINDS)
def test_a_study_hands_out_what_it_announces(kind, tmp_path, ran, monkeypatch):
    if kind == "plug-in":
        (tmp_path / "rules.py").write_text(PLUGIN, "utf-8")
        from sgdbench.kernels.base.plugins import load_plugin

        load_plugin(tmp_path / "rules.py")
    if KINDS[kind].get("kernel") != "fused":  # the kernel of the code that is copied has to be compiled for each kind
        monkeypatch.setattr("sgdbench.fit", partial(fit, kernel="reference"))
    study = write_study_file(tmp_path, **KINDS[kind])
    run_data = run_data_of(train_study(study, tmp_path / "run"))
    said, texts = render(run_data)
    assert ("order", "shuffled in blocks" if kind == "robust" else "shuffled") in said[0]
    check_python(texts["answer-python"], run_data)
    assert announced_by_copy(texts, tmp_path) == said
    command, *words = shlex.split(texts["answer-command"])
    assert command == "sgdbench"
    assert ("--plugin" in words) == (kind == "plug-in")
    said_of_units = run_data.verdict.get("Units", ""), run_data.verdict["Solution"]
    assert [" standardized " in one for one in said_of_units] == [kind == "robust"] * 2
    if kind not in RUN_BY_COMMAND:
        return

    monkeypatch.setattr("sgdbench.commands.run.run_study", run_quickly)
    ran(*words)
    assert announced(run_data_of(load_run(words[-1]))) == said


def run_quickly(given, asked):
    train_study(given, asked.out)
    return True


@pytest.mark.parametrize(
    "settings", [{"confirm": 0, "run": "target = 0.6\nrefine = 1"}, {"run": "patience = 1\nrefine = 1"}]
)
def test_an_extended_run_hands_out_its_own_checkpoints_and_no_other_rates(settings, tmp_path, ran, monkeypatch):
    """Their number depends on the epochs of the first run of a folder, and decides where runs end."""
    study = write_study_file(tmp_path, **LINEAR, data="validation = 0.25", **settings)
    train_study(study, tmp_path / "run", epochs=2)
    run_data = run_data_of(train_study(study, tmp_path / "run"))
    said, texts = render(run_data)
    assert announced_by_copy(texts, tmp_path) == said
    monkeypatch.setattr("sgdbench.commands.run.run_study", run_quickly)
    ran(*shlex.split(texts["answer-command"])[1:])
    assert announced(run_data_of(load_run(shlex.split(texts["answer-command"])[-1]))) == said
    again = load_run(tmp_path / "again")
    assert again.clock == run_data.result.clock
    assert again.frame["lr"].unique() == [recommended_choice(run_data.ranked)["lr"]]


def test_a_search_hands_out_what_it_announces(tmp_path):
    study = write_study_file(tmp_path, **LINEAR, run="target = 0.9")
    data, _ = study.dataset()
    settings = sweep_settings(study.run)
    del settings["refine"]
    space = study.make_space(data.y.size)
    about = study.make_model(data), data.x, data.y, space
    tune(*about, **settings, trials=6, out=tmp_path / "search", study=to_toml(study))
    tune_data = read_tune_data(load_tuning(tmp_path / "search"))
    texts = copied(write_tune_report(tune_data).read_text("utf-8"))
    check_python(texts["answer-python"], tune_data)
    assert announced_by_copy(texts, tmp_path)[1] == announced(tune_data)[1]

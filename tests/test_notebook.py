"""What results show in a notebook, and the notebooks that are shipped."""

import json
import re
from base64 import b64decode
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from sgdbench import FitResult, Grid, Model, fit, load_run, models, sweep
from sgdbench.report.notebook import fit_html, plot_fit, sweep_html
from sgdbench.tables.formatting import text
from sgdbench.tables.rank import ranking
from tests.support.constants import ROOT
from tests.support.documents import DOCUMENTS, parse_command, words_of
from tests.support.figures import legend
from tests.support.pages import Reader

EXAMPLES = ROOT / "bench" / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))
X = np.linspace(-1, 1, 20)
Y = 2 * X + 1
HOSTILE = "<script>alert(1)</script>$x$"


def picture(image):
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    return b64decode(data)


@pytest.fixture(scope="module")
def result(classic):
    x, y = classic
    return fit(models.quadratic, x, y, init=[-1, 10, 26], lr=0.5, epochs=20, batch_size=50, kernel="reference")


@pytest.fixture(scope="module")
def swept(classic):
    x, y = classic[0][::40], classic[1][::40]
    grid = Grid(lr=[0.01, 0.5, 20.0], batch_size=[1, 4], init={"near": [1, -3, 2], HOSTILE: [0, 0, 0]}, seed=[0, 1])
    return sweep(models.quadratic, x, y, grid, epochs=40, target=1e-2, kernel="reference")


@pytest.fixture(scope="module")
def page_of_sweep(swept):
    return swept._repr_html_()


def test_a_fit_shows_its_numbers_and_its_loss(result):
    shown = Reader(result._repr_html_())
    cells = dict(zip(shown.cells[::2], shown.cells[1::2], strict=True))
    assert list(cells) == ["a", "b", "c", "loss", "status", "epochs", "epochs to target"]
    np.testing.assert_allclose([float(cells[name]) for name in "abc"], result.params, rtol=1e-9)
    assert (cells["status"], cells["epochs"], cells["epochs to target"]) == ("max_epochs", "20", "\N{EN DASH}")
    (image,) = shown.images
    assert image["alt"] == f"Loss of a*x**2 + b*x + c against epochs, from 549.4 to {text(result.loss[-1])}"
    assert picture(image).startswith(b"\x89PNG")


def test_names_are_shown_as_they_are(result):
    class Named:
        """A model whose names are not checked."""

        expression, params = HOSTILE, (HOSTILE, "b", "c")

    hostile = FitResult(**vars(result) | {"model": Named()})
    shown = Reader(fit_html(hostile))
    assert not shown.scripts
    assert HOSTILE in shown.cells
    assert HOSTILE in shown.images[0]["alt"]


def test_a_fit_that_diverged_is_shown(classic):
    x, y = classic
    lost = fit(models.quadratic, x, y, lr=300.0, batch_size=50, epochs=30, kernel="reference")
    shown = Reader(lost._repr_html_())
    assert lost.status == "diverged"
    assert "diverged" in shown.cells
    figure = lost.plot(x, y)
    assert f"no longer finite in epoch {lost.epochs}" in figure.texts[0].get_text()


def test_a_fit_that_never_was_finite_is_shown(classic):
    lost = fit("a*exp(b*x)", *classic, init=[1, 1000], epochs=1, kernel="reference")
    for figure in (lost.plot(), lost.plot(*classic)):
        assert figure.axes[0].texts[0].get_text() == "No loss to show: it is not finite at the start."
    assert "diverged" in Reader(lost._repr_html_()).cells


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_of_a_wide_model_that_diverged_the_losses_are_drawn(loss):
    x, y = 10.0 * np.eye(3), [0.0, 1.0, 1.0]
    lost = fit("w @ x + b", x, y, lr=1e308, loss=loss, epochs=3, kernel="reference")
    assert not np.isfinite(lost.params).all()
    assert lost.plot(x, y).axes[0].get_ylabel() == lost.plot().axes[0].get_ylabel()
    far = fit("w @ x + b", x, y, lr=1e160, batch_size="full", epochs=2, kernel="reference")
    assert np.isfinite(far.params).all()
    assert (far.status, far.plot(x, y).axes[0].get_ylabel()) == ("diverged", "loss")


def test_the_axis_of_losses_names_the_loss():
    result = fit("a*x + b", [0.0, 1.0], ["no", "yes"], loss="logistic", epochs=2, kernel="reference")
    assert result.plot().axes[0].get_ylabel() == "log loss"


def test_the_curve_is_drawn_where_there_are_data(result, classic):
    curves, losses = result.plot(*classic).axes
    model = next(line for line in curves.lines if line.get_label() == "model")
    np.testing.assert_allclose(model.get_ydata(), np.polyval(result.params, model.get_xdata()))
    np.testing.assert_array_equal(losses.lines[0].get_ydata(), result.loss)


def test_the_curve_that_is_drawn_is_that_of_the_parameters_that_patience_keeps(classic):
    """It was that of the end of the run."""
    settings = {"validation": ([0.0], [12.0]), "patience": 4, "record": 3, "kernel": "reference"}
    result = fit(models.quadratic, *classic, init=[-1, 10, 26], lr=0.1, epochs=20, batch_size=80, **settings)
    assert 0 < result.kept.checkpoint < result.loss.size - 1
    model = next(line for line in result.plot(*classic).axes[0].lines if line.get_label() == "model")
    np.testing.assert_allclose(model.get_ydata(), np.polyval(result.params, model.get_xdata()))


def test_the_curve_is_drawn_where_parameters_were_recorded_at_the_ends_alone(classic):
    """It was refused, with the advice to train once more."""
    x, y = classic
    figure = fit(models.quadratic, x, y, epochs=2, kernel="reference", record_params=False).plot(x, y)
    assert "fit" in legend(figure)


def test_the_axis_of_a_curve_has_the_name_of_the_input(classic):
    named = fit(Model("a*t + b", inputs=("t",)), *classic, epochs=2, batch_size=50, kernel="reference")
    assert named.plot(*classic).axes[0].get_xlabel() == "t"


def test_half_the_data_are_refused(result, classic):
    x, y = classic
    for half in [{"x": x}, {"y": y}]:
        with pytest.raises(ValueError, match="plot needs x and y, or neither of them"):
            result.plot(**half)
    with pytest.raises(ValueError, match="y must have shape"):
        result.plot(x, y[:-1])
    with pytest.raises(ValueError, match="x and y must be in the same order"):
        result.plot(pd.Series(x), pd.Series(y)[::-1])


def test_a_sweep_shows_how_its_runs_ended_and_the_best_choices(swept, page_of_sweep):
    shown = Reader(page_of_sweep)
    counts = swept.frame["status"].value_counts()
    assert (counts[["converged", "max_epochs", "diverged"]] > 0).all()
    said = f"24 runs: {counts['converged']} reached the target, {counts['max_epochs']} ran all epochs, "
    assert f"{said}{counts['diverged']} diverged. The best choices:" in map(str.strip, shown.texts)
    ranked = ranking(swept.frame)
    names = ["learning rate", "batch size", "converged", "samples", "updates", "final loss", "verdict"]
    assert shown.cells[:7] == names
    assert shown.cells[7::7][:3] == ranked["lr"].map(text).tolist()[:3]
    assert shown.cells[10::7][:3] == ranked["samples"].map(text).tolist()[:3]
    (image,) = shown.images
    assert image["alt"] == "Samples to the target by learning rate and batch size"
    assert picture(image).startswith(b"\x89PNG")


def test_of_many_choices_ten_are_shown(classic):
    x, y = classic[0][::100], classic[1][::100]
    grid = Grid(lr=np.linspace(0.1, 0.5, 12), optimizer=["sgd", "adam"])
    result = sweep(models.linear, x, y, grid, epochs=2, target=1e-9, kernel="reference")
    shown = Reader(sweep_html(result))
    assert [tag for tag, _ in shown.tags].count("tr") == 11
    assert shown.images[0]["alt"].startswith("Loss curves of each optimizer at its best choice: ")
    # As in the report, with what is recommended, the name of the loss, and the target.
    assert (shown.cells[6], shown.cells[9]) == (text(result.best().settings["lr"]), "recommended")
    assert legend(result.plot())[-1] == "target 1e-9, below"


def test_a_hostile_start_is_no_script_anywhere(swept, page_of_sweep):
    assert "<script" not in page_of_sweep
    assert swept.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_sweep_without_results_says_so(swept, tmp_path):
    empty = replace(swept, frame=swept.frame.head(0), starts=swept.starts[:0])
    texts = [text.strip() for text in Reader(empty._repr_html_()).texts]
    assert [text for text in texts if text] == ["a*x**2 + b*x + c", "No run has finished yet."]
    assert empty.plot().axes[0].texts[0].get_text() == "No run has finished yet."


def test_a_sweep_from_disk_shows_the_same(swept, page_of_sweep):
    assert load_run(swept.run.folder)._repr_html_() == page_of_sweep


# Which package draws


def test_where_nothing_draws_fits_it_says_what_to_install(result, monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **about: ())
    with pytest.raises(ModuleNotFoundError, match=r"^sgdbench is not installed, or by an older version"):
        result.plot()


def test_a_fit_alone_imports_no_harness_and_nothing_imports_pyplot(python):
    code = """
import sys
from sgdbench import fit
result = fit("a*x + b", {"x": [0.0, 1.0]}, [0.0, 1.0], epochs=1, kernel="reference")
ours = {name.split(".")[1] for name in sys.modules if name.startswith("sgdbench.")}
print(ours - {"kernels"}, {name.partition(".")[0] for name in sys.modules} & {"matplotlib", "pandas"})
result._repr_html_()
import sgdbench.report.figures
print("matplotlib.figure" in sys.modules, "matplotlib.pyplot" in sys.modules)
"""
    assert python(code) == "set() set()\nTrue False\n"


# The notebooks


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_shipped_without_outputs(path):
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed")
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert cell.cell_type == "markdown" or (cell.outputs, cell.execution_count) == ([], None)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    numbers = re.findall(r"^## (\d+)\.", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)
    assert numbers == [str(number + 1) for number in range(len(numbers))]


@pytest.fixture(scope="module")
def outputs(python, tmp_path_factory):
    """What the notebooks show, by name: of those for which all is installed, one after the other in one process."""
    place = tmp_path_factory.mktemp("notebooks")
    for needed in ("nbclient", "ipykernel"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    paths = [path for path in NOTEBOOKS if all(map(find_spec, NEEDED.get(path.stem, ())))]
    given = [[str(path), CHECKS[path.stem]] for path in paths]
    folders = {"IPYTHONDIR": str(place / "ipython"), "JUPYTER_CONFIG_DIR": str(place / "jupyter")}
    shown = json.loads(python(EXECUTE, place, BY_REFERENCE, json.dumps(given), **folders))
    return {path.stem: out for path, out in zip(paths, shown, strict=True)}


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_a_notebook_runs(name, outputs):
    if name not in outputs:
        pytest.skip(f"one of {', '.join(NEEDED[name])} is not installed")
    for shown in SHOWN[name]:
        assert shown in outputs[name]
    assert len(outputs[name]) < LARGEST_OUTPUT[name]


EXECUTE = """
import json
import sys
import nbformat
from nbclient import NotebookClient

folder, before, notebooks = sys.argv[1:]
codes, ends = [], [0]
for path, after in json.loads(notebooks):
    own = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    codes += ["%reset -f", before, *own, after]  # without the names of the notebook before it
    ends.append(len(codes))
notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, codes)))
NotebookClient(notebook, timeout=None, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
shown = []
for cell in notebook.cells:
    shown.append("")
    for output in cell.outputs:
        assert output.get("name") != "stderr", output["text"]
        data = [f"{kind} {text}" for kind, text in output.get("data", {}).items()]
        shown[-1] += " ".join([output.get("text", ""), *data]) + "\\n"
print(json.dumps(["".join(shown[first:end]) for first, end in zip(ends, ends[1:])]))
"""
# Kernels that no other test compiles take seconds, and so does the reference on all rows of the last table.
BY_REFERENCE = """
from importlib import import_module
from sklearn import datasets
from sgdbench.kernels.train.block import make_trainer  # many runs train as asked

def make(kernel, model, *of, **settings):
    return make_trainer("reference" if {*"@("} & {*model.expression} else kernel, model, *of, **settings)

for module in ("trainer", "partial_fit"):
    import_module(f"sgdbench.kernels.train.{module}").make_trainer = make

def load_some(load=datasets.load_breast_cancer, **asked):
    found = load(**asked)
    found.data, found.target = found.data[:150], found.target[:150]
    return found

datasets.load_breast_cancer = load_some
"""
# What is needed besides Jupyter, what is to be seen, how many characters all outputs have, and what holds at the end.
NEEDED = {"own-data": ("optuna",)}
SHOWN = {
    "first-steps": ("text/html", "image/png", "image/gif", "Best choice: ", "False", "True"),
    "own-data": (
        "line 3 has no value in column 'hp'",
        "held-out loss",
        "Against the grid: ",
        "result = fit(",
        "[grid]",
    ),
}
LARGEST_OUTPUT = {"first-steps": 1_000_000, "own-data": 300_000}
CHECKS = {
    "first-steps": """
medians = one.groupby(["shuffle", "lr"], observed=True)["samples_to_target"].median().unstack("shuffle")
assert medians[False].min() == 18 * x.size
assert medians[True].min() < 300
""",
    "own-data": """
whole, kept = load_table("cars.csv", x="hp", y="mpg"), hold_out_share(load_table("cars.csv", x="hp", y="mpg"), 0.2)

# The parabola is the best of the three, on rows on which nothing was trained.
assert min(fits, key=lambda name: fits[name].validation_loss[-1]) == "parabola"
assert (kept.y.size, held_out[1].size, whole.y.size) == (314, 78, 392)
train, _ = standardize(kept)
best_of_grid = swept.frame.iloc[swept.frame["best_validation_loss"].argmin()]
ends = best_of_grid[["param_a", "param_b", "param_c"]].to_numpy(float)
for rows, name in (((train.x, train.y), "final_loss"), (held_out, "validation_loss")):
    np.testing.assert_allclose(np.mean((parabola.predict(ends, rows[0]) - rows[1]) ** 2), best_of_grid[name])
runs = tuned.result.frame
mine = {name: best.settings[name] for name in ("lr", "batch_size", "optimizer", "schedule")}
own = runs[(runs[list(mine)].astype(object) == pd.Series(mine)).all(axis=1)].iloc[0]
np.testing.assert_array_equal(
    best.refit(train.x, train.y).params, own[["param_a", "param_b", "param_c"]].to_numpy(float)
)
assert np.ptp(swept.ranking()["validation_loss"].head()) < 5e-4

# What is confirmed is one of the trials, and its figure in the search was too good.
assert len(tuned.trials) == 96
assert (tuned.trials["state"] == "pruned").mean() > 0.5
assert "no clear difference" not in tuned.verdict()["Against the grid"]
trials = tuned.trials[tuned.trials["state"] == "complete"]
assert (trials[list(mine)] == pd.Series(mine)).all(axis=1).any()
first, rival = again.iloc[0], again[again["optimizer"] == "sgd"].iloc[0]
assert (again["recommended"].sum(), first["recommended"], first["optimizer"][:13]) == (1, True, "momentum(0.83")
assert first["confirmed_samples"] > first["samples"]
assert rival["confirmed_samples"] > first["confirmed_samples"] > again["confirmed_samples"].min()
assert "statistically indistinguishable" in tuned.verdict()["Optimizers, each tuned"]
tied = again[again["tied"]]
differ = [tied[name].max() / tied[name].min() for name in ("samples", "confirmed_samples")]
assert differ[0] > 4
assert differ[1] < 2
assert (mine["batch_size"], mine["schedule"], round(mine["lr"], 2)) == (7, "halve(2)", 0.03)

# What is refitted is the least squares of all rows, in the table's units.
exact, covariance = np.polyfit(whole.x[:, 0], whole.y, 2, cov=True)
errors = np.sqrt(np.diag(covariance))
assert (np.abs(params - exact) < 0.5 * errors).all()
np.testing.assert_allclose(quality.uncertainty.stderr, errors, rtol=0.01)
assert abs(quality.rmse - np.std(whole.y - np.polyval(exact, whole.x[:, 0]))) < 0.02
np.testing.assert_allclose(
    np.polyval(params, whole.x[:, 0]), scaling.y_mean + scaling.y_scale * result.predict(data.x), rtol=1e-9
)
""",
}


def test_the_notebooks_are_the_two_that_are_checked():
    assert [path.stem for path in NOTEBOOKS] == ["first-steps", "own-data"] == list(SHOWN)


def texts_of(path):
    """The cells of text of a notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]


def test_the_links_of_a_notebook_lead_somewhere():
    links = [link for path in NOTEBOOKS for text in texts_of(path) for link in re.findall(r"\]\((.*?)\)", text)]
    assert links
    for link in links:
        target, _, anchor = link.partition("#")
        name = (EXAMPLES / target).resolve().relative_to(ROOT.resolve()).as_posix()
        assert anchor in DOCUMENTS[name].anchors


def test_the_commands_of_a_notebook_parse(pytestconfig):
    texts = texts_of(EXAMPLES / "own-data.ipynb")
    (commands,) = [block for text in texts for block in re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)]
    lines = commands.replace("\\\n", " ").splitlines()
    for line in lines:
        parse_command(line, pytestconfig)
    assert [words_of(line)[:2] for line in lines] == [["sgdbench", name] for name in ("new", "tune", "fit")]
    words = words_of(lines[-1])
    settings = [words[words.index(option) + 1] for option in ("--lr", "--batch-size", "--optimizer", "--schedule")]
    assert settings == ["0.034", "7", "momentum(0.83)", "halve(2)"]  # those that `tune` finds there, rounded


def test_a_fit_of_many_parameters_shows_vectors_and_not_each_number():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 12))
    kinds = np.array(["<i>a</i>", "b", "c"])[(x @ rng.normal(size=(12, 3))).argmax(axis=1)]
    shown = Reader(fit_html(fit("W @ x + b", x, kinds, loss="softmax", epochs=2, kernel="reference")))
    assert shown.cells[0] == "W"
    assert shown.cells[1].startswith("3 by 12 numbers from -")
    assert shown.cells[2] == "b"


def test_fits_of_several_inputs_are_drawn_without_a_film():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    kinds = np.array(["<i>a</i>", "b"])[(x.sum(axis=1) > 0).astype(int)]
    figure = plot_fit(fit("w @ x + b", x, kinds, loss="logistic", lr=0.5, epochs=5, kernel="reference"), x, kinds)
    assert legend(figure) == ["<i>a</i>", "b"]
    assert figure.axes[0].get_xlabel() == "predicted probability of b"
    assert len(figure.axes[0].collections) == 2
    figure = plot_fit(fit("w @ x + b", x, x.sum(axis=1), epochs=5, kernel="reference"), x, x.sum(axis=1))
    assert figure.axes[0].get_ylabel() == "y, predicted"


@pytest.mark.parametrize("with_data", [False, True])
def test_a_figure_is_drawn_into_an_axis_that_is_given(with_data):
    figure, x = Figure(), np.linspace(-1, 1, 20)
    left, right = figure.subplots(1, 2)
    result = fit("a*x + b", x, 2 * x, epochs=3, kernel="reference")
    assert result.plot(*(x, 2 * x) if with_data else (), ax=right) is figure
    assert right.lines
    assert right.get_xlabel() == ("x" if with_data else "epoch")
    assert not left.lines
    assert figure.axes == [left, right]

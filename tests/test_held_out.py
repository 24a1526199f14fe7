"""Held-out samples in tables, studies and sweeps: scaled apart, recorded at every mark, and deciding on settings."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from bench import Grid, load_run, sweep
from bench.data.held_out import hold_out_share
from bench.data.scaling import standardize
from bench.data.table import builtin
from bench.engine import check as checking
from bench.engine import train as engine
from bench.report.figures import report_figures
from bench.report.run_data import read_run_data
from bench.study.load import load_study, to_toml, with_overrides
from bench.study.schema import RunTable
from kernels import fit, models

RNG = np.random.default_rng(3)
X = RNG.uniform(-1, 1, 80)
Y = 2 * X**2 - 4 * X + 3 + RNG.normal(0, 0.3, 80)
GRID = Grid(
    lr=[0.02, 0.3], batch_size=[1, 16], init={"near": [-1.0, 10.0, 26.0], "zero": [0.0, 0.0, 0.0]},
    optimizer=["sgd", "adam"], schedule="halve(5)", seed=range(3), shuffle=True,
)  # fmt: skip
SETTINGS = {"epochs": 30, "record": "log:3", "validation": 0.25, "patience": 4, "confirm": 0}


def swept(out=None, **changed):
    return sweep(models.quadratic, X, Y, GRID, out=out, **SETTINGS | changed)


@pytest.fixture(scope="module")
def undisturbed():
    return swept()


def test_every_row_and_curve_is_what_fit_makes_of_it(undisturbed):
    frame = undisturbed.frame
    assert {"stopped", "max_epochs"} <= set(frame["status"])
    curves = dict(list(undisturbed.curves.groupby("config_id", observed=True)))
    for row, start in zip(frame.itertuples(), undisturbed.starts, strict=True):
        alone = fit(
            models.quadratic, X, Y, init=start, lr=row.lr, batch_size=row.batch_size, optimizer=row.optimizer,
            schedule="halve(5)", seed=row.seed, shuffle=True, epochs=30, record="log:3", validation=0.25, patience=4,
        )  # fmt: skip
        assert (row.status, row.samples_seen) == (alone.status, alone.samples_seen[-1])
        np.testing.assert_array_equal(curves[row.config_id]["validation_loss"], alone.validation_loss)
        np.testing.assert_array_equal(curves[row.config_id]["loss"], alone.loss)
        assert row.validation_loss == alone.validation_loss[-1]
        assert row.best_validation_loss == alone.best.validation_loss
        assert row.best_samples == alone.best.samples_seen


@pytest.mark.parametrize("kernel", ["fused", "reference"])
def test_every_exact_kernel_gives_the_same(undisturbed, kernel):
    pd.testing.assert_frame_equal(swept(kernel=kernel).frame, undisturbed.frame)


def test_more_epochs_continue_where_the_runs_stand(undisturbed, tmp_path, monkeypatch):
    """Also with the patience that is left to them."""
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 0)
    for epochs in (1, 3, 9, 30):
        result = swept(tmp_path, epochs=epochs)
    pd.testing.assert_frame_equal(result.frame, undisturbed.frame)
    pd.testing.assert_frame_equal(result.curves, undisturbed.curves)


def test_thinned_curves_keep_both_losses_at_the_same_marks(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "MOST_LOSSES", 5 * GRID.size)
    thin = swept(tmp_path).curves
    both = thin.merge(undisturbed.curves, on=["config_id", "samples"], how="left")
    assert len(thin) < len(undisturbed.curves) / 2
    np.testing.assert_array_equal(both["validation_loss_x"], both["validation_loss_y"])


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("validation", {"validation": 0.3}),
        ("validation", {"validation": None, "patience": None}),
        ("patience", {"patience": 5}),
    ],
)
def test_what_cannot_stand_beside_the_results_is_refused(tmp_path, what, changed):
    swept(tmp_path)
    with pytest.raises(ValueError, match=rf"holds another run \((.*; )?{what}: .*\): choose another folder"):
        swept(tmp_path, **changed)


def test_choices_are_ranked_by_the_lowest_loss_on_held_out_samples(undisturbed):
    ranked = undisturbed.ranking()
    for row in ranked.itertuples():
        own = undisturbed.frame
        own = own[(own["optimizer"] == row.optimizer) & (own["lr"] == row.lr) & (own["batch_size"] == row.batch_size)]
        assert row.validation_loss == own["best_validation_loss"].median()
    assert "lowest loss on held-out samples" in undisturbed.verdict()["Best choice"]
    by_training = undisturbed.ranking("final_loss")
    assert by_training["final_loss"].iloc[0] <= ranked["final_loss"].iloc[0]


def test_printed_it_counts_every_run_also_those_that_stopped_early(undisturbed):
    (line,) = (line for line in str(undisturbed).splitlines() if line.startswith("  runs "))
    counts = {how: int(count) for count, how in re.findall(r"(\d+) ([a-z ]+)", line)}
    assert counts["stopped early"] == (undisturbed.frame["status"] == "stopped").sum()
    assert sum(counts.values()) == len(undisturbed.frame)


def test_a_validation_loss_that_is_off_by_a_bit_is_found(undisturbed):
    frame, settings = undisturbed.frame, RunTable(epochs=30, patience=4)
    held_out = hold_out_share(builtin("quadratic"), 0.25)  # for its split alone
    assert held_out.validation is not None
    curves = undisturbed.run.curves()
    train = fit(models.quadratic, X, Y, epochs=1, validation=0.25)
    arguments = (models.quadratic, train.x[0], train.y, frame.head(4), undisturbed.starts[:4])
    validation = (train.validation[0][0], train.validation[1])
    right = checking.check(*arguments, curves, settings, undisturbed.clock, validation)
    assert right["verified"].all()
    first = curves.index[curves["config_id"] == frame["config_id"].iloc[1]][2]
    curves.loc[first, "validation_loss"] = np.nextafter(curves.loc[first, "validation_loss"], np.inf)
    wrong = checking.check(*arguments, curves, settings, undisturbed.clock, validation)
    assert wrong["verified"].tolist() == [True, False, True, True]


def test_what_is_held_out_has_no_part_in_the_scaling():
    data = hold_out_share(builtin("diabetes"), 0.25)
    assert (len(data.y), len(data.validation[1])) == (332, 110)
    scaled, scaling = standardize(data)
    np.testing.assert_allclose(scaling.x_mean, data.x.mean(axis=0))
    np.testing.assert_allclose(scaled.x.std(axis=0), 1)
    assert abs(scaled.validation[0].mean(axis=0)).max() > 1e-3
    np.testing.assert_allclose(scaled.validation[1] * scaling.y_scale + scaling.y_mean, data.validation[1])


def test_the_split_of_a_study_is_that_of_fit():
    data = builtin("auto-mpg")
    parts = hold_out_share(data, 0.3)
    alone = fit("a*x + b", data.x[:, 0], data.y, epochs=1, lr=1e-9, validation=0.3)
    np.testing.assert_array_equal(parts.x[:, 0], alone.x[0])
    np.testing.assert_array_equal(parts.validation[1], alone.validation[1])


STUDY = """
name = "cars"
model.expression = "a*hp + b"
grid.lr = [0.01, 0.1]
run = {epochs = 10, patience = 3, confirm = 3}
[data]
path = "cars.csv"
x = "hp"
y = "mpg"
standardize = true
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, size in (("cars", 40), ("others", 11)):
        hp = rng.uniform(40, 200, size)
        pd.DataFrame({"hp": hp, "mpg": 40 - 0.1 * hp + rng.normal(0, 2, size)}).to_csv(
            tmp_path / f"{name}.csv", index=False
        )
    return tmp_path


def test_a_study_may_hold_out_another_file(folder):
    (folder / "study.toml").write_text(STUDY + 'validation_path = "others.csv"\n')
    data, scaling = load_study(folder / "study.toml").dataset()
    others = pd.read_csv(folder / "others.csv")
    np.testing.assert_allclose(data.validation[0][:, 0] * scaling.x_scale + scaling.x_mean, others["hp"])
    assert len(data.y) == 40


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("validation = 1.5", "validation must be a share of the rows between 0 and 1, not 1.5"),
        ("validation = 0.0", "validation must be a share of the rows between 0 and 1, not 0.0"),
        ('validation = 0.5\nvalidation_path = "others.csv"', "data must have validation, a share of the rows, or"),
    ],
)
def test_bad_shares_name_their_key(folder, line, message):
    (folder / "study.toml").write_text(f"{STUDY}{line}\n")
    with pytest.raises(ValueError, match=r"^.*study\.toml.*: .*") as error:
        load_study(folder / "study.toml")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_patience_needs_held_out_samples(folder):
    (folder / "study.toml").write_text(STUDY)
    study = load_study(folder / "study.toml")
    data, _ = study.dataset()
    with pytest.raises(ValueError, match=r"^patience must be None without validation, not 3$"):
        sweep(study.make_model(data), data.x, data.y, study.make_grid(), **study.run.model_dump())
    assert with_overrides(study, validation=0.2).data.validation == 0.2


def test_the_command_line_holds_out_and_reports(folder, python):
    (folder / "study.toml").write_text(STUDY.replace("a*hp + b", "a*hp**2 + b*hp + c"))  # whose kernels others compile
    # Without figures, of which the one that this is about is drawn below.
    code = f"""
import sys
from bench import cli
from bench.commands import run
from bench.report import drawing
run.SPEED_SECONDS = run.UPDATE_SECONDS = 0.01
drawing.report_figures = lambda *_: ()
sys.argv = ["sgdbench", "run", {str(folder / "study.toml")!r}, "--out", {str(folder / "run")!r}, "--validation", "0.25"]
cli.main()
"""
    told = python(code)
    assert "loss on held-out samples" in told.splitlines()[0]
    result = load_run(folder / "run")
    assert result.run.identity["validation"] != "none"
    assert result.frame["best_validation_loss"].notna().all()
    assert set(result.confirmation.frame.columns) >= {"best_validation_loss"}
    # Both losses of the best choice.
    drawn = {figure.name: figure.figure for figure in report_figures(read_run_data(folder / "run"))}["held_out"]
    words = [entry.get_text() for legend in drawn.legends for entry in legend.get_texts()]
    assert words == ["held-out samples", "training samples"]
    best = result.best()
    own = result.frame[result.frame["lr"] == best.settings["lr"]]
    curve = result.read_curves(own["config_id"].tolist())
    ends = {line.get_ydata()[0] for line in drawn.axes[0].lines}
    assert ends == {curve["loss"].iloc[0], curve["validation_loss"].iloc[0]}


@pytest.mark.parametrize("line", ["validation = 0.25", 'validation_path = "others.csv"'])
def test_the_code_of_the_best_choice_holds_out_the_same(folder, monkeypatch, line):
    (folder / "study.toml").write_text(f"{STUDY}{line}\n")
    study = load_study(folder / "study.toml")
    data, _ = study.dataset()
    model, grid = study.make_model(data), study.make_grid()
    settings = study.run.model_dump() | {"validation": data.validation, "study": to_toml(study)}
    result = sweep(model, data.x, data.y, grid, out=folder / "run", **settings)
    best, names = result.best(), {}
    monkeypatch.chdir(folder)
    exec(compile(best.code(), "choice", "exec"), names)
    row = result.frame[(result.frame["lr"] == best.settings["lr"])].iloc[0]
    assert names["result"].validation_loss[-1] == row["validation_loss"]
    assert names["result"].best.validation_loss == row["best_validation_loss"]
    assert best.refit(data.x, data.y, validation=data.validation, patience=3).status == row["status"]
    assert best.refit(data.x, data.y).validation_loss is None


def test_a_fit_shows_the_loss_on_what_is_held_out(folder):
    result = fit(models.quadratic, X, Y, epochs=20, lr=0.1, validation=0.25)
    (axis,) = result.plot().axes
    drawn = {line.get_label(): line.get_ydata() for line in axis.lines}
    np.testing.assert_allclose(drawn["held out"], result.validation_loss)
    assert {"loss", "held out"} == set(drawn)


def test_a_fit_of_the_command_line_shows_the_loss_on_held_out_rows(folder, python):
    options = ["fit", str(folder / "cars.csv"), "--x", "hp", "--y", "mpg", "--model", "a*hp + b", "--standardize"]
    options += ["--validation", "0.25", "--patience", "5", "--epochs", "200", "--lr", "0.05", "--json"]
    told = json.loads(python(f"import sys\nfrom bench import cli\nsys.argv = ['sgdbench', *{options!r}]\ncli.main()"))
    assert told["status"] == "stopped"
    assert 0 < told["best_validation_loss"] <= told["validation_loss"] < 20

"""Held-out samples in tables, studies and sweeps: scaled apart, recorded at checkpoints, and deciding on settings."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from pyarrow.csv import read_csv
from sklearn.dummy import DummyClassifier

from sgdbench import Grid, fit, load_run, models, sweep
from sgdbench.analysis.default_study import default_study
from sgdbench.data.held_out import hold_out_share
from sgdbench.data.scaling import standardize
from sgdbench.data.table import builtin
from sgdbench.engine import check as checking
from sgdbench.engine import train as engine
from sgdbench.study.load import load_study, with_settings
from sgdbench.study.schema import RunTable
from sgdbench.tables.formatting import text
from tests.support.studies import sweep_settings, train_study
from tests.support.sweeps import fit_of

UNUSED = "unused in training and selection"
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
        alone = fit_of(row, start, X, Y, epochs=30, record="log:3", validation=0.25, patience=4)
        assert (row.status, row.samples_seen) == (alone.status, alone.samples_seen[-1])
        np.testing.assert_array_equal(curves[row.config_id]["validation_loss"], alone.validation_loss)
        np.testing.assert_array_equal(curves[row.config_id]["loss"], alone.loss)
        assert row.validation_loss == alone.kept.validation_loss == alone.best.validation_loss
        assert row.final_loss == alone.kept.loss == alone.loss_at(alone.params)
        assert [row.param_a, row.param_b, row.param_c] == alone.params.tolist()
        assert row.best_validation_loss == alone.best.validation_loss
        assert row.best_samples == alone.best.samples_seen


def test_more_epochs_continue_where_the_runs_stand(undisturbed, tmp_path, monkeypatch):
    """Also with the patience that is left to them."""
    monkeypatch.setattr(engine, "FLUSH_SECONDS", 0)
    for epochs in (1, 3, 9, 30):
        result = swept(tmp_path, epochs=epochs)
    pd.testing.assert_frame_equal(result.frame, undisturbed.frame)
    pd.testing.assert_frame_equal(result.curves, undisturbed.curves)


def test_thinned_curves_keep_both_losses_at_the_same_checkpoints(undisturbed, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "MAX_LOSSES", 5 * GRID.size)
    thin = swept(tmp_path).curves
    both = thin.merge(undisturbed.curves, on=["config_id", "samples"], how="left")
    assert len(thin) < len(undisturbed.curves) / 2
    np.testing.assert_array_equal(both["validation_loss_x"], both["validation_loss_y"])


def test_choices_are_ranked_by_the_lowest_loss_on_held_out_samples(undisturbed):
    ranked = undisturbed.ranking()
    for row in ranked.itertuples():
        own = undisturbed.frame
        own = own[(own["optimizer"] == row.optimizer) & (own["lr"] == row.lr) & (own["batch_size"] == row.batch_size)]
        assert row.validation_loss == own["validation_loss"].median()
    assert "loss on held-out samples" in undisturbed.verdict()["Best choice"]
    by_training = undisturbed.ranking("final_loss")
    assert by_training["final_loss"].iloc[0] <= ranked["final_loss"].iloc[0]


def test_printed_it_counts_every_run_also_those_that_stopped_early(undisturbed):
    (line,) = (line for line in str(undisturbed).splitlines() if line.startswith("  runs "))
    counts = {how: int(count) for count, how in re.findall(r"(\d+) ([a-z ]+)", line)}
    assert counts["stopped early"] == (undisturbed.frame["status"] == "stopped").sum()
    assert sum(counts.values()) == len(undisturbed.frame)


def test_losses_are_told_apart_as_far_as_one_held_out_sample_of_a_class_can():
    """Where all are on their side of the margin the loss is 0, which is told from 1 / n by no sample."""
    x = np.linspace(-1, 1, 40)
    grid = Grid(lr=[0.3, 1.0, 3.0], optimizer=["sgd", "adam"], seed=range(3), shuffle=True)
    settings = {"validation": 0.25, "epochs": 10, "kernel": "reference", "confirm": 6}
    found = sweep("a*x + b", x, x > 0.1, grid, loss="hinge", **settings)
    losses = found.frame["validation_loss"]
    assert found.optimum.held_out_floor == 1 / 10
    assert losses.min() == 0 < losses.max()
    told = r": sgd has 0\.\d+ \[0\.\d+, 1\] times the improvement over a constant \(statistically indistinguishable\)"
    assert re.search(told, str(found))
    assert found.optimum.floor == 1 / 30
    assert found.ranking("final_loss")["ratio"].max() < 30
    other = sweep("a*x + b", x, 2 * x, grid, **settings | {"confirm": 0}).optimum
    assert other.floor == other.held_out_floor == 0


def test_what_is_held_out_has_no_part_in_the_scaling():
    data = hold_out_share(builtin("diabetes"), 0.25)
    assert (len(data.y), len(data.validation[1])) == (332, 110)
    scaled, scaling = standardize(data)
    np.testing.assert_allclose(scaling.x_mean, data.x.mean(axis=0))
    np.testing.assert_allclose(scaled.x.std(axis=0), 1)
    assert abs(scaled.validation[0].mean(axis=0)).max() > 1e-3
    np.testing.assert_allclose(scaled.validation[1] * scaling.y_scale + scaling.y_mean, data.validation[1])


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


@pytest.mark.parametrize(
    ("line", "noise"), [("test = 0.3", True), ("validation = 0.3", True), ("validation = 0.3", False)]
)
def test_a_choice_that_predicts_new_rows_no_better_than_a_constant_says_so(folder, line, noise):
    if noise:
        frame = pd.read_csv(folder / "cars.csv")
        frame.assign(mpg=np.random.default_rng(4).normal(size=40)).to_csv(folder / "cars.csv", index=False)
    (folder / "study.toml").write_text(f"{STUDY.replace('patience = 3, ', '')}{line}\n")
    study = load_study(folder / "study.toml")
    data, _ = study.dataset()
    verdict = train_study(study, folder / "run").verdict()
    assert ("No gain" in verdict) == noise
    if noise:
        kind, (_, y) = ("test", data.test) if data.test else ("held-out", data.validation)
        assert verdict["No gain"].startswith(f"On the {kind} rows the best choice ends at ")
        assert f"the best constant for these rows at {text(float(f'{np.var(y):.4g}'))}: it" in verdict["No gain"]
        # Of a sweep in Python, whose folder has no data, too.
        given = sweep_settings(study.run) | {"validation": data.validation, "test": data.test}
        swept = sweep("a*x + b", data.x, data.y, study.make_grid(), **given)
        assert swept.verdict()["No gain"] == verdict["No gain"]


# What is ranked, announced, kept and handed out is one thing

# A line through noise, at rates at which the parameters never come to rest, so that the held-out loss jumps.
JUMPING = Grid(lr=[0.3, 0.9], init={"zero": [0.0, 0.0], "far": [9.0, -9.0]}, seed=range(4), shuffle=True)
LINE_Y = X - 0.5 + RNG.normal(0, 0.5, 80)


def jumping(out=None, y=LINE_Y, **changed):
    settings = {"epochs": 24, "kernel": "lanes", "record": "log:4", "confirm": 5, "validation": 0.3, "test": 0.25}
    return sweep("a*x + b", X, y, JUMPING, out=out, **settings | changed)


@pytest.fixture(scope="module")
def patient():
    return jumping(patience=12)


def in_two_sittings(folder, **changed):
    """Shorter runs first, which are confirmed too, then the whole of them in the same folder."""
    jumping(folder, **changed | {"epochs": 5})
    return jumping(folder, **changed)


@pytest.mark.parametrize(
    ("kernel", "made", "patience"),
    [("lanes", jumping, 5), ("reference", jumping, None), ("reference", in_two_sittings, 12)],
)
def test_the_announced_loss_is_that_of_the_parameters_that_are_handed_out(tmp_path, kernel, patience, made):
    result = made(tmp_path, kernel=kernel, patience=patience)
    best = result.best()
    frame = result.frame[result.frame["lr"] == best.settings["lr"]]
    (start,) = (name for name, init in JUMPING.init.items() if list(init) == best.init.tolist())
    (row,) = (one for _, one in frame[(frame["seed"] == best.seed) & (frame["init"] == start)].iterrows())
    names = {"x": X, "y": LINE_Y}
    exec(best.code().replace("x, y = ..., ...  # your data", ""), names)
    for run in (best.refit(X, LINE_Y), names["result"]):
        found = [run.kept.validation_loss, run.kept.loss, *run.params]
        announced = row[["validation_loss", "final_loss", "param_a", "param_b"]].to_list()
        np.testing.assert_array_equal(found, announced)
        assert (run.status, run.samples_seen[-1]) == (row["status"], row["samples_seen"])
        assert run.kept.loss == run.loss_at(run.params)
        (held_x,), held_y = run.validation
        assert run.kept.validation_loss == pytest.approx(np.mean((run.predict(held_x) - held_y) ** 2), rel=1e-12)
    jumps = run.validation_loss
    assert jumps.min() < 0.95 * jumps[-1]  # else there is nothing to tell apart
    assert (run.kept.validation_loss == jumps.min()) == (patience is not None)
    # What is announced is the median of what the runs hand out, and so are the fresh runs.
    for made_of, name in ((frame, "validation_loss"), (result.confirmation.frame, "confirmed_validation_loss")):
        runs = made_of[made_of["lr"] == best.settings["lr"]]
        again = [
            best.refit(X, LINE_Y, init=JUMPING.init[str(one.init)], seed=one.seed).kept.validation_loss
            for one in runs.itertuples()
        ]
        np.testing.assert_array_equal(runs["validation_loss"], again)
        assert best.row[name] == np.median(runs["validation_loss"])


def test_the_check_finds_what_is_off_by_a_bit_of_what_is_kept_or_recorded(patient, monkeypatch):
    frame, train = patient.frame.head(4).copy(), fit("a*x + b", X, LINE_Y, epochs=1, validation=0.3, test=0.25)
    held = train.validation[0][0], train.validation[1]
    shared = RunTable(epochs=24, patience=12), train.x[0], train.y, held
    chosen = replace(patient, frame=frame, starts=patient.starts[:4])
    assert (frame["best_samples"] < frame["samples_seen"]).any()
    assert checking.check(chosen, *shared)["verified"].all()
    for name in ("param_b", "final_loss", "validation_loss"):
        wrong = frame.copy()
        wrong.loc[1, name] = np.nextafter(wrong.loc[1, name], np.inf)
        found = checking.check(replace(chosen, frame=wrong), *shared)["verified"].tolist()
        assert found == [True, False, True, True]
    curves = patient.run.curves()
    third = curves.index[curves["config_id"] == frame["config_id"][1]][2]
    curves.loc[third, "validation_loss"] = np.nextafter(curves.loc[third, "validation_loss"], np.inf)
    monkeypatch.setattr(patient.run, "curves", lambda config_ids: curves)
    assert checking.check(chosen, *shared)["verified"].tolist() == [True, False, True, True]


def test_patience_on_samples_that_the_run_does_not_store_wants_them_again():
    held = RNG.uniform(-1, 1, 20), RNG.normal(size=20)
    best = jumping(validation=held, test=None, patience=12).best()
    assert best.refit(X, LINE_Y, validation=held).kept.validation_loss > 0
    with pytest.raises(ValueError, match=r"^validation must give the samples that the sweep held out, .*$"):
        best.refit(X, LINE_Y)


# Rows for the test


def test_rows_for_the_test_decide_nothing(patient):
    for_test = np.random.default_rng(0).permutation(80)[:20]
    other = LINE_Y.copy()
    other[for_test] = RNG.permutation(LINE_Y[for_test]) * 50 + 1000
    again = jumping(y=other, patience=12)
    pd.testing.assert_frame_equal(again.frame, patient.frame)
    pd.testing.assert_frame_equal(again.ranking(), patient.ranking())
    pd.testing.assert_frame_equal(again.confirmation.frame, patient.confirmation.frame)
    assert again.run.identity == patient.run.identity
    said, said_again = patient.verdict(), again.verdict()
    assert next(iter(said)) == next(iter(said_again)) == "On test rows"
    assert said.pop("On test rows") != said_again.pop("On test rows")
    assert said_again.pop("No gain").startswith("On the test rows ")
    assert said == said_again
    # They are those that `fit` holds out, and no other sample is among them.
    whole = fit("a*x + b", X, LINE_Y, epochs=1, validation=0.3, test=0.25)
    (held_x,), _ = whole.validation
    assert not {*X[for_test]} & {*held_x, *whole.x[0]}
    assert (len(held_x), len(whole.y), whole.test[1].size) == (24, 36, 20)


@pytest.mark.parametrize("confirm", [0, 6])
def test_the_verdict_leads_with_the_winner_on_rows_for_the_test(confirm):
    result = jumping(confirm=confirm)
    best = result.best()
    runs = result.confirmation.frame if confirm else result.frame
    runs = runs[runs["lr"] == best.settings["lr"]]
    (x,), y = fit("a*x + b", X, LINE_Y, epochs=1, validation=0.3, test=0.25).test
    losses = [np.mean((one.param_a * x + one.param_b - y) ** 2) for one in runs.itertuples()]
    sentence = result.verdict()["On test rows"]
    # Two starts with four seeds may be worth no more than four runs, which bound no median.
    ends = (" [", " [") if confirm else (",", ";")
    assert sentence.startswith(f"median loss {float(f'{np.median(losses):.4g}')}{ends[0]}")
    assert f"R² {float(f'{1 - np.median(losses) / np.var(y):.4g}')}{ends[1]}" in sentence
    fresh = " on fresh seeds" if confirm else ""
    over = "intervals over " if confirm else ""
    assert sentence.endswith(
        f"; {over}{len(runs)} runs of the best choice{fresh}, on 20 rows unused in training and selection."
    )
    told = str(result)
    assert f"  On test rows: {sentence}" in told
    assert told.index("On test rows") < told.index("Best choice")


def test_a_judgement_of_other_runs_is_not_shown(tmp_path):
    """The study went on, without its rows for the test: what they said was of shorter runs."""
    held = RNG.uniform(-1, 1, 20), RNG.normal(size=20)
    short = jumping(tmp_path, test=held, epochs=3, confirm=0)
    assert "On test rows" in short.verdict()
    assert "On test rows" not in jumping(tmp_path, test=None, confirm=0).verdict()
    assert "On test rows" in jumping(tmp_path, test=held, confirm=0).verdict()


def test_the_winner_on_fresh_seeds_of_an_earlier_time_is_judged(tmp_path):
    """Its runs count without `confirm` too: the first choice of the sweep was judged, and the sentence left out."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=60)
    grid, y = Grid(lr=np.geomspace(0.02, 1.2, 25), seed=2, shuffle=True), 2 * x + 0.5 + 0.5 * rng.normal(size=60)
    about = {"epochs": 2, "test": 0.25, "record": "epoch", "out": tmp_path}
    confirmed = sweep("a*x + b", x, y, grid, confirm=40, **about)
    assert confirmed.best().row["reason"].startswith("Trained again, the choice that came first was ruled out")
    told = confirmed.verdict()
    assert "On test rows" in told
    assert sweep("a*x + b", x, y, grid, confirm=0, **about).verdict() == told


def test_a_table_that_is_run_without_a_study_is_scaled_and_has_its_target_without_what_is_held_out(folder):
    cars = read_csv(folder / "cars.csv").to_pandas()  # pandas before 3.1 does not read the numbers that it wrote
    other = cars.copy()
    for_test = np.random.default_rng(0).permutation(40)[:8]
    other.loc[for_test, "mpg"] += 100.0
    other.to_csv(folder / "other.csv", index=False)
    made = [default_study(folder / f"{name}.csv", None, "mpg", test=0.2, validation=0.25) for name in ("cars", "other")]
    assert [(one.study.data.test, one.study.data.validation) for one in made] == [(0.2, 0.25)] * 2
    assert made[0].study.run == made[1].study.run
    assert made[0].study.grid == made[1].study.grid
    (data, scaling), (again, _) = (one.study.dataset() for one in made)
    assert len(data.y) == 22
    np.testing.assert_array_equal(data.y, again.y)
    np.testing.assert_array_equal(data.validation[1], again.validation[1])
    np.testing.assert_allclose(data.test[1] * scaling.y_scale + scaling.y_mean, cars["mpg"][np.sort(for_test)])


@pytest.mark.usefixtures("one_figure", "nothing_timed")
def test_the_command_line_judges_by_rows_for_the_test(folder, sgdbench, ran):
    """The terminal, the page and the JSON of a fit lead with what they say, in the units of the table."""
    (folder / "study.toml").write_text(STUDY.replace("confirm = 3", "confirm = 6"))
    out = ran("run", folder / "study.toml", "--out", "run", "--validation", "0.25", "--test", "0.25")
    first = out.splitlines()[0]
    result, study = load_run(folder / "run"), load_study(folder / "run" / "run.toml")
    data, scaling = study.dataset()
    best = result.best()
    runs = result.confirmation.frame
    runs = runs[runs["lr"] == best.settings["lr"]]
    predicted = np.outer(runs["param_a"], data.test[0][:, 0]) + runs[["param_b"]].to_numpy()
    rmse = np.median(np.sqrt(np.mean((predicted - data.test[1]) ** 2, axis=1))) * scaling.y_scale
    assert first.startswith("On test rows: median loss ")
    assert f"RMSE {float(f'{rmse:.4g}')} [" in first
    assert "in the table's units" in first
    assert first.endswith(
        "; intervals over 6 runs of the best choice on fresh seeds, on 10 rows unused in training and selection."
    )
    assert first == f"On test rows: {result.verdict()['On test rows']}"
    page = (folder / "run" / "report.html").read_text()
    assert page.index("on test rows") < page.index("median loss on held-out samples")
    options = ["--x", "hp", "--y", "mpg", "--model", "a*hp + b", "--standardize", "--test", "0.25"]
    options += ["--validation", "0.25", "--patience", "5", "--epochs", "200", "--lr", "0.05", "--json"]
    told = json.loads(sgdbench("fit", "cars.csv", *options)[1])
    cars = pd.read_csv(folder / "cars.csv").iloc[np.sort(np.random.default_rng(0).permutation(40)[:10])]
    residuals = told["params"]["a"] * cars["hp"] + told["params"]["b"] - cars["mpg"]
    assert told["test_loss"] == pytest.approx(np.mean(residuals**2), rel=1e-9)
    assert told["status"] == "stopped"
    assert 0 < told["best_validation_loss"] <= told["validation_loss"] < 20
    assert told["test_metrics"]["rmse"] == pytest.approx(np.mean(residuals**2) ** 0.5, rel=1e-9)
    assert told["test_metrics"]["r2"] == pytest.approx(1 - np.mean(residuals**2) / np.var(cars["mpg"]), rel=1e-9)


def test_rows_of_other_files_are_held_out_by_options(folder, ran, studies):
    shutil.copy(folder / "others.csv", folder / "again.csv")
    given = ["--validation", "others.csv", "--test", "again.csv"]
    asked = ["cars.csv", "--y", "mpg", *given]
    told = json.loads(ran("fit", *asked, "--standardize", "--lr", "0.05", "--kernel", "reference", "--json"))
    others = pd.read_csv(folder / "others.csv")
    residuals = told["params"]["a"] * others["hp"] + told["params"]["b"] - others["mpg"]
    assert told["validation_loss"] == pytest.approx(np.mean(residuals**2), rel=1e-9)
    assert told["test_loss"] == pytest.approx(np.mean(residuals**2), rel=1e-9)
    (folder / "shares.toml").write_text(STUDY + "validation = 0.2\ntest = 0.2", "utf-8")
    for command in ("run", "tune"):
        assert "Target: none: settings are chosen by the loss on the held-out rows" in ran(command, *asked)
        ran(command, "shares.toml", *given)  # files take the place of shares
    for study in studies:
        data, _ = study.dataset()
        assert [data.y.size, data.validation[1].size, data.test[1].size] == [40, 11, 11]
    ran("run", "shares.toml", *given[:2], "--test", "0.25")
    assert (studies[-1].data.test, studies[-1].data.test_path) == (0.25, None)


@pytest.mark.parametrize("labels", ["a b c d", "0 2 3 1"])
def test_a_class_of_rows_for_the_test_alone_has_a_score(labels, folder, ran):
    for_test = np.sort(np.random.default_rng(0).permutation(40)[:8])
    common, other = labels.split()[:3], labels.split()[3]
    y = np.resize(common, 40)
    y[for_test[-1]] = other
    x = RNG.normal(size=40)
    (folder / "t.csv").write_text("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)), "utf-8")
    asked = ("--loss", "softmax", "--test", "0.2")
    out = ran("fit", folder / "t.csv", "--y", "y", *asked, "--epochs", 2, "--kernel", "reference", "--json")
    told = json.loads(out)
    assert "trained" not in told  # a loss that was asked for
    reference = {"loss": "softmax", "epochs": 2, "kernel": "reference"}
    whole = fit("W @ x + b", x, y if other.isalpha() else y.astype(int), test=0.2, **reference)
    np.testing.assert_array_equal([*told["params"].values()], whole.params)
    assert whole.params.size == 8
    assert told["test_loss"] == whole.test_loss
    study = default_study(folder / "t.csv", None, "y", loss="softmax", test=0.2).study
    data, _ = study.dataset()
    model = study.make_model(data)
    found = sweep(model, data.x, data.y, Grid(lr=[0.1, 1]), test=data.test, confirm=0, **reference)
    assert found.model.classes == 4
    assert re.match(r"median log loss [\d.]+, accuracy \d", found.verdict()["On test rows"])
    (folder / "more.csv").write_text(f"x,y\n0,{common[0]}\n1,{'e' if other.isalpha() else 4}\n", "utf-8")
    study = with_settings(study, {"data.test": None, "data.test_path": str(folder / "more.csv")})
    with pytest.raises(ValueError, match=r"more.csv: column 'y' must be one of .*, and is ('e'|4) in line 3"):
        study.dataset()


@pytest.mark.parametrize("rare", [True, False])
def test_an_accuracy_that_the_most_frequent_class_has_too_is_no_gain(rare, tmp_path, ran):
    x = np.random.default_rng(0).normal(size=200)
    y = ((x > 0) & (np.arange(200) % (7 if rare else 1) == 0)).astype(float)
    pd.DataFrame({"x": x, "y": np.where(y, "yes", "no")}).to_csv(tmp_path / "t.csv", index=False)
    settings = {"epochs": 20, "kernel": "reference", "loss": "logistic", "test": 0.3}
    whole = fit("a*x + b", x, y, **settings)
    found = sweep("a*x + b", x, y, Grid(lr=[0.1], init="zero"), confirm=0, **settings).verdict()
    asked = ("fit", "t.csv", "--y", "y", "--epochs", 20, "--kernel", "reference")
    for rows, classes, options in [("test", whole.test[1], ("--test", 0.3)), ("training", y, ())]:
        share = text(DummyClassifier().fit(classes, classes).score(classes, classes), 4)
        said = f"On the {rows} rows the accuracy is {share}, no higher than that of always predicting the most frequent"
        assert (f"No gain in accuracy: {said}" in ran(*asked, *options)) == rare
        assert found.get("No gain in accuracy", "").startswith(said) == (rare and rows == "test")


def test_a_fit_shows_the_loss_on_what_is_held_out(folder):
    result = fit(models.quadratic, X, Y, epochs=20, lr=0.1, validation=0.25)
    (axis,) = result.plot().axes
    drawn = {line.get_label(): line.get_ydata() for line in axis.lines}
    np.testing.assert_allclose(drawn["held out"], result.validation_loss)
    assert {"loss", "held out"} == set(drawn)

"""The figures of a report: which there are, in which order, and that they are about the right runs."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sgdbench import Grid, Model, models, sweep
from sgdbench.analysis.basin import basin
from sgdbench.analysis.paths import typical_paths
from sgdbench.data.table import Dataset
from sgdbench.kernels.train.attainable_loss import AttainableLoss
from sgdbench.report.figures import DRAWN
from sgdbench.report.report import write_run_report
from sgdbench.report.run_data import RunData, read_run_data
from sgdbench.report.side_by_side import write_comparison
from sgdbench.store.evidence import store_tables
from sgdbench.study.schema import RunTable
from sgdbench.tables.rank import ranking
from tests.support.figures import legend, texts
from tests.support.hostile import make_costs
from tests.support.pages import Reader
from tests.support.speeds import speeds

X = np.linspace(-1, 1, 40)
FAR, NEAR = [500.0, 900.0], [1.0, 2.0]


def material_of(folder, model="a*x + b", *, epochs=30, target=1e-3, x=X, kernel="fused", **settings):
    """A run that was made in Python, with its data and the evidence that `sgdbench run` would keep."""
    x = np.reshape(x, (len(x), -1))
    y = 2 * x.sum(axis=1) + 1
    budget = RunTable(epochs=epochs, target=target, kernel=kernel)
    result = sweep(model, x, y, Grid(**settings), epochs=epochs, target=target, kernel=kernel, out=folder)
    data = Dataset(x, y, tuple(f"x{k}" for k in range(x.shape[1])), "y", "here")
    evidence = {"typical_paths": typical_paths(result, budget, data)}
    if model == "a*x + b":
        evidence["basin"] = basin(result, budget, data, ranking(result.frame))
        evidence["costs"] = make_costs(result.frame)
    store_tables(folder, **evidence)
    return replace(read_run_data(folder), result=result, data=data, scaling=None, missing_data=None)


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A material with something to show in every figure, but for the speed."""
    grid = {"lr": [0.02, 0.2, 5.0], "batch_size": [1, 8], "optimizer": ["sgd", "momentum(0.9)"]}
    grid |= {"init": {"far": FAR, "near": NEAR, "random": "normal:1:2"}, "seed": [0, 1], "shuffle": True}
    return material_of(tmp_path_factory.mktemp("rich"), **grid)


def by_name(material, *wanted):
    """The figures of a report, or those of them that are wanted: to draw all takes a second."""
    return {name: drawn for name in wanted or DRAWN if (drawn := DRAWN[name](material))}


def with_evidence(material, **tables):
    return replace(material, evidence=material.evidence | tables)


def test_what_is_best_comes_first_and_what_it_costs_last(rich):
    shown = by_name(rich)
    first, last = ["rate_map", "loss_by_optimizer", "optimizer_ratios"], ["contours", "sensitivity", "basin"]
    assert list(shown) == [*first, "setting_importance", "fitted_curve", *last]
    assert all(caption.endswith(".") for caption, _ in shown.values())
    assert not any(figure.axes[0].texts and "show" in texts(figure)[:20] for _, figure in shown.values())


def test_random_starts_share_a_panel_and_a_path(rich):
    shown = by_name(rich, "loss_by_optimizer", "contours")
    panels = [axis.get_title("left") for axis in shown["loss_by_optimizer"][1].axes]
    assert panels == ["start far", "start near", "start random"]
    caption, figure = shown["contours"]
    assert [axis.get_title("left") for axis in figure.axes] == ["far", "near", "random[0]"]
    assert "from each start the run with the median number of samples to the target, of all settings." in caption
    assert caption.endswith(" 3 of 4 starts.")


def test_the_map_has_the_edge_that_theory_predicts(rich):
    theory = pd.DataFrame({"optimizer": ["sgd"], "batch_size": [1], "shuffle": [True], "predicted_edge": [0.5]})

    def named(theory):
        return legend(by_name(with_evidence(rich, theory=theory), "rate_map")["rate_map"][1])

    assert "edge of stability" in named(theory)
    assert "edge of stability" not in named(theory.head(0))


def test_the_speed_is_shown_where_it_was_measured(rich):
    assert "speed" in by_name(with_evidence(rich, speed=speeds()), "speed")
    assert list(DRAWN)[-1] == "speed"
    assert "speed" not in by_name(with_evidence(rich, speed=speeds().head(0)), "speed")


MISSED = {"status": "max_epochs", "samples_to_target": pd.NA}


@pytest.mark.parametrize(
    ("outcomes", "drawn"),
    [
        (lambda place: {"samples_to_target": 3, "final_loss": 1 + place}, False),
        (lambda place: {"samples_to_target": place % 300 + 1}, True),
        # A tenth has another outcome: the panels would have one color.
        (lambda place: {"samples_to_target": np.where(place % 10, 300, 80)}, False),
        (lambda place: {**MISSED, "final_loss": 1e-4}, False),
        (lambda place: {**MISSED, "final_loss": 9.0 ** (place / place.max())}, True),
        (lambda place: {**MISSED, "status": np.where(place % 2, "stopped", "max_epochs")}, False),
    ],
    ids=["at once", "apart", "nearly all alike", "missed alike", "missed", "stopped"],
)
def test_a_basin_without_parts_is_left_out(rich, outcomes, drawn):
    plane = rich.evidence["basin"].assign(status="converged", final_loss=1.0)
    plane = plane.assign(**outcomes(np.arange(len(plane))))
    assert ("basin" in by_name(with_evidence(rich, basin=plane), "basin")) == drawn
    assert "basin" not in by_name(with_evidence(rich, basin=plane.head(0)), "basin")


@pytest.fixture(scope="module")
def noisy(rich):
    """The data with noise."""
    return replace(rich.data, y=rich.data.y + np.random.default_rng(0).normal(size=X.size))


def test_the_lowest_loss_is_that_of_least_squares_where_it_matters(rich, noisy):
    line = np.polyfit(X, noisy.y, 1)
    lowest = np.mean((np.polyval(line, X) - noisy.y) ** 2)
    grid = Grid(lr=[0.1], init=[0.0, 0.0])
    result = sweep("a*x + b", noisy.x, noisy.y, grid, epochs=2, confirm=0, kernel="reference")
    assert RunData(result, {}, None, noisy, None, None).lowest_loss == pytest.approx(lowest)
    assert RunData(result, {}, None, None, None, "gone").lowest_loss == pytest.approx(lowest)  # as it was stored
    assert rich.lowest_loss == 0


def test_losses_of_noisy_data_are_distances(rich, noisy):
    result = replace(rich.result)
    vars(result)["optimum"] = AttainableLoss(0.6, 3.0, None, "least squares")
    shown = by_name(replace(rich, result=result, data=noisy), "loss_by_optimizer")
    assert "above the lowest" in texts(shown["loss_by_optimizer"][1])


def test_nothing_is_drawn_of_data_that_are_gone(rich):
    gone = replace(rich, data=None, missing_data="gone")
    assert list(by_name(gone, "rate_map", "fitted_curve", "contours")) == ["rate_map"]


def test_a_single_choice_has_no_comparisons_and_several_inputs_no_curve_to_bend(tmp_path):
    x = np.random.default_rng(0).normal(size=(30, 2))
    material = material_of(tmp_path, models.plane, x=x, kernel="reference", lr=0.1, init=[0.0, 0.0, 0.0], target=None)
    shown = by_name(material)
    assert list(shown) == ["loss_by_optimizer", "fitted_curve", "contours"]
    assert "the run with the lowest final loss, of all settings." in shown["contours"][0]
    assert shown["fitted_curve"][1].axes[0].get_ylabel() == "y, predicted"


def test_where_all_diverge_no_figure_is_empty(tmp_path):
    shown = by_name(material_of(tmp_path, lr=[1e3, 1e4], batch_size=[1, 8], optimizer=["sgd", "momentum(0.9)"]))
    assert list(shown) == ["loss_by_optimizer"]
    for _, figure in shown.values():
        assert any(axis.lines for axis in figure.axes) or texts(figure).startswith("No loss curve to show")


def test_a_figure_that_fails_is_named_and_left_out(rich, monkeypatch, capsys):
    def fails(*args, **kwargs):
        raise RuntimeError("no\nglyph\x1b[2J")

    few = {name: DRAWN[name] for name in ("rate_map", "loss_by_optimizer", "contours")}
    monkeypatch.setattr("sgdbench.report.figures.DRAWN", few)
    monkeypatch.setattr("sgdbench.report.figures.map_figure", fails)
    monkeypatch.setattr("sgdbench.report.figures.loss_surface", fails)
    report = write_run_report(rich).with_suffix(".md").read_text(encoding="utf-8")
    assert re.findall(r"figures/(\w+)\.png", report) == ["loss_by_optimizer"]
    why = "is left out, because it cannot be drawn: RuntimeError: no glyph\ufffd[2J"
    assert capsys.readouterr().err.splitlines() == [
        f"sgdbench: the figure rate_map {why}",
        f"sgdbench: the figure contours {why}",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_neither_ctrl_c_nor_a_full_disk_is_a_failed_figure(rich, monkeypatch, error):
    def fails(*args, **kwargs):
        raise error

    monkeypatch.setattr("sgdbench.report.figures.map_figure", fails)
    with pytest.raises(type(error)):
        write_run_report(rich)


def test_axes_of_negative_losses_begin_at_the_lowest_seen_where_none_is_known(tmp_path):
    """They were empty: a negative loss has no place on a logarithmic axis."""
    grid, settings = Grid(lr=[0.01, 0.1], init=[1, 1]), {"epochs": 2, "kernel": "reference", "confirm": 0}
    result = sweep(Model("u - v**2", inputs=()), None, [0.0] * 10, grid, loss="objective", out=tmp_path, **settings)
    material = RunData(result, {}, None, None, None, None)
    lowest = result.frame["best_loss"].min()
    assert material.loss_axis.lowest == lowest < 0
    assert material.loss_axis.held_out.name() == f"objective on held-out samples above the lowest\nseen, {lowest:,.0f}"
    medians = material.outcomes.drop_duplicates("lr").sort_values("lr")["final_loss_median"].to_numpy()
    high, low = material.loss_axis.place(medians)
    assert high > low == 0
    # Side by side with others too.
    page = write_comparison([material, material], tmp_path / "both.html").read_text("utf-8")
    (panel,) = Reader(page).data["losses"]["panels"]
    assert panel["y"]["title"] == f"objective above the lowest\nseen, {lowest:,.0f}"

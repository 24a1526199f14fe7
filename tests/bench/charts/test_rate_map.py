"""Maps of learning rates by batch sizes."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.charts.chart import Cells, Line, Points
from sgdbench.charts.loss_axis import LossAxis
from sgdbench.charts.rate_map import SHARE, rate_map_figure, rate_maps
from sgdbench.charts.shades import make_shades
from sgdbench.plots.draw import draw_chart
from sgdbench.tables.chart_words import caption_of_map
from sgdbench.tables.outcomes import choice_outcomes
from sgdbench.tables.rank import ranking
from tests.support.figures import overlaps
from tests.support.frames import make_frame
from tests.support.golden import hold


def grid(samples, rates=(0.1, 0.2), sizes=(1, 8), **columns):
    """A run for each cell: the samples to the target, row by row; None where it was missed, inf where it diverged."""
    status = ["diverged" if one == np.inf else "converged" if one is not None else "max_epochs" for one in samples]
    reached = [pd.NA if one in (None, np.inf) else one for one in samples]
    places = {"lr": np.tile(rates, len(sizes)), "batch_size": np.repeat(sizes, len(rates))}
    return make_frame(len(samples), **places, status=status, samples_to_target=reached, **columns)


def outcomes_of(*parts):
    """The outcomes of runs."""
    frame = pd.concat(parts, ignore_index=True)
    frame = frame.assign(config_id=[f"run{i}" for i in range(len(frame))])
    return choice_outcomes(frame, ranking(frame))


def figure_of(*parts, measure="samples", **options):
    """The chart of the maps of runs, side by side."""
    return rate_map_figure(outcomes_of(*parts), measure, **options)


def cells(chart, panel=0):
    """The cells of a panel."""
    (layer,) = [layer for layer in chart.panels[panel].layers if isinstance(layer, Cells)]
    return layer


def marked(chart, marker):
    """The places of the markers of a kind in the first panel."""
    layers = [layer for layer in chart.panels[0].layers if isinstance(layer, Points) and layer.marker == marker]
    return [(x, y) for layer in layers for x, y in zip(layer.x, layer.y, strict=True)]


def keys(chart):
    """The names in the legend."""
    return [key.name for key in chart.keys]


def test_the_maps_of_two_optimizers():
    parts = [
        grid([np.inf, 2, None, np.inf]),
        grid([np.inf, 2000, 3, 5], seed=1),
        grid([np.inf, 2500, None, 5], seed=2),
        grid([8, None, 1e6], sizes=(1,), rates=(0.1, 0.2, 0.4), optimizer="adam"),
    ]
    edges = pd.DataFrame({"optimizer": ["sgd"], "batch_size": [1], "shuffle": [True], "predicted_edge": [0.2]})
    figure = hold(figure_of(*parts, edges=edges), "rate_map")
    assert [axis.get_title("left") for axis in figure.axes] == ["sgd", "adam"]


def test_a_cell_has_the_median_over_seeds():
    parts = [grid([1, 4, 2, 9]), grid([3, 4, 4, 9], seed=1), grid([5, 4, None, 9], seed=2)]
    chart = figure_of(*parts)
    assert cells(chart).texts == ["3", "4", "4", "9"]
    few, some, many = make_shades([[3, 4, 4, 9]]).tones
    assert cells(chart).tones == [few, some, some, many]
    assert keys(chart) == ["≤ 3", "≤ 4", "≤ 9"]
    assert chart.notes == "Medians of 3 runs. 0 of 12 runs diverged."


def test_counts_have_three_digits():
    chart = figure_of(grid([48, 999_998, 1_648, 30_000_000]))
    assert cells(chart).texts == ["48", "1M", "1.65k", "30M"]
    assert keys(chart)[-1] == "≤ 3e7"


def test_where_no_run_reached_a_target_the_loss_above_the_lowest_is_shown():
    """As on the page: there was no map."""
    parts = grid([None, None, None, np.inf], final_loss=[0.75, 0.5001, 1.5, np.inf])
    chart = figure_of(parts, measure="final_loss", shown=LossAxis(0.5))
    assert cells(chart).texts == ["0.25", "0.0001", "1", ""]
    assert keys(chart) == ["≤ 10⁻⁴", "≤ 0.25", "≤ 1", "most diverged"]
    assert chart.legend == "final loss above the lowest possible, 0.5"


def test_held_out_losses_are_no_distances():
    parts = grid([None] * 4, final_loss=[1, 2, 3, 4], validation_loss=[8, 6, 4, np.inf])
    chart = figure_of(parts, measure="validation_loss", shown=LossAxis(0.5))
    assert cells(chart).texts == ["8", "6", "4", "–"]  # noqa: RUF001
    assert keys(chart)[-1] == "no finite loss"


def test_an_infinite_median_has_no_shade():
    outcomes = outcomes_of(grid([1] * 4, final_loss=[1, 2, 3, np.inf]))
    assert cells(rate_maps(outcomes, ["final_loss"])[0]["final_loss"]).tones == [0, 0.5, 1, "missed"]


def test_diverged_and_missed_cells_are_marked():
    parts = [grid([np.inf, 2, None, np.inf]), grid([np.inf, 2, 3, 5], seed=1), grid([np.inf, 2, None, 5], seed=2)]
    chart = figure_of(*parts)
    assert marked(chart, "cross") == [(0, 0)]
    assert marked(chart, "triangle") == [(1.28, 1.28)]
    assert cells(chart).tones == ["lost", 0, "missed", 1]
    assert cells(chart).texts == ["", "2", "1/3", "5"]
    assert keys(chart)[-3:] == ["most diverged", "some diverged", "most missed the target"]
    assert "4 of 12 runs diverged." in chart.notes


def test_a_map_for_each_optimizer_and_start():
    parts = [
        grid([1, 2, 3, value], optimizer=optimizer, init=init)
        for value, (optimizer, init) in enumerate([("sgd", "near"), ("sgd", "far"), ("adam", "near"), ("adam", "far")])
    ]
    chart = figure_of(*parts)
    assert {panel.title for panel in chart.panels} == {
        "sgd from far",
        "sgd from near",
        "adam from far",
        "adam from near",
    }
    assert chart.panels[0].title.partition(" ")[0] == chart.panels[1].title.partition(" ")[0]
    assert chart.columns == 2


def test_of_many_optimizers_the_best_and_of_many_starts_some_are_shown():
    names = ["sgd", "adam", "rmsprop", "adagrad", "adamw"]
    parts = [
        grid([k + 1] * 4, optimizer=optimizer, init=f"start {place}")
        for k, optimizer in enumerate(names)
        for place in range(5)
    ]
    chart = figure_of(*parts)
    titles = [panel.title for panel in chart.panels]
    assert titles[::3] == ["sgd from start 0", "adam from start 0", "rmsprop from start 0"]
    assert titles[:3] == ["sgd from start 0", "sgd from start 2", "sgd from start 4"]
    assert "The best 3 of 5 optimizers. 3 of 5 starts." in chart.notes


def test_the_edge_of_stability_is_where_the_rate_is():
    edges = pd.DataFrame(
        {
            "optimizer": ["sgd", "sgd", "adam", "sgd"],
            "batch_size": [1, 8, 1, 1],
            "shuffle": [True, True, True, False],
            "predicted_edge": [np.sqrt(10.0), 1.0, 0.2, 0.3],
        }
    )
    chart = figure_of(grid([1] * 6, rates=(0.1, 1.0, 10.0), optimizer="sgd"), edges=edges)
    (line,) = [layer for layer in chart.panels[0].layers if isinstance(layer, Line)]
    np.testing.assert_allclose([line.x, line.y], [[1.5, 1.5, 1, 1], [-0.5, 0.5, 0.5, 1.5]])
    assert keys(chart)[-1] == "edge of stability"


@pytest.mark.parametrize("edge", [50.0, np.nan, -1.0])
def test_an_edge_outside_of_the_map_is_not_drawn(edge):
    edges = pd.DataFrame({"optimizer": ["sgd"], "batch_size": [1], "shuffle": [True], "predicted_edge": [edge]})
    assert "edge of stability" not in keys(figure_of(grid([1] * 4), edges=edges))


def test_a_combination_that_was_not_trained_is_marked():
    chart = figure_of(grid([1, 2, 3, 4]).head(3))
    assert marked(chart, "dot") == [(1, 1)]
    assert cells(chart).tones[3] == "paper"


def test_a_batch_of_all_samples_is_called_full():
    chart = figure_of(grid([1, 2, 3, 4], sizes=(1, 800)), samples=800)
    assert chart.panels[0].y.ticks[0].labels == ["1", "full"]


def test_labels_of_learning_rates_are_apart():
    rates = np.geomspace(0.02, 2, 10)
    figure = draw_chart(figure_of(grid([9] * 10, rates, (1,), init="far"), grid([9] * 10, rates, (1,), init="near")))
    for axis in figure.axes:
        assert len(axis.get_xticklabels()) >= 3
        assert overlaps(figure, axis.get_xticklabels()) == []


def test_the_page_has_a_group_of_layers_for_each_map_and_words_about_each_cell():
    parts = [grid([30, np.inf, None, 5], optimizer=name, schedule=word) for name in ("sgd", "adam") for word in "ab"]
    outcomes = outcomes_of(*parts)
    charts = rate_maps(outcomes, ["samples", "final_loss", SHARE], target=0.1, samples=8)[0]
    layers = [layer for layer in charts["samples"].panels[0].layers if isinstance(layer, Cells)]
    assert sorted(layer.group for layer in layers) == ["adam, a", "adam, b", "sgd, a", "sgd, b"]
    words = {layer.group: layer.words for layer in layers}["sgd, a"]
    assert words[0].startswith(
        "sgd, a, learning rate 0.1, batch size 1: 1 of 1 run reached the target after a median of"
    )
    assert words[1].startswith("sgd, a, learning rate 0.2, batch size 1: 0 of 1 run reached the target; median final")
    assert words[1].endswith("; 1 diverged.")
    assert "batch size full" in words[2]
    assert cells_of_share(charts) == {("1/1", 0.0), ("", "lost"), ("0/1", 1.0)}
    one = outcomes[(outcomes["optimizer"] == "sgd") & (outcomes["schedule"] == "a")]
    assert caption_of_map(one, target=0.1) == (
        "Every run reaches the target in 2 of 4 cells. Most runs diverge in 1. Select a cell to see its loss curves."
    )


def test_a_cell_whose_updates_were_not_timed_has_no_time():
    outcomes = outcomes_of(grid([30, 5], sizes=(1,), seconds_per_update=[2e-6, np.nan]))
    timed, untimed = cells(rate_maps(outcomes, ["samples"], target=0.1)[0]["samples"]).words
    assert "after a median of 30 samples, 30 updates or 60 µs; median" in timed
    assert "after a median of 5 samples, 5 updates; median" in untimed


def test_maps_of_a_start_that_lacks_some_runs_have_the_cells_of_all_starts():
    """The page finds a cell by its place, and a map by the settings that vary in the whole run."""
    near = [grid([30, 20, 10, 5], init="near", schedule=word) for word in "ab"]
    outcomes = outcomes_of(*near, grid([7, 6], rates=(0.2,), init="far", schedule="a"))
    starts = outcomes["start"].unique().tolist()
    chart = rate_maps(outcomes, ["samples"])[starts.index("far")]["samples"]
    layer = cells(chart)
    assert layer.group == "sgd, a"
    assert len(layer.words) == 4
    assert [words.endswith("not trained.") for words in layer.words] == [True, False, True, False]


def test_the_caption_counts_the_cells_that_have_a_cross():
    outcomes = outcomes_of(grid([np.inf, 5], sizes=(1,), seed=0), grid([None, 5], sizes=(1,), seed=1))
    chart = rate_maps(outcomes, ["samples"], target=0.1)[0]["samples"]
    assert marked(chart, "cross") == [(0, 0)]
    assert "Most runs diverge in 1." in caption_of_map(outcomes, target=0.1)


def cells_of_share(charts):
    """The texts and the tones of all cells of the shares of runs that reach the target."""
    layers = [layer for layer in charts[SHARE].panels[0].layers if isinstance(layer, Cells)]
    return {pair for layer in layers for pair in zip(layer.texts, layer.tones, strict=True)}

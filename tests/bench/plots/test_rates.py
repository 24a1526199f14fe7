"""Maps of learning rates by batch sizes."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from bench.charts.loss_axis import LossAxis
from bench.plots.rates import rate_map
from bench.plots.shades import make_shades
from bench.tables.outcomes import choice_outcomes
from bench.tables.rank import ranking
from tests.support.figures import legend, named, overlaps, texts
from tests.support.frames import make_frame


def grid(samples, rates=(0.1, 0.2), sizes=(1, 8), **columns):
    """A run for each cell: the samples to the target, row by row; None where it was missed, inf where it diverged."""
    status = ["diverged" if one == np.inf else "converged" if one is not None else "max_epochs" for one in samples]
    reached = [pd.NA if one in (None, np.inf) else one for one in samples]
    places = {"lr": np.tile(rates, len(sizes)), "batch_size": np.repeat(sizes, len(rates))}
    return make_frame(len(samples), **places, status=status, samples_to_target=reached, **columns)


def draw_map(frame, **options):
    """The map of runs."""
    return rate_map(frame, choice_outcomes(frame, ranking(frame)), **options)


def cells(figure):
    """The places of the cells by their color, from the patches that draw them."""
    return {
        to_hex(patch.get_facecolor()): {
            (x + 0.5, y + 0.5) for x, y in patch.get_path().vertices.reshape(-1, 6, 2)[:, 0]
        }
        for patch in figure.axes[0].patches
    }


def numbers(figure):
    """The numbers in the cells by place."""
    return {text.get_position(): text.get_text() for text in figure.axes[0].texts if text.get_text().isdecimal()}


def test_a_cell_has_the_median_over_seeds():
    frame = pd.concat([grid([1, 4, 2, 9]), grid([3, 4, 4, 9], seed=1), grid([5, 4, None, 9], seed=2)])
    figure = draw_map(frame.assign(config_id=[f"run{i}" for i in range(12)]))
    assert numbers(figure) == {(0, 0): "3", (1, 0): "4", (0, 1): "4", (1, 1): "9"}
    few, some, many = map(to_hex, make_shades([[3, 4, 4, 9]]).colors)
    assert cells(figure) == {few: {(0, 0)}, some: {(1, 0), (0, 1)}, many: {(1, 1)}}
    assert legend(figure) == ["≤ 3", "≤ 4", "≤ 9"]
    assert "Medians over 3 seeds. 0 of 12 runs diverged." in texts(figure)


def test_millions_are_powers_of_ten_as_in_the_legend():
    figure = draw_map(grid([48, 999_998, 1_600_000, 30_000_000]))
    assert texts(figure).startswith("48 999998 1.6e6 3e7 ")
    assert legend(figure)[-1] == "≤ 3e7"


def test_where_no_run_reached_a_target_the_loss_above_the_lowest_is_shown():
    """As on the page: there was no map."""
    frame = grid([None, None, None, np.inf], final_loss=[0.75, 0.5001, 1.5, np.inf])
    figure = draw_map(frame, shown=LossAxis(0.5))
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text()] == ["0.25", "0.0001", "1"]
    assert legend(figure) == ["≤ 10⁻⁴", "≤ 0.25", "≤ 1", "all diverged"]
    assert figure.legends[0].get_title().get_text() == "final loss above the\nlowest possible, 0.5"


def test_held_out_losses_shade_the_map_where_choices_are_ranked_by_them():
    frame = grid([None] * 4, final_loss=[1, 2, 3, 4], validation_loss=[8, 6, 4, np.inf])
    figure = draw_map(frame, shown=LossAxis(0.5))
    assert numbers(figure) == {(0, 0): "8", (1, 0): "6", (0, 1): "4"}
    assert "most diverged" in legend(figure)


def test_diverged_and_missed_cells_are_marked():
    frame = pd.concat(
        [grid([np.inf, 2, None, np.inf]), grid([np.inf, 2, 3, 5], seed=1), grid([np.inf, 2, None, 5], seed=2)]
    )
    figure = draw_map(frame.assign(config_id=range(12)))
    (axis,) = figure.axes
    np.testing.assert_array_equal(named(axis, "all diverged").get_xydata(), [[0, 0]])
    (some,) = named(axis, "some diverged").get_xydata()
    assert tuple(some.round()) == (1, 1)
    assert named(axis, "target missed").get_marker() == "s"
    assert cells(figure)["#ebebeb"] == {(0, 0)}
    assert cells(figure)["#ffffff"] == {(0, 1)}
    assert numbers(figure) == {(1, 0): "2", (1, 1): "5"}
    assert "4 of 12 runs diverged." in texts(figure)


def test_a_map_for_each_optimizer_and_start():
    parts = [
        grid([1, 2, 3, value], optimizer=optimizer, init=init)
        for value, (optimizer, init) in enumerate([("sgd", "near"), ("sgd", "far"), ("adam", "near"), ("adam", "far")])
    ]
    figure = draw_map(pd.concat(parts, ignore_index=True))
    titles = {text.get_text(): text.get_position() for text in figure.axes[0].texts if "from" in text.get_text()}
    assert set(titles) == {"sgd from far", "sgd from near", "adam from far", "adam from near"}
    assert titles["sgd from far"][0] < titles["sgd from near"][0]
    assert titles["sgd from far"][1] == titles["sgd from near"][1] > titles["adam from near"][1]
    assert sum(map(len, cells(figure).values())) == 16
    assert len(figure.axes) == 1


def test_of_many_optimizers_the_best_and_of_many_starts_some_are_shown():
    names = ["sgd", "adam", "rmsprop", "adagrad", "adamw"]
    parts = [
        grid([k + 1] * 4, optimizer=optimizer, init=f"start {place}")
        for k, optimizer in enumerate(names)
        for place in range(5)
    ]
    figure = draw_map(pd.concat(parts, ignore_index=True))
    titles = [text.get_text() for text in figure.axes[0].texts if "from" in text.get_text()]
    assert titles[::3] == ["sgd from start 0", "adam from start 0", "rmsprop from start 0"]
    assert titles[:3] == ["sgd from start 0", "sgd from start 2", "sgd from start 4"]
    assert "The best 3 of 5 optimizers. 3 of 5 starts." in texts(figure)


def test_the_edge_of_stability_is_where_the_rate_is():
    frame = grid([1] * 6, rates=(0.1, 1.0, 10.0), optimizer="sgd")
    edges = pd.DataFrame(
        {
            "optimizer": ["sgd", "sgd", "adam", "sgd"],
            "batch_size": [1, 8, 1, 1],
            "shuffle": [True, True, True, False],
            "predicted_edge": [np.sqrt(10.0), 1.0, 0.2, 0.3],
        }
    )
    line = named(draw_map(frame, edges=edges).axes[0], "edge of stability").get_xydata()
    np.testing.assert_allclose(line[:4], [[1.5, -0.5], [1.5, 0.5], [1, 0.5], [1, 1.5]])
    assert np.isnan(line[4:]).all()


@pytest.mark.parametrize("edge", [50.0, np.nan])
def test_an_edge_outside_of_the_map_is_not_drawn(edge):
    edges = pd.DataFrame({"optimizer": ["sgd"], "batch_size": [1], "shuffle": [True], "predicted_edge": [edge]})
    assert "edge of stability" not in legend(draw_map(grid([1] * 4), edges=edges))


def test_a_combination_that_was_not_trained_is_marked():
    (axis,) = draw_map(grid([1, 2, 3, 4]).head(3)).axes
    np.testing.assert_array_equal(named(axis, "not trained").get_xydata(), [[1, 1]])


def test_a_batch_of_all_samples_is_called_full():
    (axis,) = draw_map(grid([1, 2, 3, 4], sizes=(1, 800)), samples=800).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["1", "full"]


def test_labels_of_learning_rates_are_apart():
    rates = np.geomspace(0.02, 2, 10)
    frame = pd.concat([grid([9] * 10, rates, (1,), init="far"), grid([9] * 10, rates, (1,), init="near")])
    figure = draw_map(frame.assign(config_id=range(20)))
    (axis,) = figure.axes
    assert len(axis.get_xticklabels()) >= 8
    assert overlaps(figure, axis.get_xticklabels()) == []

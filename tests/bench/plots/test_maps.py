"""Figures of a plane: rates by batch sizes, starts, and the surface of the loss."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from bench.plots.basins import basin_map
from bench.plots.contours import contours
from bench.plots.rates import rate_map
from bench.plots.shades import make_even_shades, make_shades
from bench.plots.style import save
from tests.support.figures import legend, named, overlaps, texts
from tests.support.frames import make_frame, plane


def grid(samples, rates=(0.1, 0.2), sizes=(1, 8), **columns):
    """A run for each cell: the samples to the target, row by row; None where it was missed, inf where it diverged."""
    status = ["diverged" if one == np.inf else "converged" if one is not None else "max_epochs" for one in samples]
    reached = [pd.NA if one in (None, np.inf) else one for one in samples]
    places = {"lr": np.tile(rates, len(sizes)), "batch_size": np.repeat(sizes, len(rates))}
    return make_frame(len(samples), **places, status=status, samples_to_target=reached, **columns)


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


# Shades


def test_shades_double_from_class_to_class_and_are_darkest_for_the_smallest():
    shade = make_shades([1, 3, 9, np.inf])
    assert shade.limits == [1, 2, 4, 8, 16]
    lightness = [np.dot(color[:3], [0.2126, 0.7152, 0.0722]) for color in shade.colors]
    assert lightness == sorted(lightness)
    assert shade.names[0] == "≤ 1"


def test_a_limit_belongs_to_its_class_and_what_is_infinite_is_white():
    shade = make_shades([1, 2, 4, 100])
    found = shade.of(np.array([2, 2.5, 4, np.inf, 0]))
    assert [to_hex(color) for color in found] == [
        to_hex(shade.colors[1]),
        to_hex(shade.colors[2]),
        to_hex(shade.colors[2]),
        "#ffffff",
        to_hex(shade.colors[0]),
    ]


@pytest.mark.parametrize("values", [[1e-320, 5e307], [0.0], [np.inf], [], [1, 1e6], [1e-12, 1e-3]])
def test_eight_shades_are_enough(values):
    shade = make_shades(values)
    assert 1 <= len(shade.limits) <= 8
    assert len(shade.names) == len(shade.colors) == len(shade.limits)


# Rates and batch sizes


def test_a_cell_has_the_median_over_seeds():
    frame = pd.concat([grid([1, 4, 2, 9]), grid([3, 4, 4, 9], seed=1), grid([5, 4, None, 9], seed=2)])
    figure = rate_map(frame.assign(config_id=[f"run{i}" for i in range(12)]))
    assert numbers(figure) == {(0, 0): "3", (1, 0): "4", (0, 1): "4", (1, 1): "9"}
    shade = make_shades([3, 4, 4, 9])
    assert cells(figure) == {
        to_hex(shade.colors[0]): {(0, 0), (1, 0), (0, 1)},
        to_hex(shade.colors[2]): {(1, 1)},
    }
    assert legend(figure) == ["≤ 4", "≤ 8", "≤ 16"]
    assert "Medians over 3 seeds. 0 of 12 runs diverged." in texts(figure)


def test_diverged_and_missed_cells_are_marked():
    frame = pd.concat(
        [grid([np.inf, 2, None, np.inf]), grid([np.inf, 2, 3, 5], seed=1), grid([np.inf, 2, None, 5], seed=2)]
    )
    figure = rate_map(frame.assign(config_id=range(12)))
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
    figure = rate_map(pd.concat(parts, ignore_index=True))
    titles = {text.get_text(): text.get_position() for text in figure.axes[0].texts if "from" in text.get_text()}
    assert set(titles) == {"sgd from far", "sgd from near", "adam from far", "adam from near"}
    assert titles["sgd from far"][0] < titles["sgd from near"][0]
    assert titles["sgd from far"][1] == titles["sgd from near"][1] > titles["adam from near"][1]
    assert sum(map(len, cells(figure).values())) == 16
    assert len(figure.axes) == 1


def test_random_starts_of_one_name_share_a_map():
    frame = pd.concat([grid([1, 2, 3, 4], init="r[0]"), grid([3, 2, 3, 4], init="r[1]")], ignore_index=True)
    assert numbers(rate_map(frame))[0, 0] == "2"


def test_of_many_optimizers_the_best_and_of_many_starts_some_are_shown():
    names = ["sgd", "adam", "rmsprop", "adagrad", "adamw"]
    parts = [
        grid([k + 1] * 4, optimizer=optimizer, init=f"start {place}")
        for k, optimizer in enumerate(names)
        for place in range(5)
    ]
    figure = rate_map(pd.concat(parts, ignore_index=True))
    titles = [text.get_text() for text in figure.axes[0].texts if "from" in text.get_text()]
    assert titles[::3] == ["sgd from start 0", "adam from start 0", "rmsprop from start 0"]
    assert titles[:3] == ["sgd from start 0", "sgd from start 2", "sgd from start 4"]
    assert "The best 3 of 5 optimizers. 3 of 5 starts." in texts(figure)


def test_each_optimizer_has_the_schedule_of_its_best_choice():
    fast = grid([1, 1, 1, 1], schedule="halve(10)")
    slow = grid([9, 9, 9, 9], schedule="constant")
    assert set(numbers(rate_map(pd.concat([slow, fast], ignore_index=True))).values()) == {"1"}


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
    line = named(rate_map(frame, edges=edges).axes[0], "edge of stability").get_xydata()
    np.testing.assert_allclose(line[:4], [[1.5, -0.5], [1.5, 0.5], [1, 0.5], [1, 1.5]])
    assert np.isnan(line[4:]).all()


@pytest.mark.parametrize("edge", [0.01, 50.0, np.nan, np.inf])
def test_an_edge_outside_of_the_map_is_not_drawn(edge):
    edges = pd.DataFrame({"optimizer": ["sgd"], "batch_size": [1], "shuffle": [True], "predicted_edge": [edge]})
    assert "edge of stability" not in legend(rate_map(grid([1] * 4), edges=edges))


def test_numbers_are_left_out_where_there_is_no_room(tmp_path):
    rates = np.geomspace(0.01, 1, 80)
    figure = rate_map(grid([5] * 160, rates=rates))
    assert numbers(figure) == {}
    assert len(figure.axes[0].get_xticks()) < 20
    save(figure, tmp_path, "map")


def test_a_combination_that_was_not_trained_is_marked():
    (axis,) = rate_map(grid([1, 2, 3, 4]).head(3)).axes
    np.testing.assert_array_equal(named(axis, "not trained").get_xydata(), [[1, 1]])


@pytest.mark.parametrize("samples", [[None] * 4, [np.inf] * 4])
def test_no_map_where_nothing_reached_a_target(samples):
    told = texts(rate_map(grid(samples)))
    assert told == f"No map to show: none of 4 runs reached a target. {4 * (samples[0] is not None)} diverged."


def test_a_batch_of_all_samples_is_called_full():
    (axis,) = rate_map(grid([1, 2, 3, 4], sizes=(1, 800)), samples=800).axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["1", "full"]


# Basins


def test_a_start_has_the_color_of_its_samples():
    table = plane(samples_to_target=np.arange(1, 26))
    figure = basin_map(table)
    (image,) = figure.axes[0].images
    shade = make_even_shades([np.arange(1, 26)])
    np.testing.assert_allclose(image.get_array(), shade.of(np.arange(1.0, 26).reshape(5, 5).T))
    assert image.get_extent() == pytest.approx([-1.25, 1.25, -2.5, 2.5])
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("a", "b")
    assert "25 starts." in texts(figure)


def test_diverged_starts_are_crossed_and_missed_ones_are_white():
    status = np.array(["converged"] * 25)
    status[:5], status[-1] = "diverged", "max_epochs"
    reached = [4 if one == "converged" else pd.NA for one in status]
    figure = basin_map(plane(status=status, samples_to_target=reached))
    (axis,) = figure.axes
    image = axis.images[0].get_array()
    np.testing.assert_allclose(image[:, 0, 0], 0xEB / 0xFF)
    np.testing.assert_array_equal(image[-1, -1], 1)
    crosses = [line for line in axis.lines if line.get_marker() == "x" and len(line.get_xdata())]
    np.testing.assert_array_equal(crosses[0].get_xdata(), [-1] * 5)
    assert legend(figure) == ["≤ 4", "diverged", "target missed"]


def test_without_a_target_final_losses_are_shown():
    losses = np.geomspace(1e-6, 1, 25)
    figure = basin_map(plane(status="max_epochs", samples_to_target=pd.NA, final_loss=losses))
    assert figure.legends[0].get_title().get_text() == "final loss"
    np.testing.assert_allclose(
        figure.axes[0].images[0].get_array(), make_even_shades([losses]).of(losses.reshape(5, 5).T), atol=1e-12
    )


def test_a_panel_for_each_choice_of_settings():
    figure = basin_map(pd.concat([plane(), plane(optimizer="adam", lr=0.3, config_id="run1")]))
    assert [axis.get_title("left") for axis in figure.axes] == [
        "sgd\nrate 0.1, batch size 1",
        "adam\nrate 0.3, batch size 1",
    ]
    assert "25 starts in each panel." in texts(figure)


def test_starts_are_marked_and_those_outside_pointed_at():
    starts = {"near": [0.5, 1.0, 7.0], "above": [0.0, 50.0, 7.0], "left": [-9.0, 0.0, 7.0]}
    figure = basin_map(plane(param_c=7.0), end=[0, 0, 7], starts=starts)
    (axis,) = figure.axes
    marks = {line.get_marker(): line.get_xydata()[0] for line in axis.lines if line.get_transform() == axis.transAxes}
    np.testing.assert_allclose(marks["o"], [0.7, 0.7])
    np.testing.assert_allclose(marks["^"], [0.5, 0.97])
    np.testing.assert_allclose(marks["<"], [0.03, 0.5])
    assert [text.get_text() for text in axis.texts] == ["near", "above", "left"]
    assert "All start at c = 7." in texts(figure)
    assert "end of the best run" in legend(figure)


def test_no_factor_of_an_axis_stands_over_a_title():
    big = plane().assign(param_a=lambda table: 1e7 * table["param_a"], param_b=lambda table: 1e-7 * table["param_b"])
    for figure in (
        basin_map(pd.concat([big, big.assign(optimizer="adam", config_id="run1")])),
        contours(bowl, {"near": 1e7 * np.outer(0.5 ** np.arange(6), [1, 1])}, names="ab"),
    ):
        figure.draw_without_rendering()
        for axis in figure.axes:
            assert not axis.xaxis.get_offset_text().get_text()
            assert not axis.yaxis.get_offset_text().get_text()


@pytest.mark.parametrize("panels", [1, 3])
def test_names_of_starts_do_not_overlap(panels):
    starts = {"far": [0.0, 1.9], "random[0]": [-0.05, 0.1], "zero": [0.0, -0.1], "near": [0.05, 0.05], "left": [-9, 0]}
    planes = [plane(optimizer=f"sgd{k}", config_id=f"run{k}") for k in range(panels)]
    figure = basin_map(pd.concat(planes), starts=starts)
    written = figure.axes[0].texts
    assert {"far", "random[0]"} <= {text.get_text() for text in written}
    assert overlaps(figure, written) == []


def test_each_panel_of_a_basin_has_colors_of_its_own_values():
    """One optimizer needs ten times the samples of another: in classes of equal factors each panel has one color."""
    fast = plane(samples_to_target=np.arange(100, 200, 4))
    slow = plane(samples_to_target=np.arange(1000, 2000, 40), optimizer="adam", config_id="run1")
    figure = basin_map(pd.concat([fast, slow]))
    for axis in figure.axes:
        assert len(np.unique(axis.images[0].get_array().reshape(-1, 4), axis=0)) >= 3
    assert len(legend(figure)) <= 8


def test_even_shades_have_about_as_many_numbers_each():
    numbers = np.geomspace(3, 3000, 800) ** 2
    shade = make_even_shades([numbers])
    counts = np.unique(np.searchsorted(shade.limits, numbers), return_counts=True)[1]
    assert len(counts) == 8
    assert counts.max() < 1.3 * counts.min()


@pytest.mark.parametrize("values", [[5.0] * 9, [0.0, 0.0], [np.inf], [1e-320, 5e307], [100, 101, 102]])
def test_even_shades_of_few_or_extreme_numbers(values):
    shade = make_even_shades([values, values])
    assert len(shade.names) == len(shade.colors) <= 8
    finite = np.asarray(values)[np.isfinite(values)]
    assert not len(finite) or max(shade.limits) >= min(finite.max(), 1e300)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        (plane().head(0), "it requires runs that start in a plane of two parameters."),
        (plane(param_b=0.0), "it requires runs that start in a plane of two parameters."),
        (plane(status="diverged", samples_to_target=pd.NA), "all of 25 runs in the plane diverged."),
    ],
)
def test_no_basin_to_show(table, told):
    assert texts(basin_map(table)) == f"No basin to show: {told}"


# Contours


def bowl(params):
    return (params**2 * [1.0, 4.0, 9.0][: params.shape[1]]).sum(axis=1)


def paths(**runs):
    """Trajectories by name: from a start, in steps that halve the distance to zero."""
    return {name: np.outer(0.5 ** np.arange(6), start) for name, start in runs.items()}


def test_the_path_is_drawn_over_the_two_parameters_that_move_most():
    figure = contours(bowl, paths(near=[1.0, 0.1, 3.0], far=[10, 1, 30]), names=("a", "b", "c"))
    assert [axis.get_title("left") for axis in figure.axes] == ["near", "far"]
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("a", "c")
    for axis, scale in zip(figure.axes, (1, 10), strict=True):
        steps = scale * 0.5 ** np.arange(6)
        np.testing.assert_allclose(axis.lines[0].get_xydata(), np.transpose([steps, 3 * steps]))
        assert axis.lines[1].get_xydata().tolist() == [[scale, 3 * scale]]
        assert axis.get_xlim()[0] < 0 < scale < axis.get_xlim()[1]
    assert "Surface at the final value of b." in texts(figure)


def test_levels_are_equal_factors_above_the_lowest_loss():
    figure = contours(lambda params: 7 + bowl(params), paths(run=[1.0, 1.0]), names="ab")
    _, drawn = figure.axes[0].collections
    levels = np.asarray(drawn.levels)
    assert len(levels) >= 3
    np.testing.assert_allclose((levels[1:] - levels[0] * 0 - 7)[1:] / (levels[:-1] - 7)[1:], 4, rtol=0.05)
    (x, y) = drawn.get_paths()[-1].vertices[10]
    assert bowl(np.array([[x, y]]))[0] + 7 == pytest.approx(levels[-1], rel=0.02)


def test_other_parameters_are_held_where_the_run_ended():
    seen = []

    def loss(params):
        seen.append(params)
        return bowl(params)

    ended = np.array([[4.0, 4.0, 0.0], [0.0, 0.0, 2.5]])
    contours(loss, {"run": ended}, names="abc")
    (points,) = seen
    assert (points[:, 2] == 2.5).all()


def test_a_path_that_shoots_far_does_not_squeeze_the_rest():
    path = np.array([[1.0, 1.0], [1e6, -1e6], [0.5, 0.5], [0.0, 0.0]])
    (axis,) = contours(bowl, {"wild": path}, names="ab").axes
    assert max(np.abs(axis.get_xlim())) < 10


def test_epochs_that_are_not_finite_are_left_out(tmp_path):
    path = np.array([[1.0, 1.0], [2.0, 3.0], [np.inf, np.nan]])
    figure = contours(bowl, {"lost": path}, names="ab")
    assert len(figure.axes[0].lines[0].get_xdata()) == 2
    save(figure, tmp_path, "lost")


@pytest.mark.parametrize("loss", [lambda params: np.full(len(params), np.inf), lambda params: np.zeros(len(params))])
def test_a_surface_without_levels_still_has_its_path(loss, tmp_path):
    figure = contours(loss, paths(run=[1.0, 2.0]), names="ab")
    assert len(figure.axes[0].lines[0].get_xdata()) == 6
    save(figure, tmp_path, "flat")


@pytest.mark.parametrize("power", [0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.8])
def test_a_single_level_is_filled_on_both_sides(power, tmp_path):
    figure = contours(lambda params: bowl(params) ** power, paths(run=[1.0, 1.0]), names="ab")
    if drawn := figure.axes[0].collections:
        assert len(drawn[0].get_facecolor()) == len(drawn[1].levels) + 1
    assert (len(drawn) == 2 and len(drawn[1].levels) == 1) == (0.2 <= power <= 0.4)
    save(figure, tmp_path, "one")


def test_losses_that_differ_by_rounding_have_levels_that_differ(tmp_path):
    figure = contours(lambda params: 1 + 2e-16 * bowl(params), paths(run=[3.0, 2.0]), names="ab")
    for drawn in figure.axes[0].collections:
        assert (np.diff(drawn.levels) > 0).all()
    save(figure, tmp_path, "rounding")


@pytest.mark.parametrize(
    ("runs", "names"),
    [({}, "ab"), (paths(one=[1.0]), "a"), ({"still": np.ones((5, 2))}, "ab"), ({"s": [[1, 2]]}, "ab")],
)
def test_no_path_over_the_loss(runs, names):
    assert texts(contours(bowl, runs, names=names)).startswith("No path over the loss to show")

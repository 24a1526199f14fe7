"""Figures that compare optimizers, choices and variants: sensitivity, solved shares, the front, speed."""

import numpy as np
import pandas as pd
import pytest
from figures import legend, lines, named, overlaps, texts
from frames import make_frame
from matplotlib.colors import to_hex
from test_plots import speeds

from bench.plots.choices import select_best_runs, start_families
from bench.plots.colors import colors_of
from bench.plots.ecdf import ecdf
from bench.plots.loss_axis import LossAxis
from bench.plots.optimizer_ratios import optimizer_ratios
from bench.plots.pareto import pareto
from bench.plots.sensitivity import sensitivity
from bench.plots.setting_importance import setting_importance
from bench.plots.speed import speed_bars
from bench.plots.style import FAINT, format_limit, save
from bench.tables.choice_ranking import ranking

# Which runs


def test_random_starts_of_one_name_are_one_family():
    names = pd.Series(["near", "random[0]", "random[12]", "[3]", "a[1]b"])
    assert start_families(names).tolist() == ["near", "random", "random", "", "a[1]b"]
    assert start_families(names.astype("category")).tolist() == start_families(names).tolist()


def test_each_optimizer_keeps_the_settings_of_its_best_choice():
    columns = {"optimizer": ["sgd"] * 4 + ["adam"] * 2, "lr": [0.1, 0.1, 0.2, 0.2, 0.1, 0.2]}
    frame = make_frame(6, **columns, batch_size=[1, 8, 1, 8, 8, 1], final_loss=[5, 4, 1, 3, 2, 9])
    assert select_best_runs(frame, ["batch_size"])["config_id"].tolist() == ["run0", "run2", "run4"]
    assert select_best_runs(frame)["config_id"].tolist() == ["run2", "run4"]
    assert select_best_runs(frame, by="batch_size")["config_id"].tolist() == ["run2", "run4"]


def test_the_recommended_choice_is_the_best_one_of_its_optimizer():
    """All succeed at the same cost: the rate in the middle is farthest from failing, though it is not listed first."""
    frame = make_frame(5, lr=[0.1, 0.2, 0.4, 0.8, 1.6], status="converged", samples_to_target=100, final_loss=0.5)
    ranked = ranking(frame)
    assert ranked["lr"].iloc[0] != 0.4
    assert select_best_runs(frame)["lr"].tolist() == ranked.loc[ranked["recommended"], "lr"].tolist() == [0.4]


# Sensitivity to the learning rate


def test_the_final_loss_is_a_median_over_starts_and_seeds():
    losses = [[1.0, 3.0, 9.0], [2.0, 4.0, 20.0]]
    frame = make_frame(6, lr=[0.1] * 3 + [1.0] * 3, seed=[0, 1, 2] * 2, final_loss=np.ravel(losses))
    figure = sensitivity(frame)
    (axis,) = figure.axes
    np.testing.assert_allclose(axis.lines[0].get_xydata(), [[0.1, 3], [1, 4]])
    for rate, group, reach in zip((0.1, 1.0), losses, axis.collections[0].get_segments(), strict=True):
        np.testing.assert_allclose(reach, [[rate, end] for end in np.quantile(group, [0.1, 0.9])])
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert legend(figure) == ["sgd\nbatch size 1\nconstant"]


def test_where_most_diverge_the_line_leaves_and_a_cross_says_so():
    status = ["max_epochs"] * 2 + ["diverged"] * 4
    frame = make_frame(
        6,
        optimizer=["sgd", "adam"] * 3,
        lr=np.repeat([0.1, 1.0, 10.0], 2),
        status=status,
        final_loss=[1.0, 2.0, np.inf, np.nan, np.nan, 1e305],
    )
    figure = sensitivity(frame)
    (axis,) = figure.axes
    colors = colors_of(["sgd", "adam"])
    for name, height in (("adam", 0.98), ("sgd", 0.95)):
        loss, crosses, _ = (line for line in axis.lines if line.get_color() == colors[name])
        assert (loss.get_ydata()[1:] > axis.get_ylim()[1]).all()
        np.testing.assert_allclose(crosses.get_xydata(), [[1, height], [10, height]])
    assert "most diverged" in legend(figure)


def test_with_a_target_it_is_what_the_target_costs():
    """How far below the target a run lands says nothing about its rate."""
    costs = [800, 1600, 400, None, None, None]
    status = ["converged"] * 3 + ["max_epochs"] * 2 + ["diverged"]
    frame = make_frame(6, lr=np.repeat([0.1, 0.2], 3), seed=[0, 1, 2] * 2, samples_to_target=costs, status=status)
    figure = sensitivity(frame)
    (axis,) = figure.axes
    assert axis.get_ylabel() == "samples to the target"
    assert axis.lines[0].get_ydata()[0] == 800
    assert axis.lines[0].get_ydata()[1] > axis.get_ylim()[1]
    square = named(axis, "most missed the target").get_marker()
    assert next(line.get_xdata().tolist() for line in axis.lines if line.get_marker() == square) == [0.2]
    assert "most diverged" not in legend(figure)


def test_one_loss_far_above_the_others_does_not_flatten_them():
    losses = [0.5, 0.6, 0.55, 0.7, 4e4]
    figure = sensitivity(make_frame(5, lr=[0.1, 0.2, 0.4, 0.8, 1.6], final_loss=losses))
    bottom, top = figure.axes[0].get_ylim()
    heights = np.log(np.array(losses[:4]) / bottom) / np.log(top / bottom)
    assert np.ptp(heights) > 0.08
    assert top < 100
    assert f"Medians above {format_limit(top)} are out of view." in texts(figure)


def test_the_sensitivity_shows_the_distance_to_a_known_lowest_loss():
    figure = sensitivity(make_frame(2, lr=[0.1, 0.2], final_loss=[0.51, 0.5001]), shown=LossAxis(0.5))
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.01, 1e-4])
    assert figure.axes[0].get_ylabel() == "final loss above the lowest\npossible, 0.5"


def test_an_optimizer_has_the_batch_size_of_its_best_choice():
    frame = make_frame(4, lr=[0.1, 0.2] * 2, batch_size=[1, 1, 8, 8], final_loss=[1.0, 2.0, 0.5, 7.0])
    figure = sensitivity(frame)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.5, 7])
    assert "batch size 8" in texts(figure)


def test_a_single_rate_is_a_dot(tmp_path):
    figure = sensitivity(make_frame(1, final_loss=0.0))
    assert figure.axes[0].lines[0].get_marker() == "o"
    save(figure, tmp_path, "dot")


def test_no_final_loss_to_show():
    figure = sensitivity(make_frame(2, status="diverged", final_loss=np.nan, lr=[1, 2]))
    assert texts(figure) == "No final loss to show: none of 2 runs ended with a finite one."


# Configurations solved


def test_the_share_that_is_solved_rises_with_the_samples_and_ends_at_the_success_rate():
    frame = make_frame(
        6,
        optimizer=["sgd"] * 4 + ["adam"] * 2,
        epochs=[2, 5, 5, 10, 10, 10],
        epochs_to_target=[2, 5, 5, None, None, None],
        seed=range(6),
        seconds=[2e-3, 5e-3, 10e-3, 10e-3, 10e-3, 10e-3],
    )
    figure = ecdf(frame)
    in_samples, in_time = figure.axes
    adam, sgd = in_samples.lines
    assert in_samples.get_xlabel() == "samples seen"
    assert sgd.get_drawstyle() == "steps-post"
    np.testing.assert_allclose(sgd.get_xydata(), [[1600, 0], [1600, 0.25], [4000, 0.75], [8000, 0.75]])
    np.testing.assert_allclose(adam.get_xydata(), [[1600, 0], [8000, 0]])
    np.testing.assert_allclose(in_time.lines[1].get_xydata(), [[2, 0], [2, 0.25], [5, 0.5], [10, 0.75], [10, 0.75]])
    assert in_time.get_xlabel() == "time (ms)"
    assert legend(figure) == ["adam: 0%", "sgd: 75%"]
    assert "6 configurations" in texts(figure)


def test_of_many_optimizers_the_best_have_colors_and_the_others_are_gray():
    names = [f"momentum(0.{k})" for k in range(1, 10)]
    figure = ecdf(make_frame(9, optimizer=names, status="converged", samples_to_target=np.arange(100, 1000, 100)))
    colors = [to_hex(line.get_color()) for line in figure.axes[0].lines]
    assert colors.count(FAINT) == 2
    assert len(set(colors)) == 8
    assert legend(figure)[-1] == "2 others: 100%"
    assert "momentum(0.9): 100%" not in legend(figure)


def test_without_a_measured_time_there_is_one_panel():
    (axis,) = ecdf(make_frame(2, epochs_to_target=[1, 2], seconds=np.nan, seed=[0, 1])).axes
    assert axis.get_xlabel() == "samples seen"


def test_what_is_solved_at_the_start_counts_from_the_left(tmp_path):
    figure = ecdf(make_frame(2, epochs=[0, 9], epochs_to_target=[0, 9], seed=[0, 1]))
    at, share = lines(figure.axes[0])[0]
    assert share.tolist() == [0, 0.5, 1, 1]
    assert (at > 0).all()
    save(figure, tmp_path, "ecdf")


@pytest.mark.parametrize("epochs", [0, 1])
def test_all_solved_at_once_is_still_a_figure(epochs, tmp_path):
    frame = make_frame(2, epochs=epochs, epochs_to_target=epochs, seconds=0.0, seed=[0, 1])
    save(ecdf(frame), tmp_path, "ecdf")


def test_nothing_solved():
    assert texts(ecdf(make_frame(3, seed=range(3)))) == "No configuration was solved: none of 3 reached a target."


# The front of time and loss


def choices(seconds, losses, **columns):
    size = len(seconds)
    return make_frame(size, lr=np.arange(1, size + 1) / 10, epochs=1, seconds=seconds, final_loss=losses, **columns)


def test_nothing_is_faster_and_better_than_the_front():
    seconds, losses = [1.0, 2.0, 3.0, 2.5, 5.0], [8.0, 4.0, 6.0, 2.0, 3.0]
    figure = pareto(choices(seconds, losses))
    (axis,) = figure.axes
    front = named(axis, "front")
    np.testing.assert_allclose(front.get_xydata(), [[1, 8], [2, 4], [2.5, 2], [5, 2]])
    for time, loss in zip(seconds, losses, strict=True):
        dominated = any(s < time and other < loss for s, other in zip(seconds, losses, strict=True))
        assert dominated != ([time, loss] in front.get_xydata().tolist())
    assert "1: learning rate 0.1" in legend(figure)
    assert "5 choices of settings, medians over starts and seeds." in texts(figure)


def test_of_choices_that_are_equal_in_one_respect_the_better_one_is_on_the_front():
    """And of two that are equal in both, one: both are drawn, and one is named."""
    seconds, losses = [2.0, 1.0, 3.0, 4.0, 1.0, 3.0], [6.0, 8.0, 2.0, 2.0, 6.0, 2.0]
    # The one that is worse after a second reached the target sooner, so that it comes first of all choices.
    figure = pareto(choices(seconds, losses, status="converged", epochs_to_target=[3, 1, 3, 3, 2, 3]))
    (axis,) = figure.axes
    # Where nothing is better, the line goes on to the longest time.
    assert named(axis, "front").get_xydata().tolist() == [[1, 6], [3, 2], [4, 2]]
    points = [xy for line in axis.lines if line.get_markersize() == 5 for xy in line.get_xydata().tolist()]
    assert sorted(points) == sorted(map(list, zip(seconds, losses, strict=True)))
    assert [entry for entry in legend(figure) if entry[0].isdecimal()] == [
        "1: learning rate 0.5",
        "2: learning rate 0.3",
    ]
    assert [(text.get_text(), text.xy) for text in axis.texts] == [("1", (1, 6)), ("2", (3, 2))]


def test_nothing_is_written_over_the_points():
    """Settings stand in the legend: at the points they would cover others."""
    figure = pareto(choices(np.geomspace(1, 9, 40), np.geomspace(9, 1, 40)))
    assert {text.get_text() for text in figure.axes[0].texts} <= set("1234")
    assert overlaps(figure, figure.axes[0].texts) == []


def test_choices_that_reach_the_target_have_a_panel_of_their_own():
    """How far below the target they land is no merit, and made a front on the floor of the panel."""
    seconds, losses = [3.0, 1.0, 2.0, 4.0, 4.0], [1e-9, 9e-4, 1e-20, 5e-2, 7.0]
    optimizer = ["sgd", "sgd", "adam", "sgd", "adam"]
    figure = pareto(choices(seconds, losses, optimizer=optimizer), target=1e-3)
    missed, reached = figure.axes
    rows = [label.get_text() for label in reached.get_yticklabels()]
    points = [tuple(xy) for line in reached.lines if line.get_markersize() == 5 for xy in line.get_xydata()]
    assert sorted(points) == sorted((at, rows.index(name)) for at, name in zip(seconds[:3], optimizer, strict=False))
    assert [text.xy for text in reached.texts] == [
        (one, k) for k, one in enumerate([1.0, 2.0] if rows[0] == "sgd" else [2.0, 1.0])
    ]
    points = [tuple(xy) for line in missed.lines if line.get_markersize() == 5 for xy in line.get_xydata()]
    assert sorted(points) == [(4, 5e-2), (4, 7)]
    assert missed.get_ylim()[0] > 1e-5
    assert missed.get_xlim() == reached.get_xlim()
    assert "front" not in legend(figure)


def test_where_all_choices_reach_the_target_there_is_no_other_panel():
    (axis,) = pareto(choices([1.0, 2.0], [1e-4, 1e-5]), target=1e-3).axes
    assert axis.get_title("left") == "choices that reach the target 0.001"


def test_of_many_optimizers_the_best_have_rows_and_colors_of_their_own():
    names = [f"momentum(0.{k})" for k in range(1, 10)]
    figure = pareto(choices(np.arange(1.0, 10), [1e-4] * 9, optimizer=names), target=1e-3)
    rows = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(rows) == 8
    assert rows[-1] == "others"


def test_a_front_of_noisy_data_is_above_the_floor():
    figure = pareto(choices([1.0, 2.0, 3.0], [0.6, 0.51, 0.5001]), shown=LossAxis(0.5))
    (axis,) = figure.axes
    heights = named(axis, "front").get_ydata()
    np.testing.assert_allclose(heights, [0.1, 0.01, 1e-4, 1e-4])
    bottom, top = axis.get_ylim()
    assert (np.log(heights / bottom) / np.log(top / bottom) > 0.04).all()


def test_a_single_point_that_comes_twice_is_the_front():
    (axis,) = pareto(choices([1.0, 1.0], [2.0, 2.0])).axes
    assert named(axis, "front").get_xydata().tolist() == [[1, 2], [1, 2]]


def test_points_are_medians_in_the_color_of_their_optimizer():
    frame = choices([1.0] * 3 + [2.0] * 3, [1.0, 3.0, 5.0, 7.0, 8.0, 9.0])
    frame = frame.assign(lr=0.1, optimizer=["sgd"] * 3 + ["adam"] * 3, seed=[0, 1, 2] * 2)
    (axis,) = pareto(frame).axes
    points = {line.get_color(): line.get_xydata().tolist() for line in axis.lines if line.get_markersize() == 5}
    colors = colors_of(["sgd", "adam"])
    assert points == {colors["sgd"]: [[1, 3]], colors["adam"]: [[2, 8]]}


def test_a_choice_of_which_some_runs_diverge_is_hollow():
    frame = choices([1.0, 1.0, 1.0, 2.0], [1.0, 2.0, np.nan, 1.0])
    frame = frame.assign(lr=[0.1, 0.1, 0.1, 0.2], status=["max_epochs"] * 2 + ["diverged", "max_epochs"], seed=range(4))
    figure = pareto(frame)
    faces = {
        tuple(xy): line.get_markerfacecolor()
        for line in figure.axes[0].lines
        if line.get_markersize() == 5
        for xy in line.get_xydata()
    }
    assert faces[1, 2] == "white"
    assert faces[2, 1] == colors_of(["sgd"])["sgd"]
    assert "some runs diverged" in legend(figure)


def test_what_ends_far_above_or_diverges_is_counted():
    frame = choices([1.0] * 6, [1.0, 1.1, 1.2, 1.3, 1e9, np.nan])
    figure = pareto(frame)
    assert (
        "4 choices of settings, medians over starts and seeds. 2 more end at much higher losses or diverge."
    ) in texts(figure)
    assert figure.axes[0].get_ylim()[1] < 10


def test_the_target_is_in_view_and_above_the_floor(tmp_path):
    figure = pareto(choices([1.0, 2.0, 3.0], [1e30, 0.3, 0.02]), target=1e-5)
    assert named(figure.axes[0], "target 1e-5, below").get_ydata()[0] < figure.axes[0].get_ylim()[0]
    figure = pareto(choices([1.0, 2.0, 3.0], [1.0, 0.3, 0.002]), target=1e-3)
    bottom, top = figure.axes[0].get_ylim()
    assert 0.04 < np.log(1e-3 / bottom) / np.log(top / bottom) < 0.2
    save(figure, tmp_path, "pareto")


def test_no_time_to_compare():
    told = texts(pareto(choices([1.0, 2.0], [np.nan, np.inf])))
    assert told == "No time to compare: none of 2 choices of settings ended with a finite loss."


# Speed


def bars(figure):
    return {figure.axes[0].get_yticklabels()[k].get_text(): patch for k, patch in enumerate(figure.axes[0].patches)}


def test_bars_end_at_the_median_the_fastest_on_top():
    figure = speed_bars(speeds())
    (axis,) = figure.axes
    drawn = bars(figure)
    assert list(drawn) == ["lanes", "fused", "C", "reference"]
    ends = [patch.get_x() + patch.get_width() for patch in drawn.values()]
    np.testing.assert_allclose(ends, [0.2, 4, 6, 9000])
    assert drawn["lanes"].get_y() < drawn["reference"].get_y()
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    assert axis.get_xscale() == "log"
    assert [line.get_xdata() for line in axis.lines if line.get_marker() == "|"][1] == pytest.approx([3.6, 4.4])


def test_ours_and_others_differ_in_color():
    drawn = bars(speed_bars(speeds()))
    ours, others = ({to_hex(drawn[name].get_facecolor()) for name in names} for names in (["lanes", "fused"], ["C"]))
    assert len(ours) == 1
    assert ours != others


def test_speed_is_compared_with_c_or_else_with_the_reference():
    slow = speeds().assign(variant=["lanes", "NumPy scalars", "C", "reference"], ns=[0.2, 450.0, 6.0, 9000.0])
    slow = slow.assign(ns_low=slow["ns"], ns_high=slow["ns"], to_c=6 / slow["ns"], to_reference=9000 / slow["ns"])
    figure = speed_bars(slow.assign(share=[0.868, np.nan, np.nan, np.nan]))
    written = [text.get_text() for text in figure.axes[0].texts]
    assert written[:4] == [
        "0.2 ns, 30 times as fast as C",
        "6 ns",
        "450 ns, 20 times as fast as the reference",
        "9,000 ns",
    ]
    assert written[4:] == ["C", "reference", "0.87", "of the\nroof"]
    dashed = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_linestyle() == "--"]
    assert dashed == [6, 9000]


@pytest.mark.parametrize("verified", [False, pd.NA])
def test_what_is_not_verified_is_hatched_and_claims_nothing(verified):
    table = speeds()
    table.loc[0, "verified"] = verified
    figure = speed_bars(table)
    drawn = bars(figure)
    assert drawn["lanes"].get_hatch()
    assert not drawn["fused"].get_hatch()
    assert "0.2 ns, not verified" in texts(figure)
    assert "results not verified" in legend(figure)


def test_what_was_not_measured_is_named_below():
    figure = speed_bars(speeds("torch", "JAX"))
    assert list(bars(figure)) == ["lanes", "fused", "C", "reference"]
    assert "Not measured: torch (not installed: torch), JAX (not installed: JAX)." in texts(figure)
    assert "and 3 more" in texts(speed_bars(speeds(*"abcdefghi")))


def test_numbers_stay_inside_of_the_figure():
    for table in (speeds(), speeds().tail(1), speeds().head(2), speeds().assign(ns=4.0, ns_low=3.9, ns_high=4.1)):
        figure = speed_bars(table)
        figure.draw_without_rendering()
        for text in figure.axes[0].texts:
            box = text.get_window_extent()
            assert 0 < box.x0 < box.x1 < figure.bbox.width


def test_no_speed_to_show():
    told = texts(speed_bars(speeds("torch").tail(1)))
    assert told == "No speed to show: nothing was measured. Not measured: torch (not installed: torch)."


# Optimizers compared


def compared(ratios, verdicts=None):
    """A comparison of optimizers by name, from their ratios with intervals."""
    ratio, low, high = np.array(list(ratios.values()), dtype=float).T
    plain = {"lr": 0.1, "batch_size": 8, "tried": 12, "runs": 20, "converged": 20, "success": 1.0}
    verdicts = verdicts or ["best"] + ["worse"] * (len(ratios) - 1)
    table = pd.DataFrame({"optimizer": list(ratios), "ratio": ratio, "ratio_low": low, "ratio_high": high} | plain)
    return table.assign(verdict=verdicts)


def test_an_optimizer_is_a_point_with_its_interval(tmp_path):
    table = compared({"sgd": [1, 1, 1], "adam": [3, 2, 5]})
    figure = optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds")
    (axis,) = figure.axes
    points = {line.get_color(): line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"}
    assert points == {
        colors_of(["sgd", "adam"])[name]: [[at, row]] for name, at, row in (("sgd", 1, 0), ("adam", 3, 1))
    }
    reach = [line.get_xdata().tolist() for line in axis.lines if line.get_linewidth() == 2.5]
    assert reach == [[1, 1], [2, 5]]
    assert axis.get_xlim()[0] < 1
    assert axis.get_xlim()[1] > 5
    assert "worse, 3 [2, 5] times; all 20 runs succeed learning rate 0.1, batch size 8, best of 12" in texts(figure)
    assert "on 20 fresh seeds: medians of the ratios of paired runs with intervals, all of which hold" in texts(figure)
    save(figure, tmp_path, "ratios")


def test_an_optimizer_whose_start_meets_the_target_has_no_place_on_a_logarithmic_axis():
    table = compared({"sgd": [1, 1, 1], "adam": [0, 0, 2], "rmsprop": [0.5, 0, 2]})
    (axis,) = optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds").axes
    points = [line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"]
    assert points == [[[1, 0]], [[0.5, 2]]]
    assert 0 < axis.get_xlim()[0] < 0.5


def test_an_optimizer_that_fails_has_no_ratio(tmp_path):
    table = compared({"sgd": [1, 1, 1], "adam": [np.inf, 4, np.inf]}, ["best", "fails"]).assign(converged=[20, 0])
    figure = optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds")
    assert sum(line.get_marker() == "o" for line in figure.axes[0].lines) == 1
    assert "fails learning rate" in texts(figure)
    save(figure, tmp_path, "ratios")


def test_few_runs_bound_no_ratio(tmp_path):
    table = compared({"sgd": [1, np.nan, np.nan], "adam": [3, np.nan, np.nan]})
    figure = optimizer_ratios(table, cost="final loss", seeds="2 seeds")
    assert "(too few runs for intervals)" in texts(figure)
    assert not any(line.get_linewidth() == 2.5 for line in figure.axes[0].lines)


def test_intervals_of_optimizers_that_hardly_differ_fill_the_figure():
    figure = optimizer_ratios(compared({"sgd": [1, 1, 1], "adam": [0.999, 0.996, 1.002]}), cost="loss", seeds="9 seeds")
    (axis,) = figure.axes
    left, right = axis.get_xlim()
    assert 1.006 / 0.9999 < right / left < 1.03
    assert len(axis.get_xticks()) >= 2


def test_what_is_said_of_an_optimizer_is_inside_the_figure_and_off_its_interval():
    table = compared({"momentum(0.95)": [1, 1, 1], "adamw(weight_decay=0.01)": [1.234, 0.987, 1.543]})
    table = table.assign(verdict=["best", "no difference found"], lr=0.0003162, batch_size=1024, tried=1120)
    table = table.assign(runs=1000, converged=999)
    figure = optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds")
    (axis,) = figure.axes
    figure.draw_without_rendering()
    for place, text in enumerate(axis.texts):
        box, middle = text.get_window_extent(), axis.transData.transform((1, place // 2))[1]
        assert box.x1 < figure.bbox.width
        assert box.y1 < middle - 4 or box.y0 > middle + 4
    assert overlaps(figure, axis.texts) == []


def test_of_many_optimizers_those_without_a_color_are_gray():
    figure = optimizer_ratios(
        compared({"sgd": [1, 1, 1], "adam": [3, 2, 5], "adagrad": [9, 8, 10]}),
        cost="samples to the target",
        seeds="20 fresh seeds",
        named=["sgd", "adam"],
    )
    points = [line.get_color() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert points == [*(colors_of(["sgd", "adam"])[name] for name in ("sgd", "adam")), FAINT]


def test_one_optimizer_is_not_compared():
    told = texts(optimizer_ratios(compared({"sgd": [1, 1, 1]}), cost="samples", seeds="2 seeds"))
    assert told == "No optimizers to compare: there is only one."


# How much each setting matters


def test_a_setting_is_a_bar_as_long_as_its_share():
    rows = [["learning rate", 0.4, 12.3, "0.1", "2"], ["start", 0.05, 1.5, "near", "far"]]
    effects = pd.DataFrame(rows, columns=["setting", "share", "factor", "best", "worst"])
    figure = setting_importance(effects, cost="samples to the target")
    (axis,) = figure.axes
    assert [patch.get_width() for patch in axis.patches] == [0.4, 0.05]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["learning rate", "start"]
    assert "40%; best 0.1, worst 2: 12 times" in texts(figure)
    figure.draw_without_rendering()
    assert all(text.get_window_extent().x1 < figure.bbox.width for text in axis.texts)


def test_shares_end_at_all_and_the_rest_is_named():
    effects = pd.DataFrame({"setting": ["batch size"], "share": [0.9], "factor": 100.0, "best": "1", "worst": "800"})
    figure = setting_importance(effects, cost="samples to the target", samples=800)
    assert max(figure.axes[0].get_xticks()) <= 1
    assert "90%; best 1, worst full: 100 times" in texts(figure)
    assert "Together they explain 90%: the rest is combinations of settings, and chance." in texts(figure)


def test_no_effects_to_show():
    effects = pd.DataFrame([], columns=["setting", "share", "factor", "best", "worst"])
    assert texts(setting_importance(effects, cost="final loss")).startswith("No effects to show")

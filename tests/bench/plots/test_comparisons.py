"""Figures that compare optimizers, choices and variants: sensitivity, solved shares, the front, speed."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex

from bench.plots.choices import select_best_runs
from bench.plots.colors import colors_of
from bench.plots.loss_axis import LossAxis
from bench.plots.row_charts import draw_rows, optimizer_ratios, setting_importance
from bench.plots.sensitivity import sensitivity
from bench.plots.speed import speed_bars
from bench.plots.style import FAINT, format_limit, save
from bench.tables.outcomes import start_families
from bench.tables.ranking import ranking
from tests.support.figures import legend, named, overlaps, texts
from tests.support.frames import make_frame
from tests.support.speeds import speeds

# Which runs


def test_random_starts_of_one_name_are_one_family():
    names = pd.Series(["near", "random[0]", "random[12]", "[3]", "a[1]b"])
    assert start_families(names).tolist() == ["near", "random", "random", "", "a[1]b"]
    assert start_families(names.astype("category")).tolist() == start_families(names).tolist()


def test_each_optimizer_keeps_the_settings_of_its_best_choice():
    columns = {"optimizer": ["sgd"] * 4 + ["adam"] * 2, "lr": [0.1, 0.1, 0.2, 0.2, 0.1, 0.2]}
    frame = make_frame(6, **columns, batch_size=[1, 8, 1, 8, 8, 1], final_loss=[5, 4, 1, 3, 2, 9])
    assert select_best_runs(frame, ranking(frame))["config_id"].tolist() == ["run2", "run4"]


def test_the_recommended_choice_is_the_best_one_of_its_optimizer():
    """All succeed at the same cost: the rate in the middle is farthest from failing, though it is not listed first."""
    frame = make_frame(5, lr=[0.1, 0.2, 0.4, 0.8, 1.6], status="converged", samples_to_target=100, final_loss=0.5)
    ranked = ranking(frame)
    assert ranked["lr"].iloc[0] != 0.4
    assert select_best_runs(frame, ranked)["lr"].tolist() == ranked.loc[ranked["recommended"], "lr"].tolist() == [0.4]


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
    assert legend(figure) == ["sgd"]


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


def test_an_optimizer_has_its_best_other_settings_at_each_rate():
    frame = make_frame(4, lr=[0.1, 0.2] * 2, batch_size=[1, 1, 8, 8], final_loss=[1.0, 2.0, 0.5, 7.0])
    figure = sensitivity(frame)
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), [0.5, 2])


def test_a_single_rate_is_a_dot(tmp_path):
    figure = sensitivity(make_frame(1, final_loss=0.0))
    assert figure.axes[0].lines[0].get_marker() == "o"
    save(figure, tmp_path, "dot")


def test_no_final_loss_to_show():
    figure = sensitivity(make_frame(2, status="diverged", final_loss=np.nan, lr=[1, 2]))
    assert texts(figure) == "No final loss to show: none of 2 runs ended with a finite one."


# Configurations solved


# The front of time and loss


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
    figure = draw_rows(optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds"))
    (axis,) = figure.axes
    points = {line.get_color(): line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"}
    assert points == {
        to_hex(colors_of(["sgd", "adam"])[name]): [[at, row]] for name, at, row in (("sgd", 1, 0), ("adam", 3, 1))
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
    (axis,) = draw_rows(optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds")).axes
    points = [line.get_xydata().tolist() for line in axis.lines if line.get_marker() == "o"]
    assert points == [[[1, 0]], [[0.5, 2]]]
    assert 0 < axis.get_xlim()[0] < 0.5


def test_an_optimizer_that_fails_has_no_ratio(tmp_path):
    table = compared({"sgd": [1, 1, 1], "adam": [np.inf, 4, np.inf]}, ["best", "fails"]).assign(converged=[20, 0])
    figure = draw_rows(optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds"))
    assert sum(line.get_marker() == "o" for line in figure.axes[0].lines) == 1
    assert "fails learning rate" in texts(figure)
    save(figure, tmp_path, "ratios")


def test_few_runs_bound_no_ratio(tmp_path):
    table = compared({"sgd": [1, np.nan, np.nan], "adam": [3, np.nan, np.nan]})
    figure = draw_rows(optimizer_ratios(table, cost="final loss", seeds="2 seeds"))
    assert "(too few runs for intervals)" in texts(figure)
    assert not any(line.get_linewidth() == 2.5 for line in figure.axes[0].lines)


def test_intervals_of_optimizers_that_hardly_differ_fill_the_figure():
    figure = draw_rows(
        optimizer_ratios(compared({"sgd": [1, 1, 1], "adam": [0.999, 0.996, 1.002]}), cost="loss", seeds="9 seeds")
    )
    (axis,) = figure.axes
    left, right = axis.get_xlim()
    assert 1.006 / 0.9999 < right / left < 1.03
    assert len(axis.get_xticks()) >= 2


def test_what_is_said_of_an_optimizer_is_inside_the_figure_and_off_its_interval():
    table = compared({"momentum(0.95)": [1, 1, 1], "adamw(weight_decay=0.01)": [1.234, 0.987, 1.543]})
    table = table.assign(verdict=["best", "no difference found"], lr=0.0003162, batch_size=1024, tried=1120)
    table = table.assign(runs=1000, converged=999)
    figure = draw_rows(optimizer_ratios(table, cost="samples to the target", seeds="20 fresh seeds"))
    (axis,) = figure.axes
    figure.draw_without_rendering()
    for place, text in enumerate(axis.texts):
        box, middle = text.get_window_extent(), axis.transData.transform((1, place // 2))[1]
        assert box.x1 < figure.bbox.width
        assert box.y1 < middle - 4 or box.y0 > middle + 4
    assert overlaps(figure, axis.texts) == []


def test_of_many_optimizers_those_without_a_color_are_gray():
    figure = draw_rows(
        optimizer_ratios(
            compared({"sgd": [1, 1, 1], "adam": [3, 2, 5], "adagrad": [9, 8, 10]}),
            cost="samples to the target",
            seeds="20 fresh seeds",
            named=["sgd", "adam"],
        )
    )
    points = [line.get_color() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert points == [*(to_hex(colors_of(["sgd", "adam"])[name]) for name in ("sgd", "adam")), FAINT]


def test_one_optimizer_is_not_compared():
    told = texts(draw_rows(optimizer_ratios(compared({"sgd": [1, 1, 1]}), cost="samples", seeds="2 seeds")))
    assert told == "No optimizers to compare: there is only one."


# How much each setting matters


def test_a_setting_is_a_bar_as_long_as_its_share():
    rows = [["learning rate", 0.4, 12.3, "0.1", "2"], ["start", 0.05, 1.5, "near", "far"]]
    effects = pd.DataFrame(rows, columns=["setting", "share", "factor", "best", "worst"])
    figure = draw_rows(setting_importance(effects, cost="samples to the target"))
    (axis,) = figure.axes
    assert [patch.get_width() for patch in axis.patches] == [0.4, 0.05]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["learning rate", "start"]
    assert "40%; best 0.1, worst 2: 12 times" in texts(figure)
    figure.draw_without_rendering()
    assert all(text.get_window_extent().x1 < figure.bbox.width for text in axis.texts)


def test_shares_end_at_all_and_the_rest_is_named():
    effects = pd.DataFrame({"setting": ["batch size"], "share": [0.9], "factor": 100.0, "best": "1", "worst": "800"})
    figure = draw_rows(setting_importance(effects, cost="samples to the target", samples=800))
    assert max(figure.axes[0].get_xticks()) <= 1
    assert "90%; best 1, worst full: 100 times" in texts(figure)
    assert "Together they explain 90%: the rest is combinations of settings, and chance." in texts(figure)


def test_no_effects_to_show():
    effects = pd.DataFrame([], columns=["setting", "share", "factor", "best", "worst"])
    assert texts(draw_rows(setting_importance(effects, cost="final loss"))).startswith("No effects to show")

import os
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from bench.plots import curves as fits
from bench.plots import losses
from bench.plots.basins import basin_map
from bench.plots.colors import colors_of
from bench.plots.contours import contours
from bench.plots.loss_axis import LossAxis
from bench.plots.rates import rate_map
from bench.plots.row_charts import draw_rows, optimizer_ratios, setting_importance
from bench.plots.sensitivity import sensitivity
from bench.plots.speed import speed_bars
from bench.plots.style import save, save_as
from bench.tables.loss_bands import loss_bands
from bench.tables.loss_quantiles import loss_quantiles
from tests.support.figures import legend, lines, texts, visible_pixels
from tests.support.frames import make_curves, make_frame, plane
from tests.support.speeds import speeds

HOSTILE = ["<script>alert(1)</script>", "$x_1$ a|b [bold] \\alpha $", "line\nbreak", "x" * 300]
X = np.linspace(-1, 1, 50)
Y = X**2 - 2


def quadratic(params, x):
    a, b, c = params
    return a * x**2 + b * x + c


def decay(rates, epochs=10, start=100.0):
    return {f"run{i}": start * np.exp(-rate * np.arange(epochs + 1)) for i, rate in enumerate(rates)}


def loss_curves(frame, curves, **options):
    held_out = "validation_loss" in curves
    return losses.loss_curves(frame, loss_bands(frame, curves, held_out=held_out), **options)


def fitted_curve(predict, x, y, **options):
    return fits.fitted_curve(fits.fit_curves(predict, x, y, **options))


def gallery(frame):
    """A small figure of each kind, for what has to hold for all of them."""
    name = frame["init"].iloc[0]
    yield loss_curves(frame, make_curves(decay(range(1, len(frame) + 1))))
    yield fitted_curve(quadratic, X, Y, params_by_name={name: [1, 0, -2]}, start=[0, 0, 0], names=(name, name))
    yield contours(lambda params: (params**2).sum(axis=1), {name: np.eye(3)}, names=("b", name, "c"))
    solved = frame.assign(optimizer=name, status="converged", samples_to_target=3, lr=[0.1, 0.2])
    yield rate_map(solved)
    yield sensitivity(solved)
    yield basin_map(plane(name), end=[0, 0], starts={name: [0.5, 0.5], "b": [9, 9]})
    yield speed_bars(speeds(name))
    yield draw_rows(optimizer_ratios(comparison(name, "sgd"), cost="samples to the target", seeds="3 seeds"))
    effects = {"setting": ["learning rate", "start"], "share": [0.5, 0.1], "factor": 3.0, "best": name, "worst": "x"}
    yield draw_rows(setting_importance(pd.DataFrame(effects), cost="samples to the target"))


def comparison(*names):
    """Optimizers compared, of which the first is best."""
    plain = {"lr": 0.1, "batch_size": 8, "tried": 12, "runs": 20, "converged": 20, "verdict": "worse"}
    ratio = 1.0 + np.arange(len(names))
    interval = {"ratio": ratio, "ratio_low": 0.8 * ratio, "ratio_high": 1.5 * ratio}
    return pd.DataFrame({"optimizer": list(names)} | interval | plain)


# Loss curves


def test_lines_are_medians_and_bands_their_quantiles():
    frame = make_frame(6, optimizer=["adam"] * 3 + ["sgd"] * 3, seed=[0, 1, 2] * 2)
    curves = make_curves(decay([0.1, 0.2, 0.4, 1, 2, 4]))
    figure = loss_curves(frame, curves)
    (axis,) = figure.axes
    bands = loss_quantiles(frame, curves, ["optimizer"])
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "log")
    assert figure.get_supxlabel() == "samples seen"
    for name, line, fill in zip(("adam", "sgd"), axis.lines, axis.collections, strict=True):
        band = bands[bands["optimizer"] == name]
        # The start has no place on the axis and is drawn at its left edge.
        np.testing.assert_array_equal(line.get_xdata(), [400, *band["samples"][1:]])
        np.testing.assert_allclose(line.get_ydata(), band["median"])
        edge = fill.get_paths()[0].vertices[:, 1]
        assert edge.min() == pytest.approx(band["median"].min())
        assert edge.max() == pytest.approx(band["high"].max())
        assert to_hex(line.get_color()) == to_hex(fill.get_facecolor()[0][:3])
    assert legend(figure) == ["adam", "sgd"]
    assert "Median and 10–90 % of 3 runs." in texts(figure)  # noqa: RUF001


def test_a_band_stays_within_the_span_of_its_own_line():
    """And the line within its band, also where both leave the view."""
    losses = {"run0": [1e3, 10, 1], "run1": [1e2, 1, 0.1], "run2": [1e9, 1e9, 1e9], "run3": [1e3, 10, 1e-9]}
    figure = loss_curves(make_frame(4, seed=range(4)), make_curves(losses))
    (axis,) = figure.axes
    (line,), (fill,) = axis.lines, axis.collections
    x, y = line.get_xydata().T
    edge = fill.get_paths()[0].vertices
    assert (edge[:, 1].min(), edge[:, 1].max()) == (pytest.approx(y.min()), pytest.approx(y.max()))
    for at, median in zip(x, y, strict=True):
        own = edge[np.isclose(edge[:, 0], at), 1]
        assert own.min() <= median * (1 + 1e-9)
        assert own.max() >= median * (1 - 1e-9)


def test_one_run_each_needs_no_band_and_no_remark():
    figure = loss_curves(make_frame(2, optimizer=["sgd", "adam"]), make_curves(decay([1, 2])))
    assert "Median" not in texts(figure)


def test_a_panel_for_each_start_with_shared_axes():
    frame = make_frame(4, optimizer=["adam", "sgd"] * 2, init=["far", "far", "near", "near"])
    figure = loss_curves(frame, make_curves(decay([1, 2, 3, 4])))
    assert [axis.get_title("left") for axis in figure.axes] == ["start far", "start near"]
    assert [len(axis.lines) for axis in figure.axes] == [2, 2]
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()
    np.testing.assert_allclose(lines(figure.axes[1])[0][1], decay([3])["run0"])


def test_many_panels_are_thinned_and_it_says_so():
    frame = make_frame(20, init=[f"start {k:02}" for k in range(20)])
    figure = loss_curves(frame, make_curves(decay(np.geomspace(0.01, 1, 20))))
    titles = [axis.get_title("left") for axis in figure.axes]
    assert (len(titles), titles[0], titles[-1]) == (6, "start start 00", "start start 19")
    assert "6 of 20 starts." in texts(figure)


def test_the_target_is_a_line_and_bounds_the_view():
    figure = loss_curves(make_frame(1), make_curves({"run0": [100, 1, 1e-20]}), target=1e-3)
    (axis,) = figure.axes
    assert axis.get_ylim() == (pytest.approx(1e-5), pytest.approx(100))
    assert axis.lines[-1].get_ydata() == [1e-3, 1e-3]
    assert "target 0.001" in legend(figure)
    assert "Losses below 10⁻⁵ are drawn at the bottom." in texts(figure)


def test_a_target_above_all_losses_is_in_view():
    (axis,) = loss_curves(make_frame(1), make_curves({"run0": [1, 0.5]}), target=50.0).axes
    assert axis.get_ylim()[1] >= 50


def test_losses_of_zero_are_drawn_at_the_bottom():
    figure = loss_curves(make_frame(1), make_curves({"run0": [1, 2e-7, 0, 0]}))
    (axis,) = figure.axes
    np.testing.assert_allclose(axis.lines[0].get_ydata(), [1, 2e-7, 1e-7, 1e-7])
    assert axis.get_ylim()[0] == pytest.approx(1e-7)
    assert "Losses below 10⁻⁷ are drawn at the bottom." in texts(figure)


@pytest.mark.parametrize("loss", [[0, 0, 0], [5, 5, 5], [1e-320, 1e-323, 0], [1e-9, 1e250, 1e290]])
def test_extreme_losses_are_drawn(loss, tmp_path):
    figure = loss_curves(make_frame(1), make_curves({"run0": loss}))
    bottom, top = figure.axes[0].get_ylim()
    drawn = figure.axes[0].lines[0].get_ydata()
    assert 0 < bottom < top < np.inf
    assert bottom <= drawn[0] <= top
    assert (drawn >= bottom).all()
    save(figure, tmp_path, "loss")


def test_a_single_loss_among_curves_is_a_dot():
    figure = loss_curves(make_frame(2, optimizer=["adam", "sgd"]), make_curves({"run0": [1, 0.5], "run1": [1]}))
    assert [line.get_marker() for line in figure.axes[0].lines] == ["", "o"]


def test_runs_that_diverge_leave_at_the_top():
    frame = make_frame(2, optimizer=["adam", "sgd"], status=["max_epochs", "diverged"])
    figure = loss_curves(frame, make_curves({"run0": [10, 1, 0.1], "run1": [10, 1e200, np.inf]}))
    (axis,) = figure.axes
    assert axis.get_ylim()[1] == pytest.approx(1e4)
    assert axis.lines[1].get_ydata()[1] > axis.get_ylim()[1]
    assert "1 of 2 runs diverged." in texts(figure)


@pytest.mark.parametrize(
    ("runs", "curves", "status"),
    [
        (0, {"run0": [1.0]}, "max_epochs"),
        (2, {"run0": [1.0], "run1": [2.0]}, "max_epochs"),
        (2, {"run0": [np.inf, np.inf], "run1": [np.nan]}, "diverged"),
        (2, {"run0": [1.0, 1e300], "run1": [1e308] * 3}, "max_epochs"),
        (2, {"other": [1.0, 2.0]}, "max_epochs"),
    ],
)
def test_no_loss_curve_to_show(runs, curves, status):
    figure = loss_curves(make_frame(runs, status=status), make_curves(curves))
    assert texts(figure).startswith(f"No loss curve to show: none of {runs} runs")
    assert not figure.axes[0].axison
    assert not figure.axes[0].lines


def test_long_curves_are_thinned_to_what_can_be_seen():
    loss = 1 / np.arange(1, 5002)
    (axis,) = loss_curves(make_frame(1), make_curves({"run0": loss})).axes
    samples, drawn = axis.lines[0].get_xydata().T
    assert 150 < len(samples) <= 200
    assert (samples[0], samples[-1]) == (400, 800 * 5000)
    np.testing.assert_array_equal(drawn, loss[samples.astype(int) // 800])


def test_losses_within_a_decade_fill_the_panel():
    (axis,) = loss_curves(make_frame(1), make_curves({"run0": [0.9, 0.5, 0.31]})).axes
    bottom, top = axis.get_ylim()
    assert 0.28 < bottom < 0.31 < 0.9 < top < 1
    np.testing.assert_allclose(axis.get_yticks(), [0.4, 0.6, 0.8])


def test_optimizers_with_the_same_curve_can_all_be_seen():
    names = ["adam", "adamw", "momentum(0.9)", "nesterov(0.9)", "sgd"]
    figure = loss_curves(make_frame(5, optimizer=names), make_curves(decay([1] * 5)))
    for name, color in colors_of(names).items():
        assert visible_pixels(figure.axes[0], color) > 100, name


def test_where_the_lowest_loss_is_known_the_distance_to_it_is_drawn():
    """Of noisy data all curves end at the same loss, however fast they arrive."""
    losses = {"run0": [1.3, 0.4, 0.31, 0.301], "run1": [1.3, 0.31, 0.3001, 0.3]}
    frame, curves = make_frame(2, optimizer=["adam", "sgd"]), make_curves(losses)
    figure = loss_curves(frame, curves, target=0.3002, shown=LossAxis(0.3, standardized=True))
    (axis,) = figure.axes
    slow, fast, target = axis.lines
    np.testing.assert_allclose(slow.get_ydata(), [1, 0.1, 0.01, 0.001])
    np.testing.assert_allclose(fast.get_ydata()[:3], [1, 0.01, 0.0001])
    np.testing.assert_allclose(target.get_ydata(), 2e-4)
    assert axis.get_ylim()[0] < 2e-4
    assert figure.get_supylabel() == "loss above the lowest\npossible, 0.3 (standardized)"
    assert "target 0.3002" in legend(figure)
    plain = loss_curves(frame, curves, target=0.3002)
    assert plain.get_supylabel() == "loss"


def test_a_target_below_what_is_possible_is_named_as_below():
    figure = loss_curves(make_frame(1), make_curves({"run0": [2, 1.2, 1.1]}), target=0.5, shown=LossAxis(1.0))
    assert "target 0.5, below" in legend(figure)


def test_losses_within_three_decades_need_no_whole_decades():
    """Otherwise two thirds of the panel are empty."""
    bottom, top = loss_curves(make_frame(1), make_curves({"run0": [120, 1, 0.9]})).axes[0].get_ylim()
    assert 0.5 < bottom < 0.9
    assert 120 < top < 200


def test_a_target_far_below_is_named_as_that():
    figure = loss_curves(make_frame(1), make_curves({"run0": [0.9, 0.5]}), target=1e-9)
    assert "target 1e-9, below" in legend(figure)
    assert figure.axes[0].get_ylim()[0] > 0.4


# Fitted curves


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_the_fit_is_drawn_over_the_data(shape):
    def predict(params, x):
        return quadratic(params, x.ravel())

    figure = fitted_curve(
        predict, X.reshape(shape), Y, params_by_name={"sgd": [1, 0, -2], "adam": [2, 1, 0]}, start=[0, 0, 5]
    )
    axis = figure.axes[0]
    data, start, adam, sgd = axis.lines
    np.testing.assert_array_equal(data.get_xydata(), np.transpose([X, Y]))
    assert start.get_linestyle() == "--"
    np.testing.assert_array_equal(start.get_ydata(), np.full_like(start.get_xdata(), 5))
    np.testing.assert_allclose(sgd.get_ydata(), sgd.get_xdata() ** 2 - 2)
    np.testing.assert_allclose(adam.get_ydata(), 2 * adam.get_xdata() ** 2 + adam.get_xdata())
    assert legend(figure) == ["data", "start", "adam", "sgd"]
    assert axis.get_ylim()[1] < 5


@pytest.mark.parametrize("params", [[np.nan, 0, np.inf], [1e308, 1e308, 0]])
def test_a_fit_that_diverged_is_named(params):
    figure = fitted_curve(quadratic, X, Y, params_by_name={"sgd": params})
    assert legend(figure) == ["data", "sgd (diverged)"]
    assert len(lines(figure.axes[0])) == 1


def test_a_fit_far_from_the_data_does_not_hide_them():
    axis, _ = fitted_curve(quadratic, X, Y, params_by_name={"sgd": [0, 0, 1e200]}).axes
    assert axis.get_ylim() == (pytest.approx(-2, abs=0.2), pytest.approx(0, abs=0.2))


def test_several_inputs_show_predicted_against_observed():
    x = np.random.default_rng(0).normal(size=(30, 2))
    y = x @ [1.0, 2.0]
    figure = fitted_curve(
        lambda params, x: x @ params, x, y, params_by_name={"fit": np.array([1.0, 2.0])}, start=[0, 0]
    )
    (axis,) = figure.axes
    start, fit = lines(axis)
    np.testing.assert_array_equal(start, [y, np.zeros(30)])
    np.testing.assert_allclose(fit, [y, y])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("y, observed", "y, predicted")


def test_of_several_inputs_equal_predictions_can_all_be_seen():
    x = np.random.default_rng(0).normal(size=(60, 2))
    fits = {name: np.array([1.0, 2.0]) for name in STARTS}
    figure = fitted_curve(lambda params, x: x @ params, x, x @ [1.0, 2.0], params_by_name=fits)
    assert all(visible_pixels(figure.axes[0], color) > 100 for color in colors_of(STARTS).values())


def test_of_a_large_data_set_a_thousand_samples_are_drawn():
    x = np.linspace(0, 1, 100_000)
    figure = fitted_curve(quadratic, x, x, params_by_name={"fit": [0, 1, 0]})
    assert len(figure.axes[0].lines[0].get_xdata()) == 1000
    assert "1,000 of 100,000 samples are drawn." in texts(figure)


def test_a_constant_and_a_single_sample():
    axis, _ = fitted_curve(quadratic, [3.0], [7.0], params_by_name={"fit": [0, 0, 7]}).axes
    assert axis.get_ylim()[0] < 7 < axis.get_ylim()[1]


STARTS = ["far", "near", "random[0]", "random[1]", "zero"]


@pytest.mark.parametrize("error", [0.0, 1e-4])
def test_five_fits_that_look_the_same_can_all_be_seen(error):
    fits = {name: [1 + error * k, -error * k, -2] for k, name in enumerate(STARTS)}
    figure = fitted_curve(quadratic, X, Y, params_by_name=fits)
    for name, color in colors_of(STARTS).items():
        assert visible_pixels(figure.axes[0], color) > 100, name
    assert f"The fits differ by at most {8e-4 if error else 0:g}." in texts(figure)


def test_below_the_curves_are_the_residuals_of_the_best_one_and_what_the_others_add():
    y = Y + 0.01 * (-1) ** np.arange(X.size)
    figure = fitted_curve(quadratic, X, y, params_by_name={"good": [1, 0, -2], "off": [1, 0, -1.98]}, start=[0, 0, 0])
    axis, below = figure.axes
    data, good, off = below.lines
    np.testing.assert_allclose(data.get_ydata(), y - X**2 + 2, atol=1e-12)
    np.testing.assert_array_equal(good.get_ydata(), 0.0)
    np.testing.assert_allclose(off.get_ydata(), 0.02)
    assert below.get_ylim()[1] < 0.03
    assert below.get_xlim() == axis.get_xlim()
    assert "Below: the same, minus the best curve, good. The fits differ by at most 0.02." in texts(figure)


def test_a_fit_far_from_the_others_does_not_flatten_them():
    fits = {"far": [1, 0, 50], "near": [1, 0, -2.001], "zero": [1, 0, -2]}
    _, below = fitted_curve(quadratic, X, Y, params_by_name=fits).axes
    assert below.get_ylim()[1] - below.get_ylim()[0] < 0.05


# Parameter paths


# All figures


@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_literally(name, tmp_path):
    shown = name.replace("\n", "\ufffd")
    shown = shown if len(shown) <= 32 else shown[:31] + "…"
    for number, figure in enumerate(gallery(make_frame(2, init=[name, "plain"]))):
        svg = save_as(figure, tmp_path / f"figure{number}.svg")  # where names could be more than names
        tags = {element.tag.partition("}")[2] for element in ElementTree.parse(svg).iter()}
        assert "script" not in tags
        assert shown in texts(figure) or any(shown[:most] + "…" in texts(figure) for most in range(8, 32))
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())


@pytest.mark.parametrize("name", ["near", "x" * 300])
def test_everything_is_inside_the_figure(name):
    for figure in gallery(make_frame(2, init=[name, "plain"])):
        figure.draw_without_rendering()
        width, height = figure.bbox.size
        for entries in figure.legends:
            box = entries.get_window_extent()
            assert box.x0 > figure.axes[-1].bbox.x1 or box.y0 > figure.axes[0].bbox.y1
            assert 0 <= box.x0 < box.x1 <= width
            assert 0 <= box.y0 < box.y1 <= height
        for axis in figure.axes:
            box = axis.get_tightbbox()
            assert box.x0 >= 0
            assert box.y0 >= 0
            assert box.x1 <= width
            assert box.y1 <= height
            assert axis.bbox.width > width / 8


def test_the_same_figure_gives_the_same_files(tmp_path):
    frame = make_frame(2, init=["near", "far"])
    for number, figures in enumerate(zip(gallery(frame), gallery(frame), strict=True)):
        ones, others = (
            save(figure, tmp_path, f"{name}{number}", svg=True) for name, figure in zip("ab", figures, strict=True)
        )
        assert [path.read_bytes() for path in ones] == [path.read_bytes() for path in others]
    assert sorted(os.listdir(tmp_path))[:4] == ["a0.png", "a0.svg", "a1.png", "a1.svg"]


def test_a_figure_is_white_on_a_dark_page(tmp_path):
    png, svg = save(next(gallery(make_frame(2, init=["near", "far"]))), tmp_path, "figure", svg=True)
    corners = mpl.image.imread(png)[[0, 0, -1, -1], [0, -1, 0, -1]]
    np.testing.assert_array_equal(corners, 1)
    assert "fill: #ffffff" in svg.read_text(encoding="utf-8")


def test_an_svg_is_written_where_it_is_asked_for_and_never_left_behind(tmp_path):
    def names(**asked):
        figure = loss_curves(make_frame(1), make_curves(decay([1])))
        return [path.name for path in save(figure, tmp_path, "loss", **asked)]

    assert names() == ["loss.png"]
    assert names(svg=True) == ["loss.png", "loss.svg"]
    (tmp_path / "loss.svg").write_text("of an earlier run")
    assert names() == ["loss.png", "loss.svg"]
    assert (tmp_path / "loss.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_a_figure_is_sharp_at_the_width_of_a_readme(tmp_path):
    png, svg = save(loss_curves(make_frame(1), make_curves(decay([1]))), tmp_path / "figures", "loss", svg=True)
    assert mpl.image.imread(png).shape[1] == 1200
    assert ElementTree.parse(svg).getroot().get("width") == "576pt"


def test_global_settings_are_left_alone(tmp_path):
    settings = [name for name in mpl.rcParams if name != "backend"]  # asking for it would choose one
    before = [mpl.rcParams[name] for name in settings]
    *_, figure = gallery(make_frame(2, init=["near", "far"]))
    save(figure, tmp_path, "figure")
    assert [mpl.rcParams[name] for name in settings] == before


def test_pyplot_is_never_imported():
    check = "import sys, bench.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0

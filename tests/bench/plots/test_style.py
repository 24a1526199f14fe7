"""The one style: colors, ticks, and files."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from bench.plots.choices import spread_evenly
from bench.plots.colors import OPTIMIZERS, OTHERS, PALETTE, colors_of
from bench.plots.style import (
    LogTicks,
    empty_figure,
    format_log_tick,
    format_power_of_ten,
    format_tick,
    save_as,
)

# Colors


def test_numbers_run_from_light_to_dark():
    colors = colors_of([8, 1, 800, 16, 1])
    assert list(colors) == [1, 8, 16, 800]
    lightness = [np.dot(to_rgb(color), [0.2126, 0.7152, 0.0722]) for color in colors.values()]
    assert lightness == sorted(lightness, reverse=True)


def test_an_optimizer_keeps_its_color():
    alone = {name: colors_of([name])[name] for name in OPTIMIZERS}
    assert colors_of([*OPTIMIZERS, "lbfgs"]).items() >= alone.items()
    assert len(set(alone.values())) == len(OPTIMIZERS)
    assert colors_of(["momentum(0.9)", "near"])["momentum(0.9)"] == alone["momentum"]


def test_names_differ_in_color_while_there_are_colors():
    names = ["momentum(0.5)", "momentum(0.9)", "sgd", "far", "near"]
    assert len(set(colors_of(names).values())) == 5
    assert len(set(colors_of([f"name {i}" for i in range(14)]).values())) == 14


def test_nothing_but_an_optimizer_has_the_color_of_one():
    """Starts, and samples held out, stand in figures beside those of optimizers."""
    names = ["far", "near", "zero", "random[0]", "held-out samples", "training samples", "lbfgs"]
    assert not set(colors_of(names).values()) & set(PALETTE)
    assert len(set(colors_of(names).values())) == len(names)


@pytest.mark.parametrize("background", ["#ffffff", "#14171c"])
def test_lines_can_be_told_from_a_light_and_from_a_dark_page(background):
    def luminance(color):
        linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(color)]
        return np.dot(linear, [0.2126, 0.7152, 0.0722])

    for color in OTHERS:
        low, high = sorted([luminance(color), luminance(background)])
        assert (high + 0.05) / (low + 0.05) >= 3, color


def test_spread_keeps_the_ends():
    assert spread_evenly(range(100), 5) == [0, 25, 50, 74, 99]
    assert spread_evenly("abc", 5) == ["a", "b", "c"]
    assert spread_evenly([], 5) == []


def test_powers_of_ten():
    assert [format_power_of_ten(value) for value in (1e-30, 1.0, 1e12)] == ["10⁻³⁰", "10⁰", "10¹²"]


# Ticks


@pytest.mark.parametrize(
    ("view", "ticks"),
    [
        ((1e-3, 1e3), [1e-3, 1e-1, 10, 1e3]),
        ((0.1, 10), [0.1, 1, 10]),
        ((0.02, 0.7), [0.02, 0.05, 0.1, 0.2, 0.5]),
        ((0.016, 2.6), [0.03, 0.1, 0.3, 1]),
        ((0.31, 0.34), [0.31, 0.32, 0.33, 0.34]),
        ((0.4, 1.1), [0.4, 0.6, 0.8, 1.0]),
    ],
)
def test_a_logarithmic_axis_has_round_ticks_at_any_scale(view, ticks):
    np.testing.assert_allclose(LogTicks().tick_values(*view), ticks)


@pytest.mark.parametrize("view", [(1e-300, 1e300), (1e-20, 3e-5), (3, 9000), (1e-6, 1e-3)])
def test_a_logarithmic_axis_has_few_ticks(view):
    ticks = LogTicks().tick_values(*view)
    assert 3 <= len(ticks) <= 6
    np.testing.assert_allclose(np.log10(ticks), np.round(np.log10(ticks)), atol=1e-9)
    assert all(view[0] <= tick <= view[1] for tick in ticks)


def test_values_of_a_logarithmic_axis_are_plain_near_one():
    written = [format_log_tick(value) for value in (1e-7, 1e-3, 0.1, 0.25, 1, 1000, 1e4)]
    assert written == ["10⁻⁷", "0.001", "0.1", "0.25", "1", "1,000", "10⁴"]


def test_values_of_a_linear_axis_are_written_out():
    """matplotlib's common factor, 1e6, would stand over the title of a panel."""
    written = [format_tick(value) for value in (0.1 + 0.2, -2e6, -0.0, 1000.5, 3e61)]
    assert written == ["0.3", "−2000000", "0", "1000.5", "3e61"]  # noqa: RUF001


# Files


def test_only_png_and_svg_are_written(tmp_path):
    with pytest.raises(ValueError, match=r"a figure must be written as .png or .svg, not '.*figure.pdf'"):
        save_as(empty_figure("No."), tmp_path / "figure.pdf")


def test_a_figure_looks_the_same_whether_it_was_saved_before_or_not(tmp_path):
    twice = empty_figure("Nothing to show.")
    first = save_as(twice, tmp_path / "first.png").read_bytes()
    assert save_as(twice, tmp_path / "second.png").read_bytes() == first

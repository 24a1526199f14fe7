"""The colors of settings."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from sgdbench.charts.colors import OPTIMIZERS, OTHERS, PALETTE, colors_of


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

"""Shades of numbers."""

import numpy as np
import pytest

from sgdbench.charts.shades import make_shades
from sgdbench.plots.draw import shade_of
from sgdbench.tables.formatting import duration


def test_shades_are_darkest_for_the_smallest():
    shade = make_shades([[1, 3, 9, np.inf]])
    assert shade.limits == [1, 3, 9]
    assert shade.tones == [0, 0.5, 1]
    assert shade.names[0] == "≤ 1"
    assert make_shades([[2e-6]], duration).names == ["≤ 2 µs"]
    lightness = shade_of(shade.tones)[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert lightness.tolist() == sorted(lightness)


def test_a_limit_belongs_to_its_class_and_what_is_infinite_has_none():
    shade = make_shades([[1, 2, 4, 100]])
    found = shade.tones_of(np.array([2, 2.5, 4, np.inf, 0]))
    np.testing.assert_array_equal(found, [shade.tones[1], shade.tones[2], shade.tones[2], np.nan, 0])
    assert shade_of(found)[3].tolist() == [1, 1, 1, 1]


def test_shades_have_about_as_many_numbers_each():
    numbers = np.geomspace(3, 3000, 800) ** 2
    shade = make_shades([numbers])
    counts = np.unique(np.searchsorted(shade.limits, numbers), return_counts=True)[1]
    assert len(counts) == 8
    assert counts.max() < 1.3 * counts.min()


@pytest.mark.parametrize("values", [[5.0] * 9, [np.inf], [1e-320, 5e307], [0.0]])
def test_shades_of_few_or_extreme_numbers(values):
    shade = make_shades([values, values])
    assert len(shade.names) == len(shade.tones) <= 8
    finite = np.asarray(values)[np.isfinite(values)]
    assert not len(finite) or max(shade.limits) >= min(finite.max(), 1e300)

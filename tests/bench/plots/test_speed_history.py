"""The figure of the speed over time."""

import numpy as np
import pytest
from matplotlib.colors import to_hex

from bench.compare.history import read_runs, trace_history
from bench.plots.speed_history import FASTER, MAX_PANELS, SLOWER, speed_history
from bench.plots.style import INK
from tests.support.benchmark_files import WOBBLE, commit_id, saved_runs
from tests.support.figures import lines, overlaps, texts

UP = np.where(np.arange(40) < 30, WOBBLE, 1.2 * WOBBLE)
DOWN = np.where(np.arange(40) < 12, 3 * WOBBLE, 2 * WOBBLE)


@pytest.fixture
def draw(tmp_path):
    def drawn(rows, **facts):
        saved_runs(tmp_path, rows, **facts)
        found = trace_history(read_runs(tmp_path))
        return speed_history(found.points, found.steps)

    return drawn


def test_dots_are_medians_relative_to_the_first_level_and_lines_are_levels(draw):
    (axis,) = draw({"row": DOWN}).axes
    dots, first, second = lines(axis)
    np.testing.assert_allclose(dots, [np.arange(40), DOWN / np.median(DOWN[:12])])
    np.testing.assert_allclose(first, [np.arange(12), np.ones(12)])
    np.testing.assert_allclose(second, [np.arange(12, 40), np.full(28, np.median(DOWN[12:]) / np.median(DOWN[:12]))])


def test_steps_are_marked_with_commit_ratio_and_color_slowdowns_first(draw):
    figure = draw({"same": WOBBLE, "down": DOWN, "up": UP})
    assert [axis.get_title("left") for axis in figure.axes] == ["up", "down", "same"]
    marks = [[line for line in axis.lines if line.get_linestyle() == "--"] for axis in figure.axes]
    assert [[line.get_xdata()[0] for line in own] for own in marks] == [[29.5], [11.5], []]
    assert [to_hex(own[0].get_color()) for own in marks[:2]] == [to_hex(SLOWER), to_hex(FASTER)]
    (label,) = figure.axes[0].texts
    assert (label.get_text(), label.get_color()) == (f"{commit_id(30)[:7]}: 1.2", INK)
    figure.draw_without_rendering()
    box = label.get_window_extent()
    assert 0 < box.x0 < box.x1 < figure.bbox.width


def test_of_many_series_those_with_the_largest_slowdowns_are_shown(draw):
    figure = draw({f"row{k}": np.where(np.arange(40) < 30, 1, 1 + 0.1 * k) * WOBBLE for k in range(12)})
    assert len(figure.axes) == MAX_PANELS
    assert [axis.get_title("left") for axis in figure.axes][:2] == ["row11", "row10"]
    assert "8 of 12 series." in texts(figure)


def test_machines_have_panels_of_their_own_and_the_same_commits(draw):
    draw({"row": UP[:20]}, node="a")
    figure = draw({"row": UP[10:]}, node="b", first=10)
    assert [axis.get_title("left") for axis in figure.axes] == [
        "row, on b, fast, Python 3.11",
        "row, on a, fast, Python 3.11",
    ]
    assert [lines(axis)[0][0][[0, -1]].tolist() for axis in figure.axes] == [[10, 39], [0, 19]]


@pytest.mark.parametrize("count", [2, 40])
def test_commits_are_named_below_without_overlaps(draw, count):
    figure = draw({"row": WOBBLE[:count]}, commit={"id": "unversioned", "time": None} if count == 2 else {})
    labels = figure.axes[-1].get_xticklabels()
    assert 1 <= len(labels) <= 8
    assert not overlaps(figure, labels)

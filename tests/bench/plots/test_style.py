"""The one style: ticks, files, and what holds for all figures."""

from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from sgdbench.charts.basins import basin_chart
from sgdbench.charts.ticks import format_tick
from sgdbench.plots.draw import draw_chart
from sgdbench.plots.style import LogTicks, empty_figure, log_scale, save, save_as
from sgdbench.tables.formatting import shorten
from tests.support.figures import texts
from tests.support.frames import make_curves, make_frame, plane
from tests.support.gallery import decay, gallery, loss_curves

# Up to something, and longer than any room for it.
NAME = "<script>$x_1$ a|b\n[b] \\alpha $" + 300 * "x"


def make_loss_curves():
    return loss_curves(make_frame(1), make_curves(decay([1])))


def read_settings():
    """matplotlib's global settings, but for the backend: asking for it would choose one."""
    return {name: mpl.rcParams[name] for name in mpl.rcParams if name != "backend"}


@pytest.fixture(scope="module")
def settings_before():
    return read_settings()


@pytest.fixture(scope="module")
def written(settings_before, tmp_path_factory):
    """A figure of each kind by the SVG that it is written to: there names could be more than names."""
    place, figures = tmp_path_factory.mktemp("gallery"), gallery(make_frame(2, init=[NAME, "plain"]))
    return {save_as(figure, place / f"figure{number}.svg"): figure for number, figure in enumerate(figures)}


# Ticks


@pytest.mark.parametrize("view", [(1e-300, 1e300), (1e-20, 3e-5)])
def test_a_logarithmic_axis_has_few_ticks(view):
    ticks = LogTicks().tick_values(*view)
    assert 3 <= len(ticks) <= 6
    np.testing.assert_allclose(np.log10(ticks), np.round(np.log10(ticks)), atol=1e-9)
    assert all(view[0] <= tick <= view[1] for tick in ticks)


@pytest.mark.parametrize(
    ("limits", "labels"),
    [
        ((90, 2e5), ["100", "1,000", "10,000", "100,000"]),
        ((9e-5, 2), ["0.0001", "0.001", "0.01", "0.1", "1"]),
        ((0.5, 2e6), ["10⁰", "10¹", "10²", "10³", "10⁴", "10⁵", "10⁶"][::2]),
        ((8e-6, 2e-2), ["10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²"]),
        ((900, 4e4), ["1,000", "2,000", "5,000", "10,000", "20,000"]),
        ((9000, 4e5), ["10,000", "20,000", "50,000", "100,000", "200,000"]),
        ((2e5, 1.2e6), ["2e5", "5e5", "1e6"]),
        ((0.8e-200, 4e-199), ["1e-200", "2e-200", "5e-200", "1e-199", "2e-199"]),
        ((2e-5, 4e-4), ["2e-5", "5e-5", "1e-4", "2e-4"]),
        ((1e-12, 1.4e-12), ["1e-12", "1.1e-12", "1.2e-12", "1.3e-12", "1.4e-12"]),
    ],
)
def test_labels_of_one_logarithmic_axis_have_one_style(limits, labels):
    axis = Figure().subplots()
    log_scale(axis, "x")
    axis.set_xlim(limits)
    assert [label.get_text() for label in axis.get_xticklabels()] == labels


def test_values_of_a_linear_axis_are_written_out():
    """matplotlib's common factor, 1e6, would stand over the title of a panel."""
    written = [format_tick(value) for value in (0.1 + 0.2, -2e6, -0.0, 1000.5, 3e61)]
    assert written == ["0.3", "−2,000,000", "0", "1000.5", "3e61"]  # noqa: RUF001


# Files


def test_only_png_and_svg_are_written(tmp_path):
    with pytest.raises(ValueError, match=r"a figure must be written as .png or .svg, not '.*figure.pdf'"):
        save_as(empty_figure("No."), tmp_path / "figure.pdf")


def test_a_figure_looks_the_same_whether_it_was_saved_before_or_not(tmp_path):
    twice = empty_figure("Nothing to show.")
    first = save_as(twice, tmp_path / "first.png").read_bytes()
    assert save_as(twice, tmp_path / "second.png").read_bytes() == first


def test_an_svg_is_written_where_it_is_asked_for_and_never_left_behind(tmp_path):
    def names(**asked):
        return [path.name for path in save(empty_figure("Nothing to show."), tmp_path, "loss", **asked)]

    assert names() == ["loss.png"]
    assert names(svg=True) == ["loss.png", "loss.svg"]
    (tmp_path / "loss.svg").write_text("of an earlier run")
    assert names() == ["loss.png", "loss.svg"]
    assert (tmp_path / "loss.svg").read_text(encoding="utf-8").startswith("<?xml")


def test_a_figure_is_sharp_at_the_width_of_a_readme_and_white_on_a_dark_page(tmp_path):
    png, svg = save(make_loss_curves(), tmp_path / "figures", "loss", svg=True)
    pixels = mpl.image.imread(png)
    assert pixels.shape[1] == 1200
    np.testing.assert_array_equal(pixels[[0, 0, -1, -1], [0, -1, 0, -1]], 1)
    assert ElementTree.parse(svg).getroot().get("width") == "576pt"
    assert "fill: #ffffff" in svg.read_text(encoding="utf-8")


@pytest.mark.parametrize("draw", [make_loss_curves, lambda: draw_chart(basin_chart(plane()))], ids=["curves", "map"])
def test_the_same_figure_gives_the_same_files(tmp_path, draw):
    """Curves, and a map: what SVG gives names of its own to."""
    ones, others = (save(draw(), tmp_path, name, svg=True) for name in "ab")
    assert [path.read_bytes() for path in ones] == [path.read_bytes() for path in others]


# All figures


def test_names_are_shown_literally(written):
    shown = NAME.replace("\n", "\ufffd")
    for svg, figure in written.items():
        assert "script" not in {element.tag.partition("}")[2] for element in ElementTree.parse(svg).iter()}
        assert any(shorten(shown, most) in texts(figure) for most in range(8, len(shown)))
        assert not any(text.get_parse_math() for text in figure.findobj(Text) if "$" in text.get_text())


def test_everything_is_inside_the_figure(written):
    for figure in written.values():
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


@pytest.mark.usefixtures("written")
def test_global_settings_are_left_alone(settings_before):
    assert read_settings() == settings_before

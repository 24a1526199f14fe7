"""What tests of figures ask a figure: what is written in it, and what its lines show."""

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.text import Text


def texts(figure):
    """All text in the figure that a reader sees, however its lines are broken."""
    found = [text.get_text() for text in figure.findobj(Text) if text.get_visible()]
    return " ".join(" ".join(found).split())


def legend(figure):
    """The entries of all keys, in order."""
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def lines(axis):
    """The curves in a panel as (x, y), without reference lines that span it."""
    return [line.get_xydata().T for line in axis.lines if len(line.get_xdata()) > 2]


def named(axis, label):
    """The line in a panel that the key calls so."""
    (line,) = [line for line in axis.lines if line.get_label() == label]
    return line


def overlaps(figure, texts):
    """The pairs of texts whose boxes overlap in the figure as it is drawn."""
    figure.draw_without_rendering()
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text() and text.get_visible()]
    pairs = [(one, other) for place, one in enumerate(boxes) for other in boxes[:place]]
    return [(one[0], other[0]) for one, other in pairs if one[1].overlaps(other[1])]


def visible_pixels(axis, color):
    """The number of a panel's pixels that have a color as it is drawn: what lies under something else has none."""
    axis.figure.canvas.draw()
    pixels = np.asarray(axis.figure.canvas.buffer_rgba())[::-1, :, :3].astype(int)
    left, bottom, right, top = axis.bbox.extents.round().astype(int)
    return int((np.abs(pixels[bottom:top, left:right] - np.array(to_rgb(color)) * 255).max(axis=-1) < 30).sum())

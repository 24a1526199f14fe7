"""What tests of figures ask a figure: what is written in it, and what its lines show."""

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

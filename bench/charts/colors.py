"""The colors of settings, the same in all figures and on the page, and the widths of their lines."""

from collections.abc import Iterable, Sequence
from typing import Any

# Okabe and Ito's colors, distinct for color-blind readers; their yellow is too pale for a line on white. Orange and sky
# blue have a contrast of 2.3 with white. At 3, readers who see no green would take orange for vermilion: as they see
# these, their distance in CIELAB would be 6 in place of 18.
PALETTE = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"]
FAINT = "#b0b0b0"  # data, and names without a color of their own
NEUTRAL = "#6b7785"  # what is about no optimizer, or about each of them in turn
OPTIMIZERS = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
# Other names have none of the colors of optimizers: blue would be taken for sgd. Each color can be told from white and
# from black and, but for the last, from the gray of data. Teal comes late, as it is close to the green of nesterov.
OTHERS = ["#6a6fd1", "#998a1f", "#b04a9c", "#a0704a", "#2e9c8f", "#cc6677", "#7f7f7f"]


def colors_of(names: Iterable[str]) -> dict[Any, Any]:
    """Give each distinct name a color, in the order of the alphabet.

    An optimizer has its own color in every figure, which nothing else gets while there are others.
    """
    distinct = sorted(set(names))
    own: dict[str, str] = {}
    for name in distinct:
        optimizer = name.partition("(")[0]
        if optimizer in OPTIMIZERS:
            own.setdefault(PALETTE[OPTIMIZERS.index(optimizer)], name)
    colors = {name: color for color, name in own.items()}
    left = OTHERS + [color for color in PALETTE if color not in own]
    rest = [name for name in distinct if name not in colors]
    colors |= {name: left[i % len(left)] for i, name in enumerate(rest)}
    return {name: colors[name] for name in distinct}


def nested_widths(names: Sequence[str]) -> dict[Any, float]:
    """Return the widths of lines by their names, in the order in which they are drawn: they decrease.

    Lines may coincide, as for an optimizer and a wrapper of it: the thin line is visible within the wide one.
    """
    # Half of a step is what is seen of the wide line at each side: a pixel.
    step = min(1.1, 4.6 / max(1, len(names) - 1))
    return {name: 1.4 + step * place for place, name in enumerate(reversed(names))}

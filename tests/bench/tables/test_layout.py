"""Tables on narrow terminals: nothing is broken inside a word, a number or an interval, and nothing is left out."""

import re
import sys

import pandas as pd
import pytest

from sgdbench.commands.console import print_table
from sgdbench.tables.formatting import MISSING, display, duration, text
from sgdbench.tables.layout import lay_out, stack_rows
from sgdbench.tables.speed_tables import speed_summary
from sgdbench.tables.words import format_estimate
from tests.support.speeds import TABLE
from tests.support.terminal import Terminal


@pytest.fixture
def shown(monkeypatch):
    """What a table looks like on a terminal of a width, line by line."""

    def show(table, width):
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr(sys, "stdout", Terminal())
        print_table(table, "Title")
        return re.sub(r"\x1b\[[0-9;]*m", "", sys.stdout.getvalue()).splitlines()

    return show


WIDE = pd.DataFrame(
    {
        "variant": ["fused", "lanes, all cores"],
        "ns_per_sample-update": ["27,000 [22,000, 50,000]", "1.49 ± 0.13"],
        "speedup_over_reference": ["4,420 [1,720, 5,620]", MISSING],
        "speedup_over_C": ["0.000281 [0.000148, 0.00104]", "12.7 ± 0.4"],
        "compile_time": ["4.97 s", "5.24 s"],
        "note": ["a sentence that is longer than any column of numbers should be allowed to be", ""],
    }
)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
@pytest.mark.parametrize("table", [WIDE, speed_summary(TABLE)], ids=["wide", "speed"])
def test_nothing_is_broken_inside_a_word_a_number_or_an_interval(shown, table, width):
    lines = shown(table, width)
    assert max(map(len, lines)) <= width
    for name, cells in display(table).items():
        for word in [*name.split(), *(cell for cell in cells if re.match(r"[\d,.]+ [\[±]", cell))]:
            assert any(word in line for line in lines), word
    words = "\n".join(lines).split()
    assert {word for cell in display(table).to_numpy().ravel() for word in cell.split()} <= set(words)


def test_parts_of_a_table_repeat_what_tells_its_rows_apart():
    rows = pd.DataFrame(
        {"optimizer": ["sgd", "sgd"], "rate": ["0.1", "0.2"], **{f"c{k}": ["x" * 20] * 2 for k in range(6)}}
    )
    panels = lay_out(rows, 50)
    assert [list(panel) for panel in panels] == [[0, 1, 2], [0, 1, 3], [0, 1, 4], [0, 1, 5], [0, 1, 6], [0, 1, 7]]
    assert len(lay_out(rows, 200)) == 1


def test_where_two_columns_are_too_wide_rows_are_stacked(shown):
    table = pd.DataFrame({"name": ["x" * 30], "value": ["y" * 30]})
    assert lay_out(table, 40) is None
    assert stack_rows(table, 40) == f"name: {'x' * 30}\nvalue: {'y' * 30}"
    assert f"value: {'y' * 30}" in "\n".join(shown(table, 40))


@pytest.mark.parametrize(
    ("estimate", "as_text", "written"),
    [
        ((12.7, 12.3, 13.1), text, "12.7 ± 0.4"),
        ((12.7, 12.3, 13.2), text, "12.7 [12.3, 13.2]"),
        ((1000, 900, 1100), text, "1,000 ± 100"),
        ((2, 2, 2), text, "2"),
        ((0.1946, 0.1946 - 1e-16, 0.1946 + 1e-16), text, "0.1946"),
        ((2, float("nan"), 3), text, "2"),
        ((1, 0.5, float("inf")), text, "1 [0.5, ∞]"),
        ((2e-9, 1e-9, 3e-9), text, "2e-9 [1e-9, 3e-9]"),
        ((2e-6, 1.5e-6, 2.5e-6), duration, "(2 ± 0.5) µs"),
        ((1e-6, 0.9e-6, 1.1e-6), duration, "1 µs [900 ns, 1.1 µs]"),
    ],
)
def test_intervals_are_symmetric_where_the_digits_shown_are(estimate, as_text, written):
    assert format_estimate(*estimate, as_text) == written

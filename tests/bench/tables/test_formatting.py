import io
import os
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from sgdbench.tables.formatting import (
    MISSING,
    display,
    duration,
    label,
    shorten,
    shorten_exponent,
    text,
    to_latex,
    to_markdown,
    write_csv,
    write_tables,
)
from sgdbench.tables.layout import draw_table

HOSTILE = ["<script>alert(1)</script>", "$x_1$", "a|b", "[bold]red[/bold]", "**x** `y` _z_", "\\|", "&amp;", "~~a~~"]


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (0.5, "0.5"),
        (1 / 3, "0.3333"),
        (-12.5, "-12.5"),
        (0.00012345678, "0.0001235"),
        (9.9996e-5, "0.0001"),
        (6.0579e-30, "6.058e-30"),
        (1e-300, "1e-300"),
        (999.96, "1,000"),
        (123456.7, "123,457"),
        (999999.7, "1e6"),
        (np.float64(2.5e12), "2.5e12"),
        (np.inf, "∞"),
        (-np.inf, "-∞"),
        (np.nan, MISSING),
        (pd.NA, MISSING),
        (None, MISSING),
        (True, "yes"),
        (np.False_, "no"),
        (800, "800"),
        (np.int64(1234567), "1,234,567"),
        ("adam(beta1=0.9)", "adam(beta1=0.9)"),
        ("red \x1b[31m\nline", "red \ufffd[31m\ufffdline"),
    ],
)
def test_values_as_text(value, written):
    assert text(value) == written


@given(st.floats(-1e308, 1e308))
def test_four_digits_survive(value):
    assert float(text(value).replace(",", "")) == pytest.approx(value, rel=5.1e-4, abs=0)


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0, "0 ns"),
        (3.4e-8, "34 ns"),
        (1.5042e-5, "15 µs"),
        (9.996e-4, "1 ms"),
        (0.1234, "123 ms"),
        (0.9999, "1 s"),
        (12345.0, "12,300 s"),
        (np.nan, MISSING),
        (np.inf, "∞"),
    ],
)
def test_durations(seconds, written):
    assert duration(seconds) == written


def test_a_long_name_keeps_its_end():
    """Two rows of a figure were called adam(weight_decay=0…"""
    names = ["adam(weight_decay=0.01)", "adam(weight_decay=0.1)"]
    assert [shorten(name, 20) for name in names] == ["adam(weight_d…=0.01)", "adam(weight_d…y=0.1)"]
    assert [shorten("pixel", most) for most in (5, 4, 3, 1)] == ["pixel", "pi…l", "pi…", "…"]


def test_exponents_are_as_short_as_in_the_text_of_numbers():
    for value in (2.18e-8, -1e-12, 3e20, 4.5, 1e-100):
        assert float(shorten_exponent(f"{value:.3e}")) == value
    assert [shorten_exponent(one) for one in ("2.18e-08", "3.00e+20")] == ["2.18e-8", "3.00e20"]


def test_labels():
    assert [label(name) for name in ("lr", "batch_size", "init", "best_seconds", "param_x_1", "param_lr")] == [
        "learning rate",
        "batch size",
        "start",
        "best time",
        "x_1",
        "lr",
    ]


def test_display_counts_against_runs():
    table = pd.DataFrame({"lr": [0.1, 0.25], "runs": [5, 1200], "converged": [3, 1001], "seconds": [1e-3, np.nan]})
    shown = display(table)
    assert list(shown.columns) == ["learning rate", "converged", "time"]
    assert shown.to_numpy().tolist() == [["0.1", "3/5", "1 ms"], ["0.25", "1,001/1,200", MISSING]]
    assert table["converged"].tolist() == [3, 1001]


def test_display_of_nothing():
    table = pd.DataFrame({"runs": [], "converged": [], "seconds": []})
    assert display(table).shape == (0, 2)
    assert to_markdown(table).count("\n") == 2
    assert draw_table(table, 80)[0].row_count == 0


def cells(markdown):
    """The text of each cell as a Markdown reader that we did not write sees it."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    tokens = parser.parse(markdown)
    assert tokens[0].type == "table_open"
    assert tokens[-1].type == "table_close"
    inlines = [token.children for token in tokens if token.type == "inline"]
    assert all(child.type in {"text", "text_special"} for children in inlines for child in children)
    return ["".join(child.content for child in children) for children in inlines]


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_names_literally(name):
    table = pd.DataFrame({"init": [name], f"param_{name}": [1.5]})
    assert cells(to_markdown(table)) == ["start", name, name, "1.5"]
    assert "$" not in to_markdown(table)  # with which formulas begin on GitHub


@given(st.text(min_size=1))
def test_markdown_survives_any_name(name):
    assert cells(to_markdown(pd.DataFrame({"init": [name], "lr": [0.5]})))[2:] == [text(name).strip(), "0.5"]


def test_markdown_aligns_numbers_to_the_right():
    table = pd.DataFrame({"optimizer": ["sgd"], "shuffle": [True], "lr": [0.5], "batch_size": [8]})
    assert to_markdown(table).splitlines()[1] == "| --- | --- | ---: | ---: |"


COMMANDS = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
COMMANDS |= {"textless": "<", "textgreater": ">", "textbar": "|", "textmu": "µ", "space": " "}


def latex_cells(latex):
    """The text of each cell of the body, after the rules of LaTeX."""
    body = latex.split("\\midrule\n")[1].split("\\bottomrule")[0]
    assert body.endswith(" \\\\\n")
    plain = re.sub(r"\\(text[a-z]+|space)(\{\}| )", lambda found: COMMANDS[found[1]], body.removesuffix(" \\\\\n"))
    return [re.sub(r"\\([&%$#_{}])", r"\1", cell) for cell in re.split(r"(?<!\\) & ", plain)]


@pytest.mark.parametrize("name", [*HOSTILE, r"\end{tabular} \input{/etc/passwd}", "50 % & # ~ ^ {x}"])
def test_latex_shows_names_literally(name):
    latex = to_latex(pd.DataFrame({f"param_{name}": ["x"], "init": [name], "lr": [1.5]}))
    assert latex_cells(latex) == ["x", name, "1.5"]
    assert latex.count("\\begin") == latex.count("\\end{tabular}") == 1
    assert "\\input" not in latex.replace("\\textbackslash input", "")


def test_latex_has_letters_for_what_tables_hold():
    table = pd.DataFrame({"lr": [0.5, np.inf], "seconds": [1e-6, np.nan]})
    assert to_latex(table).splitlines() == [
        r"\begin{tabular}{rr}",
        r"\toprule",
        r"learning rate & time \\",
        r"\midrule",
        r"0.5 & 1 \textmu{}s \\",
        r"$\infty$ & -- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize("name", [*HOSTILE, "\x1b[2Jgone"])
def test_rich_shows_names_literally_without_control_codes(name):
    for look in ({}, {"force_terminal": True, "color_system": "truecolor"}):
        console = Console(file=io.StringIO(), width=200, **look)
        console.print(*draw_table(pd.DataFrame({"init": [name], f"param_{name}": [0.5]}), 200))
        assert console.file.getvalue().count(name.replace("\x1b", "\ufffd")) == 2


def test_tables_are_written_with_every_digit(tmp_path):
    table = pd.DataFrame(
        {
            "optimizer": ["sgd", "=1+1|b,\n"],
            "lr": [0.1 + 0.2, 1 / 3],
            "epochs_to_target": pd.array([3, pd.NA], dtype="Int64"),
            "final_loss": [np.inf, 5e-324],
        }
    )
    write_tables({"best": table, "other": table.head(0)}, tmp_path / "tables")
    csv, markdown, parquet, latex = sorted(path for path in (tmp_path / "tables").iterdir() if path.stem == "best")
    assert len(os.listdir(tmp_path / "tables")) == 8
    pd.testing.assert_frame_equal(pd.read_parquet(parquet), table)
    assert csv.read_text(encoding="utf-8").splitlines()[1] == "sgd,0.30000000000000004,3,inf"
    assert pd.read_csv(csv)["optimizer"].tolist() == ["sgd", "'=1+1|b,\n"]
    assert markdown.read_text(encoding="utf-8") == to_markdown(table)
    assert latex.read_text(encoding="utf-8") == to_latex(table)


FORMULAS = ["=cmd|'/C calc'!A0", "+1+1", "-2+3", "@SUM(1)", "\t=1", "\r=1", "\uff1d1+1"]


@pytest.mark.parametrize("kind", ["str", "object", "category"])
def test_text_in_csv_is_no_formula_to_a_spreadsheet(tmp_path, kind):
    names = pd.Series([*FORMULAS, "sgd", "a=b", None], dtype=kind)
    table = pd.DataFrame({"init": names, "note": "=1", "param_a": -1.5, "=1+1": pd.array([-1] * len(names), "Int64")})
    write_csv(table, tmp_path / "a.csv")
    read = pd.read_csv(tmp_path / "a.csv", keep_default_na=False, lineterminator="\n")
    assert read["init"].tolist() == [*(f"'{formula}" for formula in FORMULAS), "sgd", "a=b", ""]
    assert set(read["note"]) == {"'=1"}
    assert set(read["param_a"]) == {-1.5}
    assert set(read["'=1+1"]) == {-1}

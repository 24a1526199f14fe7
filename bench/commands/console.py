"""Output of tables and sentences: formatted on a terminal, plain text in a pipe."""

import sys
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.text import Text

from sgdbench.commands.stages import show_progress
from sgdbench.data.choose_loss import ChosenLoss
from sgdbench.data.columns import Inputs, describe_left_out
from sgdbench.kernels.losses.classes import Classes
from sgdbench.tables.formatting import display, text
from sgdbench.tables.layout import draw_table


def print_table(table: pd.DataFrame, title: str) -> None:
    """Print a table: formatted on a terminal, in parts that fit its width, or as aligned text in a pipe."""
    if not sys.stdout.isatty():
        print(f"{text(title)}\n{display(table).to_string(index=False)}\n")
        return
    console = Console()
    console.print(Text(text(title), "italic"))
    for part in draw_table(table, console.width):
        console.print(part)
    console.print()


def print_sentence(about: str, sentence: str) -> None:
    """Print a sentence after its subject; on a terminal, lines break between words."""
    if sys.stdout.isatty():
        Console().print(Text.assemble((f"{about}: ", "bold"), text(sentence)))
    else:
        print(f"{about}: {text(sentence)}")


def print_choices(inputs: Inputs, loss: ChosenLoss, classes: Classes | None) -> None:
    """Print which columns of a table are categorical or ignored, the loss if it was chosen, and the classes."""
    if inputs.categories.levels:
        print_sentence("Categories", f"{inputs.categories}.")
    if inputs.left_out:
        print_sentence("Ignored", f"{describe_left_out(inputs.left_out)}.")
    if loss.reason:
        print_sentence("Loss", loss.reason)
    if classes:
        print_sentence("Classes", f"{classes}.")


def mapping_display(*, quiet: bool = False) -> dict[str, Any]:
    """Return arguments of `sgdbench.data.open_table` that announce the columns to write and show a progress bar."""
    announce = (lambda sentence: None) if quiet else partial(print_sentence, "Columns")
    return {"announce": announce, "progress": show_progress}


def print_place(what: str, path: Path) -> None:
    """Print the path of a file or folder on one line, so that it can be copied."""
    print(f"{what}: {text(str(path))}")

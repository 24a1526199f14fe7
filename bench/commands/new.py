"""The command `sgdbench new`: write a study for a table, with comments on what may be changed."""

import os
import shlex
from pathlib import Path
from typing import Any

import tomli_w

from bench.analysis.default_study import DefaultStudy, default_study
from bench.commands.console import mapping_display, print_choices, print_place
from bench.commands.options import TableColumns
from bench.commands.streams import one_line
from bench.data.columns import describe_left_out
from bench.study.load import to_table
from bench.system.atomic import write_text
from bench.tables.formatting import text
from kernels.base.registry import REGISTERED
from kernels.losses import make_loss


def write_new_study(
    path: Path, columns: TableColumns, out: Path | None, *, cache_dir: Path | None, loss: str | None, overwrite: bool
) -> None:
    """Write a study for a table and say how to run it; an existing file is replaced only with `overwrite`."""
    target = out or Path(f"{path.stem or 'study'}.toml")
    if target.is_dir():
        raise ValueError(f"{target} is a folder; give the study the name of a file with --out")
    if target.exists() and not overwrite:
        raise ValueError(f"{target} already exists; give another file with --out, or replace it with --overwrite")
    how = columns._asdict() | mapping_display() | {"loss": loss, "cache_dir": cache_dir}
    made = default_study(path, name=target.stem, **how)
    beside = {"path": path} | ({"cache_dir": cache_dir} if cache_dir else {})
    write_text(
        target, commented_study(made, {key: os.path.relpath(place, target.parent) for key, place in beside.items()})
    )
    print_choices(made.left_out, made.loss, made.classes)
    print_place("Study", target)
    rules = [rule for known in REGISTERED.values() for rule in known.values()]
    plugins = [
        word for file in dict.fromkeys(rule.plugin for rule in rules if rule.plugin) for word in ("--plugin", file)
    ]
    print(f"Run it with: {text(shlex.join(['sgdbench', 'run', str(target), *plugins]))}")


def commented_study(made: DefaultStudy, paths: dict[str, str]) -> str:
    """Return a study as a file in which comments explain the keys; `paths` are those of its data, relative to it."""
    table = to_table(made.study)
    data, grid, run = (dict(table[section]) for section in ("data", "grid", "run"))
    data |= paths
    in_blocks = run["shuffling"] != "all"
    lines = [
        "# A study for sgdbench; `sgdbench schema` lists all keys. Start it with `sgdbench run` and this file.",
        *_keys(table, "name"),
        "",
        "[data]",
        "# Relative to this file.",
        *_keys(data, "path", "cache_dir", "x"),
        *_comment(made.left_out and f"Left out: {describe_left_out(made.left_out)}."),
        *_keys(data, "y"),
        *_comment(made.classes and f"{made.classes}."),
        *_comment_on_scaling(made),
        *_keys(data, "standardize", "center"),
        "# Whether rows with a missing value are skipped; else they are refused.",
        *_keys(data, "drop_missing"),
        "# A share of the rows on which nothing is trained. Without the target below, settings are chosen by the loss",
        "# on them.",
        "# validation = 0.2",
        "# A share of the rows that decide nothing: the loss on them tells how good the best choice is on new data.",
        "# test = 0.2",
        "",
        "[model]",
        "# Names that are not columns are parameters, to be fitted.",
        *_keys(table["model"], "expression"),
        *_inputs(table["model"]),
        "",
        "[grid]",
        *_comment_on_rates(made),
        *_keys(grid, "lr", "batch_size", "optimizer"),
        "# At a constant rate the noise of small batches keeps the parameters on the move; halving lets them settle.",
        *_keys(grid, "schedule"),
        "# Each seed has an order of the samples and random starts of its own; all settings see the same ones.",
        *_keys(grid, "seed", "shuffle"),
        "",
        *_starts(grid.get("init")),
        "",
        "[run]",
        *_keys(run, "epochs"),
        *_comment(made.loss.reason),
        *_keys(run, *(["loss"] if run["loss"] != "squared" else [])),
        *_comment_on_target(made),
        *_keys(run, "target", "target_loss"),
        *_comment(in_blocks and 'Blocks of rows are read as they lie in the file; "all" jumps about in it.'),
        *_keys(run, *(["shuffling"] if in_blocks else [])),
        "",
    ]
    return "\n".join(lines)


def _starts(init: dict[str, Any] | None) -> list[str]:
    """Return the lines of the starts; those of a network, which has draws of its own, are a comment."""
    about = '# Where to start: values of all parameters, also by name, "zero", or random ones such as "normal:1:3".'
    if init is None:
        return [about, "# Without it, each seed draws a start.", "# [grid.init]", '# random = "normal:0.1:3"']
    return ["[grid.init]", about, *_keys(init, *init)]


def _comment(sentence: object) -> list[str]:
    return [f"# {one_line(str(sentence))}"] if sentence else []


def _keys(table: dict[str, Any], *names: str) -> list[str]:
    """Return a line of TOML for each key that has a value."""
    return [f"{_quote(name)} = {_inline(table[name])}" for name in names if name in table]


def _inputs(model: dict[str, Any]) -> list[str]:
    """Return the lines of the inputs' names: a key, or a table where they are columns and groups by name."""
    if isinstance(inputs := model.get("inputs"), dict):
        return ["", "[model.inputs]", *_keys(inputs, *inputs)]
    return _keys(model, "inputs")


def _inline(value: Any) -> str:
    """Return a value of TOML on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return tomli_w.dumps({"k": value}).removeprefix("k = ").strip()


def _quote(key: str) -> str:
    return tomli_w.dumps({key: 0}).removesuffix(" = 0\n")


def _comment_on_rates(made: DefaultStudy) -> list[str]:
    if made.edges is None:
        return ["# Theory knows no largest stable rate for this model and loss, so this is a wide range."]
    single, full = (text(edge, 2) for edge in made.edges)
    return [
        f"# By theory sgd is stable {made.places} up to about {single} with single samples,",
        f"# and up to {full} with full batches.",
        "# The range is from a thirtieth of the one to the other, rounded to a wider one.",
    ]


def _comment_on_scaling(made: DefaultStudy) -> list[str]:
    if not made.study.data.standardize:
        return [f"# {made.scaling}"]
    scales_targets = make_loss(made.study.run.loss).scales_targets
    how = made.scaling or f"{'Columns' if scales_targets else 'The inputs'} get mean 0 and deviation 1."
    units = " Losses are in these units." if scales_targets else ""
    return [f"# {how}", f"# One learning rate suits columns of the same scale.{units}"]


def _comment_on_target(made: DefaultStudy) -> list[str]:
    yardstick = made.yardstick
    if yardstick.target is None:
        about = "# Stop at this loss, and compare what it takes to get there; without it, final losses are compared."
        why = yardstick.note or f"the lowest loss is no improvement over that of {yardstick.baseline}"
        return [about, f"# No target is known: {why}.", "# target = 0.1"]
    lowest, constant = (text(loss, 4) for loss in (yardstick.loss, yardstick.constant_loss))
    note = [f"# ({yardstick.note}.)"] if yardstick.note else []
    return [
        f"# The lowest loss of this model is {lowest}, by {yardstick.method}; the best constant has {constant}.",
        *note,
        "# The target leaves 1 % of the improvement. It is for this loss; `--loss` makes one for another loss.",
    ]

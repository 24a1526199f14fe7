"""The command `sgdbench new`: write a commented study for a table, or an example table."""

import os
import shlex
from importlib import resources
from pathlib import Path
from typing import Any

import tomli_w
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from sgdbench.analysis.default_study import DefaultStudy, default_study
from sgdbench.commands.console import mapping_display, print_choices, print_place
from sgdbench.commands.options import TableColumns
from sgdbench.commands.streams import one_line
from sgdbench.data.batches import MAPPED_SUFFIXES
from sgdbench.data.columns import describe_left_out
from sgdbench.kernels.base.checks import did_you_mean
from sgdbench.kernels.base.registry import REGISTERED
from sgdbench.kernels.losses import make_loss
from sgdbench.study.keys import describe_key
from sgdbench.study.load import to_table
from sgdbench.system.atomic import explain_unwritable, write_text
from sgdbench.tables.formatting import text

TEMPLATE = Path(__file__).with_name("study.toml.j2")
# The example tables, with the built-in data that they hold.
EXAMPLES = {"cars.csv": "auto_mpg", "diabetes.csv": "diabetes", "digits.csv": "digits"}


def write_new_study(
    path: Path, columns: TableColumns, out: Path | None, *, cache_dir: Path | None, loss: str | None, overwrite: bool
) -> None:
    """Write a study for a table and print how to run it; replace an existing file only with `overwrite`."""
    target = out or Path(f"{path.stem or 'study'}.toml")
    if target.is_dir():
        raise ValueError(f"{target} is a folder; give the study the name of a file with --out")
    if target.suffix.lower() in MAPPED_SUFFIXES:
        raise ValueError(f"{target} would be taken for a table; give the study the name of a .toml file with --out")
    how = columns._asdict() | mapping_display() | {"loss": loss, "cache_dir": cache_dir}
    made = default_study(path, name=target.stem, **how)
    _refuse_existing(target, overwrite=overwrite)  # after the checks of the columns
    beside = {"path": path} | ({"cache_dir": cache_dir} if cache_dir else {})
    study = commented_study(made, {key: os.path.relpath(place, target.parent) for key, place in beside.items()})
    with explain_unwritable(target):
        write_text(target, study)
    print_choices(made.inputs, made.loss, made.classes)
    print_place("Study", target)
    rules = [rule for registered in REGISTERED.values() for rule in registered.values()]
    plugins = [
        word for file in dict.fromkeys(rule.plugin for rule in rules if rule.plugin) for word in ("--plugin", file)
    ]
    print(f"Run it with: {text(shlex.join(['sgdbench', 'run', str(target), *plugins]))}")


def write_example(name: str, out: Path | None, *, overwrite: bool) -> None:
    """Write an example table and print how to fit it; replace an existing file only with `overwrite`."""
    if name not in EXAMPLES:
        raise ValueError(f"--example must be one of {', '.join(EXAMPLES)}, not {name!r}{did_you_mean(name, EXAMPLES)}")
    target = out or Path(name)
    _refuse_existing(target, overwrite=overwrite)
    table = resources.files("sgdbench.data").joinpath(f"{EXAMPLES[name]}.csv").read_text("utf-8")
    with explain_unwritable(target):
        write_text(target, table)
    print_place("Table", target)
    *_, y = table.partition("\n")[0].split(",")
    print(f"Run it with: {text(shlex.join(['sgdbench', 'run', str(target), '--y', y]))}")


def _refuse_existing(target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite:
        raise ValueError(f"{target} already exists; give another file with --out, or replace it with --overwrite")


def commented_study(default: DefaultStudy, paths: dict[str, str]) -> str:
    """Return a study file in which comments explain the keys; `paths` are those of its data, relative to the file."""
    study = to_table(default.study)
    environment = Environment(  # noqa: S701 (it writes no HTML)
        loader=FileSystemLoader(TEMPLATE.parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"text": text, "one_line": one_line}
    return environment.get_template(TEMPLATE.name).render(
        made=default,
        left_out=default.inputs.left_out and describe_left_out(default.inputs.left_out),
        scales_targets=make_loss(default.study.run.loss).scales_targets,
        keys=_keys,
        about=describe_key,
        **study | {"data": study["data"] | paths},
    )


def _keys(table: dict[str, Any], *names: str) -> str:
    """Return a line of TOML for each key with a value: those of `names`, or all keys."""
    return "\n".join(f"{_quote(name)} = {_inline(table[name])}" for name in names or table if name in table)


def _inline(value: Any) -> str:
    """Return a TOML value on one line."""
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, value))}]"
    return tomli_w.dumps({"k": value}).removeprefix("k = ").strip()


def _quote(key: str) -> str:
    return tomli_w.dumps({key: 0}).removesuffix(" = 0\n")

"""The arguments that `sgdbench.sweep` and `sgdbench.tune` share, including their settings."""

import sys
from collections.abc import Mapping
from contextlib import ExitStack
from inspect import signature
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypedDict

from sgdbench.engine.train import Executor, train_in_threads
from sgdbench.kernels.base.arguments import EXACT_MATCH, meant_argument
from sgdbench.kernels.base.checks import check_bool, describe
from sgdbench.kernels.data.validation import HeldOut
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.loss import Loss
from sgdbench.study.grid import Grid
from sgdbench.study.keys import RunKeys
from sgdbench.study.load import check_table
from sgdbench.study.schema import RunTable
from sgdbench.study.space import Space
from sgdbench.system.files import check_path


class RunSettings(TypedDict, total=False):
    """Keys of the tables [run] and [data] of a study."""

    epochs: int
    target: float | None
    loss: str | Loss
    drop_last: bool
    shuffling: str
    kernel: str
    record: str | int
    confirm: int
    patience: int | None
    validation: HeldOut
    test: HeldOut


class SweepSettings(RunSettings, total=False):
    """The settings of a sweep."""

    refine: int


class TuneSettings(RunSettings, total=False):
    """The settings of a search, some of them keys of the table [tune]."""

    trials: int
    sampler: str
    pruner: str
    sampler_seed: int


def check_settings(
    function: str, settings_type: type[RunSettings], arguments: Mapping[str, Any], choices: type[Grid | Space]
) -> tuple[RunTable, dict[str, HeldOut], dict[str, Any]]:
    """Return the checked settings that all runs share, the arguments for held-out samples, and the others.

    An unknown setting raises a TypeError, which says if it is one of the `choices`; an invalid value raises a
    ValueError.
    """
    for name in arguments:
        if name not in settings_type.__annotations__:
            other = meant_argument(name, signature(choices).parameters, cutoff=EXACT_MATCH)
            close = meant_argument(name, settings_type.__annotations__)
            hint = f" (did you mean {close!r}?)" if close else ""
            raise TypeError(
                f"{function} has no argument {name!r}"
                + (f": it belongs in {choices.__name__}({other}=...)" if other else hint)
            )
    held_out = {name: arguments.get(name) for name in ("validation", "test")}
    shared = {name: arguments[name] for name in RunTable.model_fields if name in arguments}
    loss = make_loss(arguments.get("loss", RunKeys.loss))
    again = make_loss(loss.text)  # its targets or metric may be functions that differ between calls
    if (again.value, again.derivative, again.options) != (loss.value, loss.derivative, loss.options):
        raise ValueError(f"loss must be a registered one: {loss!r} is not what the text {loss.text!r} makes")
    shared["loss"] = loss.text
    others = {name: value for name, value in arguments.items() if name not in shared and name not in held_out}
    return check_table(RunTable, shared), held_out, others


def open_folder(stack: ExitStack, out: str | Path | None) -> Path:
    """Return the folder of the results; by default a temporary one that is removed with the stack."""
    if out is None:
        return Path(stack.enter_context(TemporaryDirectory(prefix="sgdbench-")))
    return check_path("out", out, "a folder")


def check_progress(resume: bool, progress: object) -> None:
    """Refuse a `resume` that is not a bool, such as "no", and a `progress` that is not callable."""
    check_bool("resume", resume)
    if not callable(progress):
        raise ValueError(f"progress must be a function of the number that is done, not {describe(progress)}")


def find_executor(executor: object) -> Executor:
    """Return the executor that an argument of `sweep` stands for; raise ValueError if it stands for none."""
    if isinstance(executor, str) and executor == "threads":
        return train_in_threads
    if "distributed" in sys.modules:  # imported by anyone who has a client
        from distributed import Client  # noqa: PLC0415

        from sgdbench.engine.dask import DaskExecutor  # noqa: PLC0415

        if isinstance(executor, Client):
            return DaskExecutor(executor)
    if callable(executor):
        return executor
    raise ValueError(f'executor must be "threads" or a dask.distributed.Client, not {describe(executor)}')

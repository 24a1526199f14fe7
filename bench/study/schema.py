"""The tables of a study file as checked, frozen objects; `sgdbench.study.keys` has their keys.

Values are checked by the functions that use them, so that a study file, a command line and a Python call are refused
with the same message.
"""

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Unpack

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from sgdbench.data.held_out import hold_out_share, read_held_out
from sgdbench.data.memory_maps import MapOptions, load_table
from sgdbench.data.scaling import CENTERED_PARTS, Scaling, find_scaling, standardize
from sgdbench.data.table import BUILTIN_NAMES, Dataset, builtin
from sgdbench.data.table_errors import check_inputs
from sgdbench.kernels.base.checks import check_bool, check_integer, check_real, check_target, describe
from sgdbench.kernels.compile.kinds import check_kernel
from sgdbench.kernels.data.checkpoints import parse_record
from sgdbench.kernels.data.order import canonical_shuffling
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.losses.classes import model_for_classes, reads_rows
from sgdbench.kernels.model.categories import Categories
from sgdbench.kernels.model.model import Model
from sgdbench.kernels.model.models import has_vectors, make_model_for_columns
from sgdbench.study.grid import MAX_VALUES, Grid
from sgdbench.study.keys import DataKeys, GridKeys, ModelKeys, RunKeys, Setting, StudyKeys, TuneKeys
from sgdbench.study.space import SearchSettings, Space, space_settings
from sgdbench.study.toml_lines import Key


class Table(BaseModel):
    """A table of a study file: no unknown keys, no conversions, no changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class DataTable(Table, DataKeys):
    """[data]: a file and its columns, or the name of a built-in data set."""

    @field_validator("x", mode="before")
    @classmethod
    def _wrap_single_column(cls, x: Any) -> Any:
        return [x] if isinstance(x, str) else x

    @field_validator("x")
    @classmethod
    def _check_columns(cls, x: list[str]) -> list[str]:
        """Refuse an empty list of columns, and duplicates."""
        check_inputs(x)
        return x

    @field_validator("categories")
    @classmethod
    def _check_categories(cls, categories: dict[str, list[str]] | None) -> dict[str, list[str]] | None:
        """Refuse a column with a single value, and duplicate values."""
        Categories(categories or {})
        return categories

    @field_validator("path", "validation_path", "test_path", "cache_dir")
    @classmethod
    def _check_path(cls, path: str, info: ValidationInfo) -> str:
        """Refuse an empty path, which would be the folder of the study."""
        if path == "":
            raise ValueError(f"{info.field_name} must be a path, not ''")
        return path

    @field_validator("builtin", "center")
    @classmethod
    def _check_name(cls, name: str, info: ValidationInfo) -> str:
        """Refuse an unknown name, and one that has no effect."""
        accepted = BUILTIN_NAMES if info.field_name == "builtin" else CENTERED_PARTS
        if name not in accepted:
            raise ValueError(f"{info.field_name} must be one of {', '.join(accepted)}, not {name!r}")
        used = info.data.get("standardize", True) or is_recorded(info)
        if info.field_name == "center" and name != "both" and not used:
            raise ValueError(f'center = {name!r} needs standardize = true; without it, center must be "both"')
        return name

    @model_validator(mode="after")
    def _check_source(self) -> "DataTable":
        """Refuse data without a source or with two sources."""
        sources = [key for key in ("path", "x", "y", "builtin") if getattr(self, key) is not None]
        if sources not in (["path", "x", "y"], ["builtin"]):
            raise ValueError(
                f"data must have path, x and y, or else builtin, not {', '.join(sources) or 'none of them'}"
            )
        if self.x and self.y in self.x:
            raise ValueError(f"x and y must be different columns, not both {self.y!r}")
        for name in ("validation", "test"):
            share, path = getattr(self, name), getattr(self, f"{name}_path")
            if share is not None and path is not None:
                raise ValueError(f"data must have {name}, a share of the rows, or {name}_path, a file, not both")
            if path is not None and self.builtin is not None:
                raise ValueError(f"{name}_path is for data with a path; for built-in data, {name} is a share")
        if self.cache_dir is not None and self.builtin is not None:
            raise ValueError("data must have a path for cache_dir; built-in data are not mapped")
        if (self.validation or 0) + (self.test or 0) >= 1:
            raise ValueError(
                f"validation and test must leave rows to train on, and {self.validation} and {self.test} of them "
                "are all"
            )
        return self

    @field_validator("validation", "test", mode="before")
    @classmethod
    def _check_share(cls, share: Any, info: ValidationInfo) -> Any:
        return share if isinstance(share, bool) else check_share(str(info.field_name), share)


class ModelTable(Table, ModelKeys):
    """[model]: an expression or a ready-made model such as "polynomial(3)", and the names of its inputs."""

    def make(self, columns: Sequence[str], target: str | None = None) -> Model:
        """Make the model for some columns; none of its parameters may be named like the target."""
        options = {name: getattr(self, name) for name in ("params", "hidden") if getattr(self, name) is not None}
        model = make_model_for_columns(self.expression, columns, self.inputs, target, **options)
        return model if self.classes is None else model.with_classes(self.classes)

    @field_validator("inputs", mode="before")
    @classmethod
    def _check_inputs(cls, inputs: Any) -> Any:
        """Refuse anything but names, or names with columns and groups."""
        listed = [inputs]
        if isinstance(inputs, dict):
            listed = [[value] if isinstance(value, str) else value for value in inputs.values()]
        texts = (isinstance(one, list) and one and all(isinstance(text, str) for text in one) for one in listed)
        if inputs is not None and not all(texts):
            raise ValueError(
                "inputs must be a list of names, or a table of names with a column or a list of columns, not "
                f"{describe(inputs)}"
            )
        return inputs


class GridTable(Table, GridKeys):
    """[grid]: the values to try, in all combinations; each key has one value or several."""

    @field_validator("*")
    @classmethod
    def _check_value(cls, value: Setting, info: ValidationInfo) -> Setting:
        """Refuse a value that a grid would refuse."""
        if is_recorded(info) and info.field_name in {"optimizer", "schedule"}:
            return value
        Grid(**{str(info.field_name): value})
        return value


class RunTable(Table, RunKeys):
    """[run]: the settings that all configurations share."""

    @field_validator("*", mode="before")
    @classmethod
    def _check_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a value that a fit would refuse, in a study and as an argument of `sgdbench.sweep` and `tune`."""
        match name := info.field_name:
            case "target" | "target_loss" | "patience" if value is None:
                pass
            case "epochs" | "patience":
                value = check_integer(name, value)
            case "confirm":
                value = check_integer(name, value, 0, MAX_VALUES)
            case "refine":
                value = check_integer(name, value, 0)
            case "drop_last":
                value = check_bool(name, value)
            case "kernel":
                check_kernel(value)
            case "shuffling":
                value = canonical_shuffling(value)
            case "record":
                parse_record(value)
                value = value if isinstance(value, str) else int(value)
            case "loss" | "target_loss" if not is_recorded(info):
                make_loss(value)
            case "target":
                trained = info.data.get("loss", "objective")  # if the loss was refused, any target is accepted
                value = check_target(value, nonnegative=not is_recorded(info) and make_loss(trained).nonnegative)
        return value

    def order(self, shuffle: bool) -> bool | str:
        """Return the `shuffle` of `sgdbench.fit` for the setting `shuffle` of a grid."""
        return self.shuffling if shuffle and self.shuffling != "all" else bool(shuffle)


_SEARCH_KEYS = {"trials", "sampler", "pruner"}  # all other keys of [tune] belong to the space


class TuneTable(Table, TuneKeys):
    """[tune]: the choices of `sgdbench tune`; keys not given lie between the values of the grid."""

    @field_validator("*", mode="before")
    @classmethod
    def _check_value(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse a value that a space or a search would refuse."""
        if value is not None and info.field_name in _SEARCH_KEYS:
            SearchSettings(**{info.field_name: value})
        elif value is not None and not is_recorded(info):
            Space(**{str(info.field_name): value})
        return value

    @property
    def search(self) -> dict[str, Any]:
        """The settings of the search, as arguments of `sgdbench.tune`."""
        return self.model_dump(include=_SEARCH_KEYS)

    @property
    def space(self) -> dict[str, Setting]:
        """The given settings of the space, as arguments of `sgdbench.Space`."""
        return self.model_dump(exclude=_SEARCH_KEYS, exclude_none=True)


def check_share(name: str, share: Any) -> float | None:
    """Return the share of the rows to hold out, or None; `name` is the name of the key."""
    accepted = "a share of the rows between 0 and 1"
    if isinstance(share, str):
        raise ValueError(f"{name} must be {accepted}, not {describe(share)}; a file is named by {name}_path")
    return share if share is None else check_real(name, share, lambda given: 0 < given < 1, accepted)


def check_name(name: str) -> str:
    """Refuse the name of a study or a suite that is empty, long or not printable."""
    if not name.strip() or not name.isprintable() or len(name) > 100:
        raise ValueError(f"name must be one line of 1 to 100 visible characters, not {name[:100]!r}")
    return name


def folder_name(name: str) -> str:
    """Return the name of a study or a suite as a folder name: letters, digits, dots and dashes."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "study"


class Named(Table, StudyKeys):
    """The name and the texts of a study or a suite."""

    _check_name = field_validator("name")(check_name)


class Study(Named):
    """A study: the tables of its file."""

    data: DataTable
    model: ModelTable
    grid: GridTable = Field(default_factory=GridTable)
    run: RunTable = Field(default_factory=RunTable)
    tune: TuneTable = Field(default_factory=TuneTable)

    @model_validator(mode="before")
    @classmethod
    def _minimize_without_inputs(cls, tables: dict[str, Any]) -> dict[str, Any]:
        """Minimize a model without inputs if no loss is given: its lowest square would be the value nearest to 0."""
        data, run = tables.get("data"), tables.get("run", {})
        if isinstance(data, dict) and data.get("builtin") == "none" and isinstance(run, dict):
            return tables | {"run": {"loss": "objective"} | run}
        return tables

    def dataset(self, **mapping: Unpack[MapOptions]) -> tuple[Dataset, Scaling | None]:
        """Load the data and hold out a part of them; standardize them if the study says so, and return the scaling.

        Held-out samples are scaled by the mean and the deviation of the training samples. `mapping` are arguments of
        `sgdbench.data.open_table`, for converting a mapped table.
        """
        data = self._read_data(**mapping)
        return standardize(data, **self._scaling_options()) if self.data.standardize else (data, None)

    def scaling(self, **mapping: Unpack[MapOptions]) -> Scaling | None:
        """Return the scaling that `dataset` returns, without scaled copies of the data."""
        if not self.data.standardize:
            return None
        return find_scaling(self._read_data(**mapping), **self._scaling_options())

    def _scaling_options(self) -> dict[str, Any]:
        """Return the arguments of `sgdbench.data.scaling.find_scaling`, besides the data."""
        targets, constant = make_loss(self.run.loss).scales_targets, has_vectors(self.model.expression)
        return {"targets": targets, "center": self.data.center, "constant": constant}

    def _read_data(self, **mapping: Unpack[MapOptions]) -> Dataset:
        """Load the unscaled data, and hold out a part of them."""
        table = self.data
        if table.path is not None and table.x is not None and table.y is not None:
            load = partial(load_table, x=table.x, y=table.y, drop_missing=table.drop_missing, loss=self.run.loss)
            by_row = reads_rows(self.model.expression, table.x, self.model.inputs, make_loss(self.run.loss))
            load = partial(load, by_row=by_row, cache_dir=table.cache_dir, categories=table.categories or {}, **mapping)
            data = load(table.path)
            data = read_held_out(data, partial(load, like=data), table.validation_path, table.test_path)
        else:
            data = builtin(str(table.builtin))
        return hold_out_share(data, table.validation, test=table.test)

    def make_model(self, dataset: Dataset) -> Model:
        """Make the model for the columns of the data, with a score per class if the loss takes classes."""
        model = self.model.make(dataset.x_names).with_categories(dataset.categories)
        return model_for_classes(model, make_loss(self.run.loss), dataset.classes, *dataset.all_targets)

    def make_grid(self) -> Grid:
        """Make the grid."""
        return Grid(**dict(self.grid))

    def make_space(self, n_samples: int) -> Space:
        """Make the space to search, by default that of the grid; settings of [tune] replace its settings."""
        return Space(**space_settings(self.make_grid(), n_samples, self.run.epochs) | self.tune.space)


def is_recorded(info: ValidationInfo) -> bool:
    """Return whether the study belongs to an earlier run, whose users' rules may be unknown by now."""
    return bool(info.context and info.context.get("recorded"))


def field_names(tables: Key) -> list[str]:
    """Return the keys of the study itself, for (), or of one of its tables."""
    table: Any = Study
    for name in tables:
        table = Study.model_fields[str(name)].annotation
    return list(getattr(table, "model_fields", ()))

"""The keys of a study, each with type, default and a one-line description.

The schema, command-line options, documentation and new studies are all derived from them. This module imports nothing,
so that `--help` answers at once.
"""

from typing import Annotated, Any

Setting = Any
"""A value, a list of values, or a range as text; `sgdbench.study.grid.Grid` says what is accepted."""


class DataKeys:
    """Keys of [data]."""

    path: Annotated[
        str | None, "A table: .csv, .tsv, .parquet, Arrow or a folder, relative to the study; with `x` and `y`."
    ] = None
    x: Annotated[
        list[str] | None,
        'The input columns, also by wildcards such as "pixel_*"; a single one may be written without a list.',
    ] = None
    y: Annotated[str | None, "The target column."] = None
    categories: Annotated[
        dict[str, list[str]] | None,
        'The values of each text column among `x`, for example `city = ["Genf", "Bern"]`: each value but the first '
        "becomes a column of 0 and 1. By default they are read from the data, with the most frequent first.",
    ] = None
    builtin: Annotated[
        str | None,
        'Built-in data instead of a file: "quadratic", "noisy-quadratic", "exponential", "polynomial", '
        '"auto-mpg", "diabetes" or "digits"; "none" for models without inputs.',
    ] = None
    standardize: Annotated[
        bool, "Train on columns of mean 0 and deviation 1; rates, starts and the target are in these units."
    ] = False
    center: Annotated[
        str, 'Which columns `standardize` centers: "both", "x", "y" or "none"; it scales all of them.'
    ] = "both"
    drop_missing: Annotated[bool, "Skip rows with missing values; by default such a table is refused."] = False
    validation: Annotated[
        float | None, "Hold out this share of the rows; without a target, settings are chosen by the loss on them."
    ] = None
    validation_path: Annotated[
        str | None, "A file with the same columns whose rows are held out, instead of a share."
    ] = None
    test: Annotated[
        float | None, "Hold out this share of the rows to evaluate the best choice; they have no influence on it."
    ] = None
    test_path: Annotated[str | None, "A file with the same columns and the test rows, instead of a share."] = None
    cache_dir: Annotated[str | None, "The folder for the columns of a mapped table; default: beside the table."] = None


class ModelKeys:
    """Keys of [model]."""

    expression: Annotated[
        str, "An expression, e.g. `a*hp + b`, or a ready-made model; names that are not inputs are parameters."
    ]
    inputs: Annotated[
        list[str] | dict[str, str | list[str]] | None,
        "Names for the columns of `x` in the expression, in order; or a table of names with the "
        "columns, and the groups of columns for `@`, that they stand for.",
    ] = None
    params: Annotated[
        list[str] | None, "The parameters, in the order of the values of a start; default: in order of appearance."
    ] = None
    classes: Annotated[int | None, "The number of classes for `softmax`, if the targets may lack some of them."] = None
    hidden: Annotated[int | None, "The number of units of a hidden layer, as in `v @ tanh(W @ x + c) + u @ x`."] = None


class GridKeys:
    """Keys of [grid]; each has one value or several."""

    lr: Annotated[Setting, 'Learning rates; "log:0.01:1:20" and "lin:0.1:1:10" have first, last and count.'] = 0.1
    batch_size: Annotated[Setting, 'Samples per update, or "full".'] = 1
    init: Annotated[
        Setting,
        'Starting parameters: a list, names with values, "zero", or random draws, "normal:SCALE:COUNT" or '
        '"uniform:LOW:HIGH:COUNT"; or several of these, each with a name.',
    ] = None
    optimizer: Annotated[Setting, 'For example "momentum(0.9)" or "adam".'] = "sgd"
    schedule: Annotated[
        Setting, 'How the learning rate changes with the epoch, for example "halve(10)" or "cosine".'
    ] = "constant"
    seed: Annotated[Setting, "The seed of the order of the samples and of random starts."] = 0
    shuffle: Annotated[Setting, "Visit the samples in a new order each epoch."] = False
    dtype: Annotated[Setting, 'Compute in "float64" (the default) or in "float32".'] = None


class RunKeys:
    """Keys of [run]."""

    epochs: Annotated[int, "The maximum number of passes over the data."] = 100
    loss: Annotated[
        str,
        'For example "squared", "huber(1.0)" or "quantile(0.9)"; "logistic" for two classes, "softmax" for more. For '
        'the data "none", the default is "objective".',
    ] = "squared"
    target: Annotated[
        float | None, "Stop when the loss is this low; without a target, runs are compared by their final losses."
    ] = None
    target_loss: Annotated[
        str | None, "The name of the loss that the target refers to; for another loss, `run` computes a new target."
    ] = None
    kernel: Annotated[
        str,
        '"lanes" for many runs side by side; "fused" for one run at a time, with the same bits; "lanes-fma" or '
        '"fused-fma", whose last bits differ; or "reference", which is slow.',
    ] = "lanes"
    drop_last: Annotated[bool, "Omit the last batch of an epoch if it would be smaller."] = True
    shuffling: Annotated[
        str, 'How samples are shuffled: "all" together, or large data in "blocks(buffer=1000000)".'
    ] = "all"
    record: Annotated[str | int, 'When the loss is recorded: "log", "log:10", "epoch", or a number of updates.'] = "log"
    confirm: Annotated[int, "Train the leading choices again on this many fresh seeds."] = 20
    refine: Annotated[int, "The number of rounds in which `run` adds learning rates around and beyond the best."] = 0
    patience: Annotated[
        int | None, "Stop runs whose loss on held-out rows has not improved for this many epochs; keep its lowest."
    ] = None


class TuneKeys:
    """Keys of [tune]; without any of the first five, choices lie between the values of the grid."""

    lr: Annotated[Setting, 'A range, "log:0.001:1" or "lin:0.1:1", or a fixed rate.'] = None
    batch_size: Annotated[Setting, 'A range of integers, "logint:1:64", or fixed sizes.'] = None
    optimizer: Annotated[Setting, 'With ranges as options, for example "adam(beta1=log1m:0.5:0.99)".'] = None
    schedule: Annotated[Setting, 'With ranges as options, for example "halve(int:5:50)".'] = None
    shuffle: Annotated[Setting, "Whether to visit the samples in a new order each epoch."] = None
    trials: Annotated[int, "The number of choices to try, over all optimizers."] = 1000
    sampler: Annotated[str, 'The sampler that proposes them: "tpe", "cmaes", "random" or "qmc".'] = "tpe"
    pruner: Annotated[str, 'The pruner that stops unpromising trials: "asha", "hyperband" or "none".'] = "asha"


class StudyKeys:
    """Keys before the first table."""

    name: Annotated[str, "One line; it names the folder of the results."]
    title: Annotated[str | None, "A heading for the report."] = None
    description: Annotated[str | None, "The point of the study, for the report."] = None


_KEYS_OF_TABLES = {"data": DataKeys, "model": ModelKeys, "grid": GridKeys, "run": RunKeys, "tune": TuneKeys}


def describe_key(key: str) -> str:
    """Return the description of a key, such as "run.refine"."""
    table, _, name = key.partition(".")
    return str(_KEYS_OF_TABLES[table].__annotations__[name].__metadata__[0])

"""Digests of results: the bits that exact kernels give on every machine, published with the package.

`PUBLISHED_DIGESTS` has a digest for each case, computed by the reference (``python -m sgdbench.engine.digests``). Every
exact kernel must give the same one, whatever processor it is compiled for. A digest covers arrays of numbers and the
ids of configurations, but no files or texts made from them. Samples, starts and rates are defined here by operations
with one correct result, so that a digest depends on the training alone.
"""

import json
from collections.abc import Iterable
from functools import cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from sgdbench.engine.pipeline import train_grid
from sgdbench.engine.problem import make_problem
from sgdbench.engine.train import Trainer
from sgdbench.kernels import Model
from sgdbench.kernels.base.run import STATUSES, Floats, Hyperparameters
from sgdbench.kernels.compile.kinds import FLOAT32_OPTIMIZERS, KERNELS
from sgdbench.kernels.data.checkpoints import make_checkpoints
from sgdbench.kernels.data.order import make_shuffle
from sgdbench.kernels.data.samples import allocate_data
from sgdbench.kernels.losses import make_loss
from sgdbench.kernels.model.models import quadratic
from sgdbench.kernels.optimizers import OPTIMIZERS, make_optimizer
from sgdbench.kernels.optimizers.run_options import option_values
from sgdbench.kernels.train.block import train_runs
from sgdbench.study.grid import Grid
from sgdbench.study.schema import RunTable
from sgdbench.system.atomic import write_text
from sgdbench.tables.confirm import rank_stored

PUBLISHED_DIGESTS = Path(__file__).with_name("digests.json")

# Powers come from the C library, whose last bits differ between machines. Powers of 1 are exact.
WITHOUT_POWERS = {
    "nadam": "nadam(momentum_decay=1)",
    "asgd": "asgd(alpha=1)",
    "inverse_scaled": "inverse_scaled(sgd, 1)",
}
ORDERS: dict[str, bool | str] = {"in order": False, "shuffled": True, "in blocks": "blocks(size=16, buffer=48)"}
# NumPy splits sums of more than 128 samples into halves, and before 2.3 added at most 8,192 samples at a time.
SAMPLES, MANY_SAMPLES, EPOCHS, BATCH_SIZES, TARGET = 150, 10_001, 2, (1, 16), 0.02
# Two runs that continue to the end, one that diverges, and one that starts at the target.
STARTS = np.array([[-1.0, 10.0, 26.0], [1.0, -2.0, 0.5], [0.5, 1.0, 0.25], [2.0, -4.0, 3.0]])
RATES = np.array([[0.0625, 0.25, 1e6, 0.01]])
# Lanes train each run this often, which fills a block and part of a second one.
LANE_REPEATS = 17
MODEL_WITH_KINKS = (
    "sqrt(a**2 + x**2)/(3 + x) - c*x**3 + where(x > 0.3*b, max(a*x, b/3), abs(b - x)) - relu(c - min(x, 0.2)/5)"
)
GRID_SETTINGS: dict[str, Any] = {
    "lr": [0.5, 2.0, 8.0],
    "batch_size": [1, 16],
    "init": {"far": STARTS[0], "near": STARTS[1]},
    "optimizer": ["adam"],
    "schedule": ["constant", "halve(2)"],
    "seed": [0, 1],
    "shuffle": [True],
    "dtype": ["float64", "float32"],
}


def make_samples(count: int) -> tuple[Floats, Floats]:
    """Return the inputs and the targets."""
    place = np.arange(count)
    x = place / (count / 2) - 1
    return x, 2 * x * x - 4 * x + 3 + (place * 37 % 41 - 20) / 100


class Case(NamedTuple):
    """Some runs of an optimizer, in one order and one precision; with many samples only full batches."""

    optimizer: str
    dtype: str
    order: str
    kinks: bool = False
    samples: int = SAMPLES

    @property
    def name(self) -> str:
        """The name under which the digest is published."""
        many = f", {self.samples} samples" if self.samples != SAMPLES else ""
        return f"{self.optimizer}{' with kinks' * self.kinks}, {self.dtype}, {self.order}{many}"

    def digest(self, kernel: str) -> str:
        """Train the runs with a kernel, and return the digest of all results."""
        model, loss = (Model(MODEL_WITH_KINKS), make_loss("huber")) if self.kinks else (quadratic, make_loss("squared"))
        optimizer, shuffle = make_optimizer(self.optimizer), make_shuffle(ORDERS[self.order])
        repeats = LANE_REPEATS if KERNELS[kernel].width > 1 else 1
        starts, rates = np.tile(STARTS, (repeats, 1)), np.tile(RATES, (EPOCHS, repeats))
        options, memory = option_values(loss, optimizer), optimizer.initial_memory(starts)
        (x, y), arrays = make_samples(self.samples), list[Any]()
        for size in (*(BATCH_SIZES if self.samples == SAMPLES else ()), self.samples):
            data = allocate_data((x,), y, shuffle=shuffle, batch_size=size, dtype=self.dtype)
            checkpoints = make_checkpoints(8, self.samples, size, EPOCHS, drop_last=False)
            hyper = Hyperparameters(rates, options, size, False, bool(shuffle), 7, TARGET, checkpoints)
            at = np.arange(checkpoints.size)
            runs = train_runs(kernel, model, loss, optimizer, data, hyper, starts, memory, at=at)
            assert runs  # noqa: S101 (nothing stops it)
            losses = np.where(at[:, None] <= runs.checkpoints, runs.losses, np.nan)
            by_run = (runs.params, runs.memory, runs.status, runs.checkpoints, losses.T, runs.path.transpose(1, 0, 2))
            arrays += [_without_repeats(values) for values in by_run]
        return digest(arrays)


def _without_repeats(values: Any) -> Any:
    """Return the results of the first runs, or of all if a repetition differs in a bit."""
    first, *repeats = np.split(values, len(values) // len(STARTS))
    return first if all(_bytes(repeat) == _bytes(first) for repeat in repeats) else values


def digest(results: Iterable[Any]) -> str:
    """Return a digest of arrays and texts, of their shapes and bits but not of type sizes or byte order.

    All NaN are equal, as their sign and payload depend on the processor. The sign of a zero counts.
    """
    return sha256(b"".join(map(_bytes, results))).hexdigest()[:16]


def _bytes(values: Any) -> bytes:
    values = np.asarray(values)
    if values.dtype.kind == "f":
        content = np.where(np.isnan(values), np.nan, values).astype("<f8").tobytes()
    elif values.dtype.kind in "iub":
        content = values.astype("<i8").tobytes()
    else:
        content = "\n".join(map(str, values.ravel())).encode()
    return f"{values.shape}\n".encode() + content


def all_cases() -> list[Case]:
    """Return the runs whose digests are published, for all optimizers, orders and precisions."""
    cases = [
        Case(WITHOUT_POWERS.get(name, name), dtype, order)
        for name, dtype, order in product(OPTIMIZERS.built_in, ("float64", "float32"), ORDERS)
        if dtype == "float64" or name in FLOAT32_OPTIMIZERS
    ]
    cases += [Case("momentum", dtype, order, kinks=True) for dtype, order in product(("float64", "float32"), ORDERS)]
    return cases + [Case("adam", dtype, "in order", samples=MANY_SAMPLES) for dtype in ("float64", "float32")]


# The kernels of these take half a minute to compile, those of all cases ten minutes.
QUICK_CASES = [Case("sgd", "float64", order) for order in ORDERS]
QUICK_CASES += [
    Case("adam", dtype, order) for dtype, order in product(("float64", "float32"), ("in order", "shuffled"))
]
QUICK_CASES += all_cases()[-2:]


def sweep_digests(kernel: str) -> dict[str, str]:
    """Return the digests of a sweep's ids, runs, losses and ranking."""
    settings = RunTable.model_validate({"epochs": 2 * EPOCHS, "target": 0.1, "kernel": kernel, "record": 8})
    with TemporaryDirectory() as place:
        problem = make_problem(quadratic, *make_samples(SAMPLES), settings, Path(place))
        with train_grid(Trainer(problem, Path(place), ""), Grid(**GRID_SETTINGS)) as result:
            frame, curves, ranks = result.frame, result.curves, rank_stored(result).ranked
    status = frame["status"].astype(str).map(STATUSES.index)
    counts = frame[["samples_seen", "updates", "samples_to_target"]].to_numpy(float)
    numbers = frame[["final_loss", "best_loss", *(f"param_{name}" for name in result.model.params)]].to_numpy()
    losses = curves[["samples", "updates", "loss"]].to_numpy(float)
    # Intervals and ratios are excluded, because they use functions that are not correctly rounded.
    choices = ranks[["lr", "batch_size", "converged", "diverged", "success", "samples", "tied"]].to_numpy(float)
    parts: dict[str, list[Any]] = {
        "ids": [frame["config_id"]],
        "runs": [status, counts, numbers, result.starts],
        "losses": [losses],
        "ranking": [choices, ranks["schedule"], ranks["dtype"]],
    }
    return {f"sweep, {what}": digest(values) for what, values in parts.items()}


class Result(NamedTuple):
    """A computed digest, and the published one."""

    kernel: str
    case: str
    found: str
    published: str


class Step(NamedTuple):
    """A part of a verification: a kernel with some runs or, without a case, with a sweep."""

    kernel: str
    case: Case | None = None

    def results(self) -> list[Result]:
        """Train, and return the digests beside the published ones."""
        case, expected = self.case, published()
        computed = sweep_digests(self.kernel) if case is None else {case.name: case.digest(self.kernel)}
        return [Result(self.kernel, name, value, expected.get(name, "none")) for name, value in computed.items()]


def verification(*, every_optimizer: bool = False) -> list[Step]:
    """Return the steps that verify a machine.

    They comprise all runs with the reference, and with the compiled kernels those of sgd and adam, or of every
    optimizer: kernels take two seconds each to compile.
    """
    compiled = all_cases() if every_optimizer else QUICK_CASES
    trained = [("reference", all_cases()), ("fused", compiled), ("lanes", compiled)]
    return [*(Step(kernel, case) for kernel, cases in trained for case in cases), Step("lanes")]


@cache
def published() -> dict[str, str]:
    """Return the published digests by name."""
    digests: dict[str, str] = json.loads(PUBLISHED_DIGESTS.read_text("utf-8"))
    return digests


if __name__ == "__main__":
    of_reference = {runs.name: runs.digest("reference") for runs in all_cases()} | sweep_digests("reference")
    write_text(PUBLISHED_DIGESTS, json.dumps(of_reference, indent=1) + "\n")

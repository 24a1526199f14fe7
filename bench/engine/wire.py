"""What a problem, a job and its runs are between processes: texts, numbers and arrays, never functions."""

from dataclasses import fields
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.engine.jobs import Job
from bench.engine.problem import Problem, fingerprint_held_out
from bench.store.clock import Clock
from bench.study.schema import RunTable
from kernels import Model
from kernels.block import Runs
from kernels.losses import make_loss
from kernels.optimizers import make_optimizer
from kernels.rule_source import pack_rules, register_rules
from kernels.run import Floats, Hyperparameters

Packed = dict[str, Any]


def pack_problem(problem: Problem) -> Packed:
    """Return a problem as it is sent, with a `name` that another problem does not have.

    Raises
    ------
    ValueError
        If its loss is a registered one that cannot be sent.
    """
    model, clock = problem.model, problem.clock
    texts = {
        "model": (model.expression, model.inputs, model.params),
        "loss": problem.loss.text,
        "rules": pack_rules(problem.loss, "loss"),
        "settings": problem.settings.model_dump(),
        "clock": (clock.record, clock.n, clock.drop_last),
        "fingerprint": problem.fingerprint,
    }
    named = repr((texts, fingerprint_held_out(problem)))
    return texts | {
        "name": sha256(named.encode()).hexdigest()[:32],
        "columns": tuple(map(np.asarray, problem.columns)),  # which may be memory maps
        "y": np.asarray(problem.y),
        "held_out": problem.held_out,
    }


def unpack_problem(packed: Packed) -> Problem:
    """Return the problem that was sent; the arrays are those that came.

    Raises
    ------
    ValueError
        If a registered loss is not the one that was sent.
    """
    register_rules(packed["rules"])
    expression, inputs, params = packed["model"]
    return Problem(
        Model(expression, inputs, params),
        make_loss(packed["loss"]),
        packed["columns"],
        packed["y"],
        RunTable(**packed["settings"]),
        Clock(*packed["clock"]),
        packed["fingerprint"],
        packed["held_out"],
    )


def pack_job(job: Job) -> Packed:
    """Return a job as it is sent: all but its places in the plan, which nothing is computed from.

    Raises
    ------
    ValueError
        If its optimizer is made of a registered rule that cannot be sent.
    """
    packed = {field.name: getattr(job, field.name) for field in fields(job) if field.name != "rows"}
    hyperparameters = job.hyperparameters._asdict()
    hyperparameters["rates"] = _pack_rates(job.hyperparameters.rates)
    return packed | {
        "optimizer": job.optimizer.text,
        "rules": pack_rules(job.optimizer, "optimizer"),
        "hyperparameters": hyperparameters,
    }


def unpack_job(packed: Packed) -> Job:
    """Return the job that was sent.

    Raises
    ------
    ValueError
        If a registered rule is not the one that was sent.
    """
    register_rules(packed["rules"])
    rates = _unpack_rates(*packed["hyperparameters"]["rates"])
    given = packed | {
        "rows": np.arange(rates.shape[1]),
        "optimizer": make_optimizer(packed["optimizer"]),
        "hyperparameters": Hyperparameters(**packed["hyperparameters"] | {"rates": rates}),
    }
    del given["rules"]
    return Job(**given)


def pack_runs(runs: Runs) -> Packed:
    """Return runs as they are sent."""
    return runs._asdict()


def unpack_runs(packed: Packed) -> Runs:
    """Return the runs that were sent."""
    return Runs(**packed)


def _pack_rates(rates: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Return the rates of epochs that differ from those before, and which of these each epoch has.

    They are the largest part of a job: with a constant schedule and 100 epochs, a hundred times as much as its starts.
    """
    new = np.ones(len(rates), np.bool_)
    new[1:] = (rates[1:] != rates[:-1]).any(axis=1)
    return rates[new], np.cumsum(new) - 1


def _unpack_rates(distinct: Floats, which: NDArray[np.intp]) -> Floats:
    """Return the rates of all epochs, shape (epochs, R)."""
    return distinct[which]

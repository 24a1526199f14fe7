"""Small result frames for the tests of tables and figures."""

import numpy as np
import pandas as pd

from sgdbench.compare.ratios import compare_runs
from sgdbench.tables.conclusions import PLAIN, further_conclusions, leading_conclusions
from sgdbench.tables.confirm import confirm
from sgdbench.tables.facts import Seeds
from sgdbench.tables.optimizer_comparison import compare_optimizers
from sgdbench.tables.rank import ranking, recommended_choice, runs_of, varies

# In an epoch of these runs.
SAMPLES = 800


def make_frame(runs=1, **columns):
    """One row per configuration; every column has a plain value unless it is given as one or as a list.

    What a run saw and what it needed to the target follow from `epochs` and from `epochs_to_target` or
    `samples_to_target`, whichever is given; its seconds from `seconds_per_update`, which is otherwise not there.
    """
    plain = {
        "config_id": [f"run{i}" for i in range(runs)],
        "optimizer": "sgd",
        "lr": 0.1,
        "schedule": "constant",
        "batch_size": 1,
        "shuffle": True,
        "init": "near",
        "seed": 0,
        "status": "max_epochs",
        "epochs": 10,
        "samples_seen": pd.NA,
        "updates": pd.NA,
        "epochs_to_target": pd.NA,
        "samples_to_target": pd.NA,
        "updates_to_target": pd.NA,
        "final_loss": 1.0,
        "best_loss": 1.0,
        "seconds": 0.001,
        "param_a": 0.0,
    }
    frame = pd.DataFrame(plain | columns, index=range(runs))
    costs = {name: pd.to_numeric(frame[f"{name}_to_target"]).astype("Float64") for name in ("epochs", "samples")}
    derived = {
        "samples_seen": lambda: frame["epochs"] * SAMPLES,
        "updates": lambda: -(-frame["samples_seen"] // frame["batch_size"]),
        "samples_to_target": lambda: (costs["epochs"] * SAMPLES).astype("Int64"),
        "epochs_to_target": lambda: costs["samples"] / SAMPLES,
        "updates_to_target": lambda: -(-frame["samples_to_target"] // frame["batch_size"]),
    }
    for name, values in derived.items():
        # Of the two costs to the target, the one that is given makes the other.
        other = {"samples_to_target": "epochs_to_target", "epochs_to_target": "samples_to_target"}.get(name)
        if name not in columns and (other is None or other in columns):
            frame[name] = values()
    if "seconds_per_update" in columns and "seconds" not in columns:
        frame["seconds"] = frame["updates"] * frame["seconds_per_update"]
    counts = {"samples_seen": "int64", "updates": "int64", "samples_to_target": "Int64", "updates_to_target": "Int64"}
    return frame.astype(counts | {"epochs_to_target": "Float64"})


def make_curves(losses):
    """Long curves from a mapping of config_id to the losses at epochs 0, 1, 2, ..., with batches of one sample."""
    curves = []
    for run, loss in losses.items():
        epoch = np.arange(len(loss))
        clock = {"epoch": epoch.astype(float), "samples": SAMPLES * epoch, "updates": SAMPLES * epoch}
        curves.append(pd.DataFrame({"config_id": run, **clock, "loss": np.asarray(loss, dtype=float)}))
    return pd.concat(curves, ignore_index=True)


def plane(name="b", size=5, optimizer="sgd", **columns):
    """A basin of runs that start on a grid in a plane of `a` and another parameter."""
    a, b = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-2, 2, size), indexing="ij")
    plain = {"config_id": "run0", "optimizer": optimizer, "lr": 0.1, "batch_size": 1, "param_a": a.ravel()}
    ended = {"status": "converged", "samples_seen": 4, "samples_to_target": 4, "final_loss": 1e-6}
    plain |= {f"param_{name}": b.ravel()} | ended
    return pd.DataFrame(plain | columns).astype({"samples_to_target": "Int64"})


def best_runs(frame):
    """The runs of the first choice of a ranking."""
    return runs_of(frame, recommended_choice(ranking(frame)))


def compare_ranked_runs(cost, base, new):
    """The ratios of the costs of runs, of which the best choices are the first ones of their rankings."""
    return compare_runs(cost, base, new, (best_runs(base), best_runs(new)), 0.0)


def reaching(costs, lr=0.1, **columns):
    """Runs of one choice with a seed each: samples to the target, None for a run that missed it."""
    converged = ["converged" if cost is not None else "max_epochs" for cost in costs]
    samples = [pd.NA if cost is None else cost for cost in costs]
    given = {"status": converged, "samples_to_target": samples, "samples_seen": [cost or 8000 for cost in costs]}
    frame = make_frame(len(costs), lr=lr, seed=range(len(costs)), **given | columns)
    return frame.assign(updates=frame["samples_seen"])


def lost(runs=6, **columns):
    """Runs that diverged."""
    return make_frame(runs, seed=range(runs), status="diverged", final_loss=np.nan, **columns)


def joined(*parts):
    """Several frames as one."""
    frame = pd.concat(parts, ignore_index=True)
    return frame.assign(config_id=[f"run{i}" for i in range(len(frame))])


APART = joined(
    reaching([100, 110, 120, 130, 140, 150], lr=0.1, param_a=2.0),
    reaching([300, 330, 360, 390, 420, 450], lr=0.2),
    reaching([400, 410, 420, 430, 440, None], lr=0.05),
)
"""Choices of which one is the best, beyond doubt."""
ALIKE = [reaching([100, 110, 120, 130, 140, 150 + k], lr=0.1 + 0.01 * k) for k in range(6)]
"""Choices that cannot be told apart."""


def conclude(frame, target=1e-3, fresh=None, about=PLAIN, **timed):
    """The conclusions from runs, and from others on fresh seeds."""
    frame = frame.assign(**timed)
    ranked = ranking(frame) if fresh is None else confirm(ranking(frame), fresh)
    compared = compare_optimizers(fresh, ranked) if fresh is not None and varies(fresh, "optimizer") else None
    if fresh is not None:
        about = about._replace(seeds=Seeds("fresh", fresh["seed"].nunique()))
    found = leading_conclusions(frame, ranked, target, compared, about)
    return [*found, *further_conclusions(frame, ranked, target)]


def known(conclusions):
    """Conclusions by their kind."""
    return {type(fact): fact for fact in conclusions}

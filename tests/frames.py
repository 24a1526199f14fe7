"""Small result frames for the tests of tables and figures."""

import numpy as np
import pandas as pd


def make_frame(runs=1, **columns):
    """One row per configuration; every column has a plain value unless it is given as one or as a list."""
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
        "epochs_to_target": pd.NA,
        "final_loss": 1.0,
        "best_loss": 1.0,
        "seconds": 0.001,
        "param_a": 0.0,
    }
    frame = pd.DataFrame(plain | columns, index=range(runs))
    return frame.astype({"epochs_to_target": "Int64"})


def make_curves(losses):
    """Long curves from a mapping of config_id to the losses at epochs 0, 1, 2, ..."""
    return pd.concat(
        [
            pd.DataFrame({"config_id": run, "epoch": np.arange(len(loss)), "loss": np.asarray(loss, dtype=float)})
            for run, loss in losses.items()
        ],
        ignore_index=True,
    )

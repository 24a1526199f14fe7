"""Studies that are trained as `sgdbench run` trains them."""

from sgdbench import sweep
from sgdbench.study.load import to_toml


def sweep_settings(run):
    """The table [run] of a study as arguments of `sgdbench.sweep`."""
    return run.model_dump(exclude={"target_loss"})


def train_study(study, out=None, **changed):
    """Sweep over the grid of a study, without what a run checks, times and draws; settings may be others."""
    data, _ = study.dataset()
    settings = sweep_settings(study.run) | {"validation": data.validation, "test": data.test, "study": to_toml(study)}
    return sweep(study.make_model(data), data.x, data.y, study.make_grid(), out=out, **settings | changed)

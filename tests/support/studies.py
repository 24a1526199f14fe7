"""Studies that are trained as `sgdbench run` trains them."""

from bench import sweep
from bench.study.load import to_toml


def train_study(study, out=None, **changed):
    """Sweep over the grid of a study, without what a run checks, times and draws; settings may be others."""
    data, _ = study.dataset()
    settings = study.run.of_sweep() | {"validation": data.validation, "test": data.test, "study": to_toml(study)}
    return sweep(study.make_model(data), data.x, data.y, study.make_grid(), out=out, **settings | changed)

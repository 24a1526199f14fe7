"""The rankings, verdicts and reports that the results of sweeps and searches return in Python."""

from pathlib import Path

import pandas as pd

from bench.report.choice import find_choice
from bench.report.run_data import run_data_of
from bench.report.tune_data import read_tune_data
from bench.store.choice import Choice
from bench.store.results import SweepResult
from bench.store.tuning import TuneResult
from bench.tables.phrases import describe_endings, format_count


def sweep_ranking(result: SweepResult, cost: str) -> pd.DataFrame:
    """Return the choices of settings, best first; see `SweepResult.ranking`."""
    return run_data_of(result).ranked_by(cost)


def sweep_best(result: SweepResult, cost: str, optimizer: str | None) -> Choice:
    """Return the best choice of settings; see `SweepResult.best`."""
    return find_choice(run_data_of(result), cost, optimizer)


def sweep_verdict(result: SweepResult) -> dict[str, str]:
    """Return the conclusions in sentences; see `SweepResult.verdict`."""
    return run_data_of(result).verdict


def sweep_report(result: SweepResult) -> Path:
    """Write the report; see `SweepResult.report`."""
    from bench.report.report import write_run_report  # noqa: PLC0415 (matplotlib, which no sentence waits for)

    return write_run_report(run_data_of(result))


def sweep_text(result: SweepResult) -> str:
    """Return a sweep in six to ten lines."""
    run_data = run_data_of(result)
    frame, settings = run_data.frame, run_data.result.run.identity
    lines = [
        f"Sweep of {result.model.expression}: {format_count(len(frame), 'configuration')}",
        f"  data        {format_count(int(settings['samples']), 'sample')}, loss {settings['loss']}",
        f"  target      {settings['target']}",
    ]
    if frame.empty:
        return "\n".join([*lines, "  nothing has been trained yet"])
    lines.append(f"  runs        {describe_endings(frame['status'])}")
    about = ("On test rows", "Not arrived", "Best choice", "Ties", "Confirmed", "Edge of the grid", "Optimizers")
    return "\n".join([*lines, *(f"  {name}: {run_data.verdict[name]}" for name in about if name in run_data.verdict)])


def tuning_best(tuning: TuneResult, cost: str, optimizer: str | None) -> Choice:
    """Return the best choice of a search; see `TuneResult.best`."""
    return find_choice(read_tune_data(tuning), cost, optimizer)


def tuning_ranking(tuning: TuneResult, cost: str) -> pd.DataFrame:
    """Return the choices of the trials that were trained to their end, best first; see `TuneResult.ranking`."""
    return read_tune_data(tuning).ranked_by(cost)


def tuning_report(tuning: TuneResult) -> Path:
    """Write the report of a search; see `TuneResult.report`."""
    from bench.report.tune_report import write_tune_report  # noqa: PLC0415 (as above)

    return write_tune_report(read_tune_data(tuning))


def tuning_verdict(tuning: TuneResult) -> dict[str, str]:
    """Return the conclusions of a search in sentences; see `TuneResult.verdict`."""
    return read_tune_data(tuning).sentences


def tuning_text(tuning: TuneResult) -> str:
    """Return a search in a few lines."""
    lines = [f"Search for settings of {tuning.result.model.expression}: {format_count(len(tuning.trials), 'trial')}"]
    return "\n".join([*lines, *(f"  {about}: {sentence}" for about, sentence in tuning.verdict().items())])

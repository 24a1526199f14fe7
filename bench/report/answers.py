"""The rankings, verdicts and reports that the results of sweeps and searches return in Python; see `Ranked`."""

from pathlib import Path

import pandas as pd

from bench.report.choice import find_choice
from bench.report.run_data import RunData, run_data_of
from bench.report.tune_data import TuneData, read_tune_data
from bench.store.choice import Choice
from bench.store.results import Ranked, SweepResult
from bench.store.tuning import TuneResult
from bench.tables.formatting import text
from bench.tables.phrases import describe_endings, format_count


def _gather(result: Ranked) -> RunData:
    return read_tune_data(result) if isinstance(result, TuneResult) else run_data_of(result)  # type: ignore[arg-type]


def ranking(result: Ranked, cost: str) -> pd.DataFrame:
    """Return the choices of settings, best first."""
    return _gather(result).ranked_by(cost)


def best(result: Ranked, cost: str, optimizer: str | None) -> Choice:
    """Return the best choice of settings."""
    return find_choice(_gather(result), cost, optimizer)


def verdict(result: Ranked) -> dict[str, str]:
    """Return the conclusions in sentences."""
    return _gather(result).sentences


def report(result: Ranked) -> Path:
    """Write the report."""
    from bench.report.report import write_run_report  # noqa: PLC0415 (matplotlib, which no sentence waits for)
    from bench.report.tune_report import write_tune_report  # noqa: PLC0415 (as above)

    run_data = _gather(result)
    return write_tune_report(run_data) if isinstance(run_data, TuneData) else write_run_report(run_data)


def sweep_text(result: SweepResult) -> str:
    """Return a sweep in six to ten lines."""
    run_data = run_data_of(result)
    frame, settings = run_data.frame, run_data.result.run.identity
    done = "" if len(frame) == result.planned else f"{text(len(frame))} of "
    lines = [
        f"Sweep of {result.model.expression}: {done}{format_count(result.planned, 'configuration')}",
        f"  data        {format_count(int(settings['samples']), 'sample')}, loss {settings['loss']}",
        f"  target      {'none' if run_data.target is None else text(run_data.target)}",
    ]
    if frame.empty:
        return "\n".join([*lines, "  nothing has been trained yet"])
    lines.append(f"  runs        {describe_endings(frame['status'])}")
    return "\n".join([*lines, *(f"  {about}: {run_data.verdict[about]}" for about in run_data.headline)])


def tuning_text(tuning: TuneResult) -> str:
    """Return a search in a few lines."""
    lines = [f"Search for settings of {tuning.result.model.expression}: {format_count(len(tuning.trials), 'trial')}"]
    return "\n".join([*lines, *(f"  {about}: {sentence}" for about, sentence in tuning.verdict().items())])

"""The figures of a report, drawn and written to the run's folder."""

from collections.abc import Collection

from bench.plots.failures import skip_failed_figure
from bench.plots.style import save
from bench.report.figure_list import STAGES, Stage
from bench.report.figures import report_figures
from bench.report.run_data import RunData


def write_figures(run_data: RunData, *, svg: bool, stages: Collection[Stage] = STAGES) -> dict[str, str]:
    """Write the figures of some stages of a run, as PNG and, where it is asked for or there already, as SVG.

    Returns
    -------
    dict
        The captions of those that are written, by name, in the order of the report.
    """
    captions = {}
    for name, caption, figure in report_figures(run_data, stages):
        with skip_failed_figure(f"the figure {name}"):
            save(figure, run_data.result.run.folder / "figures", name, svg=svg)
            captions[name] = caption
    return captions

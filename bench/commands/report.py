"""What `sgdbench report` does: make reports again from what run folders hold."""

from collections.abc import Sequence
from pathlib import Path

from bench.commands.console import print_place
from bench.commands.suite import is_suite_folder, rewrite_suite_report
from bench.report.report import write_reports


def make_reports(folders: Sequence[Path], out: Path | None, *, svg: bool) -> None:
    """Write the report of each folder, and for several a page that shows them side by side; print where they are.

    Raises
    ------
    ValueError
        If a folder is neither that of a run nor, alone, that of a suite.
    """
    if len(folders) == 1 and is_suite_folder(folders[0]):
        if out:
            raise ValueError("--out is for several folders: the report of one is in its folder")
        print_place("Report", rewrite_suite_report(folders[0], svg=svg))
        return
    for page in write_reports(folders, out, svg=svg):
        print_place("Report", page)

"""What `sgdbench report` does: make reports again from what run folders hold."""

from collections.abc import Sequence
from pathlib import Path

from bench.report.report import write_reports


def make_reports(folders: Sequence[Path], out: Path | None, *, svg: bool) -> None:
    """Write the report of each folder, and for several a page that shows them side by side; print where they are.

    Raises
    ------
    ValueError
        If a folder is no run folder.
    """
    for page in write_reports(folders, out, svg=svg):
        print(f"Report: {page}")

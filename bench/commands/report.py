"""The command `sgdbench report`: write reports again from run folders."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from sgdbench.commands.console import print_place
from sgdbench.commands.suite import rewrite_suite_report
from sgdbench.commands.tune import rewrite_tune_report
from sgdbench.report.report import write_reports
from sgdbench.store.run_folder import IDENTITY_FILE
from sgdbench.store.tuning import is_tuning_folder
from sgdbench.study.suite import is_suite_folder


def make_reports(folders: Sequence[Path], out: Path | None, *, svg: bool) -> None:
    """Write the report of each folder, and for several a page that shows them side by side; print their paths.

    The folder of a suite or a search must be reported alone.
    """
    if out and len(folders) == 1:
        raise ValueError("--out needs several folders; the report of one is in its own folder")
    for folder in folders:
        if folder.is_dir() and not os.access(folder, os.W_OK):
            raise ValueError(f"{folder} cannot be written, and the report goes to the folder of its run: give a copy")
    if len(folders) == 1 and (rewrite := _find_writer(folders[0])):
        print_place("Report", rewrite(folders[0], svg=svg))
        return
    if several := next((folder for folder in folders if _find_writer(folder)), None):
        raise ValueError(f"{several} is the folder of a search or a suite: give it alone")
    for page in write_reports(folders, out, svg=svg):
        print_place("Report", page)


def _find_writer(folder: Path) -> Callable[..., Path] | None:
    """Return the function that writes the report of a suite's or a search's folder; None for others."""
    if is_suite_folder(folder):
        return rewrite_suite_report
    return rewrite_tune_report if (folder / IDENTITY_FILE).exists() and is_tuning_folder(folder) else None

"""Processes that are forked, wherever the tests run, from one that has imported what they need and has no threads."""

from multiprocessing import get_context

FORKED = get_context("forkserver")
FORKED.set_forkserver_preload(["sgdbench.report.figures", "sgdbench.report.report", "hypothesis", "pytest"])

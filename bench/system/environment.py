"""The facts that a measurement depends on: machine, versions and processors."""

import os
import platform
from functools import cache
from importlib.metadata import version

PACKAGES = ("sgdbench", "numpy", "numba", "llvmlite", "pandas", "matplotlib", "scipy", "sympy", "pyarrow")
ENVIRONMENT = "environment.json"  # the file in a run's folder that holds these facts


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment() -> dict[str, str | int]:
    """Return facts about this machine and process by name; no paths or user names, as they go into reports."""
    return {**_constant_facts(), "processors to use": processors()}


@cache
def _constant_facts() -> dict[str, str]:
    """Return the constant facts; determining them takes 10 ms, and a sweep asks several times."""
    import llvmlite.binding as llvm  # noqa: PLC0415 (slow, and only needed here)

    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "system": platform.platform(),
        "processor": processor_name(),
        "code generated for": llvm.get_host_cpu_name(),
    }


def processor_name() -> str:
    """Return the name of the processor; that of the `platform` module is empty on Linux."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()

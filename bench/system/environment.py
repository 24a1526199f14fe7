"""What a measurement depends on: the machine, the versions, the threads."""

import os
import platform
from importlib.metadata import version

PACKAGES = ("sgdbench", "numpy", "numba", "llvmlite", "pandas", "matplotlib", "scipy", "sympy", "pyarrow")
ENVIRONMENT = "environment.json"  # the file in a run's folder that holds these facts


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment() -> dict[str, str | int]:
    """Return facts about this machine and process, by name.

    They go into reports, so no path and no user is among them.
    """
    import llvmlite.binding as llvm  # noqa: PLC0415 (slow, and only needed here)

    return {
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
        "system": platform.platform(),
        "processor": processor_name(),
        "code generated for": llvm.get_host_cpu_name(),
        "processors to use": processors(),
    }


def processor_name() -> str:
    """Return the processor's name as it calls itself; Python's own answer is empty on Linux."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()

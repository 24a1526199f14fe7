"""The commands `sgdbench info` and `sgdbench studies`."""

from bench.study.load import studies
from bench.study.suite import suites
from bench.system.environment import environment
from kernels.base import cache


def print_studies() -> None:
    """Print the built-in studies and suites with their descriptions."""
    for name, description in (studies() | suites()).items():
        print(f"{name:12} {description}")


def print_environment() -> None:
    """Print the machine, the versions and the kernel cache."""
    facts = environment() | {"kernel cache": str(cache.folder() or "none: it cannot be written")}
    for name, value in facts.items():
        print(f"{name:20} {value}")

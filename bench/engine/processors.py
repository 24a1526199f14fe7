"""A worker's processor and libraries, as far as the last bits of results may depend on them."""

import platform
from functools import cache
from hashlib import sha256
from importlib.metadata import version

import llvmlite.binding as llvm
import numba

from sgdbench.kernels.simd.math import LIBRARY, LIBRARY_FUNCTIONS
from sgdbench.system.environment import processor_name

PACKAGES = ("numpy", "numba", "llvmlite")


@cache
def describe_worker() -> dict[str, str]:
    """Return the facts that determine functions that are not correctly rounded, by name."""
    name = numba.config.CPU_NAME or llvm.get_host_cpu_name()
    features = numba.config.CPU_FEATURES or llvm.get_host_cpu_features().flatten()
    library = ", ".join(sorted(LIBRARY_FUNCTIONS))
    return {
        "processor": processor_name(),
        "code generated for": f"{name} with {_digest(features)}",
        **{package: version(package) for package in PACKAGES},
        "C library": " ".join(platform.libc_ver()),
        LIBRARY: _digest(library) if library else "none",
    }


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:8]

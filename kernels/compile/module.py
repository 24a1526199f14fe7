"""The complete text of a kernel: a module with its imports."""

import re
from functools import cache as once

from sgdbench.kernels.compile.build import Module
from sgdbench.kernels.compile.layers import NetworkParts
from sgdbench.kernels.compile.network_text import network_text
from sgdbench.kernels.compile.scalar_parts import ScalarParts
from sgdbench.kernels.compile.scalar_text import scalar_text
from sgdbench.kernels.compile.spec import KernelSpec
from sgdbench.kernels.model.network import Network

IMPORTS = {
    "sgdbench.kernels.base.run": (
        "PAIRWISE_BLOCK",
        "ADD_TOP_TWO",
        "FIRST_SUM",
        "HIDDEN_ROWS",
        "LAYOUT",
        "ROWS",
        "SAMPLE_ROWS",
    ),
    "sgdbench.kernels.loops.call": ("MEAN_LOSS", "TRAIN_SAMPLES"),
    "sgdbench.kernels.loops.jit": ("options",),
    "sgdbench.kernels.loops.order": ("DRAWN_TOGETHER", "work_ahead"),
    "sgdbench.kernels.loops.sums": ("split",),
    "sgdbench.kernels.simd.compiled_functions": ("erf", "less", "less_equal", "maximum", "minimum", "where"),
    "sgdbench.kernels.simd.lanes": (
        *(
            "align_stack",
            "as_float32",
            "as_scalar",
            "broadcast",
            "read_lane",
            "read_samples",
            "read_spaced",
            "wait_for",
        ),
        "write_lane",
    ),
    "sgdbench.kernels.simd.sums": ("sum_each", "sum_lanes"),
}
"""The names that kernels import, by module."""


@once
def module_of(spec: KernelSpec) -> Module:
    """Return the module of a kernel."""
    is_network = isinstance(spec.model.program, Network)
    body = network_text(NetworkParts(spec)) if is_network else scalar_text(ScalarParts(spec))
    switches = {"fma": spec.fma, "lanes": spec.width > 1 and not is_network}
    settings = ", ".join(f"{name}=True" for name, imported in switches.items() if imported)
    used = set(re.findall(r"(?<![.\w])\w+", body)) | {"options"}
    lines = []
    for module, names in IMPORTS.items():
        imported = [name for name in names if name in used]
        lines += [f"from {module} import {', '.join(imported)}"] if imported else []
    head = ["import numpy as np", "from numba import njit", "", *lines, ""]
    head.append(f"ENTRY, CALLED, INLINED = options({settings})")
    return Module("\n".join(head) + "\n\n\n" + body, spec.dtype)

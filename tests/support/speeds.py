"""A table of speeds, made up."""

import numpy as np
import pandas as pd

from sgdbench.store.evidence import SPEED_COLUMNS

ROWS = [
    {
        "variant": "fused", "ours": True, "threads": 1, "verified": True, "error": 0.0, "ns": 3.591, "ns_low": 3.5,
        "ns_high": 3.7, "updates_per_second": 2.785e8, "to_reference": 554.4, "to_reference_low": 550.0,
        "to_reference_high": 1234.5, "to_c": 1.54, "to_c_low": 1.5, "to_c_high": 1.6, "compile_seconds": 1.25,
        "load_seconds": 0.0101, "break_even": 629_410.0, "note": "",
    },
    {"variant": "reference", "ours": True, "threads": 1, "verified": True, "error": 0.0, "ns": 2000.0, "ns_low": 1990.0,
     "ns_high": 2010.0, "updates_per_second": 5e5, "note": ""},
    {"variant": "C", "threads": 1, "verified": True, "error": 3.2e-15, "ns": 5.5, "ns_low": 5.4, "ns_high": 5.6,
     "updates_per_second": 1.8e8, "note": ""},
    {"variant": "JAX", "threads": 1, "note": "not installed: pip install jax"},
    {"variant": "wrong", "threads": 1, "verified": False, "error": 0.12345, "ns": 0.1, "ns_low": 0.1, "ns_high": 0.1,
     "to_c": 99.0, "to_c_low": 98.0, "to_c_high": 99.0, "compile_seconds": 1.0, "note": "off by 0.12345"},
    {"variant": "unknown", "threads": 1, "verified": False, "note": "not verified: nothing is known"},
]  # fmt: skip
TABLE = pd.DataFrame(ROWS, columns=SPEED_COLUMNS)


def speeds(*peers):
    """A speed table: ours, C and the reference, and peers that could not run."""
    ns = {"lanes": 0.2, "fused": 4.0, "C": 6.0, "reference": 9000.0} | dict.fromkeys(peers, np.nan)
    table = pd.DataFrame({"variant": list(ns), "ns": list(ns.values())})
    table = table.assign(ns_low=0.9 * table["ns"], ns_high=1.1 * table["ns"], to_c=6 / table["ns"])
    table = table.assign(to_reference=9000 / table["ns"], ours=[True, True, False, True] + [False] * len(peers))
    verified = pd.array([True] * 4 + [pd.NA] * len(peers), dtype="boolean")
    return table.assign(verified=verified, share=np.nan, note=[""] * 4 + [f"not installed: {name}" for name in peers])

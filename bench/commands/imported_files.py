"""A pytest plug-in that `sgdbench.commands.trees` passes to each process: it records where modules were imported from.

It is copied, and imported by the Python of the measured tree, which need not have this package.
"""

import json
import os
import sys
from pathlib import Path

# After the packages that --setup installed.
sys.path += [path for path in os.environ["SGDBENCH_LAST_ON_PATH"].split(os.pathsep) if path]


def pytest_sessionfinish() -> None:
    """Write the file of each imported module, by the module's name."""
    # Not getattr, which would import lazy modules.
    files = {name: getattr(module, "__dict__", {}).get("__file__") for name, module in list(sys.modules.items())}
    named = {name: file for name, file in files.items() if isinstance(file, str)}
    Path(os.environ["SGDBENCH_IMPORTED"]).write_text(json.dumps(named), encoding="utf-8")

"""A plug-in of pytest that `bench.commands.trees` hands to each process: it notes where modules were imported from.

It is copied, and imported by the Python of the tree that is measured, which need not have this package.
"""

import json
import os
import sys
from pathlib import Path

# Behind what --setup has installed.
sys.path += [path for path in os.environ["SGDBENCH_LAST_ON_PATH"].split(os.pathsep) if path]


def pytest_sessionfinish() -> None:
    """Write the file of each imported module, by the module's name."""
    # Not getattr: modules that are lazy would be imported.
    files = {name: getattr(module, "__dict__", {}).get("__file__") for name, module in list(sys.modules.items())}
    named = {name: file for name, file in files.items() if isinstance(file, str)}
    Path(os.environ["SGDBENCH_IMPORTED"]).write_text(json.dumps(named), encoding="utf-8")

"""The built-in studies and suites, listed without importing anything heavy."""

import tomllib
from pathlib import Path


def builtin_paths(folder: str) -> dict[str, Path]:
    """Return the files of the built-in "studies" or "suites" by name."""
    return {
        path.stem: path for path in sorted((Path(__file__).parent / folder).glob("*.toml"), key=lambda path: path.stem)
    }


def describe_builtin(folder: str) -> dict[str, str]:
    """Return the descriptions of the built-in "studies" or "suites" by name."""
    return {name: tomllib.loads(path.read_text("utf-8"))["description"] for name, path in builtin_paths(folder).items()}

"""A digest of the sources of the packages, the same wherever they are the same."""

from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("bench", "kernels")


@cache
def source_digest() -> str:
    """Return a digest of the names and contents of all Python files of the packages."""
    digest = sha256()
    for package in PACKAGES:
        spec = find_spec(package)
        assert spec  # noqa: S101 (this is in one of them, which imports the other)
        assert spec.submodule_search_locations  # noqa: S101
        folder = Path(spec.submodule_search_locations[0])
        for path in sorted(folder.rglob("*.py")):
            content = path.read_bytes().replace(b"\r\n", b"\n")
            digest.update(f"{package}/{path.relative_to(folder).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()

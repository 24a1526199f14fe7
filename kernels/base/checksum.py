"""Checksums of files: every file that is written to be read again contains its own.

The checksum is the last line of a text, a value in JSON, or metadata in Parquet. Any reader of the format can
therefore read the file, and one rename publishes content and checksum together. It is the SHA-256 of the file, with
zeros in place of the checksum, and of the file's owner: a file of another run, or under another name, is refused like a
damaged one.
"""

import hashlib

_PREFIX = b"sgdbench-sha256-"
PLACEHOLDER = _PREFIX + 64 * b"0"
LAST_LINE = b"\n# " + PLACEHOLDER + b"\n"


def add_checksum(content: bytes, owner: bytes = b"") -> bytes:
    """Return a content with its checksum in place of the last `PLACEHOLDER`, which the content must include."""
    start = content.rindex(_PREFIX)
    return content[:start] + _checksum(content, start, owner) + content[start + len(PLACEHOLDER) :]


def find_flaw(content: bytes, owner: bytes = b"") -> str | None:
    """Return a description of the flaw of a file's content, or None if it is intact."""
    start = content.rfind(_PREFIX)
    if start < 0:
        return "it holds no checksum"
    intact = content[start : start + len(PLACEHOLDER)] == _checksum(content, start, owner)
    return None if intact else "its content was changed, or it belongs to another run"


def _checksum(content: bytes, start: int, owner: bytes) -> bytes:
    """Return the checksum of a content whose space for the checksum begins at `start`."""
    digest = hashlib.sha256(hashlib.sha256(owner).digest())
    for piece in (memoryview(content)[:start], PLACEHOLDER, memoryview(content)[start + len(PLACEHOLDER) :]):
        digest.update(piece)
    return _PREFIX + digest.hexdigest().encode()

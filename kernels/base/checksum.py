"""The checksums of files: every file that is written to be read again holds its own.

The checksum stands inside the file: as its last line, as a value of JSON, in the metadata of Parquet. So any reader
of the format can read the file, and one rename publishes content and checksum together. It is the SHA-256 of the file,
with zeros in place of the checksum, and of the file's owner: a file of another run, or under another name, is refused
like one whose bits have changed.
"""

import hashlib

_MARK = b"sgdbench-sha256-"
ROOM = _MARK + 64 * b"0"
LAST_LINE = b"\n# " + ROOM + b"\n"


def add_checksum(content: bytes, owner: bytes = b"") -> bytes:
    """Return a content with its checksum in the place of the last `ROOM`, which it must have."""
    start = content.rindex(_MARK)
    return content[:start] + _checksum(content, start, owner) + content[start + len(ROOM) :]


def find_flaw(content: bytes, owner: bytes = b"") -> str | None:
    """Return the flaw of a file's content in words, or None if it is intact."""
    start = content.rfind(_MARK)
    if start < 0:
        return "it holds no checksum"
    intact = content[start : start + len(ROOM)] == _checksum(content, start, owner)
    return None if intact else "its content has changed, or is that of another run"


def _checksum(content: bytes, start: int, owner: bytes) -> bytes:
    """Return the checksum of a content whose room for one begins at `start`."""
    digest = hashlib.sha256(hashlib.sha256(owner).digest())
    for piece in (memoryview(content)[:start], ROOM, memoryview(content)[start + len(ROOM) :]):
        digest.update(piece)
    return _MARK + digest.hexdigest().encode()

"""Texts held against files that a person has read.

`SGDBENCH_GOLDEN=write pytest ...` writes these files anew; look at the difference before it is committed.
"""

import os

WRITE = os.environ.get("SGDBENCH_GOLDEN") == "write"


def hold_text(path, text):
    """Hold a text against the one in a file."""
    if WRITE:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")

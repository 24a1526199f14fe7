"""Write the reference pages: `make docs`."""

from pathlib import Path

from sgdbench.docs.pages import make_pages

for name, text in make_pages().items():
    (Path(__file__).parent / "reference" / name).write_text(text, encoding="utf-8")

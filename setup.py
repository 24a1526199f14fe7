"""The description of sgdbench for package indexes: README.md without what is only there in the repository."""

import re
from pathlib import Path

from setuptools import setup

readme = Path(__file__).with_name("README.md").read_text(encoding="utf-8")
readme = re.sub(r"<!--clone-->.*?<!--end-->\n*", "", readme, flags=re.DOTALL)
readme = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n*", "", readme)  # pictures
readme = re.sub(r"\[([^]]*)\]\((?!https?:)[^)]*\)", r"\1", readme)  # links

setup(long_description=readme, long_description_content_type="text/markdown")

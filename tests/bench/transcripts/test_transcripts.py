"""What commands print, in the text files beside this one; `tests.support.transcripts` describes their format."""

from pathlib import Path

import pytest

from tests.support.transcripts import hold_transcript

TRANSCRIPTS = sorted(Path(__file__).parent.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_session_prints_what_its_transcript_says(path, sgdbench, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    hold_transcript(path, sgdbench)

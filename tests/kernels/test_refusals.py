"""What is refused, and the whole sentence that says so, as it stands in the files of the folder `refusals`."""

from pathlib import Path

import pytest

from tests.support.refusals import hold_refusal, refusal_rows


@pytest.mark.parametrize(("path", "requests", "sentence"), refusal_rows(Path(__file__).parent / "refusals"))
def test_a_sentence_says_what_is_wrong(path, requests, sentence):
    hold_refusal(path, requests, sentence)

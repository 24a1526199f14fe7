"""What data, studies, sweeps and estimators refuse, in Python and on the command line, as the files beside it say."""

from pathlib import Path

import pytest

from tests.support.refusals import hold_refusal, refusal_rows


@pytest.mark.parametrize(("path", "requests", "sentence"), refusal_rows(Path(__file__).parent / "refusals"))
def test_a_sentence_says_what_is_wrong(path, requests, sentence, sgdbench):
    hold_refusal(path, requests, sentence, sgdbench)

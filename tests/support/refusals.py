"""What a call says where it refuses what it is given."""

import pytest


def refusal_of(call, *args, **kwargs):
    """The sentence of the ValueError that a call raises, which is one line."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - who calls looks at the text
        call(*args, **kwargs)
    sentence = str(caught.value)
    assert len(sentence.splitlines()) == 1
    return sentence

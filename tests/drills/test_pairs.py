"""The drill of pairs: two of its runs, or all with `--hypothesis-profile=nightly`."""

from functools import partial

import pytest
from hypothesis import settings

from sgdbench import fit
from tests.drills.pairs import FACTORS, conduct, is_possible, make_cases

# In Python and by the command line, extended by epochs and by seeds. Kernels of others compile for ten seconds.
NIGHTLY = settings.get_current_profile_name() == "nightly"
SHORTER = [] if NIGHTLY else ["nothing_timed", "one_figure", "replayed_by_reference"]
CHOSEN = range(len(make_cases())) if NIGHTLY else [6, 22]


def test_every_pair_of_features_that_go_together_is_in_a_run():
    met = {
        frozenset([one, other])
        for case in make_cases()
        for one in case.items()
        for other in case.items()
        if one != other
    }
    for name, values in FACTORS.items():
        for other, others in FACTORS.items():
            for pair in ({name: value, other: another} for value in values for another in others):
                if name != other and frozenset(pair.items()) not in met:
                    # What goes together by itself may be kept apart by what each of them needs.
                    assert not is_possible(pair) or "objective" in pair.values() or "float32" in str(pair)


@pytest.mark.usefixtures("rules_forgotten", *SHORTER)
@pytest.mark.parametrize("number", CHOSEN)
def test_a_run_holds_what_it_says(number, tmp_path, monkeypatch):
    if not NIGHTLY:  # no kernel is compiled for the code that is handed out: others do that
        monkeypatch.setattr("sgdbench.fit", partial(fit, kernel="reference"))
    assert conduct(make_cases()[number], tmp_path) == []

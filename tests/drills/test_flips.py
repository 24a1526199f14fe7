"""The drill of flips in its short form."""

import shutil

import numpy as np
import pytest

from bench.study.load import load_study
from tests.drills.flips import SAME, count_outcomes, files_of, flip, make_run, resume, truncate, what_is_read


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The place of a run, and what was read of it before it was extended."""
    place = tmp_path_factory.mktemp("drill")
    return place, make_run(place)[1]


@pytest.fixture(scope="module")
def place(made):
    return made[0]


def test_the_drill_reads_every_file_of_a_run(place):
    found = {path.parts[0] for path in files_of(place / "run")}
    assert found == {
        *("sgdbench.json", "run.toml", "environment.json", "plan.parquet", "parts", "evidence", "confirmation")
    }


@pytest.mark.parametrize(("damage", "times"), [(flip, 2), (truncate, 1)])
def test_no_wrong_number_and_no_traceback(made, damage, times):
    place, earlier = made
    counts, failures = count_outcomes(place / "run", earlier, damage, times)
    assert not failures
    # No bit of what is read is without a checksum.
    unread = {"confirmation/run.toml", "confirmation/environment.json"}
    assert {kind for kind, own in counts.items() if own[SAME]} == unread


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_resuming_mends_whatever_was_damaged(place, tmp_path):
    """But for the identity, without which nothing in the folder can be told for what it is."""
    expected = what_is_read(place / "run")
    rng = np.random.default_rng(0)
    for number, name in enumerate(files_of(place / "run")):
        if name.parts[0] in ("evidence", "confirmation"):  # measured again by `sgdbench run`
            continue
        copy = shutil.copytree(place, tmp_path / str(number))
        flip(copy / "run" / name, rng)
        study = load_study(copy / "study.toml")
        if name.name == "sgdbench.json":
            with pytest.raises(ValueError, match="is damaged"):
                resume(copy, study)
            continue
        resume(copy, study)
        # The study names the folder of its data.
        assert what_is_read(copy / "run") | {("study",): None} == expected | {("study",): None}

"""The drill of flips: two of each file, or thousands with `--hypothesis-profile=nightly`."""

import shutil

import numpy as np
import pytest
from hypothesis import settings

from sgdbench.study.load import load_study
from tests.drills.flips import SAME, count_outcomes, files_of, flip, make_run, resume, truncate, what_is_read


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, and what was read of it before it was extended."""
    return make_run(tmp_path_factory.mktemp("drill"))


def test_the_drill_reads_every_file_of_a_run(made):
    found = {path.parts[0] for path in files_of(made[0])}
    files = {"sgdbench.json", "run.toml", "environment.json", "plan.parquet"}
    assert found == files | {"parts", "evidence", "confirmation"}


@pytest.mark.parametrize(("damage", "times"), [(flip, settings().max_examples // 50), (truncate, 1)])
def test_no_wrong_number_and_no_traceback(made, damage, times):
    counts, failures = count_outcomes(*made, damage, times)
    assert not failures
    # No bit of what is read is without a checksum.
    unread = {"confirmation/run.toml", "confirmation/environment.json"}
    assert {kind for kind, own in counts.items() if own[SAME]} == unread


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_resuming_mends_whatever_was_damaged(made, tmp_path):
    """But for the identity, without which nothing in the folder can be told for what it is."""
    folder, rng = made[0], np.random.default_rng(0)
    expected = what_is_read(folder)
    for number, name in enumerate(files_of(folder)):
        if name.parts[0] in ("evidence", "confirmation"):  # measured again by `sgdbench run`
            continue
        copy = shutil.copytree(folder.parent, tmp_path / str(number))
        flip(copy / "run" / name, rng)
        study = load_study(copy / "study.toml")
        if name.name == "sgdbench.json":
            with pytest.raises(ValueError, match="is damaged"):
                resume(copy, study)
            continue
        resume(copy, study)
        # The study names the folder of its data.
        assert what_is_read(copy / "run") | {("study",): None} == expected | {("study",): None}

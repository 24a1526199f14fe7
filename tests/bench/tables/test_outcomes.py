"""Random starts of one name belong together, and the best choice of an optimizer comes first."""

import pandas as pd

from sgdbench.tables.confirm import confirm
from sgdbench.tables.outcomes import choice_outcomes, start_families
from sgdbench.tables.rank import leaders, ranking
from tests.support.simulated import runs_of


def test_random_starts_of_one_name_are_one_family():
    names = pd.Series(["near", "random[0]", "random[12]", "[3]", "a[1]b"])
    assert start_families(names).tolist() == ["near", "random", "random", "", "a[1]b"]
    assert start_families(names.astype("category")).tolist() == start_families(names).tolist()


def test_the_choice_that_leads_by_fresh_seeds_comes_before_others_of_its_optimizer():
    frame = runs_of([[100] * 5, [200] * 5, [210] * 5], optimizer=["sgd", "adam", "adam"], lr=[1, 2, 3])
    fresh = runs_of([[100] * 8, [400] * 8, [210] * 8], optimizer=["sgd", "adam", "adam"], lr=[1, 2, 3], seeds=9)
    ranked = confirm(ranking(frame), fresh)
    first = choice_outcomes(frame, ranked).drop_duplicates("optimizer")
    assert first["lr"].tolist() == leaders(ranked)["lr"].tolist() == [1, 3]

"""Random starts of one name belong together."""

import pandas as pd

from bench.tables.outcomes import start_families


def test_random_starts_of_one_name_are_one_family():
    names = pd.Series(["near", "random[0]", "random[12]", "[3]", "a[1]b"])
    assert start_families(names).tolist() == ["near", "random", "random", "", "a[1]b"]
    assert start_families(names.astype("category")).tolist() == start_families(names).tolist()

"""The tables of a report: the best choices, and the best of each optimizer and batch size."""

import pandas as pd

from bench.tables.ranking import leaders, varies
from bench.tables.run_costs import choice_columns

BY = ["optimizer", "batch_size"]


def standard_tables(frame: pd.DataFrame, ranked: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return a report's tables: the ten best choices, and the best for each optimizer and batch size.

    Both are parts of the ranking `ranked`, with the settings that vary in `frame`, in its order.
    """
    choices = choice_columns(frame)
    statistics = [name for name in ranked if name not in choices]
    varying = [name for name in choices if varies(frame, name)]
    of_each = [*BY, *(name for name in varying if name not in BY), *statistics]
    return {
        "best": ranked[[*(varying or choices), *statistics]].head(10),
        "best_by_optimizer_and_batch_size": leaders(ranked, BY)[of_each].reset_index(drop=True),
    }

"""Figures of a search."""

import pandas as pd

from bench.plots.tuning import history, slices
from tests.support.figures import overlaps, texts


def test_shares_are_said_to_be_those_of_the_main_effects():
    values = pd.DataFrame({"value": [1.0, 2.0, 2.0, 1.0], "state": "complete", "lr": [0.1, 0.1, 1.0, 1.0]})
    told = texts(slices(values, {"lr": 0.7}, label="loss", logarithmic=False, name="sgd"))
    assert "70 % of the main effects" in told
    assert "A main effect is what a setting explains by itself" in told


def test_the_caption_of_a_history_stands_beside_the_names_of_its_optimizers():
    """It ran into long ones."""
    steps = pd.DataFrame({"spent": [10.0, 20.0, 30.0], "value": [3.0, 2.0, 1.0], "best": [3.0, 2.0, 1.0]})
    steps = steps.assign(state="complete", family=["a", "b", "c"])
    grid = pd.DataFrame({"spent": [10.0, 30.0], "low": [2.0, 1.0], "median": [2.5, 2.0], "high": [3.0, 2.5]})
    names = {"a": "sgd", "b": "adam(beta1=log1m:0.5:0.99, beta2=log1m:0.9:0.999)", "c": "momentum(log1m:0.5:0.99)"}
    figure = history(steps, grid, names, label="loss", logarithmic=False)
    (legend,) = figure.legends
    assert overlaps(figure, [*figure.texts, *legend.get_texts()]) == []

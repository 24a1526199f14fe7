"""How much each setting matters: shares of variance that are known beforehand."""

import numpy as np
import pandas as pd
import pytest

from sgdbench.tables.formatting import MISSING
from sgdbench.tables.main_effects import COLUMNS, PENALTY, main_effects
from tests.support.frames import make_frame


def grid(cost, rates=(0.1, 0.2, 0.4), sizes=(1, 8), **columns):
    """A run for each rate and batch size whose samples to the target are `cost(rate, size)`; None where it fails."""
    lr, batch_size = (values.ravel() for values in np.meshgrid(rates, sizes, indexing="ij"))
    samples = [cost(*place) for place in zip(lr, batch_size, strict=True)]
    status = ["max_epochs" if one is None else "converged" for one in samples]
    reached = [pd.NA if one is None else one for one in samples]
    settings = {"lr": lr, "batch_size": batch_size, "status": status, "samples_to_target": reached}
    return make_frame(len(lr), **settings | columns)


def test_what_is_all_that_matters_explains_everything():
    effects = main_effects(grid(lambda lr, size: 1000 * lr))
    assert list(effects) == COLUMNS
    assert effects["setting"].tolist() == ["learning rate", "batch size"]
    np.testing.assert_allclose(effects["share"], [1, 0], atol=1e-12)
    np.testing.assert_allclose(effects["factor"], [4, 1])
    assert effects[["best", "worst"]].to_numpy().tolist() == [["0.1", "0.4"], [MISSING, MISSING]]


def test_effects_that_multiply_share_the_variance_by_their_squares():
    """Costs are products, so that logarithms are sums: each effect is found as it was made."""
    effects = main_effects(grid(lambda lr, size: round(1e6 * lr * size), rates=(0.1, 0.2), sizes=(1, 8)))
    logs = np.log([2, 8]) ** 2
    assert effects["setting"].tolist() == ["batch size", "learning rate"]
    np.testing.assert_allclose(effects["share"], logs[::-1] / logs.sum())
    np.testing.assert_allclose(effects["factor"], [8, 2])


def test_what_matters_only_in_combination_has_no_share():
    effects = main_effects(grid(lambda lr, size: 10 if (lr > 0.1) == (size > 1) else 1000, rates=(0.1, 0.2)))
    np.testing.assert_allclose(effects["share"], 0, atol=1e-12)


def test_a_run_that_fails_counts_ten_times_the_longest():
    frame = grid(lambda lr, size: None if size > 1 else 80, rates=(0.1,), epochs=10)
    assert main_effects(frame)["factor"].tolist() == pytest.approx([PENALTY * 8000 / 80])


def test_without_a_target_it_is_about_the_final_loss():
    frame = make_frame(4, lr=[1, 2, 1, 2], seed=[0, 0, 1, 1], final_loss=[1e-3, 1e-1, 1e-3, np.nan])
    (effect,) = main_effects(frame).to_dict("records")
    # At the higher rate one is lost, and one ends a hundred times above the median: both count ten times the median.
    assert effect["factor"] == pytest.approx(10)
    kept = frame.assign(final_loss=[1e-3, 1e-1, 1e-3, 1e-4], status=["max_epochs"] * 3 + ["diverged"])  # with patience
    pd.testing.assert_frame_equal(main_effects(kept), main_effects(frame))


def test_with_held_out_samples_it_is_about_the_loss_on_them():
    frame = make_frame(4, lr=[1, 2, 1, 2], seed=[0, 0, 1, 1], final_loss=[1, 2, 1, 2], validation_loss=[8, 1, 8, 1])
    (effect,) = main_effects(frame).to_dict("records")
    assert (effect["best"], effect["factor"]) == ("2", pytest.approx(8))


def test_negative_losses_count_by_their_distance_to_the_lowest():
    """They were all taken for equal, and shares were those of the runs with a positive loss."""
    frame = make_frame(4, lr=[1, 2, 1, 2], batch_size=[1, 1, 8, 8], final_loss=[-4, -3, -4, -3])
    assert main_effects(frame).empty
    effects = main_effects(frame.assign(excess_loss=frame["final_loss"] + 4.1))
    np.testing.assert_allclose(effects[["share", "factor"]], [[1, 11], [0, 1]], atol=1e-12)


@pytest.mark.parametrize("frame", [make_frame(3, lr=[1, 2, 3]), make_frame(3, lr=[1, 2, 3], final_loss=np.nan)])
def test_nothing_to_explain(frame):
    assert main_effects(frame).empty

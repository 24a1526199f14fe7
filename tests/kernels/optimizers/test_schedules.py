"""Schedules against torch.optim.lr_scheduler, and at values worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgdbench.kernels.optimizers.schedules import SCHEDULES, canonical_schedule, learning_rates

EPOCHS = 60


def rates_of_torch(lr, epochs, build):
    """Step a torch scheduler once per epoch; return the rate that each epoch trains with."""
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install torch")
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = build(torch.optim.lr_scheduler, optimizer)
    rates = []
    for _ in range(epochs):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def sequential(s, o, warmup, start):
    rising = s.LinearLR(o, start_factor=start, total_iters=warmup)
    falling = s.CosineAnnealingLR(o, T_max=EPOCHS - warmup)
    return s.SequentialLR(o, [rising, falling], milestones=[warmup])


SAME = {
    "constant": lambda s, o: s.ConstantLR(o, factor=1.0),
    "step(10)": lambda s, o: s.StepLR(o, 10),
    "step(10, 0.5)": lambda s, o: s.StepLR(o, 10, gamma=0.5),
    "step(1, 0.97)": lambda s, o: s.StepLR(o, 1, gamma=0.97),
    "multistep([30, 45])": lambda s, o: s.MultiStepLR(o, [30, 45]),
    "multistep([45, 7, 7, 100], 0.3)": lambda s, o: s.MultiStepLR(o, [45, 7, 7, 100], gamma=0.3),
    "exponential(0.9)": lambda s, o: s.ExponentialLR(o, 0.9),
    "exponential(1.1)": lambda s, o: s.ExponentialLR(o, 1.1),
    "inverse_scaling": lambda s, o: s.LambdaLR(o, lambda epoch: 1 / (epoch + 1) ** 0.5),
    "cosine": lambda s, o: s.CosineAnnealingLR(o, T_max=EPOCHS),
    "cosine(0.1)": lambda s, o: s.CosineAnnealingLR(o, T_max=EPOCHS, eta_min=0.1 * 0.3),
    "warmup_cosine": lambda s, o: sequential(s, o, 5, 1 / 3),
    "warmup_cosine(12, start=0.01)": lambda s, o: sequential(s, o, 12, 0.01),
    "one_cycle": lambda s, o: s.OneCycleLR(o, 0.3, EPOCHS, cycle_momentum=False),
    "one_cycle(0.45, 10, 100)": lambda s, o: s.OneCycleLR(
        o, 0.3, EPOCHS, pct_start=0.45, div_factor=10, final_div_factor=100, cycle_momentum=False
    ),
}


@pytest.mark.parametrize("spec", SAME)
def test_against_torch(spec):
    expected = rates_of_torch(0.3, EPOCHS, SAME[spec])
    np.testing.assert_allclose(learning_rates(spec, 0.3, EPOCHS), expected, rtol=1e-12)


def test_every_schedule_but_halve_is_compared_with_torch():
    assert {spec.partition("(")[0] for spec in SAME} == set(SCHEDULES) - {"halve"}


@pytest.mark.parametrize("epochs", [1, 2, 3, 4, 5, 7, 33])
def test_one_cycle_of_short_runs_against_torch(epochs):
    expected = rates_of_torch(1.0, epochs, lambda s, o: s.OneCycleLR(o, 1.0, epochs, cycle_momentum=False))
    np.testing.assert_allclose(learning_rates("one_cycle", 1.0, epochs), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (None, [1, 1, 1]),
        ("halve(2)", [1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 8]),
        ("halve(1)", [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64]),
        ("inverse_scaling(1)", [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
        ("warmup_cosine(10, 0)", [0, 0.1, 0.2, 0.3, 0.4, 0.5]),  # longer than the run
        # The peak falls on epoch 0, where torch divides by zero.
        ("one_cycle(0.5, 5, 10)", [1, 0.02]),
        ([1, 2, 3, 4, 5, 0], [1, 2, 3, 4, 5, 0]),
        (lambda epoch: 1 / (1 + epoch), [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6]),
    ],
)
@pytest.mark.parametrize("lr", [1.0, 0.25])
def test_values_by_hand_beside_those_of_torch(spec, expected, lr):
    rates = learning_rates(spec, lr, len(expected))
    assert rates.dtype == np.float64
    np.testing.assert_allclose(rates, lr * np.array(expected), rtol=1e-14)


def test_the_table_in_the_docstring_is_true():
    import sgdbench.kernels.optimizers.schedules

    starts = ("epoch,", "``halve(10)``  ", "``step(10, 0.5)``  ")
    rows = [
        line.split() for line in sgdbench.kernels.optimizers.schedules.__doc__.splitlines() if line.startswith(starts)
    ]
    epochs = [int(cell) for cell in rows[0][3:]]
    for row, spec in zip(rows[1:], ("halve(10)", "step(10, 0.5)"), strict=True):
        table = [1 / float(cell.removeprefix("1/")) for cell in row[-len(epochs) :]]
        assert learning_rates(spec, 1.0, 30)[epochs].tolist() == table


@given(st.integers(1, 50), st.integers(1, 400))
def test_powers_of_one_half_are_exact(period, epochs):
    assert learning_rates(f"halve({period})", 1.0, epochs).tolist() == [
        2.0 ** -((epoch + 1) // period) for epoch in range(epochs)
    ]
    assert learning_rates(f"step({period}, 0.5)", 1.0, epochs).tolist() == [
        2.0 ** -(epoch // period) for epoch in range(epochs)
    ]


@pytest.mark.parametrize(
    "spec", [name for name in SCHEDULES if name not in {"halve", "step", "multistep", "exponential"}]
)
@given(epochs=st.integers(1, 300), lr=st.floats(1e-6, 10.0))
def test_rates_stay_between_zero_and_lr(spec, epochs, lr):
    rates = learning_rates(spec, lr, epochs)
    assert rates.shape == (epochs,)
    assert (rates > 0.0).all()
    assert (rates <= lr * (1 + 1e-15)).all()


def test_a_given_array_is_not_changed_and_not_shared():
    factors = np.ones(3)
    rates = learning_rates(factors, 1.0, 3)
    rates[0] = 5.0
    assert factors.tolist() == [1.0, 1.0, 1.0]


def test_spellings_of_one_schedule_have_one_text():
    texts = {canonical_schedule(text) for text in ("warmup_cosine", "warmup_cosine(5)", "warmup_cosine(minimum=0)")}
    assert len(texts) == 1
    assert canonical_schedule("multistep([3, 5])") == canonical_schedule("multistep(milestones=[3, 5], gamma=0.1)")
    assert len({canonical_schedule(text) for text in ("halve(10)", "halve(11)", "step(10)", "cosine")}) == 4

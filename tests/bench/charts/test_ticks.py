"""Ticks: where they stand, and how they are written."""

from sgdbench.charts.ticks import log_ticks


def test_ticks_of_a_logarithmic_axis_are_powers_numbers_between_them_or_even_steps():
    short, _ = log_ticks(0.85, 1.35)
    assert short.values == [0.9, 1.0, 1.1, 1.2, 1.3]
    assert short.labels == ["0.9", "1", "1.1", "1.2", "1.3"]
    assert log_ticks(1, 100)[0].values == [1, 2, 5, 10, 20, 50, 100]
    assert [ticks.labels[-1] for ticks in log_ticks(1, 20_000)[:2]] == ["20,000", "10,000"]

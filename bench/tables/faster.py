"""Which of two is faster, and by how much, in a sentence."""

import pandas as pd

from bench.tables.estimates import format_estimate


def describe_ratio_of_times(a: str, b: str, ratio: float, low: float, high: float) -> str:
    """Return a sentence, such as "lanes is 12.7 ± 0.4 times as fast as C", with a full stop.

    Parameters
    ----------
    a, b : str
        What is compared.
    ratio, low, high : float
        The time of b divided by that of a, with its interval. Where 1 is inside, no difference was found.
    """
    if low > 1:
        return f"{a} is {_times(ratio, low, high)} times as fast as {b}."
    if high < 1:
        return f"{b} is {_times(1 / ratio, 1 / high, 1 / low)} times as fast as {a}."
    if pd.isna(low):
        return f"{b} takes {_three_digits(ratio)} times as long as {a}; there is no interval to say how sure that is."
    return f"No difference was found: {b} takes {_times(ratio, low, high)} times as long as {a}."


def describe_fastest(speed: pd.DataFrame) -> str | None:
    """Return a sentence on the fastest of our variants in one thread, against C or else the reference.

    Parameters
    ----------
    speed : DataFrame
        As from `bench.timing.speed.speed`.

    Returns
    -------
    str or None
        None where nothing of ours is verified and can be compared.
    """
    verified = speed["verified"].fillna(False).astype(bool) & speed["ours"].astype(bool) & speed["threads"].eq(1)
    for rival, column in (("C", "to_c"), ("reference", "to_reference")):
        rows = speed[verified & speed[column].notna()]
        if not rows.empty:
            best = rows.iloc[int(rows[column].to_numpy(float).argmax())]
            ratio = (float(best[f"{column}{end}"]) for end in ("", "_low", "_high"))
            return describe_ratio_of_times(str(best["variant"]), rival, *ratio)
    return None


def _times(ratio: float, low: float, high: float) -> str:
    return format_estimate(ratio, low, high, _three_digits)


def _three_digits(value: float) -> str:
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 100 else f"{value:#.3g}"

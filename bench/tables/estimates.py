"""A value with its interval in the fewest characters that say the same."""

import re
from collections.abc import Callable
from decimal import Decimal

import pandas as pd

_QUANTITY = re.compile(r"(-?[\d,]+(?:\.\d+)?)( \S+)?")


def format_estimate(value: float, low: float, high: float, as_text: Callable[[float], str]) -> str:
    """Return a value with its interval: "12.7 ± 0.4" where that is symmetric to the digits shown, else "100 [98, 125]".

    Parameters
    ----------
    value, low, high : float
        The value alone is shown where an end is missing or the interval is a point.
    as_text : callable
        How a number is written, with its unit if it has one.
    """
    if pd.isna(low) or pd.isna(high) or low == high == value:
        return as_text(value)
    shown = [as_text(number) for number in (value, low, high)]
    return _symmetric(*shown) or f"{shown[0]} [{shown[1]}, {shown[2]}]"


def _symmetric(value: str, low: str, high: str) -> str | None:
    """Return the value and how far its interval reaches; None where that differs between its ends."""
    found = [_QUANTITY.fullmatch(part) for part in (value, low, high)]
    if not all(found) or len({part[2] for part in found if part}) > 1:
        return None
    middle, lower, upper = (Decimal(part[1].replace(",", "")) for part in found if part)
    if not middle - lower == upper - middle > 0:
        return None
    half = middle - lower
    rounded = half.quantize(middle)  # the ends may show more decimals, such as 0.980 beside 1.01
    reach = f"{rounded if rounded == half else half:,}"
    number, unit = (found[0][1], found[0][2]) if found[0] else (value, None)
    return f"({number} ± {reach}){unit}" if unit else f"{number} ± {reach}"

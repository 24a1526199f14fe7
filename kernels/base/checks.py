"""Checks of single values: each returns the value as what it is used as, or says what would be accepted."""

import difflib
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Integral, Real

import numpy as np
from numpy.typing import ArrayLike, NDArray


def check_real(name: str, value: object, accepted: Callable[[float], bool], wanted: str) -> float:
    """Return `value` as a float if it is a finite number that `accepted` accepts.

    Raises
    ------
    ValueError
        ``{name} must be {wanted}, not {value}``.
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) and accepted(number):
            return number
        raise ValueError(f"{name} must be {wanted}, not {number!r}")
    raise ValueError(f"{name} must be {wanted}, not {describe(value)}")


def check_integer(name: str, value: object, least: int = 1) -> int:
    """Return `value` as an int if it is a whole number of at least `least`, and below 2**53.

    Raises
    ------
    ValueError
        ``{name} must be a whole number of at least {least}, not {value}``.
    """
    # 2**53: what float64 still counts one by one; it also keeps int64 arithmetic from overflowing.
    if isinstance(value, Integral) and not isinstance(value, bool) and least <= int(value) < 2**53:
        return int(value)
    raise ValueError(f"{name} must be a whole number of at least {least}, not {describe(value)}")


def check_bool(name: str, value: bool) -> bool:
    """Return `value` as a bool if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, not {describe(value)}")
    return bool(value)


def check_seed(seed: int) -> int:
    """Return a seed, at most 64 bits.

    Raises
    ------
    ValueError
        If it is anything else than a whole number from 0 to 2**64 - 1.
    """
    if not isinstance(seed, Integral) or isinstance(seed, bool) or not 0 <= seed < 2**64:
        raise ValueError(f"seed must be a whole number from 0 to 2**64 - 1, not {describe(seed)}")
    return int(seed)


def check_target(target: float | None, *, nonnegative: bool = True) -> float:
    """Return the loss at which to stop; never, for None. Only some losses can be negative."""
    if target is None:
        return -math.inf
    if nonnegative:
        return check_real("target", target, lambda value: value >= 0, "a finite number >= 0 or None")
    return check_real("target", target, lambda value: True, "a finite number or None")


def check_unmasked(name: str, values: ArrayLike) -> None:
    """Refuse masked values, whose masks `numpy.asarray` would drop without a word.

    Raises
    ------
    ValueError
        If a masked array, or one among the elements or the rows of a list, has a masked value.
    """
    if masked := _count_masked(values, depth=2):
        remedy = "leave those out, or fill them with numpy.ma.filled"
        raise ValueError(f"{name} must hold no masked values, not {masked} of them: {remedy}")


def check_array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return real numbers as float64, without a copy where they are that already.

    Raises
    ------
    ValueError
        If they are anything else than real numbers, or some of them are masked.
    """
    check_unmasked(name, values)
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must be an array of numbers, not a ragged list") from None
    if array.dtype.kind not in "iuf":
        raise ValueError(f"{name} must hold real numbers, not values of type {array.dtype}")
    return array.astype(np.float64, copy=False)


def describe(value: object) -> str:
    """Return `value` as an error message shows it: on one line, and not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def closest_name(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name that one which is not known was meant to be, or None; case does not count."""
    spelt = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=cutoff)
    return spelt[close[0]] if close else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a question to be put behind a name that is not known; empty where nothing is close to it."""
    close = closest_name(name, known)
    return f" (did you mean {close!r}?)" if close else ""


def meant_by(name: str, used: Iterable[str]) -> str:
    """Return a question whether one of the names that are used was meant to be this one; empty if none is close."""
    close = closest_name(name, used)
    return f" (did you mean {name!r} in place of {close!r}?)" if close else ""


def _count_masked(values: ArrayLike, depth: int) -> int:
    if isinstance(values, np.ma.MaskedArray):
        mask = np.ma.getmaskarray(values)
        return int(mask.sum()) if mask.dtype == bool else 0
    if depth and isinstance(values, list | tuple):
        return sum(_count_masked(element, depth - 1) for element in values)
    return 0


def describe_row(row: int) -> str:
    """Return what a row of arrays is called in a message."""
    return f"row {row} (counted from 0)"


@contextmanager
def errors_in_one_line(subject: str) -> Iterator[None]:
    """Make a ValueError in one line of an error of any other kind, as of a user's rule or of the compiler."""
    try:
        yield
    except (ValueError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{subject}: {type(error).__name__}: {first_sentence(str(error))}") from error


def first_sentence(message: str) -> str:
    """Return the first line of an error message that says anything; numba's begin with where it was at work."""
    lines = [line.strip() for line in message.splitlines()]
    return next((line for line in lines if line and not line.startswith("Failed in")), "it does not say why")

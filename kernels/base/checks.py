"""Checks of single values: each returns the value in the type used inside, or raises an error naming valid values."""

import difflib
import math
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import ArrayLike, NDArray

# A message lists at most this many names.
MAX_LISTED = 12
# Instances of `numbers.Number` that are not numbers here: NumPy's time spans subclass its signed integers.
_NO_NUMBERS = (bool, np.timedelta64)


def is_whole(value: object) -> TypeGuard[int]:
    """Return whether a value is an integer of Python or NumPy; bools are not."""
    return isinstance(value, Integral) and not isinstance(value, _NO_NUMBERS)


def check_real(name: str, value: object, accepted: Callable[[float], bool], accepted_values: str) -> float:
    """Return `value` as a float if it is finite and `accepted`; the error message names the `accepted_values`."""
    if isinstance(value, Real) and not isinstance(value, _NO_NUMBERS):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isfinite(number) and accepted(number):
            return number
        raise ValueError(f"{name} must be {accepted_values}, not {number!r}")
    raise ValueError(f"{name} must be {accepted_values}, not {describe(value)}")


def check_finite(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number."""
    return check_real(name, value, lambda number: True, "a finite number")


def check_positive(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number above 0."""
    return check_real(name, value, lambda number: number > 0.0, "a positive finite number")


def check_not_negative(name: str, value: object) -> float:
    """Return `value` as a float if it is a finite number of at least 0."""
    return check_real(name, value, lambda number: number >= 0.0, "a finite number >= 0")


def check_between(name: str, value: object, low: float, high: float) -> float:
    """Return `value` as a float if it is a number strictly between `low` and `high`."""
    return check_real(name, value, lambda number: low < number < high, f"a number between {low} and {high}")


def check_integer(name: str, value: object, least: int = 1, most: int | None = None) -> int:
    """Return `value` as an int if it is an integer from `least` to `most`; the default limit is below 2**53."""
    # float64 represents every integer below 2**53; the bound also keeps int64 arithmetic from overflowing.
    below = 2**53 if most is None else most + 1
    if is_whole(value) and least <= int(value) < below:
        return int(value)
    accepted = f"of at least {least}" if most is None else f"from {least} to {most}"
    raise ValueError(f"{name} must be a whole number {accepted}, not {describe(value)}")


def check_bool(name: str, value: bool) -> bool:
    """Return `value` as a bool if it is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be True or False, not {describe(value)}")
    return bool(value)


def check_seed(seed: int, name: str = "seed") -> int:
    """Return `seed` as an int if it is an integer of at most 64 bits; `name` is the name of the argument."""
    if not is_whole(seed) or not 0 <= seed < 2**64:
        raise ValueError(f"{name} must be a whole number from 0 to 2**64 - 1, not {describe(seed)}")
    return int(seed)


def check_target(target: float | None, *, nonnegative: bool = True) -> float:
    """Return the loss at which a run stops; -inf, which no run reaches, for None. Some losses can be negative."""
    if target is None:
        return -math.inf
    accepted = "a finite number >= 0" if nonnegative else "a finite number"
    return check_real("target", target, lambda value: value >= 0 or not nonnegative, accepted)


def check_unmasked(name: str, values: ArrayLike) -> None:
    """Refuse masked values, also in nested lists: `numpy.asarray` would silently drop the masks."""
    if masked := _count_masked(values, depth=2):
        remedy = "remove them, or fill them with numpy.ma.filled"
        raise ValueError(f"{name} must hold no masked values, not {masked} of them: {remedy}")


def check_array(name: str, values: ArrayLike, kinds: str = "iuf") -> NDArray[np.float64]:
    """Return real numbers without masks as float64, without a copy if they already are.

    `kinds` lists the accepted kinds of `numpy.dtype`; with "b", bools become 0 and 1.
    """
    check_unmasked(name, values)
    if hasattr(values, "toarray"):
        raise ValueError(f"{name} must be a dense array, not a sparse one: call its toarray() first")
    try:
        array = np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must be an array of numbers, not a ragged list") from None
    except (TypeError, RuntimeError) as error:  # such as a tensor with a gradient
        raise ValueError(f"{name} must be an array that NumPy can read: {first_sentence(str(error))}") from None
    if array.dtype.kind not in kinds:
        raise ValueError(f"{name} must hold real numbers, not values of type {array.dtype}")
    with np.errstate(over="ignore"):  # longdouble values may exceed the range of float64
        return array.astype(np.float64, copy=False)


def check_sequence(name: str, names: object) -> tuple[Any, ...]:
    """Return a sequence of names as a tuple; strings and sets are refused (the order of a set differs by process)."""
    if isinstance(names, str):
        text = describe(names)
        raise ValueError(f"{name} must be a sequence of names such as ({text},), not the text {text}")
    with suppress(TypeError):
        if not isinstance(names, set | frozenset):
            return tuple(str(one) if isinstance(one, str) else one for one in names)  # type: ignore[attr-defined]
    raise ValueError(f"{name} must be a sequence of names such as ('x',), not {describe(names)}")


def describe(value: object) -> str:
    """Return the text of `value` in an error message: one line of at most 60 characters."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else text[:57] + "..."


def closest_name(name: str, accepted: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the known name closest to an unknown one, ignoring case, or None if none is close."""
    spelt = {other.lower(): other for other in accepted}
    close = difflib.get_close_matches(name.lower(), spelt, n=1, cutoff=cutoff)
    return spelt[close[0]] if close else None


def did_you_mean(name: str, accepted: Iterable[str]) -> str:
    """Return a hint at the known name closest to an unknown one, to append to a message; empty if none is close."""
    close = closest_name(name, accepted)
    return f" (did you mean {close!r}?)" if close else ""


def meant_by(name: str, used: Iterable[str]) -> str:
    """Return a hint that a name in use may be a misspelling of `name`; empty if none is close."""
    close = closest_name(name, used)
    return f" (did you mean {name!r} instead of {close!r}?)" if close else ""


def list_names(names: Iterable[object], separator: str = ", ") -> str:
    """Return names for a message: the first twelve, and the number of the others."""
    texts = [str(name) for name in names]
    more = f"{separator}... and {len(texts) - MAX_LISTED:,} more" if len(texts) > MAX_LISTED else ""
    return separator.join(texts[:MAX_LISTED]) + more


def describe_row(row: int) -> str:
    """Return the name of row `row` of the data in a message."""
    return f"row {row} (counted from 0)"


@contextmanager
def errors_in_one_line(subject: str) -> Iterator[None]:
    """Raise any other error, such as one of a user's rule or of the compiler, as a ValueError of one line."""
    try:
        yield
    except (ValueError, MemoryError):
        raise
    except Exception as error:
        raise ValueError(f"{subject}: {type(error).__name__}: {first_sentence(str(error))}") from error


def first_sentence(message: str) -> str:
    """Return the first informative line of an error message; numba's messages begin with the stage that failed."""
    lines = [line.strip() for line in message.splitlines()]
    return next((line for line in lines if line and not line.startswith("Failed in")), "it gives no reason")


def _count_masked(values: ArrayLike, depth: int) -> int:
    masked_arrays = sys.modules.get("numpy.ma")  # an attribute of NumPy would import it, which a fork does not wait for
    if masked_arrays and isinstance(values, masked_arrays.MaskedArray):
        mask = masked_arrays.getmaskarray(values)
        return int(mask.sum()) if mask.dtype == bool else 0
    if depth and isinstance(values, list | tuple):
        return sum(_count_masked(element, depth - 1) for element in values)
    return 0

"""Messages about unknown options, with suggestions, and about invalid values of options."""

from collections.abc import Collection, Sequence
from typing import Any

# The metavars of options that take lists.
LIST_METAVARS = ("RATES", "SIZES", "NAMES", "SEEDS", "STARTS")


def describe_unknown_option(option: str, accepted: Collection[str], command: str) -> str:
    """Return a sentence about an unknown option, with the one that was probably meant.

    Names that other tools give an option are matched before similar names: "--learning-rate" is --lr, although
    --animate is spelled more like it. A study key without an option is set with --set.
    """
    from sgdbench.kernels.base.arguments import EXACT_MATCH, meant_argument  # noqa: PLC0415 (takes half a second, after a mistake only)

    keys = _keys_by_option(command) if "--set" in accepted else {}
    options = {one.removeprefix("--").replace("-", "_"): one for one in sorted({*accepted, *keys})}
    name, own = option.removeprefix("--"), [one for one in options if options[one] in accepted]
    # Keys without an option are rarely meant, so they have to be more similar.
    meant = (
        meant_argument(name, options, EXACT_MATCH)
        or meant_argument(name, own, 0.7)
        or meant_argument(name, options, 0.8)
    )
    meant = options.get(meant or "", "")
    if meant in accepted:
        return f"there is no option {option}; did you mean {meant}?"
    return f"there is no option {option}" + (f"; give --set {keys[meant]}=VALUE" if meant else "")


def refuse_repeated_lists(options: Sequence[Any]) -> None:
    """Refuse a list option that is given twice, from the parameters of a command in the order of its line.

    For other options the last one counts, so that a line can be changed at its end; here, values would be lost.
    """
    if twice := next(
        (option for option in options if option.metavar in LIST_METAVARS and options.count(option) > 1), None
    ):
        between = "semicolons" if twice.metavar == "STARTS" else "commas"
        raise ValueError(
            f"{twice.opts[0]} must be given once, with {between} between its values, not {options.count(twice)} times"
        )


def reword_value_error(error: Any) -> str:
    """Return the message of an error about an option's value, without pydantic's prefix."""
    if not hasattr(error.__cause__, "errors"):
        return str(error.format_message())
    from sgdbench.system.accepted import describe_error  # noqa: PLC0415 (takes half a second, after a mistake only)

    return f"{error.param.opts[0]} {describe_error(error.__cause__.errors()[0])}"


def _keys_by_option(command: str) -> dict[str, str]:
    """Return the study keys by the option that each would have; of two equal names, the more important key."""
    from sgdbench.study.schema import field_names  # noqa: PLC0415

    tables = ("data", "grid", "run", "tune") if command == "tune" else ("data", "grid", "run")
    return {f"--{key.replace('_', '-')}": f"{table}.{key}" for table in tables for key in field_names((table,))}

"""Messages about what pydantic would have accepted."""

from collections.abc import Mapping
from typing import Any

from sgdbench.kernels.base.checks import describe

BOUND_WORDS = {"greater_than": "more than {gt:g}", "greater_than_equal": "at least {ge:g}"}
BOUND_WORDS |= {"less_than": "less than {lt:g}", "less_than_equal": "at most {le:g}"}
TYPE_WORDS = {"int": "a whole number", "float": "a number", "finite": "a finite number", "bool": "True or False"}
TYPE_WORDS |= {
    "string": "text",
    "list": "a list",
    "model": "a table",
    "dict": "a table",
    "literal": "one of {expected}",
}


def describe_error(details: Mapping[str, Any], **words: str) -> str:
    """Return a message about an invalid value, one of `pydantic.ValidationError.errors()`: "must be a number, not 'x'".

    `words` replace those for a kind of value, such as ``bool``.
    """
    kind, _, _ = details["type"].partition("_")
    accepted, value = BOUND_WORDS.get(details["type"]) or (TYPE_WORDS | words).get(kind), details["input"]
    if accepted is None:
        return str(details["msg"])
    shown = str(value).lower() if isinstance(value, bool) and "bool" in words else describe(value)
    return f"must be {accepted.format_map(details.get('ctx', {}))}, not {shown}"

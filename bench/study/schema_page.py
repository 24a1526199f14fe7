"""The keys of study files as a Markdown page, generated from the models that check them."""

import json
import types
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sgdbench.study.schema import Study

_TYPE_WORDS = {str: "text", bool: "true or false", int: "whole number", float: "number"}


def schema_page() -> str:
    """Return the page."""
    top = {name: field for name, field in Study.model_fields.items() if not _is_table(field)}
    parts = ["Keys before the first table:\n\n" + _rows(top)]
    for name, field in Study.model_fields.items():
        if _is_table(field):
            about = (field.annotation.__doc__ or "").strip().partition("\n")[0].partition(": ")[2]
            parts.append(f"`[{name}]`: {about}\n\n{_rows(field.annotation.model_fields)}")  # type: ignore[union-attr]
    return "\n".join(parts)


def _is_table(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def _rows(fields: dict[str, FieldInfo]) -> str:
    lines = ["| key | value | without it | what it is |", "|---|---|---|---|"]
    for name, field in fields.items():
        about = next((text for text in field.metadata if isinstance(text, str)), "")
        cells = (f"`{name}`", _describe_type(field.annotation), _describe_default(field), about)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def _describe_type(annotation: Any) -> str:
    """Return a type in the form in which people write its values."""
    if get_origin(annotation) in (Union, types.UnionType):
        return " or ".join(_describe_type(part) for part in get_args(annotation) if part is not type(None))
    if get_origin(annotation) is list:
        return f"list of {_describe_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return f"table of {_describe_type(get_args(annotation)[1])}"
    return _TYPE_WORDS.get(annotation, "value or list")


def _describe_default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    return "" if field.default is None else f"`{json.dumps(field.default)}`"

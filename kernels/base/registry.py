"""Rules by kind and name: the built-in ones, and those that users register.

The built-in rules never change. `Table` looks a name up there first, then among the rules registered in this process,
and then loads the installed plug-ins.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple, TypeVar

from sgdbench.kernels.base.forking import IMPORT_LOCK
from sgdbench.kernels.base.spec import option_text, parse_spec

T = TypeVar("T")

KINDS = ("optimizer", "loss", "schedule", "model")


@dataclass(frozen=True, eq=False)
class Registered:
    """A registered rule.

    Attributes
    ----------
    kind, name : str
    build : callable
        Takes the options and returns an optimizer, a loss, a schedule or a model.
    origin : tuple of str
        The module and the qualified name of the function. A function of the same origin replaces the rule, as does one
        of this name in the same file, which may be both imported and loaded as a plug-in.
    place : str
        The file and the line of the function.
    source : str
        The source of the function and of everything that it uses.
    digest : str
        Changes if the results may; comments and layout do not count.
    variants : dict of str to Registered
        The rule with other functions than by default, where options select them, by the text of the call.
    """

    kind: str
    name: str
    build: Callable[..., Any]
    origin: tuple[str, str]
    place: str
    source: str
    digest: str
    variants: dict[str, "Registered"] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The path of the rule's file."""
        return self.place.partition(" of ")[2]

    @property
    def plugin(self) -> str:
        """The path of the rule's file if it is a plug-in, else an empty text."""
        with IMPORT_LOCK:
            from sgdbench.kernels.base.plugins import MODULE_PREFIX  # noqa: PLC0415 (only for registered rules)

        return self.file if self.origin[0].startswith(MODULE_PREFIX) else ""


REGISTERED: dict[str, dict[str, Registered]] = {kind: {} for kind in KINDS}


class Entry(NamedTuple):
    """A line of a listing: the name of a function, its options with defaults, and the start of its docstring."""

    name: str
    options: str
    description: str


class Listing(Mapping[str, Callable[..., T]]):
    """Functions by name, displayed with their options and descriptions."""

    def __init__(self, built_in: Mapping[str, Callable[..., T]]) -> None:
        self.built_in = built_in

    def __getitem__(self, name: str) -> Callable[..., T]:
        return self.built_in[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.built_in)

    def __len__(self) -> int:
        return len(self.built_in)

    def entries(self) -> list[Entry]:
        """Return a line for each function."""
        entries = []
        for name, function in self.items():
            options = inspect.signature(function).parameters.values()
            options_text = [
                one.name if one.default is one.empty else option_text(one.name, one.default) for one in options
            ]
            description, *_ = (inspect.getdoc(function) or "").split("\n\n")
            entries.append(Entry(name, ", ".join(options_text), " ".join(description.split())))
        return entries

    def __repr__(self) -> str:
        lines = [f"{name}({options})\n    {description}".rstrip() for name, options, description in self.entries()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the table that Jupyter displays."""
        rows = [Entry._fields, *self.entries()]
        head, *body = ["".join(f"<td style='text-align: left'>{escape(cell)}</td>" for cell in row) for row in rows]
        lines = "".join(f"<tr>{row}</tr>" for row in body)
        return f"<table><thead><tr>{head.replace('td', 'th')}</tr></thead><tbody>{lines}</tbody></table>"


class Table(Listing[T]):
    """The builders of one of the `KINDS` by name: built-in and registered.

    Attributes
    ----------
    hint : str
        The end of the message about an unknown name: how to register one.
    names_elsewhere : dict of str to str
        Names that other libraries use, and the names here. They are suggested, not accepted.
    """

    def __init__(
        self, kind: str, built_in: Mapping[str, Callable[..., T]], names_elsewhere: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(built_in)
        self.names_elsewhere = dict(names_elsewhere or {})
        self.registered = REGISTERED[kind]
        self.hint = f"; your own come with --plugin FILE or sgdbench.register_{kind}"

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name in self.built_in:
            return self.built_in[name]
        if name not in self.registered:
            with IMPORT_LOCK:
                from sgdbench.kernels.base.plugins import load_installed  # noqa: PLC0415 (only for rules that are not built in)

            load_installed()
        return self.registered[name].build

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from self.registered

    def __len__(self) -> int:
        return len(self.built_in) + len(self.registered)


def registered_in(rule: Any, kind: str) -> list[Registered]:
    """Return the registered rules that an optimizer or a loss is built from; none if all are built in."""
    registered = REGISTERED[kind].get(rule.name)
    registrations = [registered.variants.get(rule.text, registered)] if registered else []
    inner = getattr(rule, "inner", None)
    return registrations if inner is None else [*registrations, *registered_in(inner, kind)]


def registered_named(kind: str, text: str) -> list[Registered]:
    """Return the registered rule that a text, ``name`` or ``name(options)``, names; none if it is built in."""
    name = parse_spec(text, kind, composed=True)[0]
    return [REGISTERED[kind][name]] if name in REGISTERED[kind] else []

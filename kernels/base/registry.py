"""The rules that users register, by kind and name, beside the built-in ones.

A built-in table says what comes with the package, and never changes. `Table` looks there first, then among what was
registered in this process, and, for a name that is in neither, loads the plug-ins that are installed.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from kernels.base.plugins import PREFIX, load_installed
from kernels.base.spec import parse_spec

T = TypeVar("T")
Builder = Callable[..., Any]

KINDS = ("optimizer", "loss", "schedule", "model")


@dataclass(frozen=True, eq=False)
class Registered:
    """A rule that somebody registered.

    Attributes
    ----------
    kind, name : str
    build : callable
        Takes the options and returns an optimizer, a loss, a schedule or a model.
    origin : tuple of str
        The module and the qualified name of the function: who registers the same one again replaces it.
    place : str
        Its file and its line.
    source : str
        It and all that it uses, to be read.
    digest : str
        Differs where what it computes may differ; comments and the layout of the text do not count.
    """

    kind: str
    name: str
    build: Builder
    origin: tuple[str, str]
    place: str
    source: str
    digest: str

    @property
    def plugin(self) -> str:
        """The path of the file, where it was given as a plug-in; else nothing."""
        return self.place.rpartition(" of ")[2] if self.origin[0].startswith(PREFIX) else ""


REGISTERED: dict[str, dict[str, Registered]] = {kind: {} for kind in KINDS}


class Table(Mapping[str, Callable[..., T]]):
    """The builders of one kind by name: the built-in ones, and those that are registered.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    built_in : mapping

    Attributes
    ----------
    hint : str
        How to bring what is in neither: the end of the sentence about a name that is not known.
    """

    def __init__(self, kind: str, built_in: Mapping[str, Callable[..., T]]) -> None:
        self.built_in, self.registered = built_in, REGISTERED[kind]
        self.hint = f"; your own come with --plugin FILE or kernels.register_{kind}"

    def __getitem__(self, name: str) -> Callable[..., T]:
        if name in self.built_in:
            return self.built_in[name]
        if name not in self.registered:
            load_installed()
        return self.registered[name].build

    def __iter__(self) -> Iterator[str]:
        yield from self.built_in
        yield from self.registered

    def __len__(self) -> int:
        return len(self.built_in) + len(self.registered)


def registered_in(made: Any, kind: str) -> list[Registered]:
    """Return the registered rules that an optimizer is made of, or the one that a loss is; none where all are built in.

    Parameters
    ----------
    made : Optimizer or Loss
    kind : str
    """
    found = [REGISTERED[kind][made.name]] if made.name in REGISTERED[kind] else []
    inner = getattr(made, "inner", None)
    return found if inner is None else [*found, *registered_in(inner, kind)]


def registered_schedule(text: str) -> list[Registered]:
    """Return the registered schedule that a text names; none where it is built in."""
    name = parse_spec(text, "schedule")[0]
    return [REGISTERED["schedule"][name]] if name in REGISTERED["schedule"] else []

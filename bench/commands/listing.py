"""The command `sgdbench list`: the names that studies, fits and comparisons can use."""

import sys
from importlib.util import find_spec
from typing import Any

from sgdbench.commands.streams import one_line
from sgdbench.kernels.base.checks import did_you_mean
from sgdbench.kernels.base.plugins import load_installed
from sgdbench.kernels.base.registry import Entry, Listing
from sgdbench.study.builtin import describe_builtin

KINDS = ("optimizers", "losses", "schedules", "models", "functions", "studies", "peers")
# Longer names with options push their description to the right.
MAX_NAME_WIDTH = 32


def list_entries(kind: str) -> list[Entry]:
    """Return a line for each entry of a kind, including plug-ins; raise ValueError for an unknown kind."""
    if kind not in KINDS:
        raise ValueError(f"list has no {kind!r}{did_you_mean(kind, KINDS)}; it takes {', '.join(KINDS)}")
    if kind == "studies":
        named = describe_builtin("studies") | describe_builtin("suites")
        return [Entry(name, "", description) for name, description in named.items()]
    load_installed()
    if kind == "peers":
        return _list_peers()
    from sgdbench.kernels.losses import LOSSES  # noqa: PLC0415
    from sgdbench.kernels.model.expression import FUNCTIONS  # noqa: PLC0415
    from sgdbench.kernels.model.models import MODELS  # noqa: PLC0415
    from sgdbench.kernels.optimizers import OPTIMIZERS  # noqa: PLC0415
    from sgdbench.kernels.optimizers.schedules import SCHEDULES  # noqa: PLC0415

    listings: list[Listing[Any]] = [OPTIMIZERS, LOSSES, SCHEDULES, MODELS, FUNCTIONS]
    return listings[KINDS.index(kind)].entries()


def _list_peers() -> list[Entry]:
    """Return a line for each implementation that kernels are compared with."""
    from sgdbench.timing.variants import VARIANTS_BY_NAME  # noqa: PLC0415

    peers = []
    for peer in VARIANTS_BY_NAME.values():
        if not peer.ours:
            missing = peer.package and find_spec(peer.module or peer.package) is None
            lacks = f"; {peer.package} is not installed" if missing else ""
            description = f"{peer.about}; for {peer.which}, with {', '.join(peer.optimizers)}{lacks}"
            peers.append(Entry(peer.name, "", description))
    return peers


def print_entries(entries: list[Entry]) -> None:
    """Print a line per entry, so that `grep` finds whole lines; on a terminal, descriptions are indented below."""
    lines = [
        (one_line(f"{name}({options})" if options else name), one_line(description))
        for name, options, description in entries
    ]
    if sys.stdout.isatty():
        _draw_entries(lines)
        return
    width = min(max(len(call) for call, _ in lines), MAX_NAME_WIDTH)
    for call, description in lines:
        print(f"{call:{width}}  {description}".rstrip())


def _draw_entries(lines: list[tuple[str, str]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.padding import Padding  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console()
    for call, description in lines:
        console.print(Text(call, "bold"))
        console.print(Padding(Text(description), (0, 0, 0, 4)))

"""The cluster of `--cluster`: processes on this machine, or the scheduler at an address."""

import logging
import re
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sgdbench.commands.signals import shielded_from_ctrl_c
from sgdbench.engine.train import Executor, train_in_threads
from sgdbench.tables.words import format_count

if TYPE_CHECKING:
    from distributed import Client

ACCEPTED_CLUSTER = (
    "local:COUNT, such as local:4, for as many processes on this machine, or the address of a scheduler, such as "
    "tcp://127.0.0.1:8786"
)
CONNECT_SECONDS, MAX_GREETING_BYTES = 10, 2**20


@contextmanager
def open_cluster(cluster: str | None) -> Iterator[Executor]:
    """Yield the executor for a cluster, ``local:COUNT`` or an address, or for threads if there is none.

    Processes started here end with the block. Any other text, or a missing package distributed, raises a ValueError; an
    address at which no scheduler answers raises a ConnectionError.
    """
    if cluster is None:
        yield train_in_threads
        return
    local = re.fullmatch(r"local:([1-9]\d{0,3})", cluster)
    if not local and not re.fullmatch(r"(tcp|tls)://[^\s/]+:\d{1,5}", cluster):
        raise ValueError(f"--cluster must be {ACCEPTED_CLUSTER}, not {cluster!r}")
    if find_spec("distributed") is None:
        raise ValueError('--cluster needs dask.distributed: pip install "distributed>=2024.8" "bokeh>=3.1"')
    with _silent_logs(), _start_workers(int(local[1])) if local else _connect(cluster) as client:
        print(f"sgdbench: {_describe(client)}", file=sys.stderr)
        from sgdbench.engine.dask import DaskExecutor  # noqa: PLC0415

        yield DaskExecutor(client)


@contextmanager
def _start_workers(count: int) -> "Iterator[Client]":
    """Start single-threaded processes, which only this machine can reach."""
    from distributed import Client, LocalCluster  # noqa: PLC0415

    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "threads_per_worker": 1,
        "memory_limit": 0,  # a sweep announces its memory use in advance
        "dashboard_address": "127.0.0.1:0",
        "silence_logs": logging.CRITICAL,
    }
    with shielded_from_ctrl_c():
        cluster = LocalCluster(n_workers=count, **settings)
    with cluster, Client(cluster, set_as_default=False) as client:
        yield client


@contextmanager
def _connect(address: str) -> "Iterator[Client]":
    from distributed import Client  # noqa: PLC0415

    try:
        if address.startswith("tcp:"):
            _check_greeting(address)
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConnectionError(
            f"--cluster: no scheduler of Dask answers at {address} within {CONNECT_SECONDS} seconds"
        ) from error
    with client:
        yield client


def _check_greeting(address: str) -> None:
    """Raise OSError unless a server at the address answers as Dask does; a client would wait for others forever."""
    host, _, port = address.removeprefix("tcp://").rpartition(":")
    place = host.strip("[]"), int(port)
    with socket.create_connection(place, CONNECT_SECONDS) as connection, connection.makefile("rb") as stream:
        first = stream.read(8)  # the length of the message
    if len(first) < 8 or int.from_bytes(first, "little") > MAX_GREETING_BYTES:
        raise ConnectionError("this is not a scheduler")


@contextmanager
def _silent_logs() -> Iterator[None]:
    """Silence Dask's logs of dying workers and closed connections: errors report what matters in one line."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def _describe(client: "Client") -> str:
    """Return a description of the cluster: its size, and the address of its dashboard."""
    threads = client.nthreads()
    workers, total = format_count(len(threads), "worker"), format_count(sum(threads.values()), "thread")
    return f"cluster of {workers} with {total} in all, dashboard: {client.dashboard_link or 'none'}"

"""Available memory, and checks that a run fits into it."""

from pathlib import Path

# Smaller allocations are assumed to fit without checking the available memory.
UNCHECKED_BYTES = 2**28
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def available_memory() -> int | None:
    """Return the number of bytes that this process can allocate without swapping, or None if unknown."""
    limits = [_available_on_machine(), *map(_limit_of_group, _CGROUPS), *_limits_of_process()]
    return min((amount for amount in limits if amount is not None), default=None)


def check_memory(needed: int, room: float | None, asked: str, rest: str = "") -> None:
    """Raise ValueError if more bytes are needed than there is room for; do nothing where `room` is None.

    The message begins with `asked`, the setting that needs the memory, and ends with `rest`.
    """
    if room is not None and needed > room:
        raise ValueError(f"{asked} {needed / 1e9:,.1f} GB of memory, and {room / 1e9:,.1f} GB are available{rest}")


def check_room(epochs: int, checkpoints: int, numbers: int, name: str = "epochs") -> None:
    """Refuse a run whose recorded results exceed the memory: the loss and `numbers` values at each checkpoint.

    `name` is the name of the argument with the number of epochs.
    """
    # Learning rates, and per checkpoint samples, updates, loss and `numbers`; the result holds a second copy.
    needed = 16 * (epochs + checkpoints * (3 + numbers))
    asked = f"{name} must be fewer than {epochs:,}"
    if checkpoints > 2 * epochs:  # there are checkpoints within epochs
        asked = f"epochs and record must ask for fewer checkpoints than {checkpoints:,}"
    check_memory(needed, available_memory() if needed > UNCHECKED_BYTES else None, f"{asked}, which take about")


def _limits_of_process() -> list[int]:
    """Return the limits that the shell set, for example with ulimit."""
    try:
        import resource  # noqa: PLC0415
    except ModuleNotFoundError:  # Windows
        return []
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return [limit for limit in limits if limit != resource.RLIM_INFINITY]


def _available_on_machine() -> int | None:
    """Return Linux's estimate of the available memory."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _limit_of_group(path: Path) -> int | None:
    """Return the memory limit of a container."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None

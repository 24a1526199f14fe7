"""The memory that is available, and what a run takes of it."""

from pathlib import Path

# What takes fewer bytes fits, without a look at what is available.
SMALL = 2**28
_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def available_memory() -> int | None:
    """Return the number of bytes that this process can take without swapping, or None if that is not known."""
    found = [_available_on_machine(), *map(_limit_of_group, _CGROUPS), *_limits_of_process()]
    return min((amount for amount in found if amount is not None), default=None)


def check_memory(needed: int, room: float | None, asked: str, rest: str = "") -> None:
    """Refuse what needs more bytes than there is room for, or None where that is not known, in a sentence.

    The sentence begins with what is `asked` and ends with the `rest`.
    """
    if room is not None and needed > room:
        raise ValueError(f"{asked} {needed / 1e9:,.1f} GB of memory, and {room / 1e9:,.1f} GB are available{rest}")


def check_room(epochs: int, checkpoints: int, numbers: int, name: str = "epochs") -> None:
    """Refuse a run of which the memory does not hold what is recorded: besides the loss, `numbers` at each checkpoint.

    `name` is that of the argument with the epochs.
    """
    # The rates; the samples and the updates so far, the loss, and the numbers; once more in the result.
    needed = 16 * (epochs + checkpoints * (3 + numbers))
    asked = f"{name} must be fewer than {epochs:,}"
    if checkpoints > 2 * epochs:  # there are more checkpoints than those at the ends of epochs
        asked = f"epochs and record must ask for fewer checkpoints than {checkpoints:,}"
    check_memory(needed, available_memory() if needed > SMALL else None, f"{asked}, which take about")


def _limits_of_process() -> list[int]:
    """Return the limits that the shell set, such as by ulimit."""
    try:
        import resource  # noqa: PLC0415
    except ModuleNotFoundError:  # Windows
        return []
    limits = [resource.getrlimit(kind)[0] for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)]
    return [limit for limit in limits if limit != resource.RLIM_INFINITY]


def _available_on_machine() -> int | None:
    """Return Linux's estimate of the memory that is available."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)


def _limit_of_group(path: Path) -> int | None:
    """Return the limit of a container."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None

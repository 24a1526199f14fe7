"""The memory that is available."""

from pathlib import Path

_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def available_memory() -> int | None:
    """Return the number of bytes that this process can take without swapping, or None if that is not known."""
    found = [_available_on_machine(), *map(_limit_of_group, _CGROUPS), *_limits_of_process()]
    return min((amount for amount in found if amount is not None), default=None)


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

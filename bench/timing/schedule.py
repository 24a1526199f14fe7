"""A loop on an ideal machine: latencies and units together.

The latency of a chain and the time for which units are busy are bounds that each leave the other out. Three operations
that are ready at once and have two units are one cycle longer than either says. Here every instruction starts when its
operands are there and a unit that can do it is free, oldest first, and nothing else is in the way: no loads, no
decoding, no queues. It is what a processor could do, though no proof that none can do better.
"""

from operator import itemgetter

from bench.timing.cores import FOR_ADDING, FOR_MULTIPLYING, Core
from bench.timing.machine_code import Loop

TURNS = 24
# An instruction waits until the one so many before it is done: processors look no farther ahead.
WINDOW = 512
DIVIDER = "divider"
WHERE = {
    "add": FOR_ADDING,
    "multiply": FOR_MULTIPLYING,
    "fma": FOR_MULTIPLYING,
    "divide": (DIVIDER,),
    "sqrt": (DIVIDER,),
}
"""The units that can do an instruction of a kind."""


class _Unit:
    """The cycles in which a unit is busy."""

    def __init__(self) -> None:
        self.taken: set[int] = set()
        self.first_free = 0

    def free_from(self, start: int, cycles: int) -> int:
        """Return from when it is free for so many cycles."""
        start = max(start, self.first_free)
        while any(cycle in self.taken for cycle in range(start, start + cycles)):
            start += 1
        return start

    def occupy(self, start: int, cycles: int) -> None:
        """Take some cycles."""
        self.taken.update(range(start, start + cycles))
        while self.first_free in self.taken:
            self.first_free += 1


def ideal_cycles(loop: Loop, core: Core) -> float:
    """Return how long a turn takes, once it has settled.

    Parameters
    ----------
    loop : Loop
        Without calls and branches.
    core : Core
    """
    units = (*core.ports_for(wide=loop.is_wide), DIVIDER)
    busy = [_Unit() for _ in units]
    flow = [(one, one.reads(loop.frame), one.writes(loop.frame)) for one in loop.instructions]
    ready: dict[str, int] = {}
    done: list[int] = []
    for _ in range(2 * TURNS):
        for one, needed, written in flow:
            start = max((ready.get(name, 0) for name in needed), default=0)
            if len(done) >= WINDOW:
                start = max(start, done[-WINDOW])
            usable = [unit for name, unit in zip(units, busy, strict=True) if name in WHERE.get(one.kind, ())]
            if usable:
                cycles = int(core.divider_cycles(one.kind, one.width)) or core.port_cycles(one.width)
                start, unit = min(((unit.free_from(start, cycles), unit) for unit in usable), key=itemgetter(0))
                unit.occupy(start, cycles)
            end = start + core.latency(one.kind)
            ready |= dict.fromkeys(written, end)
            done.append(max(end, done[-1] if done else 0))
    return (done[-1] - done[len(done) // 2 - 1]) / TURNS

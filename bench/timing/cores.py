"""How fast processors add and multiply: latencies and ports, by the names that LLVM has for them.

What a document gives as a range stands here with its lower end, so that a bound is one from below. Sources:

- LLVM: the scheduling models in ``llvm/lib/Target/X86``, such as ``X86SchedSkylakeServer.td``,
  ``X86SchedSapphireRapids.td``, ``X86ScheduleZnver4.td`` and ``X86ScheduleZnver5.td``; many are measured.
- Agner Fog: "Instruction tables" and "The microarchitecture of Intel, AMD and VIA CPUs", https://www.agner.org/optimize.
- Intel: "64 and IA-32 Architectures Optimization Reference Manual", 248966.
- AMD: "Software Optimization Guide for the AMD Zen4 Microarchitecture", 57647, and "... Zen5 ...", 58455.
- A. J. Yee: "Zen5's AVX512 Teardown", https://www.numberworld.org/blogs/2024_8_7_zen5_avx512_teardown, 2024.
"""

from collections.abc import Mapping
from typing import NamedTuple

BOTH = "add and multiply"
FOR_ADDING = ("add", BOTH)
FOR_MULTIPLYING = ("multiply", BOTH)
SHARED = (BOTH, BOTH)
SEPARATE = ("multiply", "multiply", "add", "add")
# Measured on Zen 4, where LLVM's model has 5, 5, 10 and 9, 9, 18.
AMD = {"divide": (4.5, 4.5, 9.0), "sqrt": (8.0, 8.0, 15.0)}
INTEL = {"divide": (4.0, 8.0, 16.0), "sqrt": (4.0, 9.0, 18.0)}


class Core(NamedTuple):
    """What counts for a chain of operations on doubles, and for many side by side; in cycles.

    Attributes
    ----------
    name, source : str
    add, multiply, fma, divide, sqrt : int
        From the operands to the result.
    ports : tuple of str
        What each floating-point port does in a cycle, with up to 256 bits: "add", "multiply" (a fused multiply-add
        too), or both.
    wide_ports : tuple of str
        The same in a loop with instructions of 512 bits; none where the processor has none.
    wide_cycles : int
        For how many cycles one of those occupies its port.
    dividing : mapping
        From "divide" and "sqrt" to the cycles for which the divider is occupied by 128 bits or less, 256, and 512.
    """

    name: str
    source: str
    add: int
    multiply: int
    fma: int
    ports: tuple[str, ...]
    wide_ports: tuple[str, ...] = ()
    wide_cycles: int = 1
    divide: int = 13
    sqrt: int = 13
    dividing: Mapping[str, tuple[float, float, float]] = INTEL

    def latency(self, kind: str) -> int:
        """Return the cycles of an instruction of a kind; 1, which it takes at least, of what is not in the table."""
        known = {"add": self.add, "multiply": self.multiply, "fma": self.fma, "divide": self.divide, "sqrt": self.sqrt}
        return known.get(kind, 0 if kind == "move" else 1)

    def divider_cycles(self, kind: str, width: int) -> float:
        """Return for how long an instruction of so many bits occupies the divider."""
        return self.dividing[kind][{256: 1, 512: 2}.get(width, 0)] if kind in self.dividing else 0.0

    def port_cycles(self, width: int) -> int:
        """Return for how long an instruction of so many bits occupies the port that adds or multiplies for it."""
        return self.wide_cycles if width == 512 else 1

    def ports_for(self, *, wide: bool) -> tuple[str, ...]:
        """Return the ports of a loop.

        Raises
        ------
        ValueError
            If it has vectors that the processor has not.
        """
        if wide and not self.wide_ports:
            raise ValueError(f"no bound: {self.name} has no vectors of 512 bits in the table")
        return self.wide_ports if wide else self.ports


HASWELL = Core(
    "Haswell", "Agner Fog; LLVM", 3, 5, 5, ("multiply", BOTH), divide=10, sqrt=14,
    dividing={"divide": (8.0, 16.0, 32.0), "sqrt": (8.0, 16.0, 32.0)},
)  # fmt: skip
BROADWELL = HASWELL._replace(
    name="Broadwell", multiply=3, dividing={"divide": (4.0, 8.0, 16.0), "sqrt": (4.0, 8.0, 16.0)}
)
SKYLAKE = Core("Skylake", "Agner Fog; LLVM", 4, 4, 4, SHARED)
# Ports 0 and 1 act as one for 512 bits, and port 5 is the other.
SKYLAKE_SERVER = Core("Skylake-SP", "Agner Fog; Intel; LLVM", 4, 4, 4, SHARED, SHARED)
# The unit of port 5 is missing in notebooks and desktops.
ICE_LAKE_CLIENT = Core("Ice Lake, client", "Agner Fog; LLVM", 4, 4, 4, SHARED, SHARED, 2)
ICE_LAKE_SERVER = SKYLAKE_SERVER._replace(name="Ice Lake-SP")
# Additions have units of their own at ports 1 and 5, which take 3 cycles, and 2 from one addition to the next.
GOLDEN_COVE = Core("Golden Cove", "Intel; LLVM", 2, 4, 4, ("multiply", BOTH, "add"))
SAPPHIRE_RAPIDS = GOLDEN_COVE._replace(name="Sapphire Rapids", wide_ports=SHARED)
ZEN_2 = Core("Zen 2", "Agner Fog; LLVM", 3, 3, 5, SEPARATE, dividing=AMD, sqrt=20)
ZEN_3 = ZEN_2._replace(name="Zen 3", fma=4)
# 512 bits pass through units of 256 in two cycles.
ZEN_4 = ZEN_3._replace(name="Zen 4", source="AMD; LLVM", wide_ports=SEPARATE, wide_cycles=2)
# Additions take 3 cycles, and 2 from one addition to the next. The units of notebooks have 256 bits, which doubles the
# bound of lanes there.
ZEN_5 = ZEN_4._replace(
    name="Zen 5",
    source="AMD; Yee; LLVM",
    add=2,
    wide_cycles=1,
    dividing={"divide": (4.5, 4.5, 4.5), "sqrt": (8.0, 8.0, 8.0)},
)

CORES = {
    **dict.fromkeys(("haswell", "core-avx2"), HASWELL),
    "broadwell": BROADWELL,
    "skylake": SKYLAKE,
    **dict.fromkeys(("skylake-avx512", "cascadelake", "cooperlake"), SKYLAKE_SERVER),
    **dict.fromkeys(("icelake-client", "tigerlake", "rocketlake"), ICE_LAKE_CLIENT),
    "icelake-server": ICE_LAKE_SERVER,
    **dict.fromkeys(("alderlake", "raptorlake", "meteorlake"), GOLDEN_COVE),
    **dict.fromkeys(("sapphirerapids", "emeraldrapids", "graniterapids"), SAPPHIRE_RAPIDS),
    "znver2": ZEN_2,
    "znver3": ZEN_3,
    "znver4": ZEN_4,
    "znver5": ZEN_5,
}
"""By the names that LLVM has for processors."""

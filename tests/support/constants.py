"""Where things are, and how long tests wait."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "tests" / "benchmarks"
# Seconds after which something hangs; nothing takes so long, on a machine that is busy with other things either.
HANG = 600

"""A kernel of few lines, for tests of what is done with kernels: it compiles in a quarter of the time.

All but the loops is as it is for every kernel of single runs: what they are bound to, the compiler's options, the
signature, the cache folder.
"""

import functools
from collections.abc import Callable
from typing import Any

from kernels.base.run import MAX_EPOCHS
from kernels.loops import loops
from kernels.simd.tuples import load, store

# Bound to a model, a loss and an optimizer, as in `loops`.
per_sample_leg = loops.per_sample_leg
Bound = Callable[..., Any]
read_options: Bound
read_state: Bound
write_state: Bound
zeros: Bound


def train(data, hyper, record, scratch, first, last):
    """Train sample by sample in order, whatever is asked for, and look at no loss."""
    options = read_options(hyper.settings)
    theta, state = load(record.trajectory, first, zeros()), read_state(record.memory, scratch)
    for done in range(first, last):
        theta, state = per_sample_leg(theta, state, data.x, data.y, hyper.rates[done], options, data, scratch)
        store(record.trajectory, done + 1, theta)
        record.losses[done + 1] = 0.0
    record.losses[first] = 0.0
    write_state(record.memory, state)
    return MAX_EPOCHS, last


def use_short_kernels(patched):
    """Make this the kernel of single runs, and know none afterwards."""
    from kernels.compile import specialize
    from kernels.train import trainer

    patched.setattr(loops, "train", train)
    patched.setattr(trainer, "specialize", functools.cache(specialize.specialize.__wrapped__))


def begin_anew(patched, folder, in_memory=()):
    """Begin as another process does that uses such kernels and this cache folder, with some functions in memory."""
    from kernels.base import cache
    from kernels.compile import inner_functions, specialize

    use_short_kernels(patched)
    patched.setattr(cache, "folder", functools.cache(cache.folder.__wrapped__))
    patched.setenv("SGDBENCH_CACHE_DIR", str(folder))
    patched.setattr(inner_functions, "_compiled", dict(in_memory))
    patched.setattr(specialize, "_bind", functools.cache(specialize._bind.__wrapped__))


# For another process, before it trains anything.
USE_SHORT_KERNELS = (
    "from tests.support import short_kernel; from kernels.loops import loops; loops.train = short_kernel.train\n"
)

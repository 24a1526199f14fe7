"""Beginning as another process does."""

import functools

from sgdbench.kernels.base import cache
from sgdbench.kernels.compile import build


def begin_anew(patched, folder):
    """Know no kernel, and use this cache folder."""
    patched.setattr(cache, "folder", functools.cache(cache.folder.__wrapped__))
    patched.setenv("SGDBENCH_CACHE_DIR", str(folder))
    for module in [*build._built]:
        patched.delitem(build._built, module)

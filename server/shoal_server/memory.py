"""What becomes of memory that is freed: kept, since messages of megabytes come and go."""

from __future__ import annotations

import ctypes
import os

# Of <malloc.h>: what is freed at the top of a heap is handed back above the one, and what is asked for above the other
# is mapped on its own. Each page that comes back costs a fault and is cleared: a sixth of the server's time at 1 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 64 * 1024 * 1024  # of each heap
_MAX_MMAP_THRESHOLD = 32 * 1024 * 1024  # no C library takes more


def keep_freed_memory() -> bool:
    """Let the C library keep freed memory for what comes next, unless the environment says something of its own.

    Returns
    -------
    bool
        Whether it does; only glibc can be told.
    """
    if any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_M_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD))

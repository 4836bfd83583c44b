"""The memory of this process: how much it may use, and what becomes of what is freed."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from shoal_server.cores import available_cores

# Of <malloc.h>: what is freed at the top of a heap is handed back above the one, and what is asked for above the other
# is mapped on its own. Each page that comes back costs a fault and is cleared: a sixth of the server's time at 1 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 64 * 1024 * 1024  # of each heap
_MIN_HEAPS = 2  # otherwise there are eight a core, and each keeps as much
_MAX_MMAP_THRESHOLD = 32 * 1024 * 1024  # no C library takes more
_RETURN_DELAY = 1.0  # seconds
_YOUNG = 1  # the garbage collector's generations that cost little: what was refused is no older

_SHARE = 0.75  # the rest is for the page cache, and for whoever else is there


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
    return bool(
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        and mallopt(_M_MMAP_THRESHOLD, _MAX_MMAP_THRESHOLD)
        and mallopt(_M_ARENA_MAX, max(_MIN_HEAPS, available_cores()))
    )


def default_memory_limit() -> int:
    """Return the share of this machine's memory, or of what its container may use, that the server takes."""
    return int(_SHARE * min(_machine_memory(), *cgroup_limits()))


def resident_bytes() -> int | None:
    """Return how much of this process is in memory, in bytes; None where the system doesn't say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def give_back_freed_memory() -> None:
    """Hand what is free in the C library's heaps back to the system, as far as that can be done."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class MemoryReturn:
    """Hands freed memory back to the system a moment after something large has been refused.

    What gRPC unpacks is in pieces, which the C library would keep in as many heaps as there are threads.
    """

    def __init__(self) -> None:
        self._due = False

    def ask(self) -> None:
        """Hand it back soon; once, however often it is asked for until then."""
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(_RETURN_DELAY, self._begin)

    def _begin(self) -> None:
        self._due = False
        gc.collect(_YOUNG)  # gRPC's calls are in circles, and hold what they received
        asyncio.get_running_loop().run_in_executor(None, give_back_freed_memory)


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cgroup_limits(root: Path = Path("/")) -> Iterator[int]:
    """Yield the memory limits in bytes of this process's control group, and of the groups above it, of either version.

    Parameters
    ----------
    root
        Of the file system.
    """
    for group, file in _cgroup_files(root):
        for folder in (group, *group.parents):
            with suppress(OSError, ValueError):  # no group of this container, or "max"
                yield int((folder / file).read_text())


def _cgroup_files(root: Path) -> Iterator[tuple[Path, str]]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if not controllers:
            yield mounted / group.lstrip("/"), "memory.max"
        elif "memory" in controllers.split(","):
            yield mounted / "memory" / group.lstrip("/"), "memory.limit_in_bytes"

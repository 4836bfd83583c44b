"""What this process may use of cores and memory, what becomes of freed memory, and what its environment sets."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

# Of <malloc.h>: what is freed at the top of a heap is handed back above the one, and what is asked for above the other
# is mapped on its own. Each page that comes back costs a fault and is cleared: a sixth of the server's time at 1 MiB.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES = 64 * 1024 * 1024  # of each heap
_MIN_HEAPS = 2  # otherwise there are eight a core, and each keeps as much
_MAX_MMAP_THRESHOLD = 32 * 1024 * 1024  # no C library takes more
_RETURN_DELAY = 1.0  # seconds
_YOUNG = 1  # the garbage collector's generations that cost little: what was refused is no older

_SHARE = 0.75  # the rest is for the page cache, and for whoever else is there
# For a service named shoal Kubernetes sets SHOAL_PORT=tcp://10.0.0.1:50051 in every pod, the server's own among them.
# https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
_LINK = re.compile(r"(?:tcp|udp|sctp)://", re.IGNORECASE)
_SERVICE = re.compile(r"(.+_)?(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_(TCP|UDP|SCTP)(_.+)?)?)")
# The client, the dashboard, docker-compose.yml and the Makefile read these.
_OTHER_PROGRAMS = ("DASHBOARD_ALLOWED_HOSTS", "PICTURES", "PUBLISH", "PUBLISH_DASHBOARD", "SERVER")


def available_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that the system lets this process use, at least 1.

    A CPU quota of the cgroup, or of one above it, counts in whole cores, rounded up: 1.5 cores keep two threads busy.

    Parameters
    ----------
    root
        Where the file system with `proc` and `sys` begins.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *(math.ceil(quota) for quota in _quotas(root))]))


def default_memory_limit() -> int:
    """Return the share of this machine's memory, or of what its container may use, that the server takes."""
    return int(_SHARE * min(_machine_memory(), *cgroup_limits()))


def resident_bytes() -> int | None:
    """Return how much of this process is in memory, in bytes; None where the system doesn't say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


def keep_freed_memory() -> bool:
    """Make the C library keep freed memory for what comes next, unless the environment says something of its own.

    Returns
    -------
    bool
        Whether it does; only glibc has the setting.
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


def service_links(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Kubernetes has set for a service and that have the name of a setting."""
    return {name: value for name, value in environment.items() if name.upper() == "SHOAL_PORT" and _LINK.match(value)}


def unknown_variables(environment: Mapping[str, str], settings: Iterable[str]) -> dict[str, str]:
    """Return the SHOAL_ variables that set nothing, each with the nearest one that does; "" where none is near.

    Parameters
    ----------
    environment
        Of the process.
    settings
        Names of the settings, such as ``max_sessions``.
    """
    known = [*(name.upper() for name in settings), *_OTHER_PROGRAMS]
    nearest = {}
    for variable in environment:
        prefix, _, name = variable.upper().partition("_")
        if prefix == "SHOAL" and name not in known and not _SERVICE.fullmatch(name):
            near = get_close_matches(name, known, 1)
            nearest[variable] = f"SHOAL_{near[0]}" if near else ""
    return nearest


def _machine_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def cgroup_limits(root: Path = Path("/")) -> Iterator[int]:
    """Yield the memory limits in bytes of this process's control group, and of the groups above it, of either version.

    Parameters
    ----------
    root
        Of the file system.
    """
    for folder, is_v2 in _cgroup_folders(root, "memory"):
        with suppress(ValueError):  # "max", or there is no such file
            yield int(_read(folder / ("memory.max" if is_v2 else "memory.limit_in_bytes")))


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, that the process's cgroups set.

    https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max) and the v1 scheduler's cpu.cfs_quota_us.
    """
    for folder, is_v2 in _cgroup_folders(root, "cpu"):
        if is_v2:
            quota, _, period = _read(folder / "cpu.max").partition(" ")
        else:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        with suppress(ValueError, ZeroDivisionError):  # "max", or there is no such file
            cores = int(quota) / int(period)
            if cores > 0:  # v1 says -1 for none
                yield cores


def _cgroup_folders(root: Path, controller: str) -> Iterator[tuple[Path, bool]]:
    """Yield the folders of the process's cgroups that have a controller and those above them, and whether they are v2.

    In a container a path may be the host's and not be there.
    """
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers and controller not in controllers.split(","):
            continue
        for mount in _mounts(root, controllers, controller):
            folder = mount
            yield folder, not controllers
            for name in PurePosixPath(path).parts[1:]:
                folder = folder / name
                yield folder, not controllers


def _mounts(root: Path, controllers: str, controller: str) -> tuple[Path, ...]:
    base = root / "sys/fs/cgroup"
    # Beside v1 hierarchies v2 is mounted below.
    return tuple({base / controllers: None, base / controller: None}) if controllers else (base, base / "unified")


def _read(file: Path) -> str:
    """Return what a file holds, or nothing where there is none."""
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""

"""How many cores this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


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


def _quotas(root: Path) -> Iterator[float]:
    """Yield the quotas, in cores, that the process's cgroups set.

    https://docs.kernel.org/admin-guide/cgroup-v2.html (cpu.max) and the v1 scheduler's cpu.cfs_quota_us.
    """
    for controllers, cgroup in _cgroups(root):
        for mount in _mounts(root, controllers):
            for folder in _from_root_to(mount, cgroup):
                quota = _quota_of(folder, is_v2=not controllers)
                if quota is not None:
                    yield quota


def _cgroups(root: Path) -> Iterator[tuple[str, str]]:
    """Yield the controllers and the path of each cgroup that the process is in; v2 names no controllers."""
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or "cpu" in controllers.split(","):
            yield controllers, path


def _mounts(root: Path, controllers: str) -> tuple[Path, ...]:
    base = root / "sys/fs/cgroup"
    # Beside v1 hierarchies v2 is mounted below.
    return (base / controllers, base / "cpu") if controllers else (base, base / "unified")


def _from_root_to(mount: Path, cgroup: str) -> Iterator[Path]:
    """Yield the folders of a cgroup and those above it. In a container the path may be the host's and not be there."""
    folder = mount
    yield folder
    for name in PurePosixPath(cgroup).parts[1:]:
        folder = folder / name
        yield folder


def _quota_of(folder: Path, *, is_v2: bool) -> float | None:
    """Return the quota that a cgroup sets, in cores; None: it sets none."""
    if is_v2:
        quota, _, period = (_read(folder / "cpu.max") or "").partition(" ")
    else:
        quota, period = _read(folder / "cpu.cfs_quota_us") or "", _read(folder / "cpu.cfs_period_us") or ""
    try:
        cores = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max", or there is no such file
        return None
    return cores if cores > 0 else None  # v1 says -1 for none


def _read(file: Path) -> str | None:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None

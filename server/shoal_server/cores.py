"""How many cores this process may use."""

from __future__ import annotations

import os


def available_cores() -> int:
    """Return their number: of those that the system lets it use, where it says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1

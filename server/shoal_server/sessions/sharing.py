"""What all readers of a version want is made once, by the first who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import TypeVar

from shoal_server.clustering.state import Snapshot
from shoal_server.sessions.compute import ComputePool

T = TypeVar("T")

# Bytes of a version below which the hop to a thread costs more than what is made of it.
SMALL = 64 * 1024


async def made_once(snapshot: Snapshot, key: Hashable, make: Callable[[], T], compute: ComputePool) -> T:
    """Return what a function makes of a version, the same for all who ask with this key.

    Of a large version it is made on a compute thread, so that other sessions don't wait. It is kept as long as the
    version is.
    """
    if key not in snapshot.made:
        if snapshot.centroids.nbytes < SMALL:
            snapshot.made[key] = make()
        else:
            snapshot.made[key] = compute.begin(make)
    made = snapshot.made[key]
    if isinstance(made, asyncio.Future):
        # One who gives up waiting must not take it from the others.
        made = snapshot.made[key] = await asyncio.shield(made)
    result: T = made
    return result

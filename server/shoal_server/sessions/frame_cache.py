"""What all readers of a version want is made once, by the first who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar

from shoal_server.clustering.state import Snapshot
from shoal_server.sessions.compute import ComputePool

T = TypeVar("T")

# Bytes of a version below which the hop to a thread costs more than what is made of it.
SMALL = 64 * 1024


async def encode_once(snapshot: Snapshot, key: Hashable, make: Callable[[], T], compute: ComputePool) -> T:
    """Return what a function makes of a version, the same for all who ask with this key.

    It is kept as long as the version is, so there must be few keys. A failure isn't kept: the next who asks tries
    again.
    """
    if key not in snapshot.made:
        if _is_small(snapshot):
            snapshot.made[key] = make()
        else:
            being_made = snapshot.made[key] = compute.begin(make)
            being_made.add_done_callback(partial(_keep_result, snapshot, key))
    made = snapshot.made[key]
    if isinstance(made, asyncio.Future):
        # One who gives up waiting must not take it from the others.
        made = await asyncio.shield(made)
    result: T = made
    return result


async def encode_uncached(snapshot: Snapshot, make: Callable[[], T], compute: ComputePool) -> T:
    """Return what a function makes of a version, and keep nothing of it."""
    return make() if _is_small(snapshot) else await compute.begin(make)


def _is_small(snapshot: Snapshot) -> bool:
    """Say whether to make something of it at once; of a large one on a compute thread, so that others don't wait."""
    return snapshot.centroids.nbytes < SMALL


def _keep_result(snapshot: Snapshot, key: Hashable, made: asyncio.Future[Any]) -> None:
    if made.cancelled() or made.exception():
        del snapshot.made[key]
    else:
        snapshot.made[key] = made.result()

"""What many want of one immutable object, such as the frame of a version, is made once, by the first who asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

# Bytes below which the way to a thread costs more than what is made.
SMALL = 64 * 1024


class SharedResults:
    """Results by the object that they are made of: each is kept as long as its object, so there must be few keys.

    Parameters
    ----------
    begin
        Starts a function on a compute thread.
    """

    def __init__(self, begin: Callable[[Callable[[], Any]], asyncio.Future[Any]]) -> None:
        self._begin = begin
        self._kept: WeakKeyDictionary[object, dict[Hashable, Any]] = WeakKeyDictionary()

    def of(self, owner: object) -> dict[Hashable, Any]:
        """Return what is kept of an object, by key."""
        kept = self._kept.get(owner)
        if kept is None:
            kept = self._kept[owner] = {}
        return kept

    async def get(self, owner: object, size: int, key: Hashable, make: Callable[[], T]) -> T:
        """Return what a function makes of an object of `size` bytes, the same for all who ask with this key.

        A failure isn't kept: the next who asks tries again.
        """
        kept = self.of(owner)
        if key not in kept:
            if size < SMALL:
                kept[key] = make()
            else:
                being_made = kept[key] = self._begin(make)
                being_made.add_done_callback(partial(_keep_result, kept, key))
        made = kept[key]
        if isinstance(made, asyncio.Future):
            # One who gives up waiting must not take it from the others.
            made = await asyncio.shield(made)
        result: T = made
        return result

    async def make(self, size: int, make: Callable[[], T]) -> T:
        """Return what a function makes of an object of `size` bytes, and keep nothing of it."""
        return make() if size < SMALL else await self._begin(make)


def _keep_result(kept: dict[Hashable, Any], key: Hashable, made: asyncio.Future[Any]) -> None:
    if made.cancelled() or made.exception():
        del kept[key]
    else:
        kept[key] = made.result()

"""Places for messages on their way in that gRPC reads whole before their size is known."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from shoal_server.budget import RETRY_AFTER
from shoal_server.errors import DomainError, Reason, Refusal
from shoal_server.rpc.serving_state import this_task

# Seconds in which a message has to come while others wait for its place.
RECEIVING_SECONDS = 10.0
# Seconds that a call waits for a place before it is refused: whoever has one without a message has left it by then.
PATIENCE = 1.5 * RECEIVING_SECONDS
_LOOK_INTERVAL = RECEIVING_SECONDS / 4
_MAX_REMEMBERED = 4096  # clients


class ReceiveSlots:
    """So many messages may be on their way in at once.

    Of the calls that wait, one of the client with the fewest messages on their way is next, of these the one that was
    not served for longest: a client whose messages never come doesn't keep others out.

    Parameters
    ----------
    count
        How many.
    end
        Ends the reading of a task whose message takes too long to come.
    """

    def __init__(self, count: int, end: Callable[[asyncio.Task[Any]], None]) -> None:
        self._free = count
        self._end = end
        self._holders: dict[asyncio.Task[Any], float] = {}  # since when, the longest first
        self._held: Counter[str] = Counter()  # slots, by client
        self._waiting: dict[asyncio.Future[None], str] = {}  # their clients, the oldest first
        self._served: dict[str, int] = {}  # when each client was given a slot last
        self._numbers = itertools.count(1)

    @asynccontextmanager
    async def hold(self, client: str) -> AsyncIterator[None]:
        """Hold a slot while the context is open, once there is one; MEMORY_LIMIT_REACHED if there is none for long."""
        task, loop = this_task(), asyncio.get_running_loop()
        if self._free and not self._waiting:
            self._free -= 1
            self._give(client)
        else:
            await self._wait(loop, client)
        self._holders[task] = loop.time()
        try:
            yield
        finally:
            del self._holders[task]
            self._give_back(client)

    async def _wait(self, loop: asyncio.AbstractEventLoop, client: str) -> None:
        slot: asyncio.Future[None] = loop.create_future()
        self._waiting[slot] = client
        looking = asyncio.create_task(self._end_slow_ones(loop))
        try:
            async with asyncio.timeout(PATIENCE):
                await slot
        except BaseException as error:
            if self._waiting.pop(slot, None) is None:
                self._give_back(client)
            if isinstance(error, TimeoutError):
                raise DomainError(_no_slot()) from None
            raise
        finally:
            looking.cancel()

    def _give(self, client: str) -> None:
        self._held[client] += 1
        if len(self._served) >= _MAX_REMEMBERED:
            self._served.clear()
        self._served[client] = next(self._numbers)

    def _give_back(self, client: str) -> None:
        self._held[client] -= 1
        if not self._held[client]:
            del self._held[client]
        if not self._waiting:
            self._free += 1
            return
        slot = min(self._waiting, key=lambda each: self._order(self._waiting[each]))
        self._give(self._waiting.pop(slot))
        slot.set_result(None)

    def _order(self, client: str) -> tuple[int, int]:
        return self._held[client], self._served.get(client, 0)

    async def _end_slow_ones(self, loop: asyncio.AbstractEventLoop) -> None:
        """End the reading of messages that take too long to come, for as long as a call waits: each keeps it out."""
        while True:
            await asyncio.sleep(_LOOK_INTERVAL)
            begun = loop.time() - RECEIVING_SECONDS
            for task in [task for task, since in self._holders.items() if since <= begun]:
                self._end(task)


def _no_slot() -> Refusal:
    return Refusal(
        Reason.MEMORY_LIMIT_REACHED,
        f"the message could not be received for {PATIENCE:.0f} seconds, since others are on their way and may be as "
        f"large as max_message_bytes: try again later, raise SHOAL_MEMORY_LIMIT, or lower SHOAL_MAX_MESSAGE_BYTES",
        retry_after=RETRY_AFTER,
    )

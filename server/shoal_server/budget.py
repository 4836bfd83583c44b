"""One memory budget for the process: asked before anything large is kept, and given back when it is dropped.

It counts and refuses; what something takes is for those who keep it to say. No grpc here, and no sizes of sessions.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from shoal_server.errors import DomainError, Reason, refused

MIB = 1024 * 1024

# Of the total, this share is kept free of what stays (sessions, points that wait for centroids), for what passes by.
PASSING_SHARE = 0.25
# And this share is the most that calls may hold which stand still halfway, so that others go first.
PAUSED_SHARE = 0.25
RETRY_AFTER = 1.0  # seconds

# What the interpreter, the compiled kernels, scikit-learn and SciPy take (measured: 400 MiB once all are loaded).
BASE_BYTES = 448 * MIB
# Of what is left: for the allocator's gaps, and for what is too small to be counted.
_UNCOUNTED_SHARE = 0.125
_RECEIVING_SHARE = 0.125
_MIN_PLACES = 2  # for messages on their way in
_MIN_TOTAL = 64 * MIB
# gRPC copies a message twice while it hands it over, one message at a time.
_COPIES = 2


@dataclass(frozen=True)
class MemoryPlan:
    """How a memory limit is divided. All in bytes."""

    limit: int  # of the whole process
    receiving: int  # for messages of which nobody knows yet how large they are
    total: int  # of the budget

    @classmethod
    def of(cls, limit: int, max_message_bytes: int) -> MemoryPlan:
        """Return the plan for a limit; its total is too small to serve with where the limit is below `minimum`."""
        spare = limit - BASE_BYTES - _COPIES * max_message_bytes
        receiving = max(_MIN_PLACES * max_message_bytes, int(spare * _RECEIVING_SHARE))
        return cls(limit, receiving, int(spare * (1 - _UNCOUNTED_SHARE)) - receiving)

    @staticmethod
    def minimum(max_message_bytes: int) -> int:
        """Return the least limit with which a server can take messages of this size."""
        spare = int((_MIN_PLACES * max_message_bytes + max(_MIN_TOTAL, max_message_bytes)) / (1 - _UNCOUNTED_SHARE)) + 1
        return BASE_BYTES + _COPIES * max_message_bytes + spare


class MemoryBudget:
    """So many bytes, for everything that is counted. All methods belong to the event loop's thread.

    Parameters
    ----------
    total
        Bytes.
    threads
        How many compute at once.
    paused
        How many calls may stand still halfway.

    Attributes
    ----------
    computing
        What computing takes for any session between two pauses: for all threads, and for one session after another.
    learning
        What a thread takes for a session with a summary, and what those hold that stand still halfway.
    uncut
        The same on the threads for what can't be cut, where nothing stands still.
    """

    def __init__(self, total: int, threads: int = 1, paused: int = 64) -> None:
        self.total = total
        self.used = 0
        self._most_staying = int(total * (1 - PASSING_SHARE))
        self._reclaimers: dict[Callable[[], None], None] = {}
        self._waiting: deque[tuple[Reservation, int, asyncio.Future[None]]] = deque()
        self._is_serving = False  # those that wait
        self.computing = SharedBytes(self, 1)
        self.learning = SharedBytes(self, threads, paused, int(total * PAUSED_SHARE))
        self.uncut = SharedBytes(self, threads)

    def open(self) -> Reservation:
        """Return a reservation of nothing yet."""
        return Reservation(self)

    def reserve(self, size: int, what: str) -> Reservation:
        """Reserve bytes for something that passes by, such as a comparison.

        Parameters
        ----------
        size
            Bytes.
        what
            For what, as the message of the error says it.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED.
        """
        self._refuse_unless(size, self.total, what)
        reservation = Reservation(self)
        reservation.add(size)
        return reservation

    async def reserve_when_free(self, size: int, what: str, patience: float) -> Reservation:
        """Wait until so many bytes are free and reserve them, first come first served. An empty budget takes any size.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED: they weren't free for `patience` seconds.
        """
        reservation = Reservation(self)
        if not self._waiting and (not self.used or self._fits(size, self.total)):
            reservation.add(size)
            return reservation
        free: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = (reservation, size, free)
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(patience):
                await free
        except BaseException as error:
            free.cancel()
            reservation.release()
            self._serve_waiting()  # those behind it may need less
            if isinstance(error, TimeoutError):
                raise self._refusal(size, self.total, what) from None
            raise
        return reservation

    def check(self, size: int, what: str) -> None:
        """Raise MEMORY_LIMIT_REACHED unless so many bytes more may stay."""
        self._refuse_unless(size, self._most_staying, what)

    def add_reclaimer(self, reclaim: Callable[[], None]) -> None:
        """Call a function once when the budget is short: it lets go of what can be done without."""
        self._reclaimers[reclaim] = None

    def remove_reclaimer(self, reclaim: Callable[[], None]) -> None:
        """Don't call it any more."""
        self._reclaimers.pop(reclaim, None)

    def _refuse_unless(self, size: int, limit: int, what: str) -> None:
        if not self._fits(size, limit):
            raise self._refusal(size, limit, what)

    def _fits(self, size: int, limit: int) -> bool:
        while self.used + size > limit and self._reclaimers:
            reclaim = next(iter(self._reclaimers))
            del self._reclaimers[reclaim]  # it is added again when there is something to let go of
            reclaim()
        return self.used + size <= limit

    def _change(self, difference: int) -> None:
        self.used += difference
        if self._waiting and difference < 0:
            self._serve_waiting()

    def _serve_waiting(self) -> None:
        if self._is_serving:  # by a reclaimer that has let go of something for the first of them
            return
        self._is_serving = True
        try:
            while self._waiting and self._is_served(*self._waiting[0]):
                self._waiting.popleft()
        finally:
            self._is_serving = False

    def _is_served(self, reservation: Reservation, size: int, free: asyncio.Future[None]) -> bool:
        if not free.done():
            if self.used and not self._fits(size, self.total):
                return False
            reservation.add(size)
            free.set_result(None)
        return True

    def _refusal(self, size: int, limit: int, what: str) -> DomainError:
        is_hopeless = size > limit
        advice = "" if is_hopeless else "try again later, delete sessions that nobody needs, or "
        return refused(
            Reason.MEMORY_LIMIT_REACHED,
            f"{what} needs {size:,} bytes; {max(0, limit - self.used):,} are free: {advice}raise SHOAL_MEMORY_LIMIT",
            retry_after=None if is_hopeless else RETRY_AFTER,
        )


class Reservation:
    """Bytes of a budget that belong to one thing, until they are released."""

    __slots__ = ("_budget", "bytes")

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self.bytes = 0

    def grow_to(self, size: int, what: str) -> None:
        """Reserve so many bytes in all for something that stays; if the reservation has as many, leave it as it is.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED; the reservation stays as it was.
        """
        if size > self.bytes:
            self._budget.check(size - self.bytes, what)
            self.add(size - self.bytes)

    def add(self, difference: int) -> None:
        """Count so many bytes more, or fewer, that are there in any case."""
        self.bytes += difference
        self._budget._change(difference)  # noqa: SLF001

    def move_to(self, other: Reservation) -> None:
        """Let another reservation of the same budget have the bytes."""
        other.bytes, self.bytes = other.bytes + self.bytes, 0

    def release(self) -> None:
        """Give all of it back."""
        if self.bytes:
            self.add(-self.bytes)


class SharedBytes:
    """What many need by turns: of so many at once each has all that it needs, and some others together have `room`.

    Parameters
    ----------
    budget
        Of the process.
    count
        How many have their turn at once: the largest count.
    others
        How many besides hold something at once: the next largest count.
    room
        Bytes that these take together at most.
    """

    def __init__(self, budget: MemoryBudget, count: int, others: int = 0, room: int = 0) -> None:
        self.room = room
        self._count = count
        self._others = others
        self._reservation = Reservation(budget)
        self._sizes: list[int] = []  # ascending

    def change(self, before: int, size: int, what: str) -> None:
        """Count another size for one of them.

        Parameters
        ----------
        before
            Bytes that it needed; 0: none.
        size
            Bytes that it is to need; 0: none any more.
        what
            For what, as the message of the error says it.

        Raises
        ------
        DomainError
            MEMORY_LIMIT_REACHED; nothing has changed.
        """
        self._replace(before, size)
        needed = self._needed()
        try:
            self._reservation.grow_to(needed, what)
        except DomainError:
            self._replace(size, before)
            raise
        self._reservation.add(needed - self._reservation.bytes)

    def _replace(self, before: int, size: int) -> None:
        if before:
            del self._sizes[bisect_left(self._sizes, before)]
        if size:
            insort(self._sizes, size)

    def _needed(self) -> int:
        others = self._sizes[-self._count - self._others : -self._count]
        return sum(self._sizes[-self._count :]) + min(sum(others), self.room)

"""Comparisons on the server: so many at once, on threads that no session waits for, as far as somebody reads them."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

from shoal.wire.comparison import CompareEngine, ComparisonResult
from shoal_server.budget import MemoryBudget, Reservation
from shoal_server.compare.request import BLOBS, ComparisonRequest, check, prepare
from shoal_server.compare.running import run
from shoal_server.compare.steps import Clock, Comparison, Runner, Step
from shoal_server.engines.contract import Halted
from shoal_server.errors import Reason, refused

T = TypeVar("T")

Event = Comparison | Step | ComparisonResult

# Bytes of events that wait to be read; most comparisons are smaller in all, and are computed whoever reads them.
MAX_UNREAD_BYTES = 4 << 20
# Seconds in which a reader reads something while anything waits for it.
READ_PATIENCE = 60.0
_MIN_BYTES = 1024  # that an event takes besides its arrays


class Comparisons:
    """Runs comparisons.

    Parameters
    ----------
    runners
        What runs each engine.
    begin
        Lets a thread run a function.
    clock
        Seconds, for how long the libraries take.
    most_at_once
        How many may run at once.
    max_distances
        The most that the points of one times its n_clusters may be.
    max_work
        The most multiplications that the iterations of an engine may take.
    budget
        Has what a comparison takes, as long as it runs.
    """

    def __init__(
        self,
        runners: Mapping[CompareEngine, Runner],
        begin: Callable[[Callable[[], object]], Future[object]],
        clock: Clock,
        most_at_once: int,
        max_distances: int,
        max_work: int,
        budget: MemoryBudget,
    ) -> None:
        self._runners = runners
        self._begin = begin
        self._clock = clock
        self._most_at_once = most_at_once
        self._max_distances = max_distances
        self._max_work = max_work
        self._budget = budget
        self._running = 0
        self._given_up = 0  # of which a thread still computes something that can't be stopped

    def warm_up(self) -> None:
        """Load every library, by comparing them."""
        request = ComparisonRequest(BLOBS, 2, "k-means++", 0, tuple(self._runners), max_iter=10, tol=0.0)
        deque(run(prepare(request, lambda: None), self._runners, self._clock), maxlen=0)

    async def run(self, request: ComparisonRequest) -> AsyncGenerator[Event, None]:
        """Yield what is compared, each step once it is computed, and the result.

        It is computed ahead of whoever reads, up to MAX_UNREAD_BYTES.

        Raises
        ------
        DomainError
            What `check` and `prepare` raise, COMPARISONS_BUSY, COMPARISON_NOT_READ, or MEMORY_LIMIT_REACHED.
        """
        check(request, self._max_distances, self._max_work)
        ahead: EventBuffer[Event] = EventBuffer()
        computing = asyncio.create_task(self._compute(request, ahead), name="comparing")
        try:
            while (event := await ahead.take()) is not None:
                yield event
            await computing
        finally:
            computing.cancel()
            await asyncio.gather(computing, return_exceptions=True)

    async def _compute(self, request: ComparisonRequest, ahead: EventBuffer[Event]) -> None:
        unread = self._budget.open()
        try:
            unread.grow_to(MAX_UNREAD_BYTES, "the comparison")
            with self._turn(request.memory_bytes) as turn:
                comparison = await turn.call(lambda: prepare(request, turn.pause))
                await ahead.put(comparison, _size(comparison))
                events = run(comparison, self._runners, self._clock)
                while (event := await turn.call(lambda: next(events, None))) is not None:
                    await ahead.put(event, _size(event))
            await ahead.all_read()
        finally:
            unread.release()
            ahead.end()

    @contextmanager
    def _turn(self, memory_bytes: int) -> Iterator[_Slot]:
        if self._running >= self._most_at_once or self._given_up >= self._most_at_once:
            ending = f" and ends {self._given_up} that were given up" if self._given_up else ""
            raise refused(
                Reason.COMPARISONS_BUSY,
                f"the server runs {self._running} comparisons{ending}, and no more at once; try again in a few seconds",
                retry_after=2.0,
            )
        memory = self._budget.reserve(memory_bytes, "the comparison")
        self._running += 1
        turn = _Slot(self._begin)
        try:
            yield turn
        finally:
            self._running -= 1
            working = turn.end()
            if working is None:
                memory.release()
            else:
                self._given_up += 1
                loop = asyncio.get_running_loop()

                def end_given_up(_: Future[object]) -> None:
                    with suppress(RuntimeError):  # the loop has ended with the server
                        loop.call_soon_threadsafe(self._end_given_up, memory)

                working.add_done_callback(end_given_up)

    def _end_given_up(self, memory: Reservation) -> None:
        self._given_up -= 1
        memory.release()


def _size(event: Event) -> int:
    """Return about how many bytes an event takes. The points are held as long as the comparison runs in any case."""
    match event:
        case Comparison():
            return _MIN_BYTES + event.initial_centroids.nbytes
        case Step():
            arrays = (event.centroids, event.labels, event.path)
            return _MIN_BYTES + sum(array.nbytes for array in arrays if array is not None)
        case ComparisonResult():
            return _MIN_BYTES + sum(engine.centroids.nbytes + engine.labels.nbytes for engine in event.engines)


class _Slot:
    """One of the comparisons that may run at once."""

    def __init__(self, begin: Callable[[Callable[[], object]], Future[object]]) -> None:
        self._begin = begin
        self._working: Future[object] | None = None
        self._awaited: asyncio.Future[object] | None = None  # the same on the event loop
        self._ended = False

    async def call(self, function: Callable[[], T]) -> T:
        """Run a function on a thread. One that is begun goes on if the caller is cancelled, until its next pause."""
        self._working = self._begin(function)
        self._awaited = asyncio.wrap_future(self._working)
        returned = await asyncio.shield(self._awaited)
        self._working = self._awaited = None
        return returned  # type: ignore[return-value]  # what the function returned

    def pause(self) -> None:
        """Raise Halted if the comparison has been given up. On its thread, between two iterations."""
        if self._ended:
            raise Halted

    def end(self) -> Future[object] | None:
        """Let the comparison's thread stop at its next pause; return what it still does, None if nothing."""
        self._ended = True
        if self._awaited is not None:
            self._awaited.cancel()  # the loop may be closed when the thread has done
        if self._working is None or self._working.cancel() or self._working.done():
            return None
        return self._working


class EventBuffer(Generic[T]):
    """Events between who computes them and who reads them; both are on the event loop."""

    def __init__(self) -> None:
        self._events: deque[tuple[T, int]] = deque()
        self._bytes = 0
        self._ended = False
        self._news = asyncio.Event()
        self._read = asyncio.Event()

    async def put(self, event: T, size: int) -> None:
        """Let an event wait, of so many bytes, once there is room; one is let in however large it is.

        Raises
        ------
        DomainError
            COMPARISON_NOT_READ.
        """
        while self._events and self._bytes + size > MAX_UNREAD_BYTES:
            await self._reading()
        self._events.append((event, size))
        self._bytes += size
        self._news.set()

    async def all_read(self) -> None:
        """Wait until nothing waits; raises as put does."""
        while self._events:
            await self._reading()

    def end(self) -> None:
        """Say that nothing more comes."""
        self._ended = True
        self._news.set()

    async def take(self) -> T | None:
        """Return the next event once there is one, None after the last."""
        while not self._events:
            if self._ended:
                return None
            self._news.clear()
            await self._news.wait()
        event, size = self._events.popleft()
        self._bytes -= size
        self._read.set()
        return event

    async def _reading(self) -> None:
        """Wait until something is read; if that takes too long forget what waits."""
        self._read.clear()
        try:
            async with asyncio.timeout(READ_PATIENCE):
                await self._read.wait()
        except TimeoutError:
            self._events.clear()
            raise refused(
                Reason.COMPARISON_NOT_READ,
                f"nothing of the comparison was read for {READ_PATIENCE:.0f} seconds, and the server keeps it no "
                f"longer: compare again, and read the steps as they come",
            ) from None

"""The threads that compute: one pool for all sessions, and for the tasks of one large batch.

They are shared fairly: whoever has had the least of them goes first, and long work lets others in between. Each owner
(a session) has used so many seconds of the cores; what its calls wait for isn't counted. Of the calls that wait, that
of the owner with the least is begun next; a call that runs asks at its checkpoints whether such a one waits, and if so
lets it go first. An owner that comes anew begins CREDIT before where the least of those at work stands, as in
start-time fair queueing (Goyal, Vin and Cheng, 1996): so nobody saves up more, and what is small goes first. Only the
order of calls depends on the clock, never what they compute.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic, thread_time
from typing import ParamSpec, TypeVar

from shoal_server.engines.contract import Task

P = ParamSpec("P")
R = TypeVar("R")

# Calls that may stand still at a checkpoint at once: each keeps a thread, and what it computes with.
MAX_PAUSED = 64
# Seconds that a call may use more than one that waits, before it lets that go first: most heavy calls end sooner.
QUANTUM = 0.05
# Seconds by which an owner that has been idle goes before those at work: so that these let it go first at once.
CREDIT = 2 * QUANTUM
MAX_OWNERS = 4096  # whose use is remembered, as far as it is ahead of the others'


class ComputePool:
    """Threads shared by every session, fairly.

    A call from the event loop takes one thread. A batch that is cut into tasks asks for more, and does itself
    whatever nobody else has begun: so the pool can't lock itself up however busy it is. What takes long and can't be
    cut has threads of its own, beside which the system gives the others their share of the cores. The threads are
    daemons: nobody has to wait for one that computes.

    Parameters
    ----------
    threads
        How many work for sessions.
    background
        How many more there are for what takes long and no session is to wait for.
    paused_bytes
        How much memory calls may hold that stand still at a checkpoint, as far as they say what they hold.
    """

    def __init__(self, threads: int, background: int = 1, paused_bytes: int = 0) -> None:
        self._threads = threads
        self._executor = FairExecutor(threads, "compute", paused_bytes)
        self._uncut = FairExecutor(threads, "uncut")
        self._background = FairExecutor(background, "background")

    @property
    def threads(self) -> int:
        """How many work for sessions."""
        return self._threads

    async def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on a thread of the pool, for nobody in particular."""
        return await self.begin(lambda: function(*args, **kwargs))

    async def call_for(self, owner: Hashable, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function on a thread of the pool for an owner, such as a session."""
        return await self.begin(lambda: function(*args, **kwargs), owner)

    async def call_uncut_for(self, owner: Hashable, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function that takes long in one piece, on a thread that no other call waits for."""
        executor = self._uncut.owned_by(owner)
        return await asyncio.get_running_loop().run_in_executor(executor, lambda: function(*args, **kwargs))

    def begin(self, function: Callable[[], R], owner: Hashable = None) -> asyncio.Future[R]:
        """Run a function for an owner on a thread of the pool, and return a future of its result."""
        return asyncio.get_running_loop().run_in_executor(self._executor.owned_by(owner), function)

    def submit_background(self, function: Callable[[], R]) -> Future[R]:
        """Run a function on a thread that isn't one of the sessions'."""
        return self._background.submit_for(object(), function)

    def checkpoint(self, held: int = 0) -> None:
        """Give way to a call of an owner that has used less; called between two pieces of work.

        Parameters
        ----------
        held
            Bytes that the call holds meanwhile: it gives way only if there is room for them.
        """
        self._executor.checkpoint(held)
        self._uncut.checkpoint(held)

    def run_tasks(self, task: Task, count: int, pause: Callable[[], None] | None = None) -> None:
        """Run task(0) … task(count - 1), each once, and return when all are done. Called on a thread of the pool.

        When one fails no further one begins, and the failure is raised once none is running any more.

        Parameters
        ----------
        task, count
            See engines.contract.Task.
        pause
            Called between two tasks, and two pieces of a task, on their threads; it may raise Halted. None:
            `checkpoint`.
        """
        pause = pause or self.checkpoint
        if count == 1:
            run_pieces(task(0), pause)
            return
        indices = iter(range(count))
        helpers = [self._executor.submit(_run_all, task, indices, pause) for _ in range(min(self._threads, count) - 1)]
        try:
            _run_all(task, indices, pause)
        finally:
            unfinished = [helper for helper in helpers if not helper.cancel()]
            if unfinished:
                with self._executor.released():
                    wait(unfinished)
        for helper in unfinished:
            helper.result()

    def ends_within(self, seconds: float) -> bool:
        """Wait after `close` for what has begun; return whether it has ended in time."""
        until = monotonic() + seconds
        executors = (self._executor, self._uncut, self._background)
        return all(executor.ends_within(max(0.0, until - monotonic())) for executor in executors)

    def close(self, *, wait: bool = True) -> None:
        """End the threads; with `wait`, once they have done what they have begun."""
        for executor in (self._executor, self._uncut):
            executor.shutdown(wait, cancel_futures=True)
        self._background.shutdown(wait=False, cancel_futures=True)


def run_pieces(pieces: Iterable[None] | None, pause: Callable[[], None]) -> None:
    """Do the pieces of a task, with a pause between two."""
    for _ in pieces or ():
        pause()


def _run_all(task: Task, indices: Iterator[int], pause: Callable[[], None]) -> None:
    # The threads draw from one iterator: next() on a range iterator is a single step.
    try:
        for number, index in enumerate(indices):
            if number:
                pause()
            run_pieces(task(index), pause)
    finally:
        deque(indices, maxlen=0)  # if a task failed the others find nothing more to draw


@dataclass(order=True)
class _Waiting:
    """A call that waits to be begun, or to go on after a checkpoint."""

    used: float  # seconds that its owner has used
    number: int
    owner: Hashable = field(compare=False)
    begin: Callable[[], None] | None = field(compare=False, default=None)  # None: it goes on
    go_on: threading.Event | None = field(compare=False, default=None)


class FairExecutor(Executor):
    """Runs so many calls at once, on daemon threads: a process can end while one is inside native code.

    Parameters
    ----------
    threads
        How many calls run at once.
    name
        Of the threads.
    paused_bytes
        What calls may hold that stand still at a checkpoint, as far as they say it there.
    """

    def __init__(self, threads: int, name: str, paused_bytes: int = 0) -> None:
        self._name = name
        self._room = paused_bytes  # what is left of that
        self._free = threads  # permits to run
        self._lock = threading.Lock()
        self._waiting: list[_Waiting] = []  # a heap
        self._numbers = itertools.count()
        self._used: dict[Hashable, float] = {}
        self._reached = 0.0  # what the owner had used whose call was begun last
        self._idle: list[threading.Semaphore] = []  # threads that wait for a call
        self._handed: dict[threading.Semaphore, _Waiting] = {}
        self._threads: list[threading.Thread] = []
        self._paused = 0
        self._closed = False
        self._here = threading.local()  # of a thread: the owner of its call, and since when it runs

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Run a function for the owner of the call that submits it."""
        return self.submit_for(getattr(self._here, "owner", None), lambda: fn(*args, **kwargs))

    def submit_for(self, owner: Hashable, function: Callable[[], R]) -> Future[R]:
        """Run a function for an owner."""
        future: Future[R] = Future()

        def begin() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001  (raised to whoever waits for the result)
                future.set_exception(error)
            else:
                future.set_result(result)

        with self._lock:
            if self._closed:
                raise RuntimeError("the threads have ended")
            self._enter(_Waiting(self._used_by(owner), next(self._numbers), owner, begin=begin))
            self._begin_next()
        return future

    def owned_by(self, owner: Hashable) -> Executor:
        """Return the same threads, for calls of one owner."""
        return _Owned(self, owner)

    def checkpoint(self, held: int = 0) -> None:
        """Give way to a call whose owner has used less; called between two pieces of work, on a thread of this.

        A call that holds more bytes than there is room for gives way to nobody.
        """
        if not self._waiting or getattr(self._here, "owner", self) is self:
            return
        with self._lock:
            self._charge()
            used = self._used_by(self._here.owner)
            is_first = not self._waiting or self._waiting[0].used + QUANTUM >= used
            if is_first or self._paused >= MAX_PAUSED or held > self._room or self._closed:
                return
            go_on = self._pause(used, held)
        self._resume(go_on, held)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Give up this thread's permit to run while it waits for others."""
        if getattr(self._here, "owner", self) is self:
            yield
            return
        with self._lock:
            self._charge()
            self._free += 1
            self._begin_next()
        try:
            yield
        finally:
            with self._lock:
                go_on = None
                if self._free > 0:
                    self._free -= 1
                else:
                    go_on = threading.Event()
                    # It has begun already: it goes on before anybody else begins.
                    self._enter(_Waiting(float("-inf"), next(self._numbers), self._here.owner, go_on=go_on))
            if go_on is not None:
                go_on.wait()
            self._here.since = thread_time()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. What has begun is waited for if asked; it can't be stopped."""
        with self._lock:
            self._closed = True
            if cancel_futures:
                for waiting in [each for each in self._waiting if each.begin is not None]:
                    self._waiting.remove(waiting)
                heapq.heapify(self._waiting)
            for idle in self._idle:
                idle.release()
            threads = list(self._threads)
        if wait:
            for thread in threads:
                thread.join()

    def ends_within(self, seconds: float) -> bool:
        """Wait after a shutdown for what has begun; return whether it has ended in time."""
        until = monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _enter(self, waiting: _Waiting) -> None:
        heapq.heappush(self._waiting, waiting)

    def _begin_next(self) -> None:
        """Begin what may run now, on other threads. The lock is held."""
        while (call := self._next_call()) is not None:
            if self._idle:
                idle = self._idle.pop()
                self._handed[idle] = call
                idle.release()
            else:
                awake = threading.Semaphore(0)
                self._handed[awake] = call  # not an argument: a thread holds those as long as it lives
                name = f"{self._name}_{len(self._threads)}"
                thread = threading.Thread(target=self._work, args=(awake,), daemon=True, name=name)
                self._threads.append(thread)
                thread.start()

    def _next_call(self) -> _Waiting | None:
        """Return the call that may be begun next, with its permit; let go on what waits for that. The lock is held."""
        while self._free > 0 and self._waiting:
            waiting = heapq.heappop(self._waiting)
            used = self._used.get(waiting.owner, 0.0)
            if waiting.go_on is None and used > waiting.used:  # by calls of its owner that came before it
                waiting.used = used
                self._enter(waiting)
                continue
            self._free -= 1
            if waiting.go_on is None:
                self._reached = max(self._reached, waiting.used)
                return waiting
            waiting.go_on.set()
        return None

    def _work(self, awake: threading.Semaphore) -> None:
        with self._lock:
            call = self._handed.pop(awake, None)
        while call is not None:
            self._here.owner, self._here.since = call.owner, thread_time()
            if call.begin is not None:
                call.begin()
            del call  # what it holds goes before the thread rests
            with self._lock:
                self._charge()
                del self._here.owner
                self._free += 1
                call = self._next_call()
                if call is None:
                    if self._closed:
                        return
                    self._idle.append(awake)
            if call is None:
                awake.acquire()
                with self._lock:
                    call = self._handed.pop(awake, None)

    def _pause(self, used: float, held: int) -> threading.Event:
        go_on = threading.Event()
        self._paused += 1
        self._room -= held
        self._enter(_Waiting(used, next(self._numbers), self._here.owner, go_on=go_on))
        self._free += 1
        self._begin_next()
        return go_on

    def _resume(self, go_on: threading.Event, held: int) -> None:
        go_on.wait()
        with self._lock:
            self._paused -= 1
            self._room += held
        self._here.since = thread_time()

    def _charge(self) -> None:
        """Count what this thread has used since it was last counted. The lock is held."""
        now = thread_time()
        owner = self._here.owner
        self._used[owner] = self._used_by(owner) + now - self._here.since
        self._here.since = now
        if len(self._used) > MAX_OWNERS:
            self._used = {each: used for each, used in self._used.items() if used > self._reached}

    def _used_by(self, owner: Hashable) -> float:
        """Return what an owner has used, or where one begins that has used little. The lock is held."""
        return max(self._used.get(owner, 0.0), self._reached - CREDIT)


class _Owned(Executor):
    """Calls of one owner."""

    def __init__(self, executor: FairExecutor, owner: Hashable) -> None:
        self._executor = executor
        self._owner = owner

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        return self._executor.submit_for(self._owner, lambda: fn(*args, **kwargs))

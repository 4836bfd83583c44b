"""An event loop whose clock stands still while anything is left to do, and then jumps to the next timer.

So minutes of a watch pass at once, and every time in a test is exact.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

A_DAY = 24 * 3600  # asyncio waits no longer at a time: a timer so far away stands for one that never rings
TICK = 2**-20  # seconds


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0. Work on a thread stops the clock until it is done."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self.errors: list[dict[str, Any]] = []  # that asyncio would log, and carry on
        self.set_exception_handler(lambda _, context: self.errors.append(context))

    def time(self) -> float:
        """Seconds that have been jumped over."""
        return self._jumping.now

    def jump(self, seconds: float) -> None:
        """Let time pass at once, as a call does that takes so long."""
        self._jumping.now += seconds

    def hold(self, threads: int) -> None:
        """Hold the clock for so many threads more, or, below 0, for so many less."""
        self._jumping.holders += threads

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run a function on a thread, which stops the clock."""
        call = super().run_in_executor(executor, func, *args)
        self.hold(1)
        call.add_done_callback(lambda _: self.hold(-1))
        return call


def timers(loop: JumpingLoop) -> int:
    """Return the number of pending timers."""
    return sum(not timer.cancelled() for timer in loop._scheduled)  # type: ignore[attr-defined]


def jumping_loop() -> JumpingLoop:
    """Return the loop that runs the test."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, JumpingLoop)
    return loop


async def until(moment: float) -> None:
    """Advance the clock to a time."""
    rung = asyncio.Event()
    asyncio.get_running_loop().call_at(moment, rung.set)
    await rung.wait()


async def until_quiet() -> None:
    """Run everything that can run without the clock."""
    await until(jumping_loop().time() + TICK)


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.holders = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None or timeout >= A_DAY or self.holders:
            return super().select(None)  # until a thread has something to say
        self.now += timeout
        return ready

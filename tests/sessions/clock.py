"""An event loop whose clock stands still while anything is left to do, and then jumps to the next timer.

So minutes of a watch pass at once, and every time in a test is exact. A thread that computes does not hold the clock
up: where one does, no test relies on a timer but `until_quiet`.
"""

from __future__ import annotations

import asyncio
import selectors

A_DAY = 24 * 3600  # asyncio waits no longer at a time: a timer so far away stands for one that never rings
TICK = 2**-20  # seconds


class JumpingLoop(asyncio.SelectorEventLoop):
    """Its time begins at 0."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds that have been jumped over."""
        return self._jumping.now


def now() -> float:
    """Return the time by the clock of the running loop."""
    return asyncio.get_running_loop().time()


async def until(moment: float) -> None:
    """Let pass whatever happens before a moment."""
    rung = asyncio.Event()
    asyncio.get_running_loop().call_at(moment, rung.set)
    await rung.wait()


async def until_quiet() -> None:
    """Let every task go as far as it can."""
    await until(now() + TICK)


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None or timeout >= A_DAY:
            return super().select(None)  # threads may have something to say
        self.now += timeout
        return ready

"""An engine that waits at a gate, fails on demand, and reports its updates to the event loop."""

from __future__ import annotations

import asyncio
import threading

import numpy as np

from shoal_server.engines.contract import Assignment, Contribution, Float64Array, Frame, PointArray, RunTasks
from shoal_server.engines.scipy import ScipyEngine
from tests.sessions.clock import jumping_loop

PATIENCE = 60.0  # seconds after which a gate that nobody opens is an error
FAULTY = 666.0  # a value that the engine can't bear


class StagedEngine:
    """An engine that computes like SciPy's. Its gate is open until it is closed, and stops updates only.

    The clock may jump while an update waits at the gate.
    """

    def __init__(self) -> None:
        self._inner = ScipyEngine()
        self._loop = jumping_loop()
        self._arrivals: asyncio.Queue[float] = asyncio.Queue()
        self._gate = threading.Event()
        self._waiting = 0
        self.open_gate()

    def close_gate(self) -> None:
        """Make later updates wait. Call it while none is running."""
        self._gate.clear()

    def open_gate(self) -> None:
        """Let all updates run."""
        self._loop.hold(self._waiting)
        self._waiting = 0
        self._gate.set()

    async def arrival(self) -> float:
        """Wait for the next update at the gate, and return the first value of its points."""
        return await self._arrivals.get()

    def contribute(
        self,
        points: PointArray,
        sample_weight: Float64Array | None,
        frame: Frame,
        run: RunTasks,
        *,
        return_labels: bool = True,
    ) -> Contribution:
        """Assign and add up, once the gate is open."""
        self._loop.call_soon_threadsafe(self._arrive, float(points[0, 0]))
        if not self._gate.wait(PATIENCE):
            self._loop.call_soon_threadsafe(self._loop.errors.append, {"message": "nobody opened the gate"})
        _fail_if_faulty(points)
        return self._inner.contribute(points, sample_weight, frame, run, return_labels=return_labels)

    def assign(self, points: PointArray, frame: Frame, run: RunTasks, *, return_distances: bool) -> Assignment:
        """Assign, whatever the gate."""
        _fail_if_faulty(points)
        return self._inner.assign(points, frame, run, return_distances=return_distances)

    def warm_up(self) -> None:
        """Nothing to do."""

    def _arrive(self, first_value: float) -> None:
        self._arrivals.put_nowait(first_value)
        if not self._gate.is_set():
            self._waiting += 1
            self._loop.hold(-1)


def _fail_if_faulty(points: PointArray) -> None:
    if np.any(points == FAULTY):
        raise ZeroDivisionError("the engine has a bug")

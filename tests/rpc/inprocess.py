"""A server in this process, built by app.py, on a real socket and its own thread.

For what a server of its own process can't be brought to do: engines that wait or fail on cue, time that jumps.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np

from shoal_server.app import _parts
from shoal_server.engines.contract import Assignment, Contribution, Engine, Float64Array, Frame, PointArray, RunTasks
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine
from shoal_server.settings import Settings
from tests.rpc.wire import PATIENCE

T = TypeVar("T")


class InProcessServer:
    """Listens while its context is open.

    Parameters
    ----------
    engine
        Takes the place of numba, the default engine.
    serving
        Whether calls are let in from the beginning.
    settings
        As of `shoal-server`.
    """

    def __init__(self, engine: Engine | None = None, *, serving: bool = True, **settings: Any) -> None:
        self._engine = engine or ScipyEngine()
        self._serving = serving
        self._settings = Settings(**settings)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="in-process server")
        self._open = AsyncExitStack()
        self._ahead = 0.0
        self.target = ""

    def __enter__(self) -> Self:
        self._thread.start()
        real_time = self._loop.time
        self._loop.time = lambda: real_time() + self._ahead  # type: ignore[method-assign]  # a clock that can jump
        self.target = f"127.0.0.1:{self.run(self._start())}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.run(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def begin(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        return self.begin(coroutine).result(PATIENCE)

    async def stop(self, grace: float) -> None:
        """Stop as after a signal."""
        await self._parts.stop(grace)

    def pass_time(self, seconds: float) -> None:
        """Let the server's clock jump."""
        self.run(self._jump(seconds))

    async def _start(self) -> int:
        engines = {"numba": self._engine, "sklearn": SklearnEngine(), "scipy": ScipyEngine()}
        self._parts = await self._open.enter_async_context(_parts(self._settings, engines, self._engine))  # type: ignore[arg-type]
        self.rpc = self._parts.server
        port = await self.rpc.start("127.0.0.1", 0)
        if self._serving:
            await self.rpc.serve()
        return port

    async def _stop(self) -> None:
        await self.stop(0)
        await self._open.aclose()

    async def _jump(self, seconds: float) -> None:
        self._ahead += seconds


class QuickEngine:
    """An engine that hardly looks at its points: all belong to the first centroid, and none moves it."""

    def contribute(
        self,
        points: PointArray,
        _sample_weight: Float64Array | None,
        frame: Frame,
        _run: RunTasks,
        *,
        return_labels: bool = True,
    ) -> Contribution:
        counts = np.zeros(len(frame.centroids))
        counts[0] = len(points)
        return Contribution(
            counts, np.zeros(frame.centroids.shape), 0.0, np.zeros(len(points) * return_labels, np.int32)
        )

    def assign(self, points: PointArray, _frame: Frame, _run: RunTasks, *, return_distances: bool) -> Assignment:
        return Assignment(np.zeros(len(points), np.int32), np.zeros(len(points)) if return_distances else None)

    def warm_up(self) -> None:
        pass


class GatedEngine:
    """An engine whose updates wait until its gate is opened."""

    def __init__(self, inner: Engine | None = None) -> None:
        self._inner = inner or ScipyEngine()
        self.gate = threading.Event()
        self.waiting = threading.Semaphore(0)  # released once by every update that has come
        self.batches: list[PointArray] = []

    def contribute(
        self,
        points: PointArray,
        sample_weight: Float64Array | None,
        frame: Frame,
        run: RunTasks,
        *,
        return_labels: bool = True,
    ) -> Contribution:
        self.batches.append(points)
        self.waiting.release()
        assert self.gate.wait(PATIENCE)
        return self._inner.contribute(points, sample_weight, frame, run, return_labels=return_labels)

    def assign(self, points: PointArray, frame: Frame, run: RunTasks, *, return_distances: bool) -> Assignment:
        return self._inner.assign(points, frame, run, return_distances=return_distances)

    def warm_up(self) -> None:
        pass


class BrokenEngine:
    """An engine with a bug, whose story must stay inside."""

    STORY = "the key is under /home/shoal/mat.py"

    def contribute(self, *_: object, **__: object) -> Contribution:
        raise ValueError(self.STORY)

    def assign(self, *_: object, **__: object) -> Assignment:
        raise ValueError(self.STORY)

    def warm_up(self) -> None:
        pass

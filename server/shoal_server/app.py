"""The composition root: builds the parts from the settings, starts them, and stops them in order.

The only module that knows them all.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, perf_counter
from typing import Any

import structlog

from shoal_server.budget import MemoryBudget
from shoal_server.clustering.config import EngineName
from shoal_server.compare.running import runners
from shoal_server.compare.service import Comparisons
from shoal_server.engines.contract import Engine
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine
from shoal_server.errors import StartError
from shoal_server.libraries import Loadable, compute_on_one_thread, load
from shoal_server.process import keep_freed_memory, service_links, unknown_variables
from shoal_server.rpc.server import CallLimits, RpcServer, Services, host_and_port
from shoal_server.sessions.compute import MAX_PAUSED, ComputePool, FairExecutor
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.local import LocalSessions
from shoal_server.sessions.registry import Sessions
from shoal_server.settings import LogFormat, LogLevel, Settings
from shoal_server.shared_results import SharedResults

STANDARD_INPUT = 0
_LOG_EVERY = 5.0  # seconds between two lines of the log that say how far the compilation is
_LAST_CALL = 0.5  # seconds for the threads to end, which are asked to

log = structlog.get_logger()


async def serve(settings: Settings) -> bool:
    """Serve until a signal comes, and then stop: what has been taken has settings.shutdown_grace seconds.

    Returns
    -------
    bool
        Whether all threads have stopped computing. A call of scikit-learn or SciPy that is still running can't be
        stopped, and must not see the process exit in the ordinary way.

    Raises
    ------
    StartError
        The server can't start with these settings.
    """
    _configure_logs(settings.log_format, settings.log_level)
    for name, value in service_links(os.environ).items():
        log.warning(
            "environment variable ignored",
            variable=name,
            value=value,
            reason="Kubernetes sets it for a service of that name; set the port by a flag",
        )
    for name, nearest in unknown_variables(os.environ, Settings.model_fields).items():
        log.warning("environment variable unknown", variable=name, **({"nearest": nearest} if nearest else {}))
    keep_freed_memory()
    compute_on_one_thread()
    stop = _stop_requested(settings)
    started = monotonic()
    compiling = _Compiling()
    numba = NumbaEngine(compiling.report)
    engines: dict[EngineName, Engine] = {"numba": numba, "sklearn": SklearnEngine(), "scipy": ScipyEngine()}
    async with _parts(settings, engines, numba) as parts:
        compiling.tell_callers = parts.server.note_compiled
        port = await parts.server.start(settings.host, settings.port)
        address = host_and_port(settings.host, port)
        log.info("starting", address=address, compute_threads=settings.compute_threads)
        others: list[Loadable] = [engines["sklearn"], engines["scipy"], parts.comparisons]
        loader = FairExecutor(1, "loading")
        loading = asyncio.wrap_future(loader.submit(load, [numba]))
        if await _done_before(stop, loading):
            await parts.server.serve()
            log.info("serving", address=address, seconds=round(monotonic() - started, 3))
            _tell_ready(settings.ready_fd, address)
            if settings.preload:
                loading = asyncio.wrap_future(loader.submit(_load_if_possible, others, started))
                await _done_before(stop, loading)
        log.info("stopping", reason=await stop)
        await parts.stop(settings.shutdown_grace)
    has_ended = parts.compute.ends_within(_LAST_CALL)
    log.info("stopped", **({} if has_ended else {"given_up": "a call of scikit-learn or SciPy"}))
    return has_ended


class _Compiling:
    """Says how far the compilation of the kernels is: to callers, and now and then in the log."""

    def __init__(self) -> None:
        self.tell_callers: Callable[[int, int], None] = lambda *_: None
        self._logged_at = float("-inf")

    def report(self, done: int, of: int) -> None:
        """Say that so many of the functions are compiled."""
        self.tell_callers(done, of)
        if monotonic() - self._logged_at > _LOG_EVERY:
            self._logged_at = monotonic()
            note = {} if done else {"note": "once on this machine, about a minute"}
            log.info("compiling the kernels", done=done, of=of, **note)


def _configure_logs(log_format: LogFormat, level: LogLevel) -> None:
    """Log to standard error: JSON for machines, or lines for people."""
    renderer = structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer()
    exceptions = [structlog.processors.format_exc_info] if log_format == "json" else []
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *exceptions,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


@dataclass(frozen=True)
class Parts:
    """What is started and stopped."""

    server: RpcServer
    sessions: Sessions
    comparisons: Comparisons
    compute: ComputePool
    budget: MemoryBudget

    async def stop(self, grace: float) -> None:
        """Stop in order: calls, then sessions, then the answers. What has been taken has `grace` seconds for all of it.

        After them whatever is queued is refused; a batch that is being computed has LAST_BATCH seconds more.
        """
        deadline = asyncio.get_running_loop().time() + grace
        await self.server.drain(deadline)
        await self.sessions.stop(deadline)
        await self.server.stop()


@asynccontextmanager
async def _parts(settings: Settings, engines: dict[EngineName, Engine], numba: NumbaEngine) -> AsyncIterator[Parts]:
    plan = settings.memory_plan()
    budget = MemoryBudget(plan.total, settings.compute_threads, MAX_PAUSED)
    # A comparison that is given up gives its place to another at once, and its thread when a library's call is over.
    compute = ComputePool(settings.compute_threads, 2 * settings.max_comparisons, budget.learning.room)
    limits = settings.limits()
    call_limits = CallLimits(
        settings.max_message_bytes, settings.max_concurrent_calls, settings.max_streams_per_connection, plan
    )
    deps = SessionDeps(
        engines=engines,
        compute=compute,
        budget=budget,
        limits=limits,
        now=lambda: datetime.now(UTC),
        draw_random_state=lambda: secrets.randbits(32),
        shared=SharedResults(compute.begin),
        fitter=numba,
    )
    comparisons = Comparisons(
        runners(numba),
        compute.submit_background,
        perf_counter,
        settings.max_comparisons,
        settings.max_comparison_distances,
        settings.max_comparison_work,
        budget,
    )
    try:
        async with Sessions(deps) as sessions:
            services = Services(LocalSessions(sessions), comparisons, limits, deps.draw_random_state, deps.shared)
            yield Parts(RpcServer(services, call_limits, budget), sessions, comparisons, compute, budget)
    finally:
        compute.close(wait=False)  # what still computes, compiles or loads ends with the process


def _load_if_possible(others: Iterable[Loadable], started: float) -> None:
    """Load what most sessions can do without: those that can't get a refusal when they come."""
    try:
        load(others)
    except Exception:  # the sessions of other engines live on
        log.exception("engines can't be loaded")
    else:
        log.info("loaded", seconds=round(monotonic() - started, 3))


async def _done_before(stop: asyncio.Future[str], loading: asyncio.Future[None]) -> bool:
    """Wait for either, and return whether the loading is done; if it failed, raise what it raised."""
    first: list[asyncio.Future[Any]] = [loading, stop]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if loading.done():
        await loading
    return loading.done()


def _stop_requested(settings: Settings) -> asyncio.Future[str]:
    """Return what becomes the reason to stop."""
    loop = asyncio.get_running_loop()
    reason: asyncio.Future[str] = loop.create_future()

    def request(why: str) -> None:
        if not reason.done():
            reason.set_result(why)

    def read_input() -> None:
        if not os.read(STANDARD_INPUT, 4096):
            loop.remove_reader(STANDARD_INPUT)
            request("end of input")

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, request, number.name)
    if settings.until_eof:
        try:
            loop.add_reader(STANDARD_INPUT, read_input)
        except (OSError, ValueError):
            raise StartError("until_eof needs a pipe or a terminal as standard input, not a file") from None
    return reason


def _tell_ready(ready_fd: int | None, address: str) -> None:
    if ready_fd is None:
        return
    with os.fdopen(ready_fd, "w") as ready:
        ready.write(f"{address}\n")

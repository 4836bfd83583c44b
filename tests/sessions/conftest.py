from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest

from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.session import Session
from tests.sessions.clock import JumpingLoop
from tests.sessions.engines import StagedEngine
from tests.sessions.session_builders import session_deps, started


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"jumping": JumpingLoop}


@pytest.fixture(autouse=True)
async def _no_errors_in_the_loop() -> AsyncIterator[None]:
    yield
    loop = asyncio.get_running_loop()
    if isinstance(loop, JumpingLoop):  # not under a test that uses none
        assert loop.errors == []


@pytest.fixture
async def engine() -> StagedEngine:
    return StagedEngine()


@pytest.fixture
def compute(engine: StagedEngine) -> Iterator[ComputePool]:
    pool = ComputePool(2)
    yield pool
    engine.open_gate()
    pool.close()


@pytest.fixture
def deps(compute: ComputePool, engine: StagedEngine) -> SessionDeps:
    return session_deps(compute, engine)


@pytest.fixture
async def session(deps: SessionDeps, engine: StagedEngine) -> AsyncIterator[Session]:
    """A session of one centroid at 0."""
    async with started(deps) as session:
        yield session
        engine.open_gate()

"""Everything that a session needs around it, and small steps with sessions."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from shoal_server.budget import MemoryBudget
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.errors import DomainError, Reason, Refusal
from shoal_server.sessions.compute import ComputePool
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.jobs import Receipt
from shoal_server.sessions.port import Changes, Limits, SessionConfig
from shoal_server.sessions.session import Session
from shoal_server.shared_results import SharedResults
from tests.sessions.engines import StagedEngine
from tests.sessions.producer_builders import Stamp

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
FIRST_RANDOM_STATE = 1000
PLENTY = 1 << 40  # bytes
LIMITS = Limits(
    max_sessions=3,
    max_centroid_values=100,
    max_init_values=300,
    max_summary_values=300,
    max_batch_work=1_000_000,
    max_batch_bytes=1_000_000,
    queue_bytes=1_000_000,
    max_producers=10,
    replay_bytes=100_000,
    idle_ttl=None,
    progress_interval=15.0,
    max_event_time_ahead=300.0,
)


def session_deps(compute: ComputePool, engine: StagedEngine, **limits: Any) -> SessionDeps:
    """Return dependencies with one engine, and a clock that advances a second at each reading."""
    random_states = itertools.count(FIRST_RANDOM_STATE)
    seconds = itertools.count()
    return SessionDeps(
        engines={"scipy": engine},
        compute=compute,
        budget=MemoryBudget(PLENTY),
        limits=replace(LIMITS, **limits),
        now=lambda: BEGINNING + timedelta(seconds=next(seconds)),
        draw_random_state=lambda: next(random_states),
        shared=SharedResults(compute.begin),
    )


def given_centroids(*values: float, **config: Any) -> ModelConfig:
    """Return the configuration of a model of one feature that begins at these centroids."""
    init = np.array(values or (0.0,))[:, None]
    return ModelConfig(len(init), engine="scipy", init=init, **config)


def warming(n_clusters: int = 1, **config: Any) -> ModelConfig:
    """Return the configuration of a model that has to collect points first."""
    return ModelConfig(n_clusters, engine="scipy", random_state=0, **config)


def kept_for(idle_ttl: float | None, model: ModelConfig | None = None) -> SessionConfig:
    """Return the configuration of a session with an idle_ttl in seconds."""
    return SessionConfig(model or given_centroids(), idle_ttl=idle_ttl)


def unreadable(message: str = "no good") -> Batch:
    """Return a batch that could not be read."""
    return Batch(np.empty((0, 0)), refusal=Refusal(Reason.SHAPE_INVALID, message, "points"))


def points(*values: float) -> Batch:
    """Return a batch of points of one feature."""
    return Batch(np.array(values)[:, None])


def model_changes(**fields: Any) -> Changes:
    """Return changes of the model's configuration."""
    return Changes(model=fields, session={})


@asynccontextmanager
async def started(deps: SessionDeps, config: SessionConfig | None = None) -> AsyncIterator[Session]:
    """Run a session, by default of one centroid at 0, and stop it."""
    config = config or SessionConfig(given_centroids())
    session = Session("pixels", config, "", deps, new_model(config.model), on_change=lambda: None)
    yield session
    await session.stop(math.inf)


async def submit(session: Session, *values: float, stamp: Stamp | None = None, size: int = 1) -> Receipt:
    """Submit points of one feature to a session."""
    return await submit_batch(session, points(*values), stamp, size)


async def submit_batch(session: Session, batch: Batch, stamp: Stamp | None = None, size: int = 1) -> Receipt:
    """Hand one batch to a session."""
    batch = batch._replace(size=0 if batch.refusal else size)
    if stamp:
        batch = batch._replace(sequence=stamp.sequence, fingerprint=stamp.fingerprint)
    (receipt,) = await session.submit([batch], stamp.producer if stamp else None)
    if isinstance(receipt, Refusal):
        raise DomainError(receipt)
    return receipt


def outcome_of(receipt: Receipt) -> BatchResult:
    """Return the result of one batch, which must exist."""
    (result,) = receipt.results()
    assert result.refusal is None
    return result


async def push(session: Session, *values: float, stamp: Stamp | None = None) -> BatchResult:
    """Push points of one feature into a session and wait until they are applied."""
    return await (await submit(session, *values, stamp=stamp)).result()


def centroid(session: Session) -> float:
    """Return the only value of the only centroid."""
    assert session.snapshot is not None
    return float(session.snapshot.centroids[0, 0])

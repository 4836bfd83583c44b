"""Another number of clusters for a session: what it meets when its turn comes, and what it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.buckets import SummaryKernels
from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.state import Batch, BatchResult
from shoal_server.engines.contract import UnusablePoints
from shoal_server.errors import Kind
from shoal_server.sessions.deps import SessionDeps
from shoal_server.sessions.port import SessionConfig
from shoal_server.sessions.session import Session
from tests.sessions.refusing import refusal_of
from tests.sessions.session_builders import model_changes, started, submit_batch
from tests.warm import warm_engine

REFINED = ModelConfig(2, random_state=0, update_rule="refined")


@pytest.fixture
def deps(deps: SessionDeps) -> SessionDeps:
    limits = replace(deps.limits, max_batch_work=1 << 33, max_init_values=1 << 20, max_summary_values=1 << 20)
    return replace(deps, engines={"numba": warm_engine()}, fitter=warm_engine(), limits=limits)


class FailingFitter:
    """Computes like numba's until it is to find points too far apart."""

    def __init__(self) -> None:
        self.finds_far_points = False
        self.search = warm_engine().search

    def summary_kernels(self, precision: np.dtype[Any]) -> SummaryKernels:
        if self.finds_far_points:
            raise UnusablePoints
        return warm_engine().summary_kernels(precision)


async def test_points_too_far_apart_are_not_clustered_anew(deps: SessionDeps) -> None:
    fitter = FailingFitter()
    async with started(replace(deps, fitter=fitter), SessionConfig(REFINED)) as session:
        await _push(session, 300)
        version = session.version
        fitter.finds_far_points = True

        error = await refusal_of(session.change(model_changes(n_clusters=3), ""))

        assert (error.kind, error.reason, error.session) == (Kind.INVALID_ARGUMENT, "VALUE_TOO_LARGE", "pixels")
        assert "float64" in error.message
        assert (session.version, session.describe().config.model.n_clusters) == (version, 2)


async def _push(session: Session, rows: int, columns: int = 2) -> BatchResult:
    batch = Batch(np.random.default_rng(rows).normal(size=(rows, columns)).astype(np.float32))
    return await (await submit_batch(session, batch)).result()

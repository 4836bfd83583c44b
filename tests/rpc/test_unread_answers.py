"""Answers that nobody reads, of a call that holds memory for those to come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from shoal.v1 import clustering_pb2
from shoal_server.clustering.suggestion import Suggestion
from shoal_server.rpc import analysis
from shoal_server.sessions.port import ReclusterEvent
from shoal_server.shared_results import SharedResults


class EndlessSessions:
    """Sessions whose reclustering goes on and on."""

    def __init__(self) -> None:
        self.ended = False

    async def recluster(self, _name: str, _request: object) -> AsyncGenerator[ReclusterEvent, None]:
        try:
            while True:
                yield Suggestion(2, "because")
        finally:
            self.ended = True


async def test_a_reclustering_whose_answers_are_not_read_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis, "READ_PATIENCE", 0.0)
    sessions: Any = EndlessSessions()
    request = clustering_pb2.ReclusterRequest(session="any", n_clusters=[2])
    responses = analysis.recluster(sessions, SharedResults(lambda _: asyncio.Future()), request)

    async def read_nothing_more() -> None:
        async with asyncio.timeout(60):
            await anext(responses)
            try:
                await asyncio.Event().wait()  # as a write does whose client doesn't read
            finally:
                await responses.aclose()

    reading = asyncio.create_task(read_nothing_more())
    await asyncio.wait([reading])

    assert reading.cancelled()
    assert sessions.ended

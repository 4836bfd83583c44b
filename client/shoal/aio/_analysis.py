"""What a session's summary tells, for asyncio; `shoal.Session` says more about each method."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex, overload

import grpc

from shoal._analysis_codec import ReclusterDecoder, describe_clusters, encode_recluster, is_single
from shoal._analysis_types import Clustering, ClusterReport, Reclustering, Suggestion
from shoal.aio._connection import AsyncConnection


class SummaryMethods:
    """The methods of a session that read its summary."""

    _name: str
    _connection: AsyncConnection

    @overload
    async def recluster(
        self,
        n_clusters: SupportsIndex,
        *,
        random_state: int | None = None,
        progress: Callable[[Clustering], None] | None = None,
    ) -> Clustering: ...

    @overload
    async def recluster(
        self,
        n_clusters: Iterable[SupportsIndex] | None = None,
        *,
        random_state: int | None = None,
        progress: Callable[[Clustering], None] | None = None,
    ) -> Reclustering: ...

    async def recluster(
        self,
        n_clusters: SupportsIndex | Iterable[SupportsIndex] | None = None,
        *,
        random_state: int | None = None,
        progress: Callable[[Clustering], None] | None = None,
    ) -> Clustering | Reclustering:
        """Fit another number of clusters, or several, to the session's summary; see shoal.Session.recluster."""
        decoder = ReclusterDecoder(progress)
        await self._read_all(encode_recluster(self._name, n_clusters, random_state), decoder)
        return decoder.only() if is_single(n_clusters) else decoder.all()

    async def suggest_n_clusters(
        self, n_clusters: Iterable[SupportsIndex] | None = None, *, random_state: int | None = None
    ) -> Suggestion:
        """Return which of several numbers of clusters fits the stream best; see shoal.Session.suggest_n_clusters."""
        reclustering = await self.recluster(n_clusters, random_state=random_state)
        return reclustering.suggestion

    async def describe_clusters(self, n_typical: int = 3) -> ClusterReport:
        """Return what the clusters are like; see shoal.Session.describe_clusters."""
        return await self._connection.call(describe_clusters(self._name, n_typical))

    async def _read_all(self, request: Any, decoder: ReclusterDecoder) -> None:
        call = self._connection.open("Recluster", request)
        try:
            while (response := await call.read()) is not grpc.aio.EOF:
                decoder.receive(response)
        except (grpc.RpcError, asyncio.CancelledError) as failed:
            raise self._connection.error(failed, self._name) from None
        finally:
            call.cancel()

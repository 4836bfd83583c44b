"""The asyncio comparison; `shoal.Comparison` says more."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import grpc

from shoal._comparison_codec import ComparisonDecoder
from shoal._comparison_types import ComparisonStart, ComparisonStep
from shoal.aio._connection import AsyncConnection
from shoal.wire.comparison import ComparisonResult


class Comparison:
    """An async iterator of the steps of a comparison. Use as an async context manager, or `close` it.

    Parameters
    ----------
    connection, request, decoder
        The client's connection, the request, and the decoder of its responses.
    """

    def __init__(self, connection: AsyncConnection, request: Any, decoder: ComparisonDecoder) -> None:
        self._connection = connection
        self._request = request
        self._decoder = decoder
        self._call: Any = None  # begun with the first step: gRPC wants a running loop

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ComparisonStep:
        """Return the next step; see shoal.Comparison."""
        if self._call is None:
            self._call = self._connection.open("Compare", self._request)
        try:
            while (response := await self._call.read()) is not grpc.aio.EOF:
                step = self._decoder.receive(response)
                if step is not None:
                    return step
        except (grpc.RpcError, asyncio.CancelledError) as failed:
            self._call.cancel()
            raise self._connection.error(failed, "") from None
        raise StopAsyncIteration

    @property
    def start(self) -> ComparisonStart | None:
        """The parameters of the comparison; None before the first step."""
        return self._decoder.start

    @property
    def result(self) -> ComparisonResult | None:
        """The results; None before the last step."""
        return self._decoder.result

    async def close(self) -> None:
        """Cancel the comparison."""
        if self._call is not None:
            self._call.cancel()

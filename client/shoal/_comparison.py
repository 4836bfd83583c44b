"""The sync iterator of a comparison's steps."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import grpc

from shoal._comparison_codec import ComparisonDecoder
from shoal._comparison_types import ComparisonStart, ComparisonStep
from shoal._connection import Connection
from shoal.wire.comparison import ComparisonResult


class Comparison:
    """An iterator of the steps of a comparison. Use as a context manager, or `close` it, to end it early.

    Parameters
    ----------
    connection, request, decoder
        The client's connection, the request, and the decoder of its responses.
    """

    def __init__(self, connection: Connection, request: Any, decoder: ComparisonDecoder) -> None:
        self._connection = connection
        self._request = request
        self._decoder = decoder
        self._call: Any = None  # begun with the first step, as every stream of this client

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ComparisonStep:
        """Return the next step.

        Raises
        ------
        InvalidArgumentError
            If an argument of the comparison is invalid.
        LimitExceededError
            If it is too large, or the server's limit on comparisons is reached.
        """
        if self._call is None:
            self._call = self._connection.open("Compare", self._request)
        try:
            for response in self._call:
                step = self._decoder.receive(response)
                if step is not None:
                    return step
        except grpc.RpcError as failed:
            raise self._connection.error(failed, "") from None
        raise StopIteration

    @property
    def start(self) -> ComparisonStart | None:
        """The parameters of the comparison; None before the first step."""
        return self._decoder.start

    @property
    def result(self) -> ComparisonResult | None:
        """The results; None before the last step."""
        return self._decoder.result

    def close(self) -> None:
        """Cancel the comparison."""
        if self._call is not None:
            self._call.cancel()

"""The sync comparison: its steps as they come."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

import grpc

from shoal._comparison_codec import ComparisonDecoder
from shoal._comparison_types import ComparisonResult, ComparisonStart, ComparisonStep
from shoal._connection import Connection


class Comparison:
    """An iterator of the steps of a comparison. Use as a context manager, or `close` it, to give it up early.

    Parameters
    ----------
    connection, request, decoder
        Of the client, what is asked for, and what has been said.
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
            If something of the comparison can't be right.
        LimitExceededError
            If it is larger than the server takes, or the server runs as many already as it wants.
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
        """What is compared, everything that was left to the server filled in; None before the first step."""
        return self._decoder.start

    @property
    def result(self) -> ComparisonResult | None:
        """What the engines come to; None before the last step."""
        return self._decoder.result

    def close(self) -> None:
        """Give up what has not come yet."""
        if self._call is not None:
            self._call.cancel()

"""The channel of the asyncio client: unary calls with retries, and streams."""

from __future__ import annotations

import asyncio
import time
from functools import cached_property
from typing import Any, TypeVar

import grpc

from shoal._calls import Call
from shoal._channels import channel_options, closed_error, methods_of
from shoal._errors import ShoalError
from shoal._retries import CallRetries
from shoal._statuses import error_of_call

Answer = TypeVar("Answer")


class AsyncConnection:
    """A channel to one server, for one event loop: the one that runs at the first call.

    Parameters
    ----------
    target
        ``host:port``.
    timeout
        Seconds that a unary call may take, its retries included.
    """

    def __init__(self, target: str, timeout: float) -> None:
        self.target = target
        self.timeout = timeout
        self._closed = False

    async def call(self, call: Call[Answer]) -> Answer:
        """Make a unary call and wait for its answer."""
        retries = CallRetries(time.monotonic() + self.timeout, repeatable=call.repeatable)
        while True:
            try:
                answer = await self.open(call.method, call.request, timeout=retries.remaining(time.monotonic()))
            except (grpc.RpcError, asyncio.CancelledError) as failed:
                failure = self.error(failed, call.session)
            else:
                return call.decode(answer)
            await asyncio.sleep(retries.delay_after(failure, time.monotonic()))

    def open(self, method: str, *request: Any, timeout: float | None = None) -> Any:
        """Open a call; the caller cancels a stream."""
        if self._closed:
            raise closed_error(self.target)
        return self._methods[method](*request, timeout=timeout)

    def error(self, failed: BaseException, session: str) -> ShoalError:
        """Return the exception for a failed call; raise a cancellation of the caller's task again."""
        if self._closed and not _cancelling():
            return closed_error(self.target)
        if not isinstance(failed, grpc.aio.AioRpcError):
            raise failed
        return error_of_call(failed, self.target, session)

    async def close(self) -> None:
        """End the channel and every call on it."""
        self._closed = True
        if "_channel" in vars(self):
            await self._channel.close()

    @cached_property
    def _channel(self) -> grpc.aio.Channel:
        # Made at the first call: gRPC binds a channel to the event loop that runs when it is made.
        return grpc.aio.insecure_channel(self.target, options=channel_options(self.target))

    @cached_property
    def _methods(self) -> dict[str, Any]:
        return methods_of(self._channel)


def _cancelling() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

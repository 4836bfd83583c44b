"""The channel of the sync client: unary calls with retries, and streams."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import grpc

from shoal._calls import Call
from shoal._channels import channel_options, closed_error, methods_of
from shoal._errors import ShoalError
from shoal._retries import CallRetries
from shoal._statuses import error_of_call

Answer = TypeVar("Answer")


class Connection:
    """A channel to one server. Safe for threads.

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
        self._channel = grpc.insecure_channel(target, options=channel_options(target))
        self._methods = methods_of(self._channel)
        self._closed = False

    def call(self, call: Call[Answer]) -> Answer:
        """Make a unary call and wait for its answer."""
        retries = CallRetries(time.monotonic() + self.timeout, repeatable=call.repeatable)
        method = self._method(call.method)
        while True:
            try:
                answer = method(call.request, timeout=retries.remaining(time.monotonic()))
            except grpc.RpcError as failed:
                failure = self.error(failed, call.session)
            else:
                return call.decode(answer)
            time.sleep(retries.delay_after(failure, time.monotonic()))

    def open(self, method: str, requests: Any) -> Any:
        """Open a stream; the caller cancels it."""
        return self._method(method)(requests)

    def error(self, failed: Any, session: str) -> ShoalError:
        """Return the exception for a failed call."""
        if self._closed:
            return closed_error(self.target)
        return error_of_call(failed, self.target, session)

    def close(self) -> None:
        """End the channel and every call on it."""
        self._closed = True
        self._channel.close()

    def _method(self, name: str) -> Any:
        if self._closed:
            raise closed_error(self.target)
        return self._methods[name]

"""The sync client's way to the server: unary calls with their retries, and streams as they open."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import grpc

from shoal._calls import Call
from shoal._channels import channel_options, closed_message, methods_of
from shoal._errors import ClientClosedError, ShoalError
from shoal._retrying import CallRetries
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
        """Open a stream; whoever opens it cancels it."""
        return self._method(method)(requests)

    def error(self, failed: Any, session: str) -> ShoalError:
        """Return what a failed call means."""
        if self._closed:
            return self._closed_error()
        return error_of_call(failed, self.target, session)

    def close(self) -> None:
        """End the channel and every call on it."""
        self._closed = True
        self._channel.close()

    def _method(self, name: str) -> Any:
        if self._closed:
            raise self._closed_error()
        return self._methods[name]

    def _closed_error(self) -> ClientClosedError:
        return ClientClosedError(closed_message(self.target), reason="CLIENT_CLOSED")

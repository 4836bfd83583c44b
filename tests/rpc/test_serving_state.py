"""The serving state: each caller gets its own exception."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from shoal_server.errors import DomainError
from shoal_server.rpc.serving_state import ServingState


class Request:
    """An object that a call holds while it is refused."""


def refused(serving_state: ServingState) -> weakref.ref[Request]:
    """Make a call that must be refused, and return its request."""
    request = Request()
    with pytest.raises(DomainError):
        serving_state.check()
    return weakref.ref(request)


@pytest.mark.parametrize("reason", ["SERVER_STARTING", "SERVER_DRAINING"])
def test_a_refusal_keeps_no_reference_to_the_refused_calls(reason: str) -> None:
    serving_state = ServingState()
    if reason == "SERVER_DRAINING":
        serving_state.drain()

    requests = [refused(serving_state) for _ in range(3)]
    gc.collect()

    assert [request() for request in requests] == [None] * 3
    with pytest.raises(DomainError) as caught:
        serving_state.check()
    assert caught.value.refusal.reason == reason
    assert len(caught.traceback) == 2  # this frame, and the gate's


def test_a_caller_is_told_how_far_the_compilation_is_until_the_server_serves() -> None:
    serving_state = ServingState()
    serving_state.note_compiled(12, 34)

    with pytest.raises(DomainError, match="compiles its kernels, once on this machine: 12 of 34 functions"):
        serving_state.check()
    serving_state.open()
    serving_state.note_compiled(34, 34)
    serving_state.check()


async def test_each_interrupted_stream_gets_its_own_error() -> None:
    serving_state = ServingState()
    serving_state.open()
    streams = [asyncio.create_task(wait_for_ever(serving_state)) for _ in range(2)]
    asyncio.get_running_loop().call_soon(serving_state.drain)

    first, second = await asyncio.gather(*streams, return_exceptions=True)

    assert isinstance(first, DomainError)
    assert isinstance(second, DomainError)
    assert first.refusal.reason == second.refusal.reason == "SERVER_DRAINING"
    assert first is not second


async def wait_for_ever(serving_state: ServingState) -> None:
    with serving_state.interruptible():
        await asyncio.Event().wait()

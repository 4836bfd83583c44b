"""The layers around a call: the context of a method, and the errors of refused callers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import pytest
import structlog

from shoal.v1 import errors_pb2, sessions_pb2, sessions_pb2_grpc
from shoal_server.errors import Reason, refused
from shoal_server.rpc.call_layers import (
    DETAILS_KEY,
    AdmissionLayer,
    AuthenticationLayer,
    CallContext,
    CallLayer,
    Context,
    ErrorLayer,
    TraceLayer,
)
from shoal_server.rpc.server import service_handlers
from shoal_server.rpc.serving_state import ServingState
from shoal_server.shared_results import SharedResults

SESSIONS = sessions_pb2.DESCRIPTOR.services_by_name["SessionService"]
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
NOBODY = "nobody"

SHARED = SharedResults(lambda make: asyncio.get_running_loop().run_in_executor(None, make))


class Service:
    """Returns the context of the call."""

    def __init__(self) -> None:
        self.calls: list[CallContext] = []

    async def GetSession(  # noqa: N802  (gRPC's name)
        self, request: sessions_pb2.GetSessionRequest, call: CallContext
    ) -> bytes:
        self.calls.append(call)
        structlog.get_logger().info("called")
        if request.name == "bug":
            raise ZeroDivisionError("a secret")
        return sessions_pb2.Session(name=call.principal).SerializeToString()

    def __getattr__(self, name: str) -> object:
        return self.GetSession  # of the methods that aren't called


def authenticate(context: Context) -> str:
    metadata = dict(context.invocation_metadata() or ())
    if metadata.get("user") == NOBODY:
        raise refused(Reason.TOKEN_MISSING, "the call carries no token; send one as 'authorization: Bearer TOKEN'")
    return str(metadata.get("user", "anonymous"))


@asynccontextmanager
async def serving(service: Service) -> AsyncIterator[sessions_pb2_grpc.SessionServiceAsyncStub]:
    state = ServingState()
    state.open()
    layers: list[CallLayer] = [
        ErrorLayer(),
        TraceLayer(),
        AuthenticationLayer(authenticate),
        AdmissionLayer(state, frozenset()),
    ]
    server = grpc.aio.server(interceptors=layers)
    server.add_generic_rpc_handlers([service_handlers(SESSIONS, service, SHARED)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield sessions_pb2_grpc.SessionServiceStub(channel)
    finally:
        await server.stop(None)


async def test_a_method_gets_the_trace_and_the_principal_of_its_call() -> None:
    service = Service()
    metadata = (("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"), ("user", "ada"))

    async with serving(service) as stub:
        answer = await stub.GetSession(sessions_pb2.GetSessionRequest(name="pixels"), metadata=metadata)

    assert answer.name == "ada"
    assert service.calls == [CallContext("/shoal.v1.SessionService/GetSession", TRACE_ID, "ada")]


@pytest.mark.parametrize("traceparent", ["", "nonsense", f"00-{TRACE_ID}", "00-" + "z" * 32 + "-00f067aa0ba902b7-01"])
async def test_a_call_without_a_valid_trace_id_gets_a_new_one(traceparent: str) -> None:
    service = Service()

    async with serving(service) as stub:
        for _ in range(2):
            await stub.GetSession(sessions_pb2.GetSessionRequest(), metadata=(("traceparent", traceparent),))

    first, second = (call.trace_id for call in service.calls)
    assert first != second
    assert len(first) == len(second) == len(TRACE_ID)
    assert TRACE_ID not in {first, second}


async def test_a_caller_without_a_token_is_unauthenticated_and_reaches_no_method() -> None:
    service = Service()

    async with serving(service) as stub:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetSession(sessions_pb2.GetSessionRequest(), metadata=(("user", NOBODY),))

    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert service.calls == []


async def test_a_bug_is_logged_with_its_trace_and_hidden_from_the_caller() -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        async with serving(Service()) as stub:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetSession(
                    sessions_pb2.GetSessionRequest(name="bug"),
                    metadata=(("traceparent", f"00-{TRACE_ID}-00f067aa0ba902b7-01"),),
                )

    assert caught.value.code() is grpc.StatusCode.INTERNAL
    trailing = dict(caught.value.trailing_metadata() or ())
    status = errors_pb2.Status.FromString(bytes(trailing[DETAILS_KEY]))
    assert "secret" not in str(status)
    assert [(entry["event"], entry["trace_id"]) for entry in logs] == [("called", TRACE_ID), ("bug", TRACE_ID)]


async def test_call_layers_wrap_a_method_once() -> None:
    layer = ErrorLayer()
    wrapped: list[str] = []
    wrap = layer.wrap
    layer.wrap = lambda behavior, method: wrapped.append(method) or wrap(behavior, method)  # type: ignore[method-assign, func-returns-value]
    server = grpc.aio.server(interceptors=[layer])
    server.add_generic_rpc_handlers([service_handlers(SESSIONS, Service(), SHARED)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: sessions_pb2_grpc.SessionServiceAsyncStub = sessions_pb2_grpc.SessionServiceStub(channel)
        for _ in range(3):
            await stub.GetSession(sessions_pb2.GetSessionRequest())
    await server.stop(None)

    assert wrapped == ["/shoal.v1.SessionService/GetSession"]

"""Sends hostile messages, and reports the result of each."""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

import grpc

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.hostile import METHODS, POINTS, Hostile, valid
from tests.rpc.wire import PATIENCE, Wire, batch, config, tensor

# Seconds for a watch that has nothing to say for now: to wait longer would tell nothing more.
_WATCH = 0.2


class HostileClient:
    """A client with its own session as a target, which it creates again when a message has ended it."""

    def __init__(self, target: str, session: str, *, scores: bool = False) -> None:
        self.session = session
        self._scores = scores  # whether the session has some
        self._wire = Wire(target)
        self._gone = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._wire.__exit__(kind, error, traceback)

    def send(self, message: Hostile) -> grpc.StatusCode:
        """Return the status of the call, or of the first refused answer."""
        if self._gone:
            self._make_session()
        try:
            answers = list(self._call(message))
        except grpc.RpcError as error:
            code = error.code()
        else:
            code = _refused_in(message.method, answers) or grpc.StatusCode.OK
            if message.method == "MergeSessions":  # so that the next one isn't refused because of its name
                self.delete(sessions_pb2.Session.FromString(answers[0]).name)
        if message.method == "WatchCentroids" and code is grpc.StatusCode.DEADLINE_EXCEEDED:
            code = grpc.StatusCode.OK
        self._gone = code is grpc.StatusCode.NOT_FOUND or message.method in {"DeleteSession", "UpdateSession"}
        return code

    def sessions(self) -> list[str]:
        """Return the names of all sessions, page by page."""

        names: list[str] = []
        token = ""
        while True:
            request = sessions_pb2.ListSessionsRequest(page_token=token, page_size=1000)
            page = self._wire.sessions.ListSessions(request, timeout=PATIENCE)
            names += [session.name for session in page.sessions]
            if not (token := page.next_page_token):
                return names

    def delete(self, name: str) -> None:
        """Delete a session."""
        self._wire.delete(name)

    def _make_session(self) -> None:
        try:
            rule = sessions_pb2.UPDATE_RULE_REFINED  # so that it has a summary
            threshold = 0.5 if self._scores else None
            settings = config(2, init=tensor(POINTS[:2]), update_rule=rule, outlier_threshold=threshold)
            self._wire.create(self.session, settings)
            self._wire.push(self.session, batch(POINTS))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.ALREADY_EXISTS:
                raise

    def _call(self, message: Hostile) -> Iterator[bytes]:
        method = METHODS[message.method]
        channel: Any = self._wire.channel
        path = f"/{method.containing_service.full_name}/{method.name}"
        options: dict[str, Any] = {"timeout": _WATCH if method.name == "WatchCentroids" else PATIENCE}
        if message.compressed:
            options["compression"] = grpc.Compression.Gzip
        if method.client_streaming:
            yield from channel.stream_stream(path)(self._stream_of(message), **options)
        elif method.server_streaming:
            yield from channel.unary_stream(path)(message.contents, **options)
        else:
            yield channel.unary_unary(path)(message.contents, **options)

    def _stream_of(self, message: Hostile) -> Iterator[bytes]:
        """Yield a message as the first of a stream, and a valid one after it."""
        yield message.contents
        if message.method == "AssignStream":
            yield valid("AssignStream", self.session, scores=self._scores).SerializeToString()


def _refused_in(method: str, answers: list[bytes]) -> grpc.StatusCode | None:
    """Return the worst status of the refused batches or requests of a stream."""
    statuses: list[Any] = []
    if method == "Ingest":
        results = [result for each in answers for result in clustering_pb2.IngestResponse.FromString(each).results]
        statuses = [result.error for result in results if result.HasField("error")]
    elif method == "AssignStream":
        responses = [clustering_pb2.AssignResponse.FromString(each) for each in answers]
        statuses = [response.error for response in responses if response.HasField("error")]
    codes = {code for code in grpc.StatusCode for status in statuses if code.value[0] == status.code}
    return max(codes, key=lambda code: code.value[0], default=None)

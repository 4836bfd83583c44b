"""Messages of shoal.v1 as any gRPC client would make them, and stubs to send them."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from shoal.v1 import clustering_pb2, clustering_pb2_grpc, events_pb2, sessions_pb2, sessions_pb2_grpc, tensor_pb2

PATIENCE = 60.0  # seconds after which a call is stuck

_NAMES = [name.removeprefix("DTYPE_").lower() for name in tensor_pb2.Dtype.keys()[1:]]
_NUMPY: dict[int, np.dtype[Any]] = {number: np.dtype(name) for number, name in enumerate(_NAMES, start=1)}
_NUMBERS: dict[np.dtype[Any], Any] = {dtype: number for number, dtype in _NUMPY.items()}

CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.use_local_subchannel_pool", 1),  # a connection of its own
]


class Wire:
    """One connection to a server."""

    def __init__(self, target: str) -> None:
        self.channel = grpc.insecure_channel(target, CHANNEL_OPTIONS)
        self.sessions = sessions_pb2_grpc.SessionServiceStub(self.channel)
        self.clustering = clustering_pb2_grpc.ClusteringServiceStub(self.channel)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.channel.close()

    def create(self, name: str, config: sessions_pb2.SessionConfig, request_id: str = "") -> sessions_pb2.Session:
        request = sessions_pb2.CreateSessionRequest(name=name, config=config, request_id=request_id)
        return self.sessions.CreateSession(request, timeout=PATIENCE)

    def merge(self, names: Iterable[str], into: str, **fields: Any) -> sessions_pb2.Session:
        request = sessions_pb2.MergeSessionsRequest(names=names, into=into, **fields)
        return self.sessions.MergeSessions(request, timeout=PATIENCE)

    def describe(self, name: str) -> sessions_pb2.Session:
        return self.sessions.GetSession(sessions_pb2.GetSessionRequest(name=name), timeout=PATIENCE)

    def update(
        self, name: str, config: sessions_pb2.SessionConfig, paths: Iterable[str], etag: str = ""
    ) -> sessions_pb2.Session:
        request = sessions_pb2.UpdateSessionRequest(name=name, config=config, etag=etag)
        request.update_mask.paths.extend(paths)
        return self.sessions.UpdateSession(request, timeout=PATIENCE)

    def delete(self, name: str, etag: str = "") -> sessions_pb2.DeleteSessionResponse:
        return self.sessions.DeleteSession(sessions_pb2.DeleteSessionRequest(name=name, etag=etag), timeout=PATIENCE)

    def push(
        self, name: str, message: clustering_pb2.Batch, producer: clustering_pb2.Producer | None = None
    ) -> clustering_pb2.BatchResult:
        request = clustering_pb2.PushRequest(session=name, batch=message, producer=producer)
        return self.clustering.Push(request, timeout=PATIENCE)

    def assign(
        self, name: str, points: tensor_pb2.Tensor, *, return_distances: bool = False, return_scores: bool = False
    ) -> clustering_pb2.AssignResponse:
        request = clustering_pb2.AssignRequest(
            session=name, points=points, return_distances=return_distances, return_scores=return_scores
        )
        return self.clustering.Assign(request, timeout=PATIENCE)

    def centroids(self, name: str) -> clustering_pb2.Snapshot:
        return self.clustering.GetCentroids(clustering_pb2.GetCentroidsRequest(session=name), timeout=PATIENCE)

    def recent_points(self, name: str, max_points: int = 0) -> clustering_pb2.RecentPoints:
        request = clustering_pb2.GetRecentPointsRequest(session=name, max_points=max_points)
        return self.clustering.GetRecentPoints(request, timeout=PATIENCE)

    def events(self, name: str, after: int = 0, page_size: int = 0) -> events_pb2.ListEventsResponse:
        request = events_pb2.ListEventsRequest(name=name, after=after, page_size=page_size)
        return self.sessions.ListEvents(request, timeout=PATIENCE)

    def watch(self, name: str, **options: Any) -> Any:
        """Return a watch: an iterator of answers that can be cancelled."""
        request = clustering_pb2.WatchCentroidsRequest(session=name, **options)
        return self.clustering.WatchCentroids(request, timeout=PATIENCE)


def tensor(
    array: Any, *, dtype: int | None = None, shape: Iterable[int] | None = None, contents: bytes | None = None
) -> tensor_pb2.Tensor:
    """Return an array as a message, float32 unless it has a type; keywords replace its fields."""
    typed = array if isinstance(array, np.ndarray) else np.asarray(array, np.float32)
    number: Any = _NUMBERS[typed.dtype] if dtype is None else dtype
    return tensor_pb2.Tensor(
        dtype=number,
        shape=typed.shape if shape is None else shape,
        data=typed.tobytes() if contents is None else contents,
    )


def array(message: tensor_pb2.Tensor) -> NDArray[Any]:
    """Return the array in a message."""
    return np.frombuffer(message.data, _NUMPY[message.dtype]).reshape(tuple(message.shape))


def batch(
    points: Any,
    *,
    sample_weight: Any = None,
    sequence: int = 0,
    event_time: float | None = None,
    return_labels: bool = False,
    return_scores: bool = False,
) -> clustering_pb2.Batch:
    """Return a batch of points: a tensor or what makes one."""
    message = clustering_pb2.Batch(
        points=_as_tensor(points),
        sequence=sequence,
        return_labels=return_labels,
        event_time=_as_time(event_time),
        return_scores=return_scores,
    )
    if sample_weight is not None:
        message.sample_weight.CopyFrom(_as_tensor(sample_weight))
    return message


def config(n_clusters: int = 2, *, init: Any = None, **fields: Any) -> sessions_pb2.SessionConfig:
    """Return a configuration; `init` may be a message, or centroids."""
    message = sessions_pb2.SessionConfig(n_clusters=n_clusters, **fields)
    if isinstance(init, sessions_pb2.Init):
        message.init.CopyFrom(init)
    elif init is not None:
        message.init.centroids.CopyFrom(_as_tensor(init))
    return message


def plain(n_clusters: int = 2, **options: Any) -> sessions_pb2.SessionConfig:
    """Return a configuration of the incremental rule, for what counts versions or memory, or has an engine of a test.

    Only numba's kernels can compute summaries and refinements.
    """
    return config(n_clusters, **{"update_rule": sessions_pb2.UPDATE_RULE_INCREMENTAL, **options})


def duration(seconds: float) -> Duration:
    message = Duration()
    message.FromNanoseconds(round(seconds * 1e9))
    return message


def _as_tensor(array: Any) -> tensor_pb2.Tensor:
    return array if isinstance(array, tensor_pb2.Tensor) else tensor(array)


def _as_time(seconds: float | None) -> Timestamp | None:
    if seconds is None:
        return None
    message = Timestamp()
    message.FromNanoseconds(round(seconds * 1e9))
    return message

"""The light client of Shoal, a streaming clustering service.

::

    import shoal

    with shoal.connect("localhost:50051") as client:
        session = client.create_session("pixels", n_clusters=8)
        for result in session.ingest(batches):
            print(result.version, result.inertia)

`shoal.aio` has the same for asyncio, `shoal.testing.LocalServer` starts a server for a test or a notebook.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal import aio
from shoal._analysis_types import ClusterDescription, Clustering, ClusterReport, Reclustering, Suggestion
from shoal._client import Client, connect
from shoal._comparison import Comparison
from shoal._comparison_types import CompareInit, ComparisonStart, ComparisonStep
from shoal._errors import (
    ClientClosedError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    LimitExceededError,
    PermissionDeniedError,
    PreconditionError,
    ProducerFencedError,
    ServerStartError,
    SessionExistsError,
    SessionNotFoundError,
    SessionReplacedError,
    SessionWarmingError,
    ShoalError,
    StaleEtagError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedError,
    Violation,
)
from shoal._events import Event, EventKind
from shoal._session import Session
from shoal._session_codec import UNSET, Unset
from shoal._summarize import summarize
from shoal._types import (
    Assignment,
    Batch,
    CentroidUpdate,
    Durability,
    Engine,
    HalfLife,
    HalfLifeUnit,
    InitMethod,
    Metric,
    OnDrift,
    OnInvalid,
    Precision,
    PushResult,
    RecentPoints,
    SessionConfig,
    SessionDescription,
    SessionState,
    Snapshot,
    UpdateRule,
    Warming,
)
from shoal.wire.comparison import (
    Agreement,
    CompareAction,
    ComparedEngine,
    CompareEngine,
    ComparisonResult,
    OwnFigure,
)

__all__ = [
    "UNSET",
    "Agreement",
    "Assignment",
    "Batch",
    "CentroidUpdate",
    "Client",
    "ClientClosedError",
    "ClusterDescription",
    "ClusterReport",
    "Clustering",
    "CompareAction",
    "CompareEngine",
    "CompareInit",
    "ComparedEngine",
    "Comparison",
    "ComparisonResult",
    "ComparisonStart",
    "ComparisonStep",
    "DeadlineExceededError",
    "Durability",
    "Engine",
    "Event",
    "EventKind",
    "HalfLife",
    "HalfLifeUnit",
    "InitMethod",
    "InternalError",
    "InvalidArgumentError",
    "LimitExceededError",
    "Metric",
    "OnDrift",
    "OnInvalid",
    "OwnFigure",
    "PermissionDeniedError",
    "Precision",
    "PreconditionError",
    "ProducerFencedError",
    "PushResult",
    "RecentPoints",
    "Reclustering",
    "ServerStartError",
    "Session",
    "SessionConfig",
    "SessionDescription",
    "SessionExistsError",
    "SessionNotFoundError",
    "SessionReplacedError",
    "SessionState",
    "SessionWarmingError",
    "ShoalError",
    "Snapshot",
    "StaleEtagError",
    "Suggestion",
    "UnauthenticatedError",
    "UnavailableError",
    "Unset",
    "UnsupportedError",
    "UpdateRule",
    "Violation",
    "Warming",
    "aio",
    "connect",
    "summarize",
]


if TYPE_CHECKING:
    __version__: str
else:

    def __getattr__(name: str) -> str:
        if name == "__version__":
            from importlib.metadata import version  # noqa: PLC0415  (a sixth of the time to import the client)

            return version("shoal")
        raise AttributeError(f"module 'shoal' has no attribute {name!r}")

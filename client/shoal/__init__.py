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

from shoal import aio
from shoal._client import Client, connect
from shoal._comparison import Comparison
from shoal._comparison_types import (
    Agreement,
    ComparedEngine,
    ComparisonResult,
    ComparisonStart,
    ComparisonStep,
    OwnFigure,
)
from shoal._errors import (
    ClientClosedError,
    DeadlineExceededError,
    InternalError,
    InvalidArgumentError,
    LimitExceededError,
    PreconditionError,
    ProducerFencedError,
    ServerStartError,
    SessionExistsError,
    SessionNotFoundError,
    SessionReplacedError,
    SessionWarmingError,
    ShoalError,
    StaleEtagError,
    UnavailableError,
    UnsupportedError,
    Violation,
)
from shoal._session import Session
from shoal._types import (
    Assignment,
    Batch,
    CentroidUpdate,
    HalfLife,
    PushResult,
    RecentPoints,
    SessionConfig,
    SessionDescription,
    Snapshot,
    Warming,
)

__all__ = [
    "Agreement",
    "Assignment",
    "Batch",
    "CentroidUpdate",
    "Client",
    "ClientClosedError",
    "ComparedEngine",
    "Comparison",
    "ComparisonResult",
    "ComparisonStart",
    "ComparisonStep",
    "DeadlineExceededError",
    "HalfLife",
    "InternalError",
    "InvalidArgumentError",
    "LimitExceededError",
    "OwnFigure",
    "PreconditionError",
    "ProducerFencedError",
    "PushResult",
    "RecentPoints",
    "ServerStartError",
    "Session",
    "SessionConfig",
    "SessionDescription",
    "SessionExistsError",
    "SessionNotFoundError",
    "SessionReplacedError",
    "SessionWarmingError",
    "ShoalError",
    "Snapshot",
    "StaleEtagError",
    "UnavailableError",
    "UnsupportedError",
    "Violation",
    "Warming",
    "aio",
    "connect",
]

"""What a session is asked to be, what the server allows, and how a session describes itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from shoal_server.clustering.config import EngineName, ModelConfig

Durability = Literal["memory", "durable"]


@dataclass(frozen=True)
class SessionConfig:
    """A model and how the service keeps it."""

    model: ModelConfig
    durability: Durability = "memory"
    idle_ttl: float | None = None  # seconds; None: the session stays until it is deleted

    @property
    def init_bytes(self) -> int:
        """Bytes of the initial centroids, where they are given."""
        return 0 if isinstance(self.model.init, str) else self.model.init.nbytes


@dataclass(frozen=True)
class Changes:
    """New values for a running session; only the named fields change."""

    model: dict[str, Any]  # fields of ModelConfig
    session: dict[str, Any]  # fields of SessionConfig

    @property
    def engine(self) -> EngineName | None:
        """The new engine; None: it stays."""
        return self.model.get("engine")


def changed(config: SessionConfig, changes: Changes) -> SessionConfig:
    """Return the configuration after changes."""
    return replace(config, model=replace(config.model, **changes.model), **changes.session)


@dataclass(frozen=True)
class Limits:
    """What the server allows. Sizes in bytes, times in seconds."""

    max_sessions: int
    max_centroid_values: int  # n_clusters * n_features of one session
    max_init_values: int  # init_size * n_features of one session
    max_batch_work: int  # rows * n_features * n_clusters of one batch, and of choosing initial centroids
    max_batch_bytes: int  # points and weights of one batch
    queue_bytes: int  # of one session
    max_producers: int  # remembered by one session
    replay_bytes: int  # of answers kept by one session, for batches that are sent again
    idle_ttl: float | None  # of a session that doesn't say
    progress_interval: float  # of a watch that doesn't say
    max_event_time_ahead: float  # of the server's clock, when a batch comes

"""Every setting of the server: a flag of `shoal-server`, and an environment variable that begins with SHOAL_."""

from __future__ import annotations

import os
import re
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, FiniteFloat, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from shoal_server.budget import MIB, MemoryPlan
from shoal_server.process import available_cores, default_memory_limit, service_links
from shoal_server.sessions.port import Limits

MAX_INT32 = 2**31 - 1  # gRPC's options are int
MAX_INT64 = 2**63 - 1
MAX_THREADS = 1024
MAX_SECONDS = 315_576_000_000  # of protobuf's Duration

_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_SIZE = re.compile(r"\s*(\d{1,20})\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)


def _parse_size(given: object) -> object:
    """Return the bytes of text such as 67108864, 64MiB or 2 GiB; leave anything else to pydantic."""
    if not isinstance(given, str):
        return given
    parts = _SIZE.fullmatch(given)
    unit = _UNITS.get(parts[2].lower()) if parts else None
    if parts is None or unit is None:
        raise ValueError("use whole bytes, or a whole number of KiB, MiB, GiB or TiB, such as 2147483648 or 2GiB")
    return int(parts[1]) * unit


Count = Annotated[int, Field(ge=1, le=MAX_INT64)]
Threads = Annotated[int, Field(ge=1, le=MAX_THREADS)]
Bytes = Annotated[int, Field(ge=1024, le=MAX_INT64), BeforeValidator(_parse_size)]
LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]
Seconds = Annotated[FiniteFloat, Field(gt=0, le=MAX_SECONDS)]
SecondsOrZero = Annotated[FiniteFloat, Field(ge=0, le=MAX_SECONDS)]


class Settings(BaseSettings):
    """Serve streaming clustering over gRPC.

    Each flag is an environment variable as well: SHOAL_MAX_SESSIONS. Sizes may have a unit: 64MiB.
    """

    model_config = SettingsConfigDict(
        env_prefix="SHOAL_",
        cli_parse_args=False,
        cli_prog_name="shoal-server",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_avoid_json=True,
        extra="forbid",
    )

    host: str = Field("127.0.0.1", description="Address to listen on; 0.0.0.0 listens on all.", min_length=1)
    port: int = Field(50051, description="Port to listen on; 0 takes a free one.", ge=0, le=65535)
    compute_threads: Threads = Field(
        default_factory=available_cores, description="Threads that compute. Default: one a core, within the CPU quota."
    )
    max_message_bytes: Annotated[Bytes, Field(le=MAX_INT32)] = Field(
        64 * MIB, description="Maximum message size in bytes; gRPC refuses larger ones."
    )
    memory_limit: Bytes | None = Field(
        None,
        description="Maximum memory of the process in bytes; requests that need more wait or are refused. "
        "Default: three quarters of the memory of the machine or container.",
    )
    max_concurrent_calls: Count = Field(8192, description="Maximum calls open at once, streams included.")
    max_streams_per_connection: Annotated[Count, Field(le=MAX_INT32)] = Field(
        4096, description="Maximum calls open at once on one connection; the client queues further ones."
    )
    max_batch_bytes: Bytes = Field(
        32 * MIB, description="Maximum bytes of points and weights in a batch.", validate_default=True
    )
    queue_bytes: Bytes = Field(
        64 * MIB, description="Maximum size of a session's queue in bytes; a full queue slows its producers down."
    )
    max_sessions: Count = Field(10_000, description="Maximum number of sessions.")
    max_centroid_values: Count = Field(2**24, description="Maximum n_clusters times n_features of a session.")
    max_init_values: Count = Field(2**26, description="Maximum init_size times n_features of a session.")
    max_summary_values: Count = Field(
        2**26, description="Maximum summary_size times n_features of a session that sets its summary_size."
    )
    max_batch_work: Count = Field(
        2**38,
        description="Maximum rows times n_features times n_clusters of a batch (a thirty-second of it for engine "
        "sklearn), and maximum multiplications to choose the initial centroids of a session; trying other numbers of "
        "clusters and merging sessions may take four times as many.",
    )
    max_producers: Count = Field(10_000, description="Maximum number of producer names that a session remembers.")
    replay_bytes: Bytes = Field(
        4 * MIB, description="Maximum bytes of results that a session keeps for batches that are sent again much later."
    )
    max_events: Count = Field(
        1000, description="Maximum number of events that a session keeps for those who read them later."
    )
    max_comparisons: Threads = Field(4, description="Maximum comparisons at once; more are refused.")
    max_comparison_distances: Count = Field(
        2**25,
        description="Maximum points times n_clusters of a comparison; each takes 8 bytes while SciPy assigns.",
    )
    max_comparison_work: Count = Field(
        2**36,
        description="Maximum points times n_clusters times columns times max_iter of a comparison.",
    )
    idle_ttl: Seconds | None = Field(
        None, description="Seconds without use until a session without its own idle_ttl is deleted. Default: never."
    )
    max_event_time_ahead: SecondsOrZero = Field(
        300.0, description="Maximum seconds by which a batch's event time may be ahead of the server's clock."
    )
    progress_interval: Seconds = Field(15.0, description="Longest silence in seconds on a watch that sets no interval.")
    shutdown_grace: SecondsOrZero = Field(
        6.0, description="Seconds that a shutdown may take to apply and answer accepted batches; the rest are refused."
    )
    preload: bool = Field(
        True,
        description="Load scikit-learn and SciPy while the server starts to serve, not with the first call that "
        "needs them.",
    )
    log_format: LogFormat = Field("json", description="Logs for programs (json) or for people (console).")
    log_level: LogLevel = Field("info", description="Lowest level that is logged.")
    ready_fd: int | None = Field(
        None, description="File descriptor that receives a line with HOST:PORT, then is closed, when the server serves."
    )
    until_eof: bool = Field(False, description="Stop when standard input ends, as it does when the parent dies.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the signature is pydantic's)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read flags and the environment, except empty variables and those that Kubernetes sets."""
        if isinstance(env_settings, EnvSettingsSource):
            links = {name.lower() for name in service_links(os.environ)}
            env_settings.env_vars = {
                name: value for name, value in env_settings.env_vars.items() if value and name.lower() not in links
            }
        return init_settings, env_settings

    @field_validator("ready_fd")
    @classmethod
    def _check_ready_fd(cls, ready_fd: int | None) -> int | None:
        if ready_fd is not None:
            try:
                os.fstat(ready_fd)
            except (OSError, OverflowError):
                raise ValueError("use an open file descriptor of this process") from None
        return ready_fd

    @field_validator("memory_limit")
    @classmethod
    def _check_memory_limit(cls, memory_limit: int | None, others: ValidationInfo) -> int | None:
        message_bytes = others.data.get("max_message_bytes")  # None: it is itself wrong
        if memory_limit is None or message_bytes is None:
            return memory_limit
        least = MemoryPlan.minimum(message_bytes)
        if memory_limit < least:
            raise ValueError(
                f"use at least {-(-least // MIB)}MiB; the server needs {least:,} bytes with a max_message_bytes of "
                f"{message_bytes:,}"
            )
        return memory_limit

    @field_validator("max_batch_bytes")
    @classmethod
    def _check_max_batch_bytes(cls, max_batch_bytes: int, others: ValidationInfo) -> int:
        message_bytes = others.data.get("max_message_bytes", max_batch_bytes)
        if max_batch_bytes > message_bytes:
            raise ValueError(f"use at most {message_bytes:,}, the max_message_bytes; a batch has to fit in a message")
        return max_batch_bytes

    def memory_plan(self) -> MemoryPlan:
        """Return how the memory is divided that the process may take: the least that it needs, where there is less."""
        limit = self.memory_limit or max(default_memory_limit(), MemoryPlan.minimum(self.max_message_bytes))
        return MemoryPlan.of(limit, self.max_message_bytes)

    def limits(self) -> Limits:
        """Return what the server allows its callers."""
        return Limits(
            max_sessions=self.max_sessions,
            max_centroid_values=self.max_centroid_values,
            max_init_values=self.max_init_values,
            max_summary_values=self.max_summary_values,
            max_batch_work=self.max_batch_work,
            max_batch_bytes=self.max_batch_bytes,
            queue_bytes=self.queue_bytes,
            max_producers=self.max_producers,
            replay_bytes=self.replay_bytes,
            idle_ttl=self.idle_ttl,
            progress_interval=self.progress_interval,
            max_event_time_ahead=self.max_event_time_ahead,
            max_events=self.max_events,
        )

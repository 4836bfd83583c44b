"""SessionConfig on the wire to SessionConfig inside, and a session's description back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from numpy.typing import NDArray

from shoal import wire
from shoal.v1 import sessions_pb2, tensor_pb2
from shoal_server.clustering.config import HalfLife, ModelConfig
from shoal_server.clustering.state import Warming
from shoal_server.errors import Reason, invalid, quoted
from shoal_server.rpc.tensor import decode_init_weights, decode_points
from shoal_server.sessions.port import Changes, Description, Limits, SessionConfig

_DURABILITIES = {"memory": sessions_pb2.DURABILITY_MEMORY}  # those of wire.DURABILITIES that this server has
NANOS = 1_000_000_000  # of a second
CHANGEABLE = ("n_clusters", "engine", "half_life", "on_invalid", "idle_ttl", "outlier_threshold", "on_drift")


def decode_config(
    config: sessions_pb2.SessionConfig, limits: Limits, tensor: Callable[[tensor_pb2.Tensor], wire.Tensor]
) -> SessionConfig:
    """Return the configuration that a request asks for; `tensor` returns a tensor of the request with its contents.

    Raises
    ------
    DomainError
        A value that shoal.v1 doesn't know, such as ENGINE_UNKNOWN; the values' meaning is checked by clustering.
    """
    return SessionConfig(
        model=ModelConfig(
            n_clusters=config.n_clusters,
            n_features=config.n_features or None,
            engine=_decode_engine(config),
            metric=_decode(wire.METRICS, config.metric or sessions_pb2.METRIC_EUCLIDEAN, "metric"),
            on_invalid=_decode_on_invalid(config),
            init=_decode_init(config.init, limits, tensor),
            init_weights=_decode_init_weights(config.init, limits, tensor),
            init_size=config.init_size or None,
            random_state=config.random_state if config.HasField("random_state") else None,
            dtype=_decode(wire.PRECISIONS, config.dtype, "dtype") if config.dtype else None,
            half_life=_decode_half_life(config),
            update_rule=_decode(wire.UPDATE_RULES, config.update_rule, "update_rule") if config.update_rule else None,
            summary_size=config.summary_size if config.HasField("summary_size") else None,
            outlier_threshold=_decode_outlier_threshold(config),
            on_drift=_decode_on_drift(config),
        ),
        durability=_decode_durability(config),
        idle_ttl=_decode_idle_ttl(config, limits),
    )


def decode_changes(request: sessions_pb2.UpdateSessionRequest, limits: Limits) -> Changes:
    """Return the changes that a request's mask names.

    Raises
    ------
    DomainError
        UPDATE_MASK_EMPTY, UPDATE_MASK_INVALID, FIELD_UNKNOWN, FIELD_IMMUTABLE, or a value that shoal.v1 doesn't know.
    """
    paths = request.update_mask.paths
    if len(paths) > _MAX_PATHS:
        raise invalid(
            Reason.UPDATE_MASK_INVALID,
            "update_mask",
            f"update_mask names {len(paths):,} fields; name each at most once, of {_LISTED}",
        )
    if not paths:
        raise invalid(Reason.UPDATE_MASK_EMPTY, "update_mask", f"nothing to change; give one of {_LISTED}")
    for path in paths:
        _check_changeable(path)
    return Changes(
        model={path: _decode_change(path, request.config) for path in paths if path != "idle_ttl"},
        session={"idle_ttl": _decode_idle_ttl(request.config, limits)} if "idle_ttl" in paths else {},
    )


def decode_merge_changes(config: sessions_pb2.SessionConfig, limits: Limits) -> Changes:
    """Return how the configuration of merged sessions is to differ from that of the first.

    Raises
    ------
    DomainError
        FIELD_IMMUTABLE for a field that can't differ, or a value that shoal.v1 doesn't know.
    """
    model: dict[str, Any] = {}
    session: dict[str, Any] = {}
    for field, _ in config.ListFields():
        match field.name:
            case "idle_ttl":
                session["idle_ttl"] = _decode_idle_ttl(config, limits)
            case "n_clusters" | "random_state" | "summary_size":
                model[field.name] = getattr(config, field.name)
            case "update_rule":
                model["update_rule"] = _decode(wire.UPDATE_RULES, config.update_rule, "update_rule")
            case name if name in CHANGEABLE:
                model[name] = _decode_change(name, config)
            case name:
                raise invalid(
                    Reason.FIELD_IMMUTABLE,
                    f"config.{name}",
                    f"{name} can't be given when sessions are merged: it follows from them; what can: {_MERGEABLE}",
                )
    return Changes(model, session)


def encode_description(session: Description, *, with_centroids: bool = True) -> sessions_pb2.Session:
    """Return a session as the wire has it, with or without the initial centroids that were given."""
    message = sessions_pb2.Session(
        name=session.name,
        uid=session.uid,
        config=_encode_config(session, with_centroids=with_centroids),
        etag=session.etag,
        state=sessions_pb2.SESSION_STATE_WARMING if session.warming else sessions_pb2.SESSION_STATE_READY,
        version=session.version,
        points_accepted=session.points_accepted,
        points_dropped=session.points_dropped,
        queued_batches=session.queued_batches,
        queued_bytes=session.queued_bytes,
        watchers=session.watchers,
        create_time=_encode_time(session.create_time),
        update_time=_encode_time(session.update_time),
        inertia_per_point=session.inertia_per_point,
        outliers=session.outliers,
    )
    if session.warming:
        message.warming.CopyFrom(encode_warming(session.warming))
    return message


def encode_warming(warming: Warming) -> sessions_pb2.Warming:
    """Return how far the warming is."""
    return sessions_pb2.Warming(seen=warming.seen, needed=warming.needed)


def decode_enum(numbers: Mapping[str, int], number: int, name: str, field: str) -> Any:
    """Return what a number of an enum is called.

    Parameters
    ----------
    numbers
        The names that the server knows, and the number of each.
    number
        The one in the request.
    name
        What it is a number of; the reason is named after it, such as ENGINE_UNKNOWN after ``engine``.
    field
        The path of the request's field.

    Raises
    ------
    DomainError
        If it isn't one of the numbers.
    """
    known = wire.name_of(number, numbers)
    if known is None:
        raise invalid(
            Reason[f"{name.upper().replace('.', '_')}_UNKNOWN"],
            field,
            f"unknown {name} {number}; use one of {', '.join(numbers)}",
        )
    return known


def decode_duration(duration: Duration, field: str) -> float:
    """Return seconds.

    Raises
    ------
    DomainError
        DURATION_INVALID for what no google.protobuf.Duration holds, DURATION_NEGATIVE.
    """
    seconds, nanos = duration.seconds, duration.nanos
    too_long = abs(seconds) * NANOS + abs(nanos) > wire.MAX_DURATION_SECONDS * NANOS
    if too_long or abs(nanos) >= NANOS or seconds * nanos < 0:
        raise invalid(
            Reason.DURATION_INVALID,
            field,
            f"{field} has seconds {seconds} and nanos {nanos}; use at most {wire.MAX_DURATION_SECONDS:,} seconds, "
            f"below {NANOS:,} nanos, and the same sign for both",
        )
    if seconds < 0 or nanos < 0:
        raise invalid(Reason.DURATION_NEGATIVE, field, f"{field} is {seconds + nanos / NANOS} s; it can't be below 0")
    return seconds + nanos / NANOS


_LISTED = ", ".join(CHANGEABLE)
_MERGEABLE = ", ".join((*CHANGEABLE, "random_state", "update_rule", "summary_size"))
_MAX_PATHS = 64  # of a mask; there are fewer fields, but a name twice does no harm


def _decode(numbers: Mapping[str, int], number: int, field: str) -> Any:
    return decode_enum(numbers, number, field, f"config.{field}")


def _decode_engine(config: sessions_pb2.SessionConfig) -> Any:
    return _decode(wire.ENGINES, config.engine or sessions_pb2.ENGINE_NUMBA, "engine")


def _decode_durability(config: sessions_pb2.SessionConfig) -> Any:
    if config.durability == sessions_pb2.DURABILITY_DURABLE:
        raise invalid(
            Reason.DURABILITY_UNKNOWN,
            "config.durability",
            "durability 'durable' is not available yet; use 'memory'",
        )
    return _decode(_DURABILITIES, config.durability or sessions_pb2.DURABILITY_MEMORY, "durability")


def _decode_on_invalid(config: sessions_pb2.SessionConfig) -> Any:
    return _decode(wire.ON_INVALID, config.on_invalid or sessions_pb2.ON_INVALID_REJECT, "on_invalid")


def _decode_outlier_threshold(config: sessions_pb2.SessionConfig) -> float | None:
    return config.outlier_threshold if config.HasField("outlier_threshold") else None


def _decode_on_drift(config: sessions_pb2.SessionConfig) -> Any:
    return _decode(wire.ON_DRIFT, config.on_drift or sessions_pb2.ON_DRIFT_REPORT, "on_drift")


def _decode_init(init: sessions_pb2.Init, limits: Limits, tensor: Callable[[tensor_pb2.Tensor], wire.Tensor]) -> Any:
    if init.WhichOneof("source") == "centroids":
        return decode_points(tensor(init.centroids), "config.init.centroids", limits.max_batch_bytes)
    return _decode(wire.INIT_METHODS, init.method or sessions_pb2.INIT_METHOD_K_MEANS_PLUS_PLUS, "init")


def _decode_init_weights(
    init: sessions_pb2.Init, limits: Limits, tensor: Callable[[tensor_pb2.Tensor], wire.Tensor]
) -> NDArray[np.float64] | None:
    return decode_init_weights(tensor(init.weights), limits.max_batch_bytes) if init.HasField("weights") else None


def _decode_half_life(config: sessions_pb2.SessionConfig) -> HalfLife | None:
    if not config.HasField("half_life"):
        return None
    unit = config.half_life.unit or sessions_pb2.HALF_LIFE_UNIT_BATCHES
    return HalfLife(config.half_life.value, _decode(wire.HALF_LIFE_UNITS, unit, "half_life.unit"))


def _decode_idle_ttl(config: sessions_pb2.SessionConfig, limits: Limits) -> float | None:
    if not config.HasField("idle_ttl"):
        return limits.idle_ttl
    seconds = decode_duration(config.idle_ttl, "config.idle_ttl")
    if seconds == 0:
        raise invalid(Reason.IDLE_TTL_ZERO, "config.idle_ttl", "idle_ttl is 0 s; leave it out for a session that stays")
    return seconds


def _check_changeable(path: str) -> None:
    if path in CHANGEABLE:
        return
    if path in sessions_pb2.SessionConfig.DESCRIPTOR.fields_by_name:
        raise invalid(
            Reason.FIELD_IMMUTABLE,
            "update_mask",
            f"{path} can't change while a session lives; what can: {_LISTED}. Create another session for the rest",
        )
    raise invalid(Reason.FIELD_UNKNOWN, "update_mask", f"update_mask names {quoted(path)}; what can change: {_LISTED}")


def _decode_change(path: str, config: sessions_pb2.SessionConfig) -> Any:
    match path:
        case "n_clusters":
            return config.n_clusters
        case "engine":
            return _decode_engine(config)
        case "on_invalid":
            return _decode_on_invalid(config)
        case "half_life":
            return _decode_half_life(config)
        case "outlier_threshold":
            return _decode_outlier_threshold(config)
        case "on_drift":
            return _decode_on_drift(config)
        case _:
            raise AssertionError(f"{path} is listed as changeable")


def _encode_config(session: Description, *, with_centroids: bool) -> sessions_pb2.SessionConfig:
    model = session.config.model
    config = sessions_pb2.SessionConfig(
        n_clusters=model.n_clusters,
        n_features=session.n_features or 0,
        engine=wire.ENGINES[model.engine],
        metric=wire.METRICS[model.metric],
        on_invalid=wire.ON_INVALID[model.on_invalid],
        init=_encode_init(model, with_centroids=with_centroids),
        init_size=model.points_needed,
        random_state=model.random_state,
        dtype=wire.PRECISIONS[model.dtype] if model.dtype else tensor_pb2.DTYPE_UNSPECIFIED,
        durability=wire.DURABILITIES[session.config.durability],
        update_rule=wire.UPDATE_RULES[model.rule(session.n_features)],
        summary_size=model.summary_points(session.n_features),
        outlier_threshold=model.outlier_threshold,
        on_drift=wire.ON_DRIFT[model.on_drift],
    )
    if model.half_life:
        config.half_life.value = model.half_life.value
        config.half_life.unit = wire.HALF_LIFE_UNITS[model.half_life.unit]
    if session.config.idle_ttl is not None:
        config.idle_ttl.CopyFrom(wire.duration_of(session.config.idle_ttl))
    return config


def _encode_init(model: ModelConfig, *, with_centroids: bool) -> sessions_pb2.Init:
    if isinstance(model.init, str):
        return sessions_pb2.Init(method=wire.INIT_METHODS[model.init])
    if not with_centroids:
        return sessions_pb2.Init()
    weights = None if model.init_weights is None else wire.tensor_message(model.init_weights)
    return sessions_pb2.Init(centroids=wire.tensor_message(model.init), weights=weights)


def _encode_time(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp

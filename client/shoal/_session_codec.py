"""A session's configuration and description, to the wire and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from enum import Enum
from numbers import Real
from typing import Any, Final, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from numpy.typing import ArrayLike, NDArray

from shoal import wire
from shoal._types import HalfLife, InitMethod, SessionConfig, SessionDescription, Warming
from shoal._validation import (
    INT32,
    NOT_NEGATIVE_INT32,
    UINT32,
    integer,
    invalid,
    points_array,
    real,
    shown,
    text,
    weight_array,
)
from shoal.v1 import sessions_pb2

Number = TypeVar("Number", bound=int)


class Unset(Enum):
    """The default of an argument for which None means something."""

    UNSET = "unset"


UNSET: Final = Unset.UNSET


def encode_config(
    n_clusters: int,
    *,
    n_features: int | None,
    engine: str,
    metric: str,
    on_invalid: str,
    init: str | ArrayLike,
    init_weights: ArrayLike | None,
    init_size: int | None,
    random_state: int | None,
    dtype: Any,
    half_life: HalfLife | None,
    durability: str | None,
    idle_ttl: float | None,
    update_rule: str | None,
    summary_size: int | None,
    outlier_threshold: float | None,
    on_drift: str,
) -> sessions_pb2.SessionConfig:
    """Return the configuration that is asked for; what is None is left to the server.

    Raises
    ------
    InvalidArgumentError
        If a value can't be sent.
    """
    config = sessions_pb2.SessionConfig(
        n_clusters=integer("n_clusters", n_clusters, INT32),
        n_features=0 if n_features is None else integer("n_features", n_features, INT32),
        metric=enum_number("metric", metric, wire.METRICS),
        init_size=0 if init_size is None else integer("init_size", init_size, INT32),
    )
    encode_init(init, config.init)
    if init_weights is not None:
        config.init.weights.CopyFrom(wire.tensor_message(_init_weights(init, init_weights)))
    if dtype is not None:
        config.dtype = enum_number("dtype", getattr(dtype, "__name__", getattr(dtype, "name", dtype)), wire.PRECISIONS)
    if durability is not None:
        if not isinstance(durability, str) or durability not in wire.DURABILITIES:
            raise invalid("DURABILITY_UNKNOWN", "durability", f"unknown durability {shown(durability)}; use 'memory'")
        config.durability = wire.DURABILITIES[durability]
    encode_options(
        config,
        engine=engine,
        on_invalid=on_invalid,
        random_state=random_state,
        half_life=half_life,
        update_rule=update_rule,
        summary_size=summary_size,
        outlier_threshold=outlier_threshold,
        on_drift=on_drift,
    )
    _encode_idle_ttl(idle_ttl, config)
    return config


def encode_options(
    config: sessions_pb2.SessionConfig,
    *,
    engine: str | Unset | None,
    on_invalid: str | Unset | None,
    half_life: HalfLife | Unset | None,
    outlier_threshold: float | Unset | None,
    on_drift: str | Unset | None,
    random_state: int | None = None,
    update_rule: str | None = None,
    summary_size: int | None = None,
) -> None:
    """Put options that are given into a configuration; those that are None or UNSET stay absent.

    Raises
    ------
    InvalidArgumentError
        If a value can't be sent.
    """
    if engine is not None and engine is not UNSET:
        config.engine = enum_number("engine", engine, wire.ENGINES)
    if on_invalid is not None and on_invalid is not UNSET:
        config.on_invalid = enum_number("on_invalid", on_invalid, wire.ON_INVALID)
    if half_life is not UNSET:
        _encode_half_life(half_life, config)
    if outlier_threshold is not None and outlier_threshold is not UNSET:
        config.outlier_threshold = real("outlier_threshold", outlier_threshold)
    if on_drift is not None and on_drift is not UNSET:
        config.on_drift = enum_number("on_drift", on_drift, wire.ON_DRIFT)
    if random_state is not None:
        config.random_state = integer("random_state", random_state, UINT32)
    if update_rule is not None:
        config.update_rule = enum_number("update_rule", update_rule, wire.UPDATE_RULES)
    if summary_size is not None:
        config.summary_size = integer("summary_size", summary_size, NOT_NEGATIVE_INT32)


def encode_changes(
    name: str,
    etag: str | None,
    *,
    n_clusters: int | Unset,
    engine: str | Unset | None,
    half_life: HalfLife | Unset | None,
    on_invalid: str | Unset | None,
    idle_ttl: float | Unset | None,
    outlier_threshold: float | Unset | None,
    on_drift: str | Unset | None,
) -> sessions_pb2.UpdateSessionRequest:
    """Return the request that changes what is given; None is back to the default."""
    given = {
        "n_clusters": n_clusters,
        "engine": engine,
        "half_life": half_life,
        "on_invalid": on_invalid,
        "idle_ttl": idle_ttl,
        "outlier_threshold": outlier_threshold,
        "on_drift": on_drift,
    }
    paths = [path for path, value in given.items() if value is not UNSET]
    request = sessions_pb2.UpdateSessionRequest(name=name, update_mask=FieldMask(paths=paths), etag=checked_etag(etag))
    if n_clusters is not UNSET:
        request.config.n_clusters = integer("n_clusters", n_clusters, INT32)
    encode_options(
        request.config,
        engine=engine,
        on_invalid=on_invalid,
        half_life=half_life,
        outlier_threshold=outlier_threshold,
        on_drift=on_drift,
    )
    if idle_ttl is not UNSET:
        _encode_idle_ttl(idle_ttl, request.config)
    return request


def checked_etag(etag: str | None) -> str:
    """Return an etag as the wire has it; empty: none. Raises InvalidArgumentError if it isn't a string."""
    return "" if etag is None else text("etag", etag, "give the etag that a description of the session has")


def encode_duration(field: str, seconds: float, duration: Duration) -> None:
    """Put seconds into a message's field.

    Raises
    ------
    InvalidArgumentError
        If that isn't a number of seconds, or is more than a google.protobuf.Duration holds.
    """
    longest = wire.MAX_DURATION_SECONDS
    if not isinstance(seconds, Real) or not -longest <= seconds <= longest:
        raise invalid(
            "DURATION_INVALID", field, f"{field} is {shown(seconds)}; give a number of seconds up to {longest:,}"
        )
    duration.CopyFrom(wire.duration_of(float(seconds)))


def decode_description(session: sessions_pb2.Session) -> SessionDescription:
    """Return the description of a session."""
    return SessionDescription(
        name=session.name,
        uid=session.uid,
        config=_decode_config(session.config),
        etag=session.etag,
        state="warming" if session.state == sessions_pb2.SESSION_STATE_WARMING else "ready",
        warming=decode_warming(session.warming) if session.HasField("warming") else None,
        version=session.version,
        points_accepted=session.points_accepted,
        points_dropped=session.points_dropped,
        queued_batches=session.queued_batches,
        queued_bytes=session.queued_bytes,
        watchers=session.watchers,
        create_time=session.create_time.ToDatetime(UTC),
        update_time=session.update_time.ToDatetime(UTC),
        inertia_per_point=session.inertia_per_point if session.HasField("inertia_per_point") else None,
        outliers=session.outliers,
    )


def decode_warming(warming: sessions_pb2.Warming) -> Warming:
    """Return how many of the first points have come."""
    return Warming(warming.seen, warming.needed)


def _decode_config(config: sessions_pb2.SessionConfig) -> SessionConfig:
    return SessionConfig(
        n_clusters=config.n_clusters,
        n_features=config.n_features or None,
        engine=enum_name(config.engine, wire.ENGINES),
        metric=enum_name(config.metric, wire.METRICS),
        on_invalid=enum_name(config.on_invalid, wire.ON_INVALID),
        init=_decode_init(config.init),
        init_weights=wire.array_of(config.init.weights) if config.init.HasField("weights") else None,
        init_size=config.init_size,
        random_state=config.random_state if config.HasField("random_state") else None,
        dtype=enum_name(config.dtype, wire.PRECISIONS) if config.dtype else None,
        half_life=_decode_half_life(config.half_life) if config.HasField("half_life") else None,
        durability=enum_name(config.durability, wire.DURABILITIES),
        idle_ttl=wire.seconds_of(config.idle_ttl) if config.HasField("idle_ttl") else None,
        update_rule=enum_name(config.update_rule, wire.UPDATE_RULES),
        summary_size=config.summary_size,
        outlier_threshold=config.outlier_threshold if config.HasField("outlier_threshold") else None,
        on_drift=enum_name(config.on_drift, wire.ON_DRIFT),
    )


def _decode_init(init: sessions_pb2.Init) -> InitMethod | NDArray[Any] | None:
    match init.WhichOneof("source"):
        case "centroids":
            return wire.array_of(init.centroids)
        case "method":
            method: InitMethod = enum_name(init.method, wire.INIT_METHODS)
            return method
        case _:
            return None


def _decode_half_life(half_life: sessions_pb2.HalfLife) -> HalfLife:
    return HalfLife(half_life.value, enum_name(half_life.unit, wire.HALF_LIFE_UNITS))


def encode_init(init: str | ArrayLike, message: sessions_pb2.Init) -> None:
    """Put an initialisation into a message's field."""
    if isinstance(init, str):
        message.method = enum_number("init", init, wire.INIT_METHODS)
    else:
        message.centroids.CopyFrom(wire.tensor_message(points_array(init, "init")))


def _init_weights(init: str | ArrayLike, init_weights: ArrayLike) -> NDArray[Any]:
    """Return the weights (k,) of given centroids as numbers."""
    if isinstance(init, str):
        raise invalid(
            "INIT_WEIGHTS_INVALID",
            "init_weights",
            f"init_weights are those of given centroids, and init is {shown(init)}; give the centroids as init too",
        )
    return weight_array(init_weights, len(points_array(init, "init")), "init_weights", "a centroid")


def _encode_half_life(half_life: HalfLife | None, config: sessions_pb2.SessionConfig) -> None:
    """Put a half-life into a configuration, if there is one; raise InvalidArgumentError for what is none."""
    if half_life is None:
        return
    if not isinstance(half_life, HalfLife):
        raise invalid(
            "HALF_LIFE_INVALID",
            "half_life",
            f"half_life is {shown(half_life)}; say of what: shoal.HalfLife(20, 'batches')",
        )
    config.half_life.value = real("half_life.value", half_life.value)
    config.half_life.unit = enum_number("half_life.unit", half_life.unit, wire.HALF_LIFE_UNITS)


def _encode_idle_ttl(idle_ttl: float | None, config: sessions_pb2.SessionConfig) -> None:
    if idle_ttl is not None:
        encode_duration("idle_ttl", idle_ttl, config.idle_ttl)


def enum_number(field: str, name: str, numbers: Mapping[str, Number]) -> Number:
    """Return the number of a name, or raise InvalidArgumentError."""
    if not isinstance(name, str) or name not in numbers:
        reason = f"{field.replace('.', '_').upper()}_UNKNOWN"
        raise invalid(reason, field, f"{field} {shown(name)} is not known; use one of {', '.join(numbers)}")
    return numbers[name]


def enum_name(number: int, numbers: Mapping[str, int]) -> Any:
    """Return the name of a number."""
    # A newer server may know more than this client; its number is better than no description at all.
    return wire.name_of(number, numbers) or str(number)

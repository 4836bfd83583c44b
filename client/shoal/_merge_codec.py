"""What is asked for when sessions are merged, as the wire has it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from shoal import wire
from shoal._session_codec import encode_duration, encode_half_life, enum_number
from shoal._types import HalfLife
from shoal._validation import INT32, NOT_NEGATIVE_INT32, UINT32, integer, invalid, real, shown, text
from shoal.v1 import sessions_pb2


def encode_merge(
    names: Iterable[str],
    into: str,
    *,
    n_clusters: int | None,
    engine: str | None,
    on_invalid: str | None,
    random_state: int | None,
    half_life: HalfLife | None,
    idle_ttl: float | None,
    update_rule: str | None,
    summary_size: int | None,
    outlier_threshold: float | None,
    on_drift: str | None,
) -> sessions_pb2.MergeSessionsRequest:
    """Return the request that merges sessions; what is None is taken from the first of them.

    It has an id, so that repeating it makes no second session.

    Raises
    ------
    InvalidArgumentError
        If a value can't be sent.
    """
    request = sessions_pb2.MergeSessionsRequest(
        names=_checked_names(names),
        into=text("into", into, "the new session's name is a string, such as 'all-pixels'"),
        request_id=uuid.uuid4().hex,
    )
    config = request.config
    if n_clusters is not None:
        config.n_clusters = _positive("n_clusters", n_clusters)
    if engine is not None:
        config.engine = enum_number("engine", engine, wire.ENGINES)
    if on_invalid is not None:
        config.on_invalid = enum_number("on_invalid", on_invalid, wire.ON_INVALID)
    if random_state is not None:
        config.random_state = integer("random_state", random_state, UINT32)
    if idle_ttl is not None:
        encode_duration("idle_ttl", idle_ttl, config.idle_ttl)
    if update_rule is not None:
        config.update_rule = enum_number("update_rule", update_rule, wire.UPDATE_RULES)
    if summary_size is not None:
        config.summary_size = integer("summary_size", summary_size, NOT_NEGATIVE_INT32)
    if outlier_threshold is not None:
        config.outlier_threshold = real("outlier_threshold", outlier_threshold)
    if on_drift is not None:
        config.on_drift = enum_number("on_drift", on_drift, wire.ON_DRIFT)
    encode_half_life(half_life, config)
    return request


def _positive(field: str, value: int) -> int:
    """Return a number that isn't 0, which on the wire means that nothing is asked for."""
    number = integer(field, value, INT32)
    if not number:
        raise invalid(f"{field.upper()}_INVALID", field, f"{field} is 0; use a number from 1 up")
    return number


def _checked_names(names: Iterable[str]) -> list[str]:
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise invalid(
            "NAMES_INVALID", "names", f"names is {shown(names)}; give a list of sessions' names, such as ['a', 'b']"
        )
    return [text("names", name, "a session's name is a string, such as 'pixels'") for name in names]

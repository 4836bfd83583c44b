"""What is asked for when sessions are merged, as the wire has it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from shoal._session_codec import encode_duration, encode_options
from shoal._types import HalfLife
from shoal._validation import INT32, integer, invalid, shown, text
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
    if idle_ttl is not None:
        encode_duration("idle_ttl", idle_ttl, config.idle_ttl)
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

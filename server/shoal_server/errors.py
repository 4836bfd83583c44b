"""What can go wrong, in the words of the domain. No grpc here: rpc/ turns refusals into statuses.

Every refusal has a `reason` that stays the same from release to release, and a message that says what was wrong, where,
and what would be right. A `Refusal` is a value: it can be kept, compared and sent to another process. `DomainError` is
the exception that carries one up to whoever asked.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto

MAX_QUOTE_LENGTH = 200


class Kind(Enum):
    """What sort of failure it is; the values are the names of gRPC's status codes."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    ABORTED = "ABORTED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    INTERNAL = "INTERNAL"


class Reason(StrEnum):
    """Why something was refused: the stable names that clients may act on.

    Those that are not in `_KINDS` are INVALID_ARGUMENT: input that can never be right, whatever the state.
    """

    @staticmethod
    def _generate_next_value_(name: str, _start: int, _count: int, _last: list[str]) -> str:
        return name

    BATCH_TOO_LARGE = auto()
    BYTES_MISMATCH = auto()
    COMPARISONS_BUSY = auto()
    COMPARISON_NOT_READ = auto()
    DTYPE_MISMATCH = auto()
    DTYPE_UNKNOWN = auto()
    DURABILITY_UNKNOWN = auto()
    DURATION_INVALID = auto()
    DURATION_NEGATIVE = auto()
    ENGINES_INVALID = auto()
    ENGINE_UNKNOWN = auto()
    ETAG_MISMATCH = auto()
    EVENT_IN_FUTURE = auto()
    EVENT_MISSING = auto()
    EVENT_NEGATIVE = auto()
    EVENT_TIME_AHEAD = auto()
    EVENT_TIME_INVALID = auto()
    EVENT_TIME_MISSING = auto()
    EXAMPLE_UNKNOWN = auto()
    FIELD_IMMUTABLE = auto()
    FIELD_UNKNOWN = auto()
    HALF_LIFE_INVALID = auto()
    HALF_LIFE_UNIT_UNKNOWN = auto()
    IDLE_TTL_ZERO = auto()
    IMPUTE_IMPOSSIBLE = auto()
    INIT_INVALID = auto()
    INIT_SIZE_INVALID = auto()
    INIT_UNKNOWN = auto()
    INIT_WEIGHTS_INVALID = auto()
    INTERNAL = auto()
    MAX_ITER_INVALID = auto()
    MAX_POINTS_NEGATIVE = auto()
    MEMORY_LIMIT_REACHED = auto()
    MESSAGE_MALFORMED = auto()
    MESSAGE_TOO_COMPLEX = auto()
    METRIC_MISMATCH = auto()
    METRIC_UNKNOWN = auto()
    MIN_SHIFT_INVALID = auto()
    NAMES_INVALID = auto()
    NAME_INVALID = auto()
    NOT_FINITE = auto()
    N_CLUSTERS_INVALID = auto()
    N_FEATURES_INVALID = auto()
    N_FEATURES_MISMATCH = auto()
    N_TYPICAL_INVALID = auto()
    ON_INVALID_UNKNOWN = auto()
    ON_DRIFT_UNKNOWN = auto()
    OUTLIER_THRESHOLD_INVALID = auto()
    OUT_OF_MEMORY = auto()
    PAGE_SIZE_INVALID = auto()
    POINTS_MISSING = auto()
    PRODUCER_FENCED = auto()
    PRODUCER_INVALID = auto()
    PROGRESS_INTERVAL_INVALID = auto()
    REQUEST_ID_INVALID = auto()
    SAMPLE_WEIGHT_INVALID = auto()
    SCORES_UNAVAILABLE = auto()
    SEQUENCE_GAP = auto()
    SEQUENCE_MISSING = auto()
    SEQUENCE_REUSED = auto()
    SERVER_DRAINING = auto()
    SERVER_STARTING = auto()
    SESSION_EXISTS = auto()
    SESSION_NOT_FOUND = auto()
    SESSION_WARMING = auto()
    SHAPE_INVALID = auto()
    STREAM_NOT_OPENED = auto()
    STREAM_OPENED_TWICE = auto()
    SUMMARY_EMPTY = auto()
    SUMMARY_MISSING = auto()
    SUMMARY_SIZE_INVALID = auto()
    TOKEN_MISSING = auto()
    TOL_INVALID = auto()
    TOO_MANY_BATCHES = auto()
    TOO_MANY_CALLS = auto()
    TOO_MANY_CHANGES = auto()
    TOO_MANY_PRODUCERS = auto()
    TOO_MANY_SESSIONS = auto()
    TOO_MANY_VALUES = auto()
    UPDATE_MASK_EMPTY = auto()
    UPDATE_MASK_INVALID = auto()
    UPDATE_RULE_UNKNOWN = auto()
    VALUE_TOO_LARGE = auto()
    VERSION_IN_FUTURE = auto()
    VERSION_NEGATIVE = auto()
    WORK_TOO_LARGE = auto()
    ZERO_ROW = auto()

    @property
    def kind(self) -> Kind:
        """What sort of failure it is."""
        return _KINDS.get(self, Kind.INVALID_ARGUMENT)


_KINDS = {
    Reason.OUT_OF_MEMORY: Kind.RESOURCE_EXHAUSTED,
    Reason.TOKEN_MISSING: Kind.UNAUTHENTICATED,
    Reason.ETAG_MISMATCH: Kind.ABORTED,
    Reason.PRODUCER_FENCED: Kind.ABORTED,
    Reason.SESSION_EXISTS: Kind.ALREADY_EXISTS,
    Reason.SESSION_WARMING: Kind.FAILED_PRECONDITION,
    Reason.SCORES_UNAVAILABLE: Kind.FAILED_PRECONDITION,
    Reason.SUMMARY_EMPTY: Kind.FAILED_PRECONDITION,
    Reason.SUMMARY_MISSING: Kind.FAILED_PRECONDITION,
    Reason.INTERNAL: Kind.INTERNAL,
    Reason.SESSION_NOT_FOUND: Kind.NOT_FOUND,
    Reason.BATCH_TOO_LARGE: Kind.RESOURCE_EXHAUSTED,
    Reason.COMPARISONS_BUSY: Kind.RESOURCE_EXHAUSTED,
    Reason.COMPARISON_NOT_READ: Kind.RESOURCE_EXHAUSTED,
    Reason.MEMORY_LIMIT_REACHED: Kind.RESOURCE_EXHAUSTED,
    Reason.MESSAGE_TOO_COMPLEX: Kind.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_BATCHES: Kind.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_CALLS: Kind.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_CHANGES: Kind.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_PRODUCERS: Kind.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_SESSIONS: Kind.RESOURCE_EXHAUSTED,
    Reason.TOO_MANY_VALUES: Kind.RESOURCE_EXHAUSTED,
    Reason.WORK_TOO_LARGE: Kind.RESOURCE_EXHAUSTED,
    Reason.SERVER_DRAINING: Kind.UNAVAILABLE,
    Reason.SERVER_STARTING: Kind.UNAVAILABLE,
}


@dataclass(frozen=True)
class Refusal:
    """Why something was refused.

    Attributes
    ----------
    reason
        The stable name, such as ``SESSION_NOT_FOUND``.
    message
        What was wrong, where, and what would be right.
    field
        The path of the request's field that is wrong, such as ``points`` or ``config.n_clusters``.
    session
        The session concerned, where there is one.
    retry_after
        Seconds after which a repetition may succeed, where that is so.
    """

    reason: Reason
    message: str
    field: str = ""
    session: str = ""
    retry_after: float | None = None

    @property
    def kind(self) -> Kind:
        """What sort of failure it is."""
        return self.reason.kind

    def for_session(self, name: str) -> Refusal:
        """Return the refusal with the name of the session that it concerns."""
        return replace(self, session=name)


class DomainError(Exception):
    """A refusal on its way up to whoever asked. Made anew for each raise: an exception holds the frames it passed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal

    def __str__(self) -> str:
        return self.refusal.message


class StartError(Exception):
    """The server can't start as it is asked to; the message is for whoever started it."""


def refused(
    reason: Reason, message: str, *, field: str = "", session: str = "", retry_after: float | None = None
) -> DomainError:
    """Return the error to raise where something is refused; see Refusal."""
    return DomainError(Refusal(reason, message, field, session, retry_after))


def invalid(reason: Reason, field: str, message: str) -> DomainError:
    """Return the error to raise for input that can never be right, whatever the state of the session."""
    return DomainError(Refusal(reason, message, field))


def internal() -> Refusal:
    """Return what is said of a bug: that there is one, and nothing of its story, which is for the log."""
    return Refusal(Reason.INTERNAL, "the server has a bug: the call failed and changed nothing; its log says more")


def quoted(said: object) -> str:
    """Return what the request said as a message quotes it: gRPC refuses a status of more than 8 KiB.

    Of long text and long lists only what is quoted is looked at.
    """
    if isinstance(said, str | bytes | list | tuple):
        text, cut = repr(said[:MAX_QUOTE_LENGTH]), len(said) > MAX_QUOTE_LENGTH
    else:
        text, cut = repr(said), False
    return f"{text[:MAX_QUOTE_LENGTH]}…" if cut or len(text) > MAX_QUOTE_LENGTH else text

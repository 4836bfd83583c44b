"""Rows of the results: inertia as a ratio to the offline fit's, over seeds."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.pairing import ratios, spread
from benchmarks.results import Row, Target

OFFLINE = "offline fit"
WORST = "offline fit, worst seed"
UNIT = "× offline"
STOPPED = ", stopped "  # between the title of a case and where
READING = "times the offline inertia"
EQUAL = 1.001  # "not worse", but for what a table rounds away

Facts = dict[str, float | str]


def against_offline(
    case: str,
    measured: Sequence[float],
    *,
    most: float | None = None,
    facts: Facts | None = None,
    headline: bool = False,
) -> Row:
    """Return the row of the ratios to the offline fit, one a seed; `most` is the target of their median."""
    return _row(case, OFFLINE, measured, most, facts, headline=headline)


def worst_against_offline(case: str, measured: Sequence[float], *, most: float | None = None) -> Row:
    """Return the row of the seed with the highest of the ratios; `most` is its target."""
    return _row(case, WORST, [max(measured)], most, {"seed": list(measured).index(max(measured))}, headline=False)


def against_peer(
    case: str, peer: str, ours: Sequence[float], theirs: Sequence[float], *, most: float | None = None
) -> Row:
    """Return the row of our ratios to the offline fit and a peer's, seed by seed; a peer may have fewer seeds."""
    paired = ours[: len(theirs)]
    return Row(
        case=case,
        peer=peer,
        unit=UNIT,
        shoal=spread(paired),
        other=spread(theirs),
        ratio=ratios(paired, theirs),
        reading="times its inertia",
        target=None if most is None else Target(most, "at most"),
        facts={"the other's, by seed": listed(theirs), "the other's worst": max(theirs)},
    )


def listed(values: Sequence[float]) -> str:
    """Return figures as text, for the JSON file."""
    return " ".join(f"{value:.4f}" for value in values)


def median_and_worst(values: Sequence[float]) -> str:
    """Return the median and the worst of ratios as text, such as 1.013/1.030."""
    return f"{spread(values).median:.3f}/{max(values):.3f}"


def _row(
    case: str, peer: str, measured: Sequence[float], most: float | None, facts: Facts | None, *, headline: bool
) -> Row:
    return Row(
        case=case,
        peer=peer,
        unit=UNIT,
        shoal=spread(measured),
        other=spread([1.0] * len(measured)),
        ratio=spread(measured),
        reading=READING,
        target=None if most is None else Target(most, "at most"),
        facts={"by seed": listed(measured), **(facts or {})},
        headline=headline,
    )

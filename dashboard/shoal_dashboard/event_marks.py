"""The marks of events in a chart over time. Each kind has a shape of its own, and the legend counts them in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from shoal_dashboard.charts import HEIGHT, DrawnMarks
from shoal_presentation.views.numbers import count_text

_MAX_DRAWN = 60
_TOP, _SPACING = 8, 12  # pixels: each kind has a row


@dataclass(frozen=True)
class _Kind:
    """How some events are drawn."""

    events: frozenset[str]  # shoal.EventKind
    one: str  # of them, in the legend
    more: str
    shape: int | None  # number of a shape that every page defines; None: a line from top to bottom


_KINDS = (
    _Kind(frozenset({"refined"}), "refinement", "refinements", None),
    _Kind(frozenset({"born", "split"}), "birth or split", "births or splits", 4),
    _Kind(frozenset({"merged", "reseeded", "retired"}), "end of a cluster", "ends of clusters", 7),
    _Kind(frozenset({"drift"}), "drift", "drifts", 2),
    _Kind(frozenset({"reconfigured"}), "change of the configuration", "changes of the configuration", 3),
)


def draw_marks(events: Sequence[Counter[str]]) -> DrawnMarks:
    """Return the marks of a chart: at each of its places, how many events there were of each shoal.EventKind."""
    found = [
        (place, row, number)
        for place, counts in enumerate(events)
        if counts
        for row, kind in enumerate(_KINDS)
        if (number := sum(counts[name] for name in kind.events))
    ]
    totals: Counter[int] = Counter()
    for _, row, number in found:
        totals[row] += number
    named = {row: f"{totals[row]:,} {_name(_KINDS[row], totals[row])}" for row in sorted(totals)}
    notes = [f"the newest {count_text(_MAX_DRAWN, 'mark')} are drawn"] if len(found) > _MAX_DRAWN else []
    last = max(len(events) - 1, 1)
    return DrawnMarks(
        "".join(_mark(row, f"{place / last:.2%}") for place, row, _ in found[-_MAX_DRAWN:]),
        "".join(f"<li>{_key(row)}{escape(name)}</li>" for row, name in named.items())
        + "".join(f"<li>{escape(note)}</li>" for note in notes),
        f"Marked: {', '.join([*named.values(), *notes])}." if named else "",
    )


def _name(kind: _Kind, number: int) -> str:
    return kind.one if number == 1 else kind.more


def _mark(row: int, x: str) -> str:
    shape = _KINDS[row].shape
    if shape is None:
        return f'<line class="mark" x1="{x}" x2="{x}" y2="{HEIGHT:g}"/>'
    return f'<svg class="mark" x="{x}" y="{_TOP + _SPACING * (row - 1)}"><use href="#s{shape}"/></svg>'


def _key(row: int) -> str:
    shape = _KINDS[row].shape
    drawn = '<line class="mark" x1="6" x2="6" y2="12"/>' if shape is None else f'<use href="#s{shape}"/>'
    box = "" if shape is None else ' viewBox="-6 -6 12 12"'
    return f'<svg class="key mark" width="12" height="12"{box}>{drawn}</svg>'

"""The table views."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from shoal_presentation.views import Row, Run, engine_text, rows_of, track
from shoal_presentation.views.numbers import number_text

_SHORT = 16  # characters
_ROW = re.compile(r"\[+[^\[\]]*\]+")


def execution(run: Run) -> str:
    """Return the execution table: a row for each step, two columns for each engine."""
    names = [f"{engine_text(engine).library} {what}" for engine in run.engines for what in ("centroids", "labels")]
    rows = "".join(_row(run, row) for row in rows_of(run))
    return _table("Every step of every engine", map(_head, ["step", "action", *names]), rows)


def _row(run: Run, row: Row) -> str:
    cells = [text for engine in run.engines for text in (row.cells[engine].centroids, row.cells[engine].labels)]
    head = f'<tr data-step="{row.number}"><th scope="row">{row.number}</th>'
    return f'{head}<td class="words">{escape(row.action)}</td>{_cells(cells)}</tr>'


def tracker(run: Run) -> str:
    """Return the variable tracker; values that changed since the previous column are marked."""
    tracked = track(run)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th>{_values(values, changes)}</tr>'
        for (name, values), changes in zip(tracked.variables, tracked.changes, strict=True)
    )
    columns = [_head(column.name, f' data-column="{index}"') for index, column in enumerate(tracked.columns)]
    return _table("What each variable holds", [_head("variable"), *columns], rows)


def _values(values: Sequence[str], changes: Sequence[bool]) -> str:
    return "".join(
        f'<td data-column="{index}"{" class=new" if is_new else ""}>{_value(value)}</td>'
        for index, (value, is_new) in enumerate(zip(values, changes, strict=True))
    )


def results(run: Run) -> str:
    """Return the results of the engines."""
    names = ["engine", "inertia", "mean distance", "iterations", "converged", "milliseconds"]
    rows = "".join(
        f'<tr><th scope="row">{escape(engine_text(result.engine).library)}</th>'
        + _cells(
            [
                number_text(result.inertia),
                number_text(result.distortion),
                f"{result.iterations:,}",
                "yes" if result.converged else "no",
                f"{1e3 * result.elapsed:.3g}",
            ]
        )
        + "</tr>"
        for result in run.result.engines
    )
    return _table("Results of each engine", map(_head, names), rows)


def agreements(run: Run) -> str:
    """Return the agreement of each pair of engines; empty for a single engine."""
    if not run.result.agreements:
        return ""
    names = ["engines", "adjusted Rand index", "points that differ", "centroids differ by at most"]
    rows = "".join(
        f'<tr><th scope="row">{escape(f"{engine_text(each.one).library} and {engine_text(each.other).library}")}</th>'
        + _cells(
            [
                number_text(each.adjusted_rand_index),
                f"{each.points_that_differ:,}",
                number_text(each.largest_difference),
            ]
        )
        + "</tr>"
        for each in run.result.agreements
    )
    return _table("Agreement of each pair of engines", map(_head, names), rows)


def _table(caption: str, heads: Iterable[str], rows: str) -> str:
    """Return a table that can be scrolled sideways, also with the keyboard."""
    return (
        f'<div class="scroll" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<caption>{escape(caption)}</caption><thead><tr>{''.join(heads)}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _head(name: str, attributes: str = "") -> str:
    return f'<th scope="col"{attributes}>{escape(name)}</th>'


def _cells(texts: Iterable[str]) -> str:
    return "".join(f"<td>{_value(text)}</td>" for text in texts)


def _value(text: str) -> str:
    """Return a cell's text; short texts, and each row of centroids, don't wrap."""
    if len(text) <= _SHORT:
        return f"<span>{escape(text)}</span>"
    return _ROW.sub(r"<span>\g<0></span>", escape(text)) if text.startswith("[[") else escape(text)

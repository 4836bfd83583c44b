"""The charts of a comparison of numbers of clusters: estimated inertia and silhouette over k."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import shoal
from shoal_dashboard.charts import Line, frame, height_of, legend_of, line_key, polyline
from shoal_presentation.views.numbers import NONE, number_text

_MAX_DOTS = 64
_MAX_ROWS = 60  # of the table


class Candidate(NamedTuple):
    """What was found for a number of clusters."""

    n_clusters: int
    inertia: float  # of all points, estimated
    standard_error: float
    silhouette: float | None  # None: there is none for 1 cluster, and for very many
    single_cloud_silhouette: float | None

    @staticmethod
    def of(clustering: shoal.Clustering) -> Candidate:
        """Return the figures of a clustering without its centroids."""
        return Candidate(
            clustering.n_clusters,
            clustering.estimated_inertia,
            clustering.standard_error,
            clustering.silhouette,
            clustering.single_cloud_silhouette,
        )


def draw_curves(candidates: Sequence[Candidate], suggested: int | None = None) -> str:
    """Return both curves over ascending numbers of clusters, with the suggested one marked."""
    numbers = [each.n_clusters for each in candidates]
    inertia = Line("estimated inertia", [each.inertia for each in candidates])
    silhouette = Line("silhouette", [each.silhouette for each in candidates])
    cloud = Line("silhouette of a single cloud", [each.single_cloud_silhouette for each in candidates], "dashed")
    return _curve([inertia], numbers, suggested) + _curve([silhouette, cloud], numbers, suggested)


def table_of(candidates: Sequence[Candidate], suggested: int | None) -> str:
    """Return the figures as an HTML table, a row for each number of clusters; of very many for the first ones."""
    headings = ("k", "estimated inertia", "±", "silhouette", '<span class="unseen">suggested</span>')
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    rows = "".join(_row(each, each.n_clusters == suggested) for each in candidates[:_MAX_ROWS])
    more = len(candidates) - _MAX_ROWS
    rest = f'<tr><td colspan="5">and {more:,} more</td></tr>' if more > 0 else ""
    return (
        f"<table><caption>Numbers of clusters</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{rows}{rest}</tbody></table>"
    )


def _curve(lines: Sequence[Line], numbers: Sequence[int], suggested: int | None) -> str:
    """Return a chart of lines over numbers of clusters, from 0 or the lowest value up."""
    main, *_ = lines
    present = [value for line in lines for value in line.values if value is not None]
    low, high = min(0.0, *present, 0.0), max(present, default=1.0)
    drawn = "".join(f'<polyline class="{line.style}" points="{polyline(line.values, low, high)}"/>' for line in lines)
    last = max(len(numbers) - 1, 1)
    places = [f"{place / last:.2%}" for place in range(len(numbers))]
    chosen = numbers.index(suggested) if suggested in numbers else None
    marks = "" if chosen is None else f'<line class="mark" x1="{places[chosen]}" x2="{places[chosen]}" y2="100%"/>'
    for place, value in enumerate(main.values) if len(numbers) <= _MAX_DOTS else ():
        if value is not None:
            radius = 5 if place == chosen else 2.5
            marks += f'<circle cx="{places[place]}" cy="{height_of(value, low, high):.1f}" r="{radius}"/>'
    title = f"{main.name} over k"
    said = f", at k = {suggested} {_text(main.values[chosen])}" if chosen is not None else ""
    label = escape(f"{title}, from k = {numbers[0]} to {numbers[-1]}{said}")
    scale = f'<div class="ends"><span>k = {numbers[0]}</span><span>{numbers[-1]}</span></div>'
    keys = "".join(map(line_key, lines)) if len(lines) > 1 else ""
    newest = "" if chosen is None else f" <b>{_text(main.values[chosen])}</b> at k = {suggested}"
    return (
        f'<figure class="chart"><figcaption>{escape(title)}{newest}</figcaption>'
        f"{frame(label, '', drawn, marks)}{scale}{legend_of(keys)}</figure>"
    )


def _row(each: Candidate, is_suggested: bool) -> str:
    cells = (number_text(each.inertia), f"{each.standard_error:.3g}", _text(each.silhouette))
    mark = "◀ suggested" if is_suggested else ""
    texts = "".join(f"<td>{cell}</td>" for cell in (*cells, mark))
    return f'<tr><th scope="row">{each.n_clusters:,}</th>{texts}</tr>'


def _text(value: float | None) -> str:
    return NONE if value is None else number_text(float(f"{value:.4g}"))

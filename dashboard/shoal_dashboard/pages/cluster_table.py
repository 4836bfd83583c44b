"""The card that describes the clusters of a session, computed from its summary when the visitor asks."""

from __future__ import annotations

from html import escape

import numpy as np
from nicegui import ui
from numpy.typing import NDArray

import shoal
import shoal.aio
from shoal_dashboard.error_banner import ErrorBanner
from shoal_presentation.views.numbers import NONE, count_text

MAX_ROWS = 50  # of the table
_MAX_COLUMNS = 6  # of a typical point


class ClusterTableCard:
    """A button, and the table that it fills or refreshes.

    Parameters
    ----------
    session
        Whose clusters are described.
    error_banner
        Shows the server's errors.
    """

    def __init__(self, session: shoal.aio.Session, error_banner: ErrorBanner) -> None:
        self._session, self._error_banner = session, error_banner
        with ui.element("section").classes("card"):
            ui.html("Describe clusters", sanitize=False, tag="h2")
            with ui.element("div").classes("line"):
                self._button = ui.button("Describe", on_click=self._describe, color=None).props("outline no-caps")
                self._status = ui.label().props('role="status"')
            self._table = ui.element("div").classes("scroll").props('tabindex="0" role="region" aria-label="Clusters"')
            self._table.set_visibility(False)
        with self._table:
            self._rows = ui.html("", sanitize=False)

    async def _describe(self) -> None:
        self._button.disable()
        with self._error_banner.catch_errors():
            report = await self._session.describe_clusters(n_typical=1)
            self._rows.set_content(table_of(report))
            self._table.set_visibility(True)
            self._status.set_text(_status(report))
            self._button.set_text("Describe again")
        self._button.enable()


def table_of(report: shoal.ClusterReport) -> str:
    """Return the heaviest clusters as an HTML table, a row for each."""
    heaviest = sorted(report, key=lambda cluster: -cluster.weight)[:MAX_ROWS]
    ids = [cluster.id for cluster in report]
    headings = ("cluster", "label", "weight", "share", "radius", "nearest other", "a typical point")
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    rows = "".join(_row(cluster, ids) for cluster in heaviest)
    return f"<table><caption>Clusters</caption><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(cluster: shoal.ClusterDescription, ids: list[int]) -> str:
    nearest = NONE
    if cluster.nearest is not None and cluster.nearest_distance is not None:
        nearest = f"{ids[cluster.nearest]} at {cluster.nearest_distance:,.4g}"
    typical = _point_text(cluster.typical_points[0]) if len(cluster.typical_points) else NONE
    cells = (
        str(cluster.label),
        f"{cluster.weight:,.6g}",
        f"{cluster.share:.1%}",
        f"{cluster.radius:,.4g}",
        nearest,
        typical,
    )
    return f'<tr><th scope="row">{cluster.id}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'


def _point_text(point: NDArray[np.float64]) -> str:
    shown = ", ".join(f"{value:,.4g}" for value in point[:_MAX_COLUMNS].tolist())
    return f"{shown}, … ({len(point)} columns)" if len(point) > _MAX_COLUMNS else shown


def _status(report: shoal.ClusterReport) -> str:
    number = count_text(len(report), "cluster")
    shown = f"The {MAX_ROWS} heaviest of {number}" if len(report) > MAX_ROWS else number
    return f"{shown} at version {report.version:,}, as the summary has them"

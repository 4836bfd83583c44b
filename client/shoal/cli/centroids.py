"""`shoal centroids`: the newest centroids."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import shoal
from shoal.cli.documents import plain
from shoal.cli.failures import tell
from shoal.cli.invocation import invocation
from shoal.cli.output import show_record, show_records

_SHOWN = 8  # coordinates of a centroid in a table; JSON has them all


def centroids(ctx: typer.Context, session: Annotated[str, typer.Argument(metavar="SESSION")]) -> None:
    """Print the newest centroids and their weights."""
    with invocation(ctx).connect() as client:
        snapshot = client.session(session).centroids()
    if invocation(ctx).output == "json":
        show_record(plain(snapshot), "json")
    else:
        tell(f"version {snapshot.version:,}, {snapshot.points_accepted:,} points")
        show_records(_rows(snapshot), "table")


def _rows(snapshot: shoal.Snapshot) -> list[dict[str, Any]]:
    return [
        {
            "label": label,
            "id": int(snapshot.ids[label]),
            "weight": float(snapshot.weights[label]),
            **_coordinates(centroid.tolist()),
        }
        for label, centroid in enumerate(snapshot.centroids)
    ]


def _coordinates(values: list[float]) -> dict[str, Any]:
    shown: dict[str, Any] = {str(index): value for index, value in enumerate(values[:_SHOWN])}
    if len(values) > _SHOWN:
        shown[f"… {len(values)} in all"] = "…"
    return shown

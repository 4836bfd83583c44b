"""`shoal describe`: what the clusters of a session are like."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

import shoal
from shoal._analysis_codec import TYPICAL
from shoal.cli.documents import plain
from shoal.cli.failures import tell
from shoal.cli.invocation import invocation
from shoal.cli.output import as_text, show_record, show_records

_SHOWN = 6  # columns in a table; JSON has them all


def describe(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    typical: Annotated[
        int, typer.Option(min=0, max=TYPICAL[1], help="Number of typical points of each cluster; a table shows one.")
    ] = 3,
) -> None:
    """Print what each cluster is like: weight, radius, columns, nearest other cluster, typical points.

    Columns are shown as mean ± standard deviation. It is all computed from the summary of the session, which must keep
    one, as sessions of the refined rule do.
    """
    with invocation(ctx).connect() as client:
        report = client.session(session).describe_clusters(typical)
    if invocation(ctx).output == "json":
        show_record(plain(report), "json")
    else:
        tell(f"version {report.version:,}")
        show_records([_row(cluster) for cluster in report], "table")


def _row(cluster: shoal.ClusterDescription) -> dict[str, Any]:
    nearest = "–" if cluster.nearest is None else f"{cluster.nearest} at {as_text(cluster.nearest_distance)}"
    deviations = np.sqrt(cluster.variance)
    columns = {
        str(index): f"{cluster.mean[index]:,.4g} ± {deviations[index]:,.3g}"
        for index in range(min(len(deviations), _SHOWN))
    }
    if len(deviations) > _SHOWN:
        columns[f"… {len(deviations)} in all"] = "…"
    typical = {"typical point": _numbers(cluster.typical_points[0])} if len(cluster.typical_points) else {}
    return {
        "label": cluster.label,
        "id": cluster.id,
        "weight": cluster.weight,
        "share": f"{cluster.share:.1%}",
        "radius": cluster.radius,
        "nearest": nearest,
        **columns,
        **({"typical point": "–"} | typical),
    }


def _numbers(point: NDArray[np.float64]) -> str:
    shown = " ".join(f"{value:,.4g}" for value in point[:_SHOWN])
    return f"{shown} …" if len(point) > _SHOWN else shown

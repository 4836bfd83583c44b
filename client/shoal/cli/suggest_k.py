"""`shoal suggest-k`: the inertia and the silhouette of several numbers of clusters, and which of them to use."""

from __future__ import annotations

import math
from typing import Annotated, Any

import typer

import shoal
from shoal._validation import INT32, UINT32
from shoal.cli.documents import plain
from shoal.cli.failures import CommandError, usage_error
from shoal.cli.invocation import invocation
from shoal.cli.output import show_record, show_records, write_lines
from shoal.cli.progress import counted_progress

_FIRST, _LAST = 2, 20  # that are tried if none are given
_BAR = 24  # characters of a whole bar
_EIGHTHS = " ▏▎▍▌▋▊▉"


def suggest_k(
    ctx: typer.Context,
    session: Annotated[str, typer.Argument(metavar="SESSION")],
    first: Annotated[
        int | None, typer.Option("--from", min=1, max=INT32[1], show_default="2", help="Least number of clusters.")
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(
            "--to",
            min=1,
            max=INT32[1],
            show_default="20",
            help="Largest number of clusters. Without --from and --to at most the number of points of the summary.",
        ),
    ] = None,
    random_state: Annotated[
        int | None, typer.Option(min=0, max=UINT32[1], help="Seed that makes the result repeatable.")
    ] = None,
) -> None:
    """Fit several numbers of clusters to the summary of a session, and suggest one.

    The session itself stays as it is. It must keep a summary, as sessions of the refined rule do.

    With --output json you get all centroids and weights too.
    """
    numbers = range(first or _FIRST, (last or _LAST) + 1)
    if not numbers:
        raise usage_error(f"--from is {numbers.start} and --to is {numbers.stop - 1}; --from can't be larger")
    with invocation(ctx).connect() as client, counted_progress(len(numbers), "clusters") as count:
        try:
            reclustering = client.session(session).recluster(
                None if first is None and last is None else numbers,
                random_state=random_state,
                progress=lambda clustering: count(clustering.n_clusters),
            )
        except shoal.InvalidArgumentError as error:
            if error.reason == "N_CLUSTERS_INVALID":
                raise CommandError(f"--from {numbers.start} --to {numbers.stop - 1}: {error}") from None
            raise
    if invocation(ctx).output == "json":
        show_record(plain(reclustering), "json")
        return
    show_records(_rows(reclustering), "table")
    write_lines(["", _conclusion(reclustering)])


def _rows(reclustering: shoal.Reclustering) -> list[dict[str, Any]]:
    largest = max(each.estimated_inertia for each in reclustering)
    return [
        {
            "k": clustering.n_clusters,
            "inertia": clustering.estimated_inertia,
            "±": clustering.standard_error,
            "": _bar(clustering.estimated_inertia / largest if largest > 0 else 0.0),
            "silhouette": "–" if clustering.silhouette is None else f"{clustering.silhouette:.3f}",
            " ": _bar(clustering.silhouette or 0.0),
            "  ": "◀ suggested" if clustering.n_clusters == reclustering.suggested else "",
        }
        for clustering in reclustering
    ]


def _conclusion(reclustering: shoal.Reclustering) -> str:
    reason = reclustering.reason
    if reclustering.suggested is None:
        return f"{reason[:1].upper()}{reason[1:]}."
    clusters = "cluster" if reclustering.suggested == 1 else "clusters"
    return f"{reclustering.suggested:,} {clusters}: {reason}."


def _bar(share: float) -> str:
    """Return a bar of a share, 0 to 1, of the whole."""
    eighths = round(8 * _BAR * min(max(share if math.isfinite(share) else 0.0, 0.0), 1.0))
    return ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).ljust(_BAR)

"""The summary of `shoal ingest`: counts of the batches and points so far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import shoal
from shoal.cli.documents import plain


@dataclass(frozen=True)
class IngestSummary:
    """Counts of the batches and points so far."""

    batches: int = 0
    refused: int = 0
    duplicates: int = 0
    unverified: int = 0  # duplicates of which the server may not know whether the points are the same
    accepted: int = 0
    dropped: int = 0
    version: int = 0
    inertia: float = 0.0
    measured: int = 0  # points whose inertia is known: those that came after the warming
    warming: shoal.Warming | None = None
    late: int = 0  # batches
    faded: int = 0  # late batches that counted less than half of what they would have in time, if unweighted
    outliers: int = 0  # of the accepted points

    @property
    def inertia_per_point(self) -> float | None:
        """The mean squared distance to the centroid assigned; None while no batch has been measured."""
        return self.inertia / self.measured if self.measured else None

    def with_result(self, result: shoal.PushResult) -> IngestSummary:
        """Return the summary with one more answer."""
        return IngestSummary(
            self.batches + 1,
            self.refused + (result.error is not None),
            self.duplicates + result.duplicate,
            self.unverified + (result.duplicate and result.unverified),
            self.accepted + (0 if result.duplicate else result.accepted),
            self.dropped + (0 if result.duplicate else result.dropped),
            max(self.version, result.version + result.refined),
            self.inertia + (result.inertia if result.version else 0.0),
            self.measured + (result.accepted if result.version else 0),
            None if result.version else result.warming or self.warming,
            self.late + (result.late > 0),
            self.faded + (result.late > 0 and result.weight < result.accepted / 2),
            self.outliers + (0 if result.duplicate else result.outliers),
        )

    def record(self, session: str, unanswered: int, seconds: float) -> dict[str, Any]:
        """Return the fields to print at the end; `warming` only for a session that has no centroids yet.

        Parameters
        ----------
        session
            Its name.
        unanswered
            Batches of which nothing is known: the end came before their answer.
        seconds
            How long it took.
        """
        rows = self.accepted + self.dropped
        return {
            "session": session,
            "batches": self.batches,
            "batches_refused": self.refused,
            "batches_unanswered": unanswered,
            "batches_late": self.late,
            "batches_counted_before": self.duplicates,
            "points_accepted": self.accepted,
            "points_dropped": self.dropped,
            "outliers": self.outliers,
            "version": self.version or None,
            "warming": plain(self.warming),
            "inertia_per_point": self.inertia_per_point,
            "seconds": round(seconds, 3),
            "rows_per_second": round(rows / seconds) if seconds > 0 else None,
        }

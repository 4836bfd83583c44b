"""What a session's summary tells: other numbers of clusters, and what its clusters are like."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex, overload

import grpc

from shoal._analysis_codec import ReclusterDecoder, describe_clusters, encode_recluster, is_single
from shoal._analysis_types import Clustering, ClusterReport, Reclustering, Suggestion
from shoal._connection import Connection


class SummaryMethods:
    """The methods of a session that read its summary."""

    _name: str
    _connection: Connection

    @overload
    def recluster(
        self,
        n_clusters: SupportsIndex,
        *,
        random_state: int | None = None,
        progress: Callable[[Clustering], None] | None = None,
    ) -> Clustering: ...

    @overload
    def recluster(
        self,
        n_clusters: Iterable[SupportsIndex] | None = None,
        *,
        random_state: int | None = None,
        progress: Callable[[Clustering], None] | None = None,
    ) -> Reclustering: ...

    def recluster(
        self,
        n_clusters: SupportsIndex | Iterable[SupportsIndex] | None = None,
        *,
        random_state: int | None = None,
        progress: Callable[[Clustering], None] | None = None,
    ) -> Clustering | Reclustering:
        """Fit another number of clusters, or several, to the session's summary; never changes the session.

        With the default summary each number takes 0.1 to 0.3 s where there are few columns, and longer where there are
        many columns or clusters: 0.9 s with 256 columns. Nothing is repeated if the connection breaks.

        Parameters
        ----------
        n_clusters
            A number from 1 up, or several, such as ``range(2, 21)``: at most 256, none above the number of points of
            the summary. None: 2 to 20, or up to the number of points of the summary if it has fewer.
        random_state
            Makes the result repeatable, 0 to 2**32 - 1: the same summary gives the same clusterings. None: the
            session's own.
        progress
            Called with each clustering as it comes, in ascending order.

        Returns
        -------
        Clustering or Reclustering
            The clustering of one number; of several all of them, with a suggestion which to use.

        Raises
        ------
        SessionWarmingError
            If the session has no centroids yet.
        PreconditionError
            If the session keeps no summary (create it with ``update_rule="refined"`` or a ``summary_size``), or the
            summary has no points yet.
        InvalidArgumentError
            If an argument is invalid.
        LimitExceededError
            If the server allows no so much work.

        Examples
        --------
        >>> for clustering in session.recluster(range(2, 21)):
        ...     print(clustering.n_clusters, clustering.estimated_inertia, clustering.silhouette)
        """
        decoder = ReclusterDecoder(progress)
        self._read_all(encode_recluster(self._name, n_clusters, random_state), decoder)
        return decoder.only() if is_single(n_clusters) else decoder.all()

    def suggest_n_clusters(
        self, n_clusters: Iterable[SupportsIndex] | None = None, *, random_state: int | None = None
    ) -> Suggestion:
        """Return which of several numbers of clusters fits the stream best, and why; see `recluster`.

        The silhouette decides. If even the highest is about that of a single cloud of points, no number stands out.

        Parameters
        ----------
        n_clusters
            The numbers to choose from; None as for `recluster`. With 1 among them, 1 is the answer if no other number
            stands out.
        random_state
            As for `recluster`.
        """
        return self.recluster(n_clusters, random_state=random_state).suggestion

    def describe_clusters(self, n_typical: int = 3) -> ClusterReport:
        """Return what the clusters of the newest version are like, by the session's summary.

        Parameters
        ----------
        n_typical
            How many typical points of each cluster to return at most, 0 to 1,000; fewer if they are many values.

        Raises
        ------
        SessionWarmingError
            If the session has no centroids yet.
        PreconditionError
            If the session keeps no summary, or the summary has no points yet.
        InvalidArgumentError
            If n_typical is invalid.
        """
        return self._connection.call(describe_clusters(self._name, n_typical))

    def _read_all(self, request: Any, decoder: ReclusterDecoder) -> None:
        call = self._connection.open("Recluster", request)
        try:
            for response in call:
                decoder.receive(response)
        except grpc.RpcError as failed:
            raise self._connection.error(failed, self._name) from None
        finally:
            call.cancel()

"""The client: a connection to a server, and the sessions on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Literal, Self

from numpy.typing import ArrayLike, DTypeLike

from shoal import _calls
from shoal._channels import DEFAULT_TARGET, DEFAULT_TIMEOUT, checked_target, checked_timeout
from shoal._comparison import Comparison
from shoal._comparison_codec import ComparisonDecoder, encode_comparison
from shoal._connection import Connection
from shoal._errors import SessionExistsError
from shoal._merge_codec import encode_merge
from shoal._session import Session
from shoal._session_codec import encode_config
from shoal._types import Durability, Engine, HalfLife, Metric, OnDrift, OnInvalid, SessionDescription, UpdateRule
from shoal._validation import points_array
from shoal.wire.comparison import CompareEngine


def connect(target: str = DEFAULT_TARGET, *, timeout: float = DEFAULT_TIMEOUT) -> Client:
    """Return a client of a server. Nothing is sent before the first call.

    Parameters
    ----------
    target
        ``host:port`` of the server.
    timeout
        Maximum seconds of a call, including retries. Streams (`ingest`, `assign_stream`, `watch`) have no such limit.

    Examples
    --------
    >>> with shoal.connect("localhost:50051") as client:
    ...     session = client.create_session("pixels", n_clusters=8)
    ...     session.push(X)
    """
    return Client(target, timeout=timeout)


class Client:
    """A connection to a server. Use as a context manager, or `close` it. Safe for threads.

    Parameters
    ----------
    target
        ``host:port`` of the server.
    timeout
        Maximum seconds of a call, including retries.
    """

    def __init__(self, target: str = DEFAULT_TARGET, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._connection = Connection(checked_target(target), checked_timeout(timeout))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<shoal.Client of {self.target}>"

    @property
    def target(self) -> str:
        """``host:port`` of the server."""
        return self._connection.target

    def close(self) -> None:
        """End the connection; streams that are open raise ClientClosedError."""
        self._connection.close()

    def create_session(
        self,
        name: str,
        n_clusters: int,
        *,
        n_features: int | None = None,
        engine: Engine = "numba",
        metric: Metric = "euclidean",
        on_invalid: OnInvalid = "reject",
        init: Literal["k-means++", "random"] | ArrayLike = "k-means++",
        init_weights: ArrayLike | None = None,
        init_size: int | None = None,
        random_state: int | None = None,
        dtype: DTypeLike | None = None,
        half_life: HalfLife | None = None,
        durability: Durability | None = None,
        idle_ttl: float | None = None,
        update_rule: UpdateRule | None = None,
        summary_size: int | None = None,
        outlier_threshold: float | None = None,
        on_drift: OnDrift = "report",
        exist_ok: bool = False,
    ) -> Session:
        """Create a session.

        Parameters
        ----------
        name
            1 to 128 characters: letters, digits, ``.``, ``_`` and ``-``, the first a letter or digit.
        n_clusters
            Number of centroids, from 1 up.
        n_features
            Columns of the points; None: as many as the first batch has.
        engine
            The library that computes; all assign points alike.
        metric
            ``cosine`` scales rows and centroids to length 1.
        on_invalid
            How to treat NaN, infinity and (with cosine) rows of zeros. ``reject``: an error that names the first one.
            ``drop``: leave the rows out. ``impute``: replace them with the column's mean so far.
        init
            How to choose the initial centroids among the first points; or an array (n_clusters, d) of centroids, with
            which the session is ready at once.
        init_weights
            Of given centroids, shape (n_clusters,), from 0 up: how many points each stands for already, so that a
            session made of the ``centroids`` and ``weights`` of another goes on as that would. None: none.
        init_size
            Number of points from which the initial centroids are computed. None: three times n_clusters.
        random_state
            Makes the initialisation repeatable, 0 to 2**32 - 1.
        dtype
            Precision of the computation, float32 or float64. None: float64 for float64 points and for integers wider
            than 16 bits, otherwise float32.
        half_life
            Earlier points count half after this much. None: nothing is forgotten.
        durability
            ``memory``: the session ends with the server. There is no other choice yet.
        idle_ttl
            Delete the session after this many seconds without use. None: the server's default.
        update_rule
            ``incremental``: batches move the centroids. ``refined``: now and then the centroids are also fitted anew to
            a summary of the stream. None: the server's default, ``refined``, but ``incremental`` for so many values of
            centroids that a session with a summary may not have them.
        summary_size
            Maximum number of points of the session's summary of the stream; 0: no summary. None: the server's default.
        outlier_threshold
            Above 0, up to 0.5: points get scores, and those with a lower score stay out of the centroids, about this
            share of a stream that stays as it is. None: there are no scores and no outliers.
        on_drift
            What to do when the points suddenly lie farther from the centroids. ``report``: report it. ``adapt``: also
            forget most of what came before.
        exist_ok
            Return the existing session if there is one, even if its configuration differs.

        Raises
        ------
        SessionExistsError
            If there is one and exist_ok isn't set.
        InvalidArgumentError
            If an argument is invalid.
        LimitExceededError
            If the server's limit on sessions or on their size is reached.
        """
        config = encode_config(
            n_clusters,
            n_features=n_features,
            engine=engine,
            metric=metric,
            on_invalid=on_invalid,
            init=init,
            init_weights=init_weights,
            init_size=init_size,
            random_state=random_state,
            dtype=dtype,
            half_life=half_life,
            durability=durability,
            idle_ttl=idle_ttl,
            update_rule=update_rule,
            summary_size=summary_size,
            outlier_threshold=outlier_threshold,
            on_drift=on_drift,
        )
        try:
            self._connection.call(_calls.create_session(name, config))
        except SessionExistsError:
            if not exist_ok:
                raise
        return self.session(name)

    def merge_sessions(
        self,
        names: Iterable[str],
        into: str,
        *,
        n_clusters: int | None = None,
        engine: Engine | None = None,
        on_invalid: OnInvalid | None = None,
        random_state: int | None = None,
        half_life: HalfLife | None = None,
        idle_ttl: float | None = None,
        update_rule: UpdateRule | None = None,
        summary_size: int | None = None,
        outlier_threshold: float | None = None,
        on_drift: OnDrift | None = None,
        exist_ok: bool = False,
    ) -> Session:
        """Make a session of what others have seen, and return it; the others stay as they are.

        Its summary is made of theirs, its centroids are fitted to that, and its configuration is that of the first
        session with what is given here changed, but for `init` and `init_weights`: those are the centroids found and
        their weights. It begins with version 1. Batches that are still queued don't count.
        Its scores, if it has an ``outlier_threshold``, begin anew with its first batch.

        Parameters
        ----------
        names
            Sessions that keep a summary (those of the incremental rule do if they have a `summary_size`) and have
            points, of one number of columns, metric and precision; 1 to 1,000, each once.
        into
            The name of the new session.
        n_clusters
            Number of centroids.
        engine, on_invalid, random_state, half_life, idle_ttl, update_rule, summary_size, outlier_threshold, on_drift
            As for `create_session`; None: as the first session has it.
        exist_ok
            Return the existing session `into` if there is one, whatever it is.

        Raises
        ------
        SessionNotFoundError
            If one of the sessions doesn't exist.
        SessionExistsError
            If `into` exists and exist_ok isn't set.
        SessionWarmingError, PreconditionError
            If one of the sessions has no centroids yet, no summary or no points.
        InvalidArgumentError
            If an argument is invalid, or the sessions don't fit together.
        LimitExceededError
            If the server's limit on sessions, on their size, on work or on memory is reached.
        """
        request = encode_merge(
            names,
            into,
            n_clusters=n_clusters,
            engine=engine,
            on_invalid=on_invalid,
            random_state=random_state,
            half_life=half_life,
            idle_ttl=idle_ttl,
            update_rule=update_rule,
            summary_size=summary_size,
            outlier_threshold=outlier_threshold,
            on_drift=on_drift,
        )
        try:
            self._connection.call(_calls.merge_sessions(request))
        except SessionExistsError:
            if not exist_ok:
                raise
        return self.session(into)

    def session(self, name: str) -> Session:
        """Return the session of a name, without checking that it exists."""
        return Session(name, self._connection)

    def list_sessions(self) -> Iterator[SessionDescription]:
        """Yield the sessions in the order of their names, a page at a time."""
        token: str | None = ""
        while token is not None:
            page = self._connection.call(_calls.list_sessions(token))
            yield from page.sessions
            token = page.next_page_token or None

    def compare(
        self,
        X: ArrayLike | None = None,
        n_clusters: int = 2,
        *,
        example: str | None = None,
        init: Literal["k-means++", "random"] | ArrayLike = "k-means++",
        random_state: int | None = None,
        engines: Iterable[CompareEngine] = ("scipy", "sklearn"),
        max_iter: int = 100,
        tol: float = 0.0,
    ) -> Comparison:
        """Run k-means by several engines, side by side from the same initial centroids, and yield their steps.

        Nothing happens before the first step is asked for.

        Parameters
        ----------
        X
            Points, shape (n, d), all finite.
        n_clusters
            From 1 to n.
        example
            The name of an example to use instead of X: ``six-points`` or ``blobs``.
        init
            How to choose the initial centroids among the points, or an array (n_clusters, d) of centroids.
        random_state
            Makes the initialisation and scikit-learn's own draws repeatable, 0 to 2**32 - 1. None: drawn by the server.
        engines
            The engines, in the order in which they run: ``scipy`` (vq, kmeans), ``scipy-kmeans2``, ``sklearn``
            (KMeans), ``sklearn-minibatch`` (MiniBatchKMeans.partial_fit), ``numba`` (the kernel of the sessions).
        max_iter
            Maximum iterations of each engine, 1 to 1000.
        tol
            An engine has converged when its centroids moved by at most this: the square root of the sum of their
            squared distances. 0: when they moved only by rounding.

        Raises
        ------
        InvalidArgumentError
            If an argument is invalid. Errors that only the server can find are raised with the first step.
        LimitExceededError
            If the server's limit on comparisons is reached, or this one is too large; raised with the first step.

        Examples
        --------
        >>> for step in client.compare(X, n_clusters=2, random_state=0):
        ...     print(step.number, step.engine, step.action, step.centroids)
        """
        request = encode_comparison(
            X,
            n_clusters,
            example=example,
            init=init,
            random_state=random_state,
            engines=engines,
            max_iter=max_iter,
            tol=tol,
        )
        decoder = ComparisonDecoder(None if X is None else points_array(X), request.init)
        return Comparison(self._connection, request, decoder)

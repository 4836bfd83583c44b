"""The asyncio client; `shoal.Client` says more about each method."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from types import TracebackType
from typing import Literal, Self

from numpy.typing import ArrayLike, DTypeLike

from shoal import _calls
from shoal._channels import DEFAULT_TARGET, DEFAULT_TIMEOUT, checked_target, checked_timeout
from shoal._comparison_codec import ComparisonDecoder, encode_comparison
from shoal._errors import SessionExistsError
from shoal._merge_codec import encode_merge
from shoal._session_codec import encode_config
from shoal._types import Durability, Engine, HalfLife, Metric, OnDrift, OnInvalid, SessionDescription, UpdateRule
from shoal._validation import points_array
from shoal.aio._comparison import Comparison
from shoal.aio._connection import AsyncConnection
from shoal.aio._session import Session
from shoal.wire.comparison import CompareEngine


def connect(target: str = DEFAULT_TARGET, *, timeout: float = DEFAULT_TIMEOUT) -> Client:
    """Return an asyncio client of a server. Nothing is sent before the first call.

    Parameters
    ----------
    target
        ``host:port`` of the server.
    timeout
        Seconds that a call may take, its retries included. Streams take as long as they take.

    Examples
    --------
    >>> async with shoal.aio.connect("localhost:50051") as client:
    ...     session = await client.create_session("pixels", n_clusters=8)
    ...     await session.push(X)
    """
    return Client(target, timeout=timeout)


class Client:
    """A connection to a server. Use as an async context manager, or `close` it. For one event loop.

    Parameters
    ----------
    target
        ``host:port`` of the server.
    timeout
        Seconds that a call may take, its retries included.
    """

    def __init__(self, target: str = DEFAULT_TARGET, *, timeout: float = DEFAULT_TIMEOUT) -> None:
        self._connection = AsyncConnection(checked_target(target), checked_timeout(timeout))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<shoal.aio.Client of {self.target}>"

    @property
    def target(self) -> str:
        """``host:port`` of the server."""
        return self._connection.target

    async def close(self) -> None:
        """End the connection; see shoal.Client.close."""
        await self._connection.close()

    async def create_session(
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
        """Create a session; see shoal.Client.create_session."""
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
            await self._connection.call(_calls.create_session(name, config))
        except SessionExistsError:
            if not exist_ok:
                raise
        return self.session(name)

    async def merge_sessions(
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
        """Make a session of what others have seen; see shoal.Client.merge_sessions."""
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
            await self._connection.call(_calls.merge_sessions(request))
        except SessionExistsError:
            if not exist_ok:
                raise
        return self.session(into)

    def session(self, name: str) -> Session:
        """Return the session of a name, without checking that it exists."""
        return Session(name, self._connection)

    async def list_sessions(self) -> AsyncGenerator[SessionDescription, None]:
        """Yield the sessions in the order of their names, a page at a time."""
        token: str | None = ""
        while token is not None:
            page = await self._connection.call(_calls.list_sessions(token))
            for session in page.sessions:
                yield session
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
        """Run k-means by several engines; see shoal.Client.compare."""
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

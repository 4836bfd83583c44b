"""The client of Shoal for asyncio: `shoal` with ``await`` and ``async for``.

::

    import shoal.aio

    async with shoal.aio.connect("localhost:50051") as client:
        session = await client.create_session("pixels", n_clusters=8)
        async for result in session.ingest(batches):
            print(result.version, result.inertia)

Arguments, results and exceptions are those of `shoal`.
"""

from __future__ import annotations

from shoal.aio._client import Client, connect
from shoal.aio._comparison import Comparison
from shoal.aio._session import Session

__all__ = ["Client", "Comparison", "Session", "connect"]

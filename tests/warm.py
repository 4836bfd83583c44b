"""The engine of compiled kernels, which takes seconds to load; once for each process."""

from __future__ import annotations

from functools import cache

from shoal_server.engines.numba import NumbaEngine


@cache
def warm_engine() -> NumbaEngine:
    """Return a ready engine, always the same one, like all sessions of a server share one."""
    engine = NumbaEngine()
    engine.warm_up()
    return engine

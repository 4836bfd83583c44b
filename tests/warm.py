"""The engine of compiled kernels, which takes seconds to load: once a process, whatever tests are run in it."""

from __future__ import annotations

from functools import cache

from shoal_server.engines.numba import NumbaEngine


@cache
def warm_engine() -> NumbaEngine:
    """Return an engine that is ready, always the same one, as all sessions of a server share theirs."""
    engine = NumbaEngine()
    engine.warm_up()
    return engine

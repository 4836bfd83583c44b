from __future__ import annotations

import pytest

from shoal_server.engines.numba import NumbaEngine


@pytest.fixture(scope="session")
def engine() -> NumbaEngine:
    engine = NumbaEngine()
    engine.warm_up()
    return engine

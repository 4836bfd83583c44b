from __future__ import annotations

import pytest

from shoal_server.engines.numba import NumbaEngine
from tests.warm import warm_engine


@pytest.fixture(scope="session")
def engine() -> NumbaEngine:
    return warm_engine()

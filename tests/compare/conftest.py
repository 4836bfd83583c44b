from __future__ import annotations

import pytest

from shoal_server.compare.running import runners
from shoal_server.engines.numba import NumbaEngine
from tests.compare.comparing import Bench


@pytest.fixture(scope="session")
def bench() -> Bench:
    numba = NumbaEngine()
    numba.warm_up()
    return Bench(runners(numba))

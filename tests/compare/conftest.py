from __future__ import annotations

import pytest

from shoal_server.compare.running import runners
from tests.compare.comparing import Bench
from tests.warm import warm_engine


@pytest.fixture(scope="session")
def bench() -> Bench:
    return Bench(runners(warm_engine()))

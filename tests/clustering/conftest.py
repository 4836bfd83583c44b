from __future__ import annotations

import pytest

from shoal_server.clustering.config import EngineName
from shoal_server.engines.contract import Engine
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine
from tests.warm import warm_engine


@pytest.fixture(scope="session")
def engines() -> dict[EngineName, Engine]:
    made: dict[EngineName, Engine] = {"numba": warm_engine(), "sklearn": SklearnEngine(), "scipy": ScipyEngine()}
    for engine in made.values():
        engine.warm_up()
    return made

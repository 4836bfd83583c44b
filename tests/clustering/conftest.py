from __future__ import annotations

import pytest

from shoal_server.clustering.config import EngineName
from shoal_server.engines.contract import Engine
from shoal_server.engines.numba import NumbaEngine
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine


@pytest.fixture(scope="session")
def engines() -> dict[EngineName, Engine]:
    made: dict[EngineName, Engine] = {"numba": NumbaEngine(), "sklearn": SklearnEngine(), "scipy": ScipyEngine()}
    for engine in made.values():
        engine.warm_up()
    return made

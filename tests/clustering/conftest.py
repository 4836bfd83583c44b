from __future__ import annotations

import pytest

from shoal_server.clustering.config import EngineName
from shoal_server.engines.contract import Engine
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine
from tests.warm import warm_engine


@pytest.fixture(scope="session")
def engines() -> dict[EngineName, Engine]:
    sklearn, scipy = SklearnEngine(), ScipyEngine()
    sklearn.warm_up()
    scipy.warm_up()
    return {"numba": warm_engine(), "sklearn": sklearn, "scipy": scipy}

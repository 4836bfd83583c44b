from __future__ import annotations

import pytest

from shoal_presentation.views import Run
from shoal_server.compare.running import runners
from shoal_server.engines.numba import NumbaEngine
from tests.compare.comparing import Bench
from tests.views.builders import Compare, comparing


@pytest.fixture(scope="session")
def compare() -> Compare:
    numba = NumbaEngine()
    numba.warm_up()
    return comparing(Bench(runners(numba)))


@pytest.fixture(scope="session")
def six(compare: Compare) -> Run:
    """The six points from given centroids, by SciPy and scikit-learn."""
    return compare(engines=("scipy", "sklearn"))

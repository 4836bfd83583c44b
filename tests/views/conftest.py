from __future__ import annotations

import pytest

from shoal_presentation.views import Run
from shoal_server.compare.running import runners
from tests.compare.comparing import Bench
from tests.views.builders import Compare, comparing
from tests.warm import warm_engine


@pytest.fixture(scope="session")
def compare() -> Compare:
    return comparing(Bench(runners(warm_engine())))


@pytest.fixture(scope="session")
def six(compare: Compare) -> Run:
    """The six points from given centroids, by SciPy and scikit-learn."""
    return compare(engines=("scipy", "sklearn"))

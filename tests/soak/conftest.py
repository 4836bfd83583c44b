from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.soak.measuring import Measured, measured_server


@pytest.fixture(scope="session")
def measured() -> Iterator[Measured]:
    with measured_server() as measured:
        yield measured

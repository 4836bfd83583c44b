"""What every suite may use: one real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from shoal.testing import LocalServer

# No test depends on how fast the machine is.
settings.register_profile("patient", parent=settings.default, deadline=None)
settings.load_profile("patient")


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running

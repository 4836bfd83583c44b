"""What every suite may use: one real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from shoal.testing import LocalServer


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

import shoal
from shoal.testing import LocalServer
from tests.client.drivers import AioDriver, Driver, SyncDriver
from tests.client.fake_server import FakeServer
from tests.client.proxy import Proxy


@pytest.fixture(params=["sync", "aio"])
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    driver: Driver = SyncDriver() if request.param == "sync" else AioDriver()
    yield driver
    driver.close()


@pytest.fixture
def client(driver: Driver, server: LocalServer) -> Iterator[shoal.Client]:
    with driver.connect(server.target) as client:
        yield client


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def proxy(server: LocalServer) -> Iterator[Proxy]:
    with Proxy(server.target) as proxy:
        yield proxy


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer() as fake:
        yield fake

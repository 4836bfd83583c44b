"""http_proxy: clients ignore it for servers on this machine, for which gRPC would use it too."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest

from shoal._channels import channel_options
from shoal.testing import LocalServer
from tests.client.drivers import Driver

DIRECT = ("grpc.enable_http_proxy", 0)
NOWHERE = "http://127.0.0.1:1"  # nobody listens there


@pytest.fixture
def behind_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, NOWHERE)


@pytest.mark.usefixtures("behind_proxy")
def test_a_client_reaches_a_server_of_this_machine_without_the_proxy(server: LocalServer, driver: Driver) -> None:
    with driver.connect(server.target, timeout=30) as client:
        session = client.create_session(f"direct-{uuid.uuid4().hex}", n_clusters=1, init=[[0.0]])

        assert session.push([[1.0]]).version == 1


@pytest.mark.usefixtures("behind_proxy")
def test_the_health_check_uses_no_proxy(server: LocalServer) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "shoal_server.rpc.healthcheck", server.target], env=os.environ, check=False, timeout=60
    )

    assert done.returncode == 0


@pytest.mark.parametrize(
    "target",
    [
        "localhost:50051",
        "LOCALHOST:50051",
        "shoal.localhost:50051",
        "127.0.0.1:50051",
        "127.1.2.3:50051",
        "[::1]:50051",
        "0.0.0.0:50051",
        "ipv4:127.0.0.1:50051",
        "ipv6:[::1]:50051",
        "dns:localhost:50051",
        "dns:///localhost:50051",
    ],
)
def test_a_target_of_this_machine_is_reached_directly(target: str) -> None:
    assert DIRECT in channel_options(target)


@pytest.mark.parametrize(
    "target",
    ["shoal.example:50051", "10.0.0.1:50051", "[2001:db8::1]:50051", "dns:///shoal.example:50051", "unix:/run/s"],
)
def test_a_target_on_another_machine_may_be_reached_through_a_proxy(target: str) -> None:
    assert DIRECT not in channel_options(target)

"""The image and the compose file: built, brought up, pushed into from the host, taken down.

Runs by `make test-compose`, which gives it a Docker engine.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest

import shoal
from tests.versions import follow_one_another

ROOT = Path(__file__).parents[2]
PORT = "50951"
DASHBOARD_PORT = "50952"
PATIENCE = 60.0  # seconds after which the dashboard won't answer any more

pytestmark = [pytest.mark.compose, pytest.mark.timeout(1200)]


def _run(*command: str) -> str:
    environment = {
        **os.environ,
        "SHOAL_PUBLISH": PORT,
        "SHOAL_PUBLISH_DASHBOARD": DASHBOARD_PORT,
        "COMPOSE_PROJECT_NAME": "shoal-test",
    }
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    _run("docker-compose", "build", "--quiet")
    _run("docker-compose", "up", "--detach")
    try:
        for service in ("server", "dashboard"):
            _wait_until_healthy(service)
        yield f"localhost:{PORT}"
    finally:
        _run("docker-compose", "down", "--volumes", "--timeout", "15")


def _container(service: str) -> str:
    return _run("docker-compose", "ps", "--quiet", service).strip()


def _wait_until_healthy(service: str) -> None:
    # Docker tells each change of health as an event; `--since` brings those that have been before.
    container = _container(service)
    with subprocess.Popen(
        ["docker", "events", "--since", "1h", "--filter", f"container={container}", "--format", "{{.Status}}"],
        stdout=subprocess.PIPE,
        text=True,
    ) as events:
        assert events.stdout is not None
        status = next(line for line in events.stdout if "health_status" in line or line.startswith("die"))
        events.terminate()
    assert status.strip() == "health_status: healthy", _run("docker", "logs", container)


def test_a_producer_on_the_host_pushes_and_reads_the_centroids(target: str) -> None:
    points = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)

    with shoal.connect(target) as client:
        session = client.create_session("composed", n_clusters=5, random_state=0)
        results = list(session.ingest(np.array_split(points, 10)))
        snapshot = session.centroids()

    assert results[0].version == 1
    assert follow_one_another(results)
    assert snapshot.centroids.shape == (5, 4)
    assert snapshot.points_accepted == 3000


def test_the_dashboard_shows_the_sessions_of_the_server_beside_it(target: str) -> None:
    with shoal.connect(target) as client:
        client.create_session("shown", n_clusters=2, exist_ok=True)

    with closing(HTTPConnection("127.0.0.1", int(DASHBOARD_PORT), timeout=PATIENCE)) as connection:
        connection.request("GET", "/sessions")
        answer = connection.getresponse()
        page = answer.read().decode()

    assert answer.status == HTTPStatus.OK
    assert "server server:50051" in page


def test_the_server_runs_as_an_unprivileged_user_in_its_container(target: str) -> None:
    del target
    inspected = json.loads(_run("docker", "inspect", _container("server")))[0]

    assert inspected["Config"]["User"] == "shoal"
    assert inspected["HostConfig"]["ReadonlyRootfs"] is True
    assert [mount["Destination"] for mount in inspected["Mounts"]] == ["/var/lib/shoal"]
    assert list(inspected["NetworkSettings"]["Ports"].values()) == [[{"HostIp": "127.0.0.1", "HostPort": PORT}]]


def test_the_container_stops_gracefully(target: str) -> None:
    del target
    container = _container("server")

    _run("docker-compose", "stop")

    assert json.loads(_run("docker", "inspect", container))[0]["State"]["ExitCode"] == 0
    logs = subprocess.run(["docker", "logs", container], check=True, capture_output=True, text=True)
    assert '"event": "stopped"' in logs.stderr

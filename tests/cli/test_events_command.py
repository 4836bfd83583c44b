"""`shoal events`, and ids in `shoal centroids`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import shoal
from shoal.cli.failures import FAILED, USAGE
from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, run_here


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    """A session with the events of its first centroids and of two changes."""
    session = client.create_session(name, 2, init=np.zeros((2, 2)))
    session.update(half_life=shoal.HalfLife(3.0))
    session.update(on_invalid="drop")
    return session


def test_events_are_a_table_of_sentences(command: InProcess, session: shoal.Session) -> None:
    headings, *rows = command("events", session.name).stdout.splitlines()

    assert headings.split() == ["event", "version", "time", "what", "happened"]
    assert [row.split()[:2] for row in rows] == [["1", "0"], ["2", "0"], ["3", "0"]]
    assert rows[0].endswith("Clusters 0 and 1 were born.")
    assert rows[2].endswith("The configuration was changed: on_invalid.")


def test_events_after_a_number_and_a_count_are_a_json_array(command: InProcess, session: shoal.Session) -> None:
    documents = json.loads(command("--output", "json", "events", session.name, "--after", 1).stdout)
    one = json.loads(command("--output", "json", "events", session.name, "--count", 1).stdout)

    assert [(each["number"], each["kind"], each["fields"]) for each in documents] == [
        (2, "reconfigured", ["half_life"]),
        (3, "reconfigured", ["on_invalid"]),
    ]
    assert documents[0]["text"] == "The configuration was changed: half_life."
    assert documents[0]["time"].endswith("+00:00")
    assert [each["clusters"] for each in one] == [[0, 1]]


def test_a_session_without_newer_events_prints_nothing(command: InProcess, session: shoal.Session) -> None:
    outcome = command("events", session.name, "--after", 3)

    assert (outcome.exit_code, outcome.stdout) == (0, "")
    assert json.loads(command("--output", "json", "events", session.name, "--after", 3).stdout) == []


def test_followed_events_are_a_json_document_a_line(command: InProcess, session: shoal.Session) -> None:
    lines = command("--output", "json", "events", session.name, "--follow", "-n", 3).stdout.splitlines()

    assert [json.loads(line)["number"] for line in lines] == [1, 2, 3]


def test_following_ends_with_the_session(command: InProcess, session: shoal.Session) -> None:
    with ThreadPoolExecutor() as threads:
        following = threads.submit(command, "events", session.name, "--after", 2, "--follow")
        while not session.describe().watchers:
            pass
        session.delete()
        outcome = following.result(60)

    assert outcome.exit_code == 0
    assert [line.split()[0] for line in outcome.stdout.splitlines()] == ["event", "3"]
    assert "is gone" in outcome.stderr


def test_events_that_are_lost_are_told(few_events: LocalServer) -> None:
    with shoal.connect(few_events.target) as client:
        session = client.create_session("short", 2, init=np.zeros((2, 2)))
        for value in range(5):
            session.update(half_life=shoal.HalfLife(value + 1.0))

    for arguments in ([], ["--follow", "-n", 2]):
        outcome = run_here("events", "short", *arguments, env={"SHOAL_SERVER": few_events.target})

        assert "doesn't keep the 4 events before event 5" in outcome.stderr
        assert len(outcome.stdout.splitlines()) == 3


def test_events_of_a_session_that_is_not_there_and_a_wrong_number_fail(command: InProcess, name: str) -> None:
    assert command("events", name).exit_code == FAILED
    assert command("events", name, "--after", -1).exit_code == USAGE


def test_centroids_have_the_ids_of_their_clusters(command: InProcess, session: shoal.Session) -> None:
    headings, *rows = command("centroids", session.name).stdout.splitlines()

    assert headings.split()[:3] == ["label", "id", "weight"]
    assert [row.split()[:2] for row in rows] == [["0", "0"], ["1", "1"]]


@pytest.fixture(scope="module")
def few_events() -> Iterator[LocalServer]:
    with LocalServer(max_events=2) as server:
        yield server

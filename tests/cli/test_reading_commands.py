"""`shoal assign`, `centroids` and `watch`."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal.cli.failures import FAILED
from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, run_apart, running
from tests.versions import newest_version

Watching = subprocess.Popen[str]

POINTS = np.random.default_rng(0).normal(size=(1000, 3))


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    session = client.create_session(name, 4, random_state=0)
    session.push(POINTS)
    return session


@pytest.fixture
def points(tmp_path: Path) -> Path:
    np.save(tmp_path / "points.npy", POINTS)
    return tmp_path / "points.npy"


def test_assign_prints_the_label_of_each_point_in_the_order_of_the_file(
    command: InProcess, session: shoal.Session, points: Path
) -> None:
    before = session.describe().version

    outcome = command("assign", session.name, points, "--batch-rows", 300)

    assert [int(line) for line in outcome.stdout.splitlines()] == session.assign(POINTS).labels.tolist()
    assert session.describe().version == before


def test_assign_prints_distances_when_asked_for(command: InProcess, session: shoal.Session, points: Path) -> None:
    outcome = command("assign", session.name, points, "--distances")

    printed = np.array([line.split(",") for line in outcome.stdout.splitlines()], dtype=np.float64)
    expected = session.assign(POINTS, return_distances=True)
    assert np.array_equal(printed[:, 0], expected.labels)
    assert np.array_equal(printed[:, 1], np.asarray(expected.distances))


def test_assign_prints_a_json_document_for_each_point(command: InProcess, session: shoal.Session, points: Path) -> None:
    plain = command("--output", "json", "assign", session.name, points).stdout.splitlines()
    with_distances = command("--output", "json", "assign", session.name, points, "--distances").stdout.splitlines()

    assert [json.loads(line)["label"] for line in plain] == session.assign(POINTS).labels.tolist()
    assert set(json.loads(with_distances[0])) == {"label", "distance"}


def test_assign_to_a_warming_session_fails(command: InProcess, client: shoal.Client, name: str, points: Path) -> None:
    client.create_session(name, 4)

    outcome = command("assign", name, points)

    assert outcome.exit_code == FAILED
    assert outcome.stdout == ""


def test_assign_ends_quietly_when_its_pipe_is_closed(
    server: LocalServer, session: shoal.Session, tmp_path: Path
) -> None:
    np.save(tmp_path / "many.npy", np.tile(POINTS, (300, 1)))

    with running("--server", server.target, "assign", session.name, tmp_path / "many.npy") as command:
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdout.readline()
        command.stdout.close()
        command.wait(60)

        assert command.stderr.read() == ""


def test_assign_to_a_full_output_is_reported_in_one_line(
    server: LocalServer, session: shoal.Session, points: Path
) -> None:
    with Path("/dev/full").open("wb") as full:
        outcome = run_apart("--server", server.target, "assign", session.name, points, stdout=full)

    assert outcome.exit_code == FAILED
    assert outcome.stderr == "error: can't write to standard output: No space left on device\n"


def test_assign_reports_the_invalid_row_of_the_file(command: InProcess, session: shoal.Session, points: Path) -> None:
    rows = POINTS.copy()
    rows[750, 2] = np.inf
    np.save(points.with_name("late.npy"), rows)

    outcome = command("assign", session.name, points, "--batch-rows", 300)
    late = command("assign", session.name, points.with_name("late.npy"), "--batch-rows", 300)

    assert outcome.exit_code == 0
    assert late.exit_code == FAILED
    assert "late.npy row 750 (counted from 0): points[150, 2] is inf" in late.stderr


def test_centroids_are_a_table_or_a_json_document(command: InProcess, session: shoal.Session) -> None:
    table = command("centroids", session.name)
    document = json.loads(command("--output", "json", "centroids", session.name).stdout)

    snapshot = session.centroids()
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["label", "0", "1", "2", "3"]
    assert f"version {snapshot.version}, 1,000 points" in table.stderr
    assert document["centroids"] == snapshot.centroids.tolist()
    assert document["weights"] == snapshot.weights.tolist()
    assert document["ids"] == snapshot.ids.tolist()


def test_a_table_of_many_coordinates_shows_the_first_and_says_how_many_there_are(
    command: InProcess, client: shoal.Client, name: str
) -> None:
    client.create_session(name, 2, init=np.zeros((2, 50)))

    assert "… 50 in all" in command("centroids", name).stdout


def test_watch_stops_after_as_many_updates_as_asked_for(command: InProcess, session: shoal.Session) -> None:
    outcome = command("watch", session.name, "--count", 1)

    heading, line = outcome.stdout.splitlines()
    assert heading.split()[:2] == ["version", "points"]
    assert line.split()[:2] == [str(session.describe().version), "1,000"]
    assert outcome.stderr == ""


def test_watch_of_an_unknown_session_prints_no_headings(command: InProcess, name: str) -> None:
    outcome = command("watch", name)

    assert outcome.exit_code == FAILED
    assert outcome.stdout == ""
    assert "there is no session" in outcome.stderr


def test_watch_prints_whole_updates_as_json_lines(command: InProcess, session: shoal.Session) -> None:
    update = json.loads(command("--output", "json", "watch", session.name, "-n", 1).stdout)

    assert update["version"] == session.describe().version
    assert update["centroids"] == session.centroids().centroids.tolist()


@pytest.fixture
def watching(server: LocalServer, session: shoal.Session) -> Iterator[Watching]:
    with running("--server", server.target, "watch", session.name) as command:
        assert command.stdout is not None
        command.stdout.readline()
        assert command.stdout.readline().split()[0] == str(session.describe().version)
        yield command


def test_watch_prints_each_newer_version_as_it_comes(watching: Watching, session: shoal.Session) -> None:
    result = session.push(POINTS)

    assert watching.stdout is not None
    assert int(watching.stdout.readline().split()[0]) in (result.version, newest_version([result]))


def test_watch_ends_when_the_session_is_deleted(watching: Watching, session: shoal.Session) -> None:
    session.delete()

    assert watching.wait(60) == 0
    assert watching.stderr is not None
    assert "is gone" in watching.stderr.read()


def test_watch_ends_on_ctrl_c_with_130_and_without_a_traceback(watching: Watching) -> None:
    watching.send_signal(signal.SIGINT)

    assert watching.wait(60) == 130
    assert watching.stderr is not None
    assert watching.stderr.read() == ""


def test_ingest_ends_on_ctrl_c_while_standard_input_is_silent_and_prints_its_summary(
    server: LocalServer, session: shoal.Session
) -> None:
    with running("--server", server.target, "ingest", session.name, "-", "--batch-rows", 1) as command:
        assert command.stdin is not None
        assert command.stdout is not None
        assert command.stderr is not None
        command.stdin.write("1,2,3\n")
        command.stdin.flush()
        next(update for update in session.watch() if update.points_accepted == 1001)
        command.send_signal(signal.SIGINT)

        assert command.wait(60) == 130
        printed = dict(line.split() for line in command.stdout)
        # The answer may have been on its way still.
        assert int(printed["points_accepted"]) + int(printed["batches_unanswered"]) == 1
        assert ("may have been applied" in command.stderr.read()) == (printed["batches_unanswered"] == "1")


def test_assign_prints_scores_when_asked_for(command: InProcess, client: shoal.Client, name: str, points: Path) -> None:
    session = client.create_session(name, 4, random_state=0, outlier_threshold=0.01)
    for _ in range(3):
        session.push(POINTS)

    plain = command("assign", name, points, "--scores", "--distances").stdout.splitlines()
    documents = command("--output", "json", "assign", name, points, "--scores").stdout.splitlines()

    expected = session.assign(POINTS, return_scores=True, return_distances=True)
    rows = zip(expected.labels.tolist(), expected.distances.tolist(), expected.scores.tolist(), strict=True)  # type: ignore[union-attr]  # both were asked for
    assert plain == [f"{label},{distance!r},{score!r}" for label, distance, score in rows]
    assert [json.loads(line)["score"] for line in documents] == expected.scores.tolist()  # type: ignore[union-attr]
    assert set(json.loads(documents[0])) == {"label", "score"}


def test_assign_says_that_a_session_without_threshold_has_no_scores(
    command: InProcess, session: shoal.Session, points: Path
) -> None:
    outcome = command("assign", session.name, points, "--scores")

    assert outcome.exit_code == FAILED
    assert "outlier_threshold" in outcome.stderr

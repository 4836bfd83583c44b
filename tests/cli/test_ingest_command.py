"""`shoal ingest` with valid and invalid files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import csv, parquet

import shoal
from shoal.cli.failures import FAILED, UNREACHABLE, USAGE
from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, Outcome, run_apart, run_on_terminal, running

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(1000, 3)).astype(np.float32)


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    return client.create_session(name, 4, random_state=0)


@pytest.fixture
def points(tmp_path: Path) -> Path:
    np.save(tmp_path / "points.npy", POINTS)
    return tmp_path / "points.npy"


def summary(outcome: Outcome) -> dict[str, Any]:
    assert outcome.exit_code == 0, outcome.stderr
    document: dict[str, Any] = json.loads(outcome.stdout)
    return document


def test_every_point_of_a_file_counts(command: InProcess, session: shoal.Session, points: Path) -> None:
    printed = summary(command("--output", "json", "ingest", session.name, points, "--batch-rows", 300))

    described = session.describe()
    assert (printed["batches"], printed["points_accepted"], printed["version"]) == (4, 1000, described.version)
    assert printed["inertia_per_point"] > 0
    assert (described.points_accepted, described.version >= 4) == (1000, True)


def test_the_summary_counts_outliers(command: InProcess, client: shoal.Client, name: str, points: Path) -> None:
    session = client.create_session(name, 4, random_state=0, outlier_threshold=0.2)
    session.push(POINTS)

    printed = summary(command("--output", "json", "ingest", name, points, "--batch-rows", 100))

    assert printed["outliers"] == session.describe().outliers > 50
    assert printed["points_accepted"] == 1000


def test_ingest_makes_the_same_centroids_as_the_same_batches_pushed_by_the_client(
    command: InProcess, client: shoal.Client, session: shoal.Session, points: Path
) -> None:
    twin = client.create_session(f"{session.name}-twin", 4, random_state=0)

    command("ingest", session.name, points, "--batch-rows", 300)
    for start in range(0, 1000, 300):
        twin.push(POINTS[start : start + 300])

    assert np.array_equal(session.centroids().centroids, twin.centroids().centroids)
    twin.delete()


def test_files_of_several_formats_are_ingested_in_order(
    command: InProcess, session: shoal.Session, tmp_path: Path
) -> None:
    files = [tmp_path / "points.csv", tmp_path / "points.npy", tmp_path / "black.png"]
    np.savetxt(files[0], POINTS[:10], delimiter=",")
    np.save(files[1], POINTS)
    Image.new("RGB", (5, 4)).save(files[2])

    printed = summary(command("ingest", session.name, *files, "--output", "json"))

    assert printed["points_accepted"] == 10 + 1000 + 20


def test_a_summary_is_a_table_unless_json_is_asked_for(
    command: InProcess, session: shoal.Session, points: Path
) -> None:
    outcome = command("ingest", session.name, points)

    assert ["points_accepted", "1,000"] in [line.split() for line in outcome.stdout.splitlines()]
    assert outcome.stderr == ""


def test_a_terminal_of_80_columns_shows_progress_on_one_line(
    server: LocalServer, session: shoal.Session, points: Path
) -> None:
    lines = run_on_terminal("ingest", session.name, points, columns=80, env={"SHOAL_SERVER": server.target})

    last = [line for line in lines if "rows/s" in line][-1]
    assert len(last) <= 80
    assert "1,000 rows" in last
    assert f"version {session.describe().version} " in last
    assert "inertia per point" in last


def test_ingest_into_a_warming_session_prints_its_progress(
    command: InProcess, session: shoal.Session, tmp_path: Path
) -> None:
    np.save(tmp_path / "few.npy", POINTS[:5])

    printed = summary(command("--output", "json", "ingest", session.name, tmp_path / "few.npy"))

    assert printed["warming"] == {"seen": 5, "needed": 12}
    assert printed["inertia_per_point"] is None


def test_weights_come_from_a_column(command: InProcess, client: shoal.Client, name: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("x,count\n1,3\n4,1\n")
    session = client.create_session(name, 1, init=[[0.0]])

    command("ingest", name, tmp_path / "points.csv", "--weight-column", "count")

    assert session.centroids().weights.tolist() == [4]
    assert session.centroids().centroids.tolist() == [[(3 * 1 + 4) / 4]]


def test_a_half_life_in_seconds_takes_the_time_from_a_column(
    command: InProcess, client: shoal.Client, name: str, tmp_path: Path
) -> None:
    (tmp_path / "points.csv").write_text("when,x\n2026-01-01T00:00:00Z,1\n2026-01-01T00:01:00Z,1\n")
    session = client.create_session(name, 1, init=[[0.0]], half_life=shoal.HalfLife(60, "seconds"))

    command("ingest", name, tmp_path / "points.csv", "--time-column", "when", "--batch-rows", 1)

    assert session.centroids().weights.tolist() == [1.5]


def test_batches_so_late_that_they_count_less_than_half_are_reported(
    command: InProcess, client: shoal.Client, name: str, tmp_path: Path
) -> None:
    minutes = (30, 29, 0, 10, 31)
    rows = "".join(f"2026-01-01T00:{minute:02}:00Z,1\n" for minute in minutes)
    (tmp_path / "points.csv").write_text(f"when,x\n{rows}")
    client.create_session(name, 1, init=[[0.0]], half_life=shoal.HalfLife(120, "seconds"))

    done = command(
        "--output", "json", "ingest", name, tmp_path / "points.csv", "--time-column", "when", "--batch-rows", 1
    )

    assert summary(done)["batches_late"] == 3
    assert "2 of 5 batches came so late that they counted less than half: push the oldest points first" in done.stderr


def test_a_repeated_ingest_with_a_producer_counts_nothing_twice(
    command: InProcess, session: shoal.Session, points: Path
) -> None:
    command("ingest", session.name, points, "--producer", "importer")

    again = command("--output", "json", "ingest", session.name, points, "--producer", "importer")

    assert (summary(again)["batches_counted_before"], summary(again)["points_accepted"]) == (1, 0)
    assert "not counted again" in again.stderr
    assert session.describe().points_accepted == 1000


def test_a_refused_batch_ends_the_command(command: InProcess, session: shoal.Session, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("1,2\n3,nan\n")

    outcome = command("ingest", session.name, tmp_path / "points.csv")

    assert outcome.exit_code == FAILED
    assert ["batches_refused", "1"] in [line.split() for line in outcome.stdout.splitlines()]
    assert "points.csv row 2 (counted from 1): points[1, 1] is nan" in outcome.stderr


def test_refused_batches_can_be_skipped(command: InProcess, session: shoal.Session, tmp_path: Path) -> None:
    rows = POINTS.copy()
    rows[150] = np.nan
    np.save(tmp_path / "points.npy", rows)

    outcome = command(
        "ingest", session.name, tmp_path / "points.npy", "--batch-rows", 100, "--on-error", "skip", "--output", "json"
    )

    assert (summary(outcome)["batches_refused"], summary(outcome)["points_accepted"]) == (1, 900)
    assert f"batch 2 was refused: {tmp_path / 'points.npy'} row 150 (counted from 0): points[50, 0]" in outcome.stderr


def test_batches_in_flight_behind_a_refused_one_are_applied_and_counted(
    command: InProcess, session: shoal.Session, points: Path, tmp_path: Path
) -> None:
    rows = POINTS.copy()
    rows[150, 2] = np.inf
    np.save(tmp_path / "late.npy", rows)

    outcome = command(
        "ingest", session.name, points, tmp_path / "late.npy", points, "--batch-rows", 100, "--output", "json"
    )

    printed = json.loads(outcome.stdout)
    behind = printed["batches"] - 12
    assert outcome.exit_code == FAILED
    assert "late.npy row 150 (counted from 0): points[50, 2] is inf" in outcome.stderr
    if behind > 1:
        assert f"; the {behind} batches after it that were on their way have been applied" in outcome.stderr
    assert (printed["batches_refused"], printed["batches_unanswered"]) == (1, 0)
    assert printed["points_accepted"] == session.describe().points_accepted == 100 * (printed["batches"] - 1)


def test_a_refused_batch_ends_the_command_while_standard_input_stays_open(
    server: LocalServer, session: shoal.Session
) -> None:
    with running("--server", server.target, "ingest", session.name, "-", "--batch-rows", 1) as command:
        assert command.stdin is not None
        assert command.stderr is not None
        command.stdin.write("1,2,nan\n")
        command.stdin.flush()

        assert command.wait(60) == FAILED
        assert "standard input row 1 (counted from 1): points[0, 2] is nan" in command.stderr.read()


def test_refused_batch_is_reported_by_its_rows(command: InProcess, session: shoal.Session, tmp_path: Path) -> None:
    session.push(POINTS)
    np.save(tmp_path / "narrow.npy", POINTS[:, :2])

    outcome = command("ingest", session.name, tmp_path / "narrow.npy", "--batch-rows", 600)

    assert "narrow.npy rows 0 to 599 (counted from 0): points has 2 columns" in outcome.stderr
    assert outcome.stderr.endswith("; of the batch after it that was on the way, 0 applied and 1 refused as well\n")


def test_dtype_float32_ingests_a_csv_into_a_session_of_float32(
    command: InProcess, session: shoal.Session, tmp_path: Path
) -> None:
    session.push(POINTS)
    np.savetxt(tmp_path / "points.csv", POINTS, delimiter=",")

    refused = command("ingest", session.name, tmp_path / "points.csv")
    taken = command("--output", "json", "ingest", session.name, tmp_path / "points.csv", "--dtype", "float32")

    assert refused.exit_code == FAILED
    assert "--dtype float32 reads them as float32" in refused.stderr
    assert summary(taken)["points_accepted"] == 1000


@pytest.mark.parametrize("width", [600, 1200])  # over what the server takes in a batch, and in a message
def test_the_error_for_a_batch_that_is_too_large_names_the_option(
    command: InProcess, session: shoal.Session, tmp_path: Path, width: int
) -> None:
    np.save(tmp_path / "wide.npy", np.ones((8192, width)))

    outcome = command("ingest", session.name, tmp_path / "wide.npy", "--batch-rows", 8192)

    assert outcome.exit_code == FAILED
    assert "fewer --batch-rows make smaller batches" in outcome.stderr


def test_batches_before_an_invalid_part_of_a_file_are_kept(
    command: InProcess, session: shoal.Session, tmp_path: Path
) -> None:
    (tmp_path / "points.csv").write_text("1,2\n" * 300_000 + "3,oops\n")

    outcome = command("ingest", session.name, tmp_path / "points.csv")

    assert outcome.exit_code == FAILED
    assert "row 300,001" in outcome.stderr
    printed = dict(line.split() for line in outcome.stdout.splitlines())
    assert int(printed["points_accepted"].replace(",", "")) == session.describe().points_accepted > 0


def test_missing_file_is_reported_before_the_server_is_called(command: InProcess, points: Path) -> None:
    outcome = command("--server", "localhost:1", "ingest", "pixels", points, "no-such-file.csv")

    assert outcome.exit_code == USAGE


def test_ingest_into_an_unknown_session_fails(command: InProcess, name: str, points: Path) -> None:
    assert command("ingest", name, points).exit_code == FAILED


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_command_that_fails_while_a_file_is_read_does_not_crash_at_exit(
    server: LocalServer, name: str, tmp_path: Path, kind: str
) -> None:
    table = pa.table({"x": RANDOM.normal(size=200_000), "y": RANDOM.normal(size=200_000)})
    path = tmp_path / f"points.{kind}"
    csv.write_csv(table, path) if kind == "csv" else parquet.write_table(table, path)

    outcomes = [run_apart("--server", server.target, "ingest", name, path, "--batch-rows", 100) for _ in range(4)]

    assert [outcome.exit_code for outcome in outcomes] == [FAILED] * 4
    assert all(outcome.stderr.strip().startswith("error: there is no session") for outcome in outcomes)


def test_ingest_into_an_unreachable_server_exits_with_3(command: InProcess, points: Path) -> None:
    outcome = command("--server", "localhost:1", "--timeout", 1, "ingest", "pixels", points)

    assert outcome.exit_code == UNREACHABLE
    assert outcome.stdout == ""


@pytest.mark.parametrize("kind", ["csv", "npy"])
def test_a_file_called_minus_is_standard_input(
    server: LocalServer, session: shoal.Session, points: Path, kind: str
) -> None:
    content = points.read_bytes() if kind == "npy" else b"x,y,z\n" + b"1,2,3\n" * 1000

    outcome = run_apart("--server", server.target, "--output", "json", "ingest", session.name, "-", stdin=content)

    assert summary(outcome)["points_accepted"] == 1000


def test_truncated_standard_input_fails_and_is_reported_with_its_row(
    server: LocalServer, session: shoal.Session, points: Path
) -> None:
    outcome = run_apart("--server", server.target, "ingest", session.name, "-", stdin=points.read_bytes()[:-12])

    assert outcome.exit_code == FAILED
    assert outcome.stderr == "error: standard input ended after 999 of 1000 rows\n"

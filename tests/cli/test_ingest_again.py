"""`shoal ingest` under a producer's name that was used before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal.cli.failures import FAILED
from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, run_apart, run_here


@pytest.fixture(scope="module")
def forgetful() -> Iterator[LocalServer]:
    """A server that keeps the results of two batches once they have been received."""
    with LocalServer(replay_bytes=1024) as server:
        yield server


@pytest.fixture
def again(forgetful: LocalServer) -> InProcess:
    """`shoal` with the address of the server that forgets results."""
    return partial(run_here, env={"SHOAL_SERVER": forgetful.target})


@pytest.fixture
def forgotten(forgetful: LocalServer, monday: Path, name: str) -> Iterator[str]:
    """A session into which Monday was pushed, row by row, by producer pipeline; the results are forgotten."""
    with shoal.connect(forgetful.target) as client:
        session = client.create_session(name, 2, init=[[0.0, 0.0], [9.0, 9.0]])
        rows = np.load(monday)
        list(session.ingest([row[None] for row in rows], producer="pipeline", max_in_flight=1))
        yield name
        session.delete()


def saved(path: Path, day: int) -> Path:
    np.save(path, np.random.default_rng(day).normal(size=(100, 2)))
    return path


@pytest.fixture
def monday(tmp_path: Path) -> Path:
    return saved(tmp_path / "monday.npy", 1)


@pytest.fixture
def tuesday(tmp_path: Path) -> Path:
    return saved(tmp_path / "tuesday.npy", 2)


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_other_points_under_a_used_name_fail(again: InProcess, forgotten: str, tuesday: Path, on_error: str) -> None:
    outcome = again("ingest", forgotten, tuesday, "--producer", "pipeline", "--batch-rows", 1, "--on-error", on_error)

    assert outcome.exit_code == FAILED
    assert (
        "error: batch 1 was refused: producer 'pipeline' has already pushed other points; use another --producer for "
        "these files"
    ) in outcome.stderr


def test_the_same_points_whose_results_are_kept_succeed_and_say_that_nothing_was_added(
    command: InProcess, client: shoal.Client, name: str, monday: Path
) -> None:
    client.create_session(name, 2, init=[[0.0, 0.0], [9.0, 9.0]])
    push = partial(command, "--output", "json", "ingest", name, monday, "--producer", "pipeline", "--batch-rows", 10)
    push()

    outcome = push()

    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["batches_counted_before"] == 10
    assert "nothing was added: producer 'pipeline' has pushed exactly these batches before" in outcome.stderr


def test_points_that_the_server_may_not_know_any_more_fail_with_advice(
    forgetful: LocalServer, forgotten: str, monday: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "few.npy", np.load(monday)[:50])

    outcome = run_apart(  # where a warning would be an error
        "--server", forgetful.target, "ingest", forgotten, tmp_path / "few.npy",
        "--producer", "pipeline", "--batch-rows", 1,
    )  # fmt: skip

    assert outcome.exit_code == FAILED
    assert outcome.stderr.endswith(
        "error: nothing was added: producer 'pipeline' has pushed 50 batches before. If these are new points, use "
        "another --producer\n"
    )
    assert ["batches_counted_before", "50"] in [line.split() for line in outcome.stdout.splitlines()]


def test_an_interrupted_ingest_that_is_repeated_adds_the_rest(
    again: InProcess, forgotten: str, monday: Path, tuesday: Path
) -> None:
    outcome = again(
        "--output", "json", "ingest", forgotten, monday, tuesday, "--producer", "pipeline", "--batch-rows", 1
    )

    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["points_accepted"] == 100
    assert "not counted again" in outcome.stderr

"""`shoal suggest-k` and `shoal describe`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import shoal
from shoal.cli.failures import FAILED
from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, run_on_terminal

USAGE = 2
BLOBS = np.random.default_rng(0).normal(size=(900, 2)) + np.repeat([[0, 0], [20, 0], [0, 20]], 300, axis=0)


@pytest.fixture
def session(client: shoal.Client, name: str) -> shoal.Session:
    """A refined session that has three blobs."""
    session = client.create_session(name, 3, random_state=1, update_rule="refined")
    session.push(BLOBS)
    return session


def test_suggest_k_draws_each_number_and_marks_the_suggested_one(command: InProcess, session: shoal.Session) -> None:
    outcome = command("suggest-k", session.name, "--from", 2, "--to", 5)

    headings, *rows, empty, reason = outcome.stdout.splitlines()
    assert headings.split() == ["k", "inertia", "±", "silhouette"]
    assert [row.split()[0] for row in rows] == ["2", "3", "4", "5"]
    assert [row.endswith("◀ suggested") for row in rows] == [False, True, False, False]
    inertia = [row.split()[3].count("█") for row in rows]
    assert inertia[0] == 24
    assert inertia == sorted(inertia, reverse=True)
    assert empty == ""
    assert reason == f"3 clusters: {session.suggest_n_clusters(range(2, 6)).reason}."


def test_suggest_k_says_that_no_number_stands_out(command: InProcess, client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 3, random_state=1, update_rule="refined")
    session.push(np.random.default_rng(0).normal(size=(500, 2)))

    outcome = command("suggest-k", name, "--to", 4)

    assert "suggested" not in outcome.stdout
    assert outcome.stdout.splitlines()[-1].startswith("No number of clusters stands out: the highest silhouette is 0.3")


def test_suggest_k_suggests_a_single_cluster_if_1_is_tried_too(
    command: InProcess, client: shoal.Client, name: str
) -> None:
    session = client.create_session(name, 3, random_state=1, update_rule="refined")
    session.push(np.random.default_rng(0).normal(size=(500, 2)))

    outcome = command("suggest-k", name, "--from", 1, "--to", 4)

    rows = outcome.stdout.splitlines()
    assert rows[1].split()[0] == "1"
    assert "–" in rows[1]
    assert rows[1].endswith("◀ suggested")
    assert rows[-1].startswith("1 cluster: no number of clusters stands out")


def test_suggest_k_prints_everything_as_json(command: InProcess, session: shoal.Session) -> None:
    outcome = command("suggest-k", session.name, "--to", 4, "--random-state", 5, "--output", "json")

    document = json.loads(outcome.stdout)
    expected = session.recluster(range(2, 5), random_state=5)
    assert document["suggestion"] == {"n_clusters": 3, "reason": expected.reason}
    assert (document["version"], document["summary_points"]) == (expected.version, 900)
    for printed, clustering in zip(document["clusterings"], expected, strict=True):
        np.testing.assert_array_equal(printed["centroids"], clustering.centroids)
        assert printed["estimated_inertia"] == clustering.estimated_inertia
        assert printed["silhouette"] == clustering.silhouette


def test_suggest_k_shows_its_progress_on_a_terminal(server: LocalServer, session: shoal.Session) -> None:
    lines = run_on_terminal(
        "--server", server.target, "suggest-k", session.name, "--to", 6, columns=100, env={"TERM": "xterm"}
    )

    assert any("6 clusters" in line for line in lines)
    assert any("◀ suggested" in line for line in lines)


def test_suggest_k_refuses_a_range_that_is_the_wrong_way_round(command: InProcess) -> None:
    outcome = command("suggest-k", "any", "--from", 5, "--to", 4)

    assert outcome.exit_code == USAGE
    assert "--from is 5 and --to is 4" in outcome.stderr


def test_suggest_k_tries_no_more_clusters_than_a_short_stream_has_points(
    command: InProcess, client: shoal.Client, name: str
) -> None:
    client.create_session(name, 2, random_state=1, update_rule="refined").push(BLOBS[::75])

    outcome = command("suggest-k", name)
    given = command("suggest-k", name, "--to", 20)

    assert outcome.exit_code == 0
    assert [row.split()[0] for row in outcome.stdout.splitlines()[1:-2]] == [str(k) for k in range(2, 13)]
    assert given.exit_code == FAILED
    assert "--to 20: n_clusters is 20, and the summary of the session has 12 points" in given.stderr


def test_suggest_k_names_the_options_of_too_many_numbers(command: InProcess) -> None:
    outcome = command("suggest-k", "any", "--to", 1000)

    assert outcome.exit_code == FAILED
    assert "--from 2 --to 1000: n_clusters has more than 256 numbers; give 1 to 256" in outcome.stderr


@pytest.mark.parametrize("arguments", [["suggest-k"], ["describe"], ["sessions", "update", "-k", 3]])
def test_a_session_without_summary_fails_and_says_how_to_get_one(
    command: InProcess, client: shoal.Client, name: str, arguments: list[Any]
) -> None:
    client.create_session(name, 2, init=BLOBS[:2], update_rule="incremental")

    outcome = command(*arguments, name)

    assert outcome.exit_code == FAILED
    assert outcome.stdout == ""
    assert "this needs one: create it with --update-rule refined, or with a --summary-size above 0" in outcome.stderr


def test_describe_prints_a_row_for_each_cluster(command: InProcess, session: shoal.Session) -> None:
    outcome = command("describe", session.name)

    headings, *rows = outcome.stdout.splitlines()
    assert headings.split() == ["label", "id", "weight", "share", "radius", "nearest", "0", "1", "typical", "point"]
    assert len(rows) == 3
    for row, cluster in zip(rows, session.describe_clusters(), strict=True):
        assert row.split()[:4] == [str(cluster.label), str(cluster.id), "300", "33.3%"]
        assert f"{cluster.nearest} at " in row
        assert f"{cluster.mean[1]:,.4g} ± {np.sqrt(cluster.variance[1]):,.3g}" in row
    assert f"version {session.centroids().version}" in outcome.stderr


def test_describe_shows_the_first_of_many_columns(command: InProcess, client: shoal.Client, name: str) -> None:
    session = client.create_session(name, 1, update_rule="refined")
    session.push(np.random.default_rng(0).normal(size=(20, 9)))

    headings, row = command("describe", name, "--typical", 0).stdout.splitlines()

    assert "… 9 in all" in headings
    assert row.count("±") == 6
    assert " – " in row  # no other cluster


def test_describe_prints_everything_as_json(command: InProcess, session: shoal.Session) -> None:
    outcome = command("describe", session.name, "--typical", 2, "--output", "json")

    document = json.loads(outcome.stdout)
    expected = session.describe_clusters(2)
    assert document["version"] == expected.version
    for printed, cluster in zip(document["clusters"], expected, strict=True):
        assert (printed["label"], printed["weight"], printed["nearest"]) == (
            cluster.label, cluster.weight, cluster.nearest,
        )  # fmt: skip
        np.testing.assert_array_equal(printed["mean"], cluster.mean)
        np.testing.assert_array_equal(printed["typical_points"], cluster.typical_points)

"""`shoal sessions`: the life of a session from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import shoal
from shoal.cli.failures import FAILED, USAGE
from tests.cli.cli_runner import InProcess


def test_sessions_create_uses_every_option(command: InProcess, client: shoal.Client, name: str) -> None:
    outcome = command(
        "sessions", "create", name, "-k", 5, "-d", 3, "--engine", "scipy", "--on-invalid", "drop", "--dtype", "float64",
        "--random-state", 7, "--init-size", 50, "--half-life", "1e3points", "--idle-ttl", 600,
        "--update-rule", "incremental", "--summary-size", 0, "--outlier-threshold", 0.02, "--on-drift", "adapt",
    )  # fmt: skip

    assert outcome.exit_code == 0
    config = client.session(name).describe().config
    assert (config.n_clusters, config.n_features, config.engine, config.on_invalid) == (5, 3, "scipy", "drop")
    assert (config.dtype, config.random_state, config.init_size, config.idle_ttl) == ("float64", 7, 50, 600)
    assert config.half_life == shoal.HalfLife(1000, "points")
    assert (config.update_rule, config.summary_size) == ("incremental", 0)
    assert (config.outlier_threshold, config.on_drift) == (0.02, "adapt")


def test_sessions_create_takes_an_update_rule_and_the_size_of_the_summary(command: InProcess, name: str) -> None:
    outcome = command("sessions", "create", name, "-k", 5, "--update-rule", "incremental", "--summary-size", 500)

    assert outcome.exit_code == 0
    shown = command("sessions", "show", name).stdout.split()
    assert shown[shown.index("config.update_rule") + 1] == "incremental"
    assert shown[shown.index("config.summary_size") + 1] == "500"


def test_sessions_show_prints_the_update_rule_and_the_size_of_the_summary(command: InProcess, name: str) -> None:
    command("sessions", "create", name, "-k", 5)

    lines = [line.split() for line in command("sessions", "show", name).stdout.splitlines()]

    assert ["config.update_rule", "refined"] in lines
    assert ["config.summary_size", "4,000"] in lines


def test_sessions_update_sets_and_resets_threshold_and_drift(
    command: InProcess, client: shoal.Client, name: str
) -> None:
    command("sessions", "create", name, "-k", 5)

    command("sessions", "update", name, "--outlier-threshold", 0.1, "--on-drift", "adapt")
    changed = client.session(name).describe().config
    command("sessions", "update", name, "--reset", "outlier-threshold", "--reset", "on-drift")
    reset = client.session(name).describe().config

    assert (changed.outlier_threshold, changed.on_drift) == (0.1, "adapt")
    assert (reset.outlier_threshold, reset.on_drift) == (None, "report")


@pytest.mark.parametrize("threshold", ["-1", "0", "0.6", "nan", "inf", "many"])
@pytest.mark.parametrize("asked", ["create", "update"])
def test_sessions_refuse_an_invalid_threshold(command: InProcess, name: str, asked: str, threshold: str) -> None:
    number = ["-k", 5] if asked == "create" else []

    outcome = command("sessions", asked, name, *number, "--outlier-threshold", threshold)

    assert outcome.exit_code == USAGE
    if threshold != "many":
        assert "above 0, up to 0.5" in " ".join(outcome.stderr.split())
        assert "--reset outlier-threshold" in " ".join(outcome.stderr.split())


def test_sessions_create_prints_json(command: InProcess, name: str) -> None:
    made = json.loads(command("--output", "json", "sessions", "create", name, "-k", 5).stdout)
    shown = json.loads(command("--output", "json", "sessions", "show", name).stdout)

    assert made["name"] == name
    assert made["config"]["n_clusters"] == 5
    assert made["state"] == "warming"
    assert shown == made


def test_sessions_create_prints_a_table(command: InProcess, name: str) -> None:
    lines = command("sessions", "create", name, "-k", 5).stdout.splitlines()

    assert ["name", name] in [line.split() for line in lines]
    assert ["config.n_clusters", "5"] in [line.split() for line in lines]


def test_centroids_from_a_file_make_the_session_ready(
    command: InProcess, client: shoal.Client, name: str, tmp_path: Path
) -> None:
    centroids = np.arange(6.0).reshape(3, 2)
    np.save(tmp_path / "init.npy", centroids)

    outcome = command("sessions", "create", name, "-k", 3, "--init", tmp_path / "init.npy")

    assert np.array_equal(client.session(name).centroids().centroids, centroids)
    assert "an array of shape (3, 2)" in outcome.stdout


def test_weights_from_a_file_are_those_of_the_given_centroids(
    command: InProcess, client: shoal.Client, name: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "init.npy", np.arange(6.0).reshape(3, 2))
    np.save(tmp_path / "weights.npy", np.array([5, 0, 2]))
    files = ("--init", tmp_path / "init.npy", "--init-weights", tmp_path / "weights.npy")

    outcome = command("sessions", "create", name, "-k", 3, *files)

    assert outcome.exit_code == 0
    assert client.session(name).centroids().weights.tolist() == [5.0, 0.0, 2.0]
    assert command("sessions", "create", name, "-k", 3, *files, "--exist-ok").stderr == ""


def test_weights_need_given_centroids_and_a_file(command: InProcess, name: str, tmp_path: Path) -> None:
    np.save(tmp_path / "weights.npy", np.ones(3))

    alone = command("sessions", "create", name, "-k", 3, "--init-weights", tmp_path / "weights.npy")
    np.save(tmp_path / "init.npy", np.arange(6.0).reshape(3, 2))
    options = ("--init", tmp_path / "init.npy", "--init-weights", tmp_path / "none.npy")
    missing = command("sessions", "create", name, "-k", 3, *options)

    assert (alone.exit_code, missing.exit_code) == (USAGE, USAGE)
    assert "--init-weights needs --init" in alone.stderr
    assert "none.npy: not an npy file of weights (k,)" in missing.stderr


def test_sessions_merge_makes_a_session_of_several(command: InProcess, client: shoal.Client, name: str) -> None:
    for part in "ab":
        client.create_session(f"{name}-{part}", 2, update_rule="refined").push(np.eye(8, 2) + ord(part))

    outcome = command(
        "--output", "json", "sessions", "merge", f"{name}-a", f"{name}-b", "--into", name, "-k", 3,
        "--half-life", "5points", "--idle-ttl", 600, "--engine", "scipy", "--on-invalid", "drop", "--random-state", 7,
        "--update-rule", "incremental", "--summary-size", 200, "--outlier-threshold", 0.01, "--on-drift", "adapt",
    )  # fmt: skip

    made = json.loads(outcome.stdout)
    assert (outcome.exit_code, made["name"], made["version"], made["points_accepted"]) == (0, name, 1, 16)
    assert (made["config"]["n_clusters"], made["config"]["idle_ttl"]) == (3, 600)
    assert made["config"]["half_life"] == {"value": 5.0, "unit": "points"}
    assert [made["config"][field] for field in ("engine", "on_invalid", "random_state", "update_rule")] == [
        "scipy", "drop", 7, "incremental",
    ]  # fmt: skip
    assert [made["config"][field] for field in ("summary_size", "outlier_threshold", "on_drift")] == [
        200,
        0.01,
        "adapt",
    ]
    assert made["inertia_per_point"] is None  # there is no batch yet
    assert ["inertia_per_point", "–"] in [
        line.split() for line in command("sessions", "show", name).stdout.splitlines()
    ]


def test_sessions_merge_says_why_sessions_cannot_be_merged(command: InProcess, client: shoal.Client, name: str) -> None:
    client.create_session(f"{name}-a", 2, init=np.eye(2), update_rule="incremental")

    refused = command("sessions", "merge", f"{name}-a", "--into", name)

    assert (refused.exit_code, refused.stdout) == (FAILED, "")
    assert "keeps no summary" in refused.stderr
    assert command("sessions", "merge", f"{name}-a").exit_code == USAGE
    assert command("sessions", "merge", "--into", name).exit_code == USAGE
    assert command("sessions", "merge", f"{name}-a", "--into", f"{name}-a", "--exist-ok").exit_code == 0


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04"])
def test_sessions_create_refuses_a_file_without_centroids(
    command: InProcess, name: str, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "init.npy").write_bytes(content)

    outcome = command("sessions", "create", name, "-k", 3, "--init", tmp_path / "init.npy")

    assert outcome.exit_code == FAILED
    assert "not an npy file of centroids" in outcome.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--init", "kmeans"),
        ("--half-life", "0"),
        ("--half-life", "1.2.3"),
        ("--half-life", "3 fortnights"),
        ("--engine", "faiss"),
        ("--update-rule", "lloyd"),
        ("--summary-size", -1),
        ("--features", 0),
        ("--durability", "durable"),  # until a server offers it
        ("--no-such-option",),
    ],
)
def test_invalid_options_exit_with_2(command: InProcess, name: str, options: tuple[object, ...]) -> None:
    outcome = command("sessions", "create", name, "-k", 3, *options)

    assert outcome.exit_code == USAGE
    assert outcome.stdout == ""


@pytest.mark.parametrize("prefix", ["--", "--n-"])
def test_sessions_create_and_compare_accept_both_spellings(command: InProcess, name: str, prefix: str) -> None:
    created = command("sessions", "create", name, f"{prefix}clusters", 3, f"{prefix}features", 2)
    compared = command("compare", "--example", "blobs", f"{prefix}clusters", 3)

    assert (created.exit_code, compared.exit_code) == (0, 0)


@pytest.mark.parametrize(
    ("text", "half_life"),
    [
        ("20", shoal.HalfLife(20, "batches")),
        (".5 batches", shoal.HalfLife(0.5, "batches")),
        ("1.5E3Points", shoal.HalfLife(1500, "points")),
        ("3600seconds", shoal.HalfLife(3600, "seconds")),
    ],
)
def test_sessions_create_reads_a_half_life_as_a_number_and_a_unit(
    command: InProcess, client: shoal.Client, name: str, text: str, half_life: shoal.HalfLife
) -> None:
    command("sessions", "create", name, "-k", 3, "--half-life", text)

    assert client.session(name).describe().config.half_life == half_life


def test_sessions_create_of_an_existing_name_fails_unless_exist_ok(command: InProcess, name: str) -> None:
    command("sessions", "create", name, "-k", 3)

    assert command("sessions", "create", name, "-k", 3).exit_code == FAILED
    assert command("sessions", "create", name, "-k", 3, "--exist-ok").exit_code == 0


def test_exist_ok_reports_how_the_existing_session_differs(command: InProcess, name: str) -> None:
    command("sessions", "create", name, "-k", 3, "--metric", "cosine", "--half-life", 20)

    outcome = command("sessions", "create", name, "-k", 5, "--exist-ok", "--random-state", 7, "--output", "json")

    assert outcome.exit_code == 0
    assert json.loads(outcome.stdout)["config"]["n_clusters"] == 3
    assert "was there already and stays as it is: n_clusters is 3, not 5; metric is cosine, not eucl" in outcome.stderr
    assert "random_state is " in outcome.stderr
    assert "half_life is 20 batches, not None" in outcome.stderr


def test_exist_ok_reports_nothing_when_the_existing_session_matches(
    command: InProcess, name: str, tmp_path: Path
) -> None:
    np.save(tmp_path / "init.npy", np.arange(1, 7.0).reshape(3, 2))
    asked = ("-k", 3, "--metric", "cosine", "--half-life", "5points", "--init", tmp_path / "init.npy", "--exist-ok")

    first, second = (command("sessions", "create", name, *asked) for _ in range(2))

    assert (first.exit_code, first.stderr) == (0, "")
    assert (second.exit_code, second.stderr) == (0, "")


def test_a_random_state_is_printed_without_separators(command: InProcess, name: str) -> None:
    lines = command("sessions", "create", name, "-k", 5, "--random-state", 1234567).stdout.splitlines()

    assert ["config.random_state", "1234567"] in [line.split() for line in lines]


def test_sessions_list_prints_every_session_as_a_row_or_as_json(command: InProcess, name: str) -> None:
    command("sessions", "create", name, "-k", 3)

    table = command("sessions", "list")
    document = command("sessions", "list", "--output", "json")

    assert name in [line.split()[0] for line in table.stdout.splitlines()[1:]]
    assert name in [session["name"] for session in json.loads(document.stdout)]


def test_sessions_show_of_an_unknown_session_fails_with_an_empty_standard_output(command: InProcess, name: str) -> None:
    outcome = command("sessions", "show", name)

    assert outcome.exit_code == FAILED
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(f"error: there is no session '{name}'")


def test_sessions_update_changes_only_the_given_fields(command: InProcess, client: shoal.Client, name: str) -> None:
    command("sessions", "create", name, "-k", 3, "--on-invalid", "drop")

    command("sessions", "update", name, "--engine", "sklearn", "--half-life", "5")

    config = client.session(name).describe().config
    assert (config.engine, config.half_life, config.on_invalid) == ("sklearn", shoal.HalfLife(5), "drop")


def test_reset_returns_a_field_to_its_default(command: InProcess, client: shoal.Client, name: str) -> None:
    command("sessions", "create", name, "-k", 3, "--half-life", 5, "--on-invalid", "drop")

    command("sessions", "update", name, "--reset", "half-life", "--reset", "on-invalid")

    config = client.session(name).describe().config
    assert (config.half_life, config.on_invalid) == (None, "reject")


@pytest.mark.parametrize("options", [(), ("--engine", "scipy", "--reset", "engine")])
def test_sessions_update_without_or_with_contradicting_changes_exits_with_2(
    command: InProcess, name: str, options: tuple[str, ...]
) -> None:
    assert command("sessions", "update", name, *options).exit_code == USAGE


def test_sessions_update_with_a_stale_etag_fails(command: InProcess, client: shoal.Client, name: str) -> None:
    etag = client.create_session(name, 3).describe().etag
    command("sessions", "update", name, "--engine", "scipy")

    assert command("sessions", "update", name, "--engine", "numba", "--etag", etag).exit_code == FAILED
    assert command("sessions", "delete", name, "--etag", etag).exit_code == FAILED


def test_sessions_delete_deletes_the_session(command: InProcess, name: str) -> None:
    command("sessions", "create", name, "-k", 3)

    outcome = command("sessions", "delete", name)

    assert outcome.stdout == ""
    assert outcome.stderr == f"session '{name}' is deleted\n"
    assert command("sessions", "show", name).exit_code == FAILED

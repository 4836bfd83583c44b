"""`shoal compare`: every step of every engine."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from shoal.testing import LocalServer
from tests.cli.cli_runner import InProcess, run_on_terminal

# ruff: noqa: E501  (tables as they are printed)
TABLE = """\
step  action                                     SciPy centroids  SciPy labels   scikit-learn centroids  scikit-learn labels
1     initialise                                 [[5.5 3] [1 2]]  –              –                       –
2     assign to the nearest centroid             [[5.5 3] [1 2]]  [1 1 1 0 0 0]  –                       –
3     update to the mean of the assigned points  [[10 2] [1 2]]   –              –                       –
4     assign                                     [[10 2] [1 2]]   [1 1 1 0 0 0]  –                       –
5     converged: nothing moved                   [[10 2] [1 2]]   [1 1 1 0 0 0]  –                       –
6     the scikit-learn fit completes             –                –              [[10 2] [1 2]]          [1 1 1 0 0 0]
7     output                                     final centroids  [1 1 1 0 0 0]  final centroids         [1 1 1 0 0 0]"""

TRACKER = """\
variable                start  after 1          after 3         after 5         end
SciPy centroids         –      [[5.5 3] [1 2]]  [[10 2] [1 2]]  [[10 2] [1 2]]  [[10 2] [1 2]]
SciPy labels            –      –                [1 1 1 0 0 0]   [1 1 1 0 0 0]   [1 1 1 0 0 0]
scikit-learn centroids  –      –                –               –               [[10 2] [1 2]]
scikit-learn labels     –      –                –               –               [1 1 1 0 0 0]"""


@pytest.fixture
def given(tmp_path: Path) -> Path:
    path = tmp_path / "given.csv"
    path.write_text("5.5,3\n1,2\n")
    return path


def _without_trailing_spaces(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


def test_compare_prints_the_table_and_the_tracker_with_their_exact_figures(command: InProcess, given: Path) -> None:
    outcome = command("compare", "--init", given)

    printed = _without_trailing_spaces(outcome.stdout)
    assert f"STEPS\n{TABLE}\n" in printed
    assert f"VARIABLES\n{TRACKER}\n" in printed


def test_compare_prints_results_agreement_and_notes(command: InProcess, given: Path) -> None:
    printed = command("compare", "--init", given, "--engines", "scipy, sklearn,numba").stdout

    assert "scikit-learn  KMeans.fit" in printed
    assert "SciPy and Shoal" in printed
    assert (
        "The same for all: 6 points, 2 initial centroids, at most 100 iterations, and a stop when no centroid moves"
        in printed
    )
    assert "scikit-learn returns inertia_ 16: the sum of the squared distances" in printed


def test_compare_reads_points_from_a_file(command: InProcess, tmp_path: Path) -> None:
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).normal(size=(9000, 3)))

    printed = command("compare", path, "-k", 3, "--random-state", 1, "--max-iter", 2, "--engines", "scipy").stdout

    assert "The same for all: 9,000 points, 3 initial centroids, at most 2 iterations" in printed
    assert "stopped: 2 iterations are as many as it may make" in printed


def test_compare_prints_a_json_line_for_each_step(command: InProcess, given: Path) -> None:
    lines = command("compare", "--init", given, "--output", "json").stdout.splitlines()

    start, *steps, result = (json.loads(line) for line in lines)
    assert start["start"]["points"] == [[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]]
    assert [step["step"]["number"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert steps[1]["step"]["labels"] == [1, 1, 1, 0, 0, 0]
    assert [engine["inertia"] for engine in result["result"]["engines"]] == [16, 16]


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (("--example", "china"), 1, "there is no example 'china'; there are six-points, blobs"),
        (("-k", 9), 1, "n_clusters is 9, and there are 6 points"),
        (("--engines", "numpy"), 1, "engines 'numpy' is not known"),
        (("nowhere.csv",), 2, "nowhere.csv: there is no such file"),
        (("--init", "best"), 2, "best: there is no such file"),
        (("--max-iter", 0), 2, "--max-iter"),
    ],
)
def test_invalid_arguments_of_compare_are_reported(
    command: InProcess, arguments: tuple[object, ...], exit_code: int, says: str
) -> None:
    outcome = command("compare", *arguments)

    assert outcome.exit_code == exit_code
    assert says in outcome.stderr
    assert outcome.stdout == ""


def test_file_and_example_together_are_refused(command: InProcess, given: Path) -> None:
    outcome = command("compare", given, "--example", "blobs")

    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "not both" in outcome.stderr


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_compare_cuts_nothing_off_on_a_narrow_terminal(server: LocalServer, columns: int) -> None:
    drawn = run_on_terminal(
        "compare", "--example", "blobs", "-k", 3, "--random-state", 0, "--engines", "scipy,sklearn,numba",
        "--max-iter", 2, columns=columns, env={"SHOAL_SERVER": server.target},
    )  # fmt: skip

    lines = [line for line in drawn if line.strip()]
    begin, end = lines.index("STEPS"), lines.index("VARIABLES")
    steps = [int(line.split()[0]) for line in lines[begin + 2 : end] if line[0].isdigit()]
    assert list(dict.fromkeys(steps)) == list(range(1, steps[-1] + 1))
    assert lines[begin + 1].split() == ["step", "engine", "action", "centroids", "labels"]
    assert [line for line in lines[begin:end] if len(line) > columns] == []

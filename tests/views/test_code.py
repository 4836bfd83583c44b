"""The program of a run prints the results of the run."""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from contextlib import chdir, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from scipy.cluster.vq import kmeans

from shoal_presentation.views import Run, code_of, engine_text
from tests.effort import examples, seeds
from tests.views.builders import FAR_AWAY, FEW, Compare, blobs, compare_arguments

QUICK = ("scipy", "scipy-kmeans2", "sklearn", "sklearn-minibatch")


def _printed(run: Run, folder: Path) -> str:
    np.save(folder / "points.npy", run.start.points)
    np.save(folder / "initial_centroids.npy", run.start.initial_centroids)
    (folder / "sample.py").write_text(code_of(run).source)
    done = subprocess.run([sys.executable, "sample.py"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _expected(run: Run) -> str:
    texts = [f"{engine_text(one.engine).library}\n{one.centroids}\n{one.labels}\n" for one in run.result.engines]
    return "".join(texts)


EQUAL = {"points": [[7.0]] * 4, "n_clusters": 1, "init": [[7.0]], "tol": 0.5}
LARGE = {"points": blobs(2, 2100, 3), "n_clusters": 30, "init": "k-means++", "max_iter": 4}
TOLERANT = {"points": blobs(3) / 3, "n_clusters": 3, "init": "random", "tol": 0.3}


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"engines": ("scipy", "sklearn")}, id="the six points"),
        pytest.param({"engines": ("numba",)}, id="Shoal"),
        pytest.param({"points": FEW, "n_clusters": 3, "init": FAR_AWAY, "engines": QUICK}, id="an empty cluster"),
        pytest.param({**EQUAL, "engines": QUICK}, id="equal points"),
        pytest.param({**LARGE, "engines": QUICK}, id="from files, stopped"),
        pytest.param({**TOLERANT, "engines": QUICK}, id="with a tol"),
    ],
)
def test_program_prints_the_result_of_the_run(compare: Compare, tmp_path: Path, arguments: dict[str, Any]) -> None:
    run = compare(**arguments)

    assert _printed(run, tmp_path) == _expected(run)


@pytest.mark.filterwarnings("ignore:One of the clusters is empty", "ignore:Number of distinct clusters")
@examples(80)
@given(arguments=compare_arguments())
def test_program_prints_the_result_of_any_run(compare: Compare, arguments: dict[str, Any]) -> None:
    engines = tuple(engine for engine in arguments["engines"] if engine != "numba") or ("scipy",)
    run = compare(**{**arguments, "engines": engines})
    printed = io.StringIO()

    with tempfile.TemporaryDirectory() as folder, chdir(folder), redirect_stdout(printed):
        np.save("points.npy", run.start.points)
        np.save("initial_centroids.npy", run.start.initial_centroids)
        exec(code_of(run).source, {})  # noqa: S102  (in this process, for a new one takes seconds)

    assert printed.getvalue() == _expected(run)


@pytest.mark.parametrize("seed", seeds(30))
def test_comment_about_one_call_of_kmeans_is_true(compare: Compare, seed: int) -> None:
    run = compare(blobs(seed), 3, init="random", random_state=seed, engines=("scipy",))

    assert "kmeans(X, start, thresh=0)" in code_of(run).source
    centroids, _ = kmeans(run.start.points, run.start.initial_centroids, thresh=0)
    assert centroids.tolist() == run.result.engines[0].centroids.tolist()


def test_comment_about_one_call_is_absent_where_it_would_be_false(compare: Compare) -> None:
    stopped = compare(blobs(0), 3, init="random", engines=("scipy",), max_iter=1)
    tolerant = compare(blobs(0), 3, init="random", engines=("scipy",), tol=1.0)

    assert "thresh=0" not in code_of(stopped).source
    assert "thresh=0" not in code_of(tolerant).source


def test_each_step_has_the_lines_that_it_runs(six: Run) -> None:
    sample = code_of(six)

    source = sample.source.split("\n")
    run = {number: [source[line - 1].strip() for line in lines] for number, lines in sample.lines.items()}
    assert run[1] == ["centroids = start"]
    assert run[2] == run[4] == ["labels, _ = vq(X, centroids)"]
    assert 'centroids, _ = kmeans2(X, before, iter=1, minit="matrix")' in run[3]
    assert "break" in run[5]
    assert "break" not in run[3]
    assert run[6][0] == "model = KMeans("
    assert run[6][-1] == "model.fit(X)"


def test_every_step_of_every_engine_has_lines(compare: Compare) -> None:
    run = compare(blobs(0), 3, max_iter=2, init="random")

    assert all(code_of(run).lines[step.number] for step in run.steps)


def test_few_points_are_written_out_and_many_are_loaded(six: Run, compare: Compare) -> None:
    many = compare(blobs(0), 2, init="random", engines=("scipy",))

    assert "X = np.array([[1.0, 2.0], [1.0, 4.0]" in code_of(six).source
    assert 'X = np.load("points.npy")' in code_of(many).source
    assert "random_state 0), once for all engines" in code_of(many).source


def test_program_imports_only_what_it_uses(six: Run, compare: Compare) -> None:
    alone = code_of(compare(engines=("sklearn",))).source

    assert "scipy" not in alone
    assert "def stays" not in alone
    assert "sklearn" in code_of(six).source

"""What takes a second to load is loaded while the server serves, and computes on one thread whenever it was loaded."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import shoal
import shoal_server
from shoal._types import Engine
from shoal.testing import LocalServer

# Loads what the server loads before it serves, and after it; prints whether the latter was there, and all threads.
SCRIPT = """
import json, sys
import shoal_server.app
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.engines.sklearn import SklearnEngine
from shoal_server.libraries import compute_on_one_thread, load
from threadpoolctl import threadpool_info
compute_on_one_thread()
early = {"sklearn", "scipy.cluster", "scipy.sparse"} & set(sys.modules)
pools = len(threadpool_info())
load([SklearnEngine(), ScipyEngine()])
print(json.dumps([sorted(early), pools, [pool["num_threads"] for pool in threadpool_info()]]))
"""


def test_heavy_libraries_come_after_the_start_and_compute_on_one_thread() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)

    early, pools, threads = json.loads(done.stdout)

    assert not early
    assert len(threads) > pools
    assert set(threads) == {1}


# Two threads import at once what imports each other.
TOGETHER = """
from threading import Barrier, Thread
from shoal_server.libraries import library
names = ["sklearn.cluster", "scipy.cluster.vq", "scipy.spatial.distance", "sklearn.metrics"]
barrier, loaded = Barrier(len(names)), []
def load(name):
    barrier.wait()
    loaded.append(library(name))
threads = [Thread(target=load, args=[name]) for name in names]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert {module.__name__ for module in loaded} == set(names), loaded
"""


@pytest.mark.parametrize("_attempt", range(4))
def test_threads_that_want_libraries_at_once_all_get_them(_attempt: int) -> None:
    done = subprocess.run([sys.executable, "-c", TOGETHER], check=False, capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


def test_there_is_one_way_to_the_libraries_that_come_later() -> None:
    folder = Path(shoal_server.__file__).parent
    imports = [
        (path.name, name)
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in _imported(node)
        if name.partition(".")[0] in {"scipy", "sklearn"}
    ]

    assert imports == []


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize("engine", ["numba", "scipy", "sklearn"])
def test_an_engine_that_is_still_being_loaded_can_be_used_at_once(engine: Engine) -> None:
    with LocalServer() as server, shoal.connect(server.target) as client:
        session = client.create_session("early", n_clusters=2, engine=engine)

        result = session.push(np.arange(24.0).reshape(12, 2))

    assert result.version == 1


def test_a_library_that_cannot_be_loaded_costs_those_who_need_it_and_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sklearn.py").write_text("raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    points = np.arange(24.0).reshape(12, 2)

    with LocalServer() as server, shoal.connect(server.target) as client:
        lost = client.create_session("lost", n_clusters=2, engine="sklearn", init=points[:2])
        with pytest.raises(shoal.InternalError):
            lost.push(points)
        session = client.create_session("sound", n_clusters=2, init=points[:2])
        result = session.push(points)
        server.stop()
        log = server.log_path.read_text()

    assert result.version == 1
    assert "engines can't be loaded" in log

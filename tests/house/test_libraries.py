"""Heavy libraries are loaded while the server serves, and compute on one thread."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import shoal
import shoal_server
from shoal import Engine
from shoal.testing import LocalServer
from shoal_server.libraries import library

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


def test_heavy_libraries_are_loaded_after_the_start_and_compute_on_one_thread() -> None:
    untold = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}

    done = subprocess.run([sys.executable, "-c", SCRIPT], env=untold, check=True, capture_output=True, text=True)

    early, pools, threads = json.loads(done.stdout)

    assert not early
    assert len(threads) > pools
    assert set(threads) == {1}


# A package that imports its part, and the part the package, as those of SciPy do. Its import goes on once the part
# waits for it in another thread, or after a while in which none did.
PACKAGE = """
import importlib._bootstrap, time
deadline = time.monotonic() + 0.5
while not importlib._bootstrap._blocking_on and time.monotonic() < deadline:
    pass
from tangled.part import thing
"""
PART = """
from . import other
thing = 1
"""


@pytest.fixture
def tangled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = tmp_path / "tangled"
    folder.mkdir()
    for name, contents in (("__init__", PACKAGE), ("part", PART), ("other", "")):
        (folder / f"{name}.py").write_text(contents)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in ("tangled", "tangled.part", "tangled.other"):
        sys.modules.pop(name, None)


def _import_both(load: Callable[[str], object]) -> list[object]:
    """Import the package, and its part in another thread as soon as that is begun; return what either got."""

    def load_part() -> object:
        while "tangled" not in sys.modules:
            pass
        return load("tangled.part")

    with ThreadPoolExecutor(2) as threads:
        futures = [threads.submit(load, "tangled"), threads.submit(load_part)]
    return [future.exception() or future.result() for future in futures]


@pytest.mark.usefixtures("tangled")
def test_threads_that_import_libraries_at_once_all_get_them() -> None:
    package, part = _import_both(library)

    assert isinstance(package, ModuleType)
    assert isinstance(part, ModuleType)


@pytest.mark.usefixtures("tangled")
def test_plain_imports_from_threads_can_return_a_half_loaded_module() -> None:
    assert any(isinstance(got, ImportError) for got in _import_both(import_module))


def test_heavy_libraries_are_imported_only_through_the_libraries_module() -> None:
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
def test_an_engine_whose_library_is_still_loading_can_be_used(engine: Engine) -> None:
    with LocalServer(preload=True) as server, shoal.connect(server.target) as client:
        session = client.create_session("early", n_clusters=2, engine=engine)

        result = session.push(np.arange(24.0).reshape(12, 2))

    assert result.version == 1


@pytest.mark.parametrize("engine", ["numba", "scipy", "sklearn"])
def test_a_server_without_preload_loads_libraries_with_the_first_call_that_needs_them(engine: Engine) -> None:
    with LocalServer(preload=False) as server, shoal.connect(server.target) as client:
        session = client.create_session("first", n_clusters=2, engine=engine)

        result = session.push(np.arange(24.0).reshape(12, 2))
        comparison = list(client.compare(example="blobs", n_clusters=2, engines=["scipy"], max_iter=1))
        server.stop()
        log = server.log_path.read_text()

    assert result.version == 1
    assert comparison
    assert '"loaded"' not in log


def test_a_library_that_can_not_be_loaded_fails_only_the_calls_that_need_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sklearn.py").write_text("raise ImportError('broken')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    points = np.arange(24.0).reshape(12, 2)

    with LocalServer(preload=True) as server, shoal.connect(server.target) as client:
        lost = client.create_session("lost", n_clusters=2, engine="sklearn", init=points[:2])
        with pytest.raises(shoal.InternalError):
            lost.push(points)
        session = client.create_session("sound", n_clusters=2, init=points[:2])
        result = session.push(points)
        server.stop()
        log = server.log_path.read_text()

    assert result.version == 1
    assert "engines can't be loaded" in log


def test_libraries_compute_on_one_thread_in_the_tests_and_in_what_they_start() -> None:
    script = "import json, scipy.linalg, sklearn.cluster, threadpoolctl as t; print(json.dumps(t.threadpool_info()))"

    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)

    assert {pool["num_threads"] for pool in (*json.loads(done.stdout), *threadpool_info())} == {1}

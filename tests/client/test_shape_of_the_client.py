from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import shoal
import shoal.aio

HEAVY = {"numba", "scipy", "sklearn", "typer", "rich", "pyarrow", "PIL", "matplotlib", "shoal_server", "pydantic"}


@pytest.mark.parametrize("kind", ["Client", "Session"])
def test_the_asyncio_client_has_the_methods_and_parameters_of_the_sync_one(kind: str) -> None:
    sync, aio = getattr(shoal, kind), getattr(shoal.aio, kind)
    names = {name for name in dir(sync) if not name.startswith("_")}

    assert names == {name for name in dir(aio) if not name.startswith("_")}
    for name in names:
        mine, theirs = getattr(sync, name), getattr(aio, name)
        if callable(mine):
            assert [str(each.replace(annotation="")) for each in inspect.signature(mine).parameters.values()] == [
                str(each.replace(annotation="")) for each in inspect.signature(theirs).parameters.values()
            ]


def test_connect_has_the_same_parameters_sync_and_asyncio() -> None:
    assert inspect.signature(shoal.connect).parameters == inspect.signature(shoal.aio.connect).parameters


def test_importing_the_client_loads_nothing_heavy() -> None:
    script = "import sys, shoal, shoal.aio, shoal.testing; print(*{name.partition('.')[0] for name in sys.modules})"

    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert {"shoal", "numpy", "grpc"} <= set(loaded)
    assert not HEAVY & set(loaded)

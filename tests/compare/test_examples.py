"""The points that the server has: judged without being loaded, and loaded before they are asked for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from shoal_server.compare.request import BLOBS, SHAPES, example

# Judges a request for an example, warms up, and makes it; prints how many modules of scikit-learn are there after each.
SCRIPT = f"""
import json, sys
from concurrent.futures import Future
from time import perf_counter
from shoal_server.budget import MemoryBudget
from shoal_server.compare.service import Comparisons
from shoal_server.compare.running import runners
from shoal_server.compare.request import ComparisonRequest, check, prepare
from shoal_server.engines.scipy import ScipyEngine
def loaded():
    return sum(name.startswith("sklearn") for name in sys.modules)
request = ComparisonRequest({BLOBS!r}, 4, "k-means++", 0, ("scipy",), 10, 0.0)
counts = []
check(request, 1200, 10**15)
counts.append(loaded())
Comparisons(runners(ScipyEngine()), lambda function: Future(), perf_counter, 1, 1, 1, MemoryBudget(1)).warm_up()
counts.append(loaded())
prepare(request, lambda: None)
counts.append(loaded())
print(json.dumps(counts))
"""


@pytest.mark.parametrize("name", SHAPES)
def test_an_example_has_its_documented_shape(name: str) -> None:
    assert example(name).shape == SHAPES[name]


def test_an_example_is_validated_without_scikit_learn_and_its_data_loaded_in_advance() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)

    judged, warm, made = json.loads(done.stdout)

    assert judged == 0
    assert 0 < warm == made

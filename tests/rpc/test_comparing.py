"""CompareService: its refusals, and the threads that it leaves to sessions."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import islice
from threading import Event
from typing import Any

import grpc
import numpy as np
import pytest

from shoal.testing import LocalServer
from shoal.v1 import compare_pb2, compare_pb2_grpc, tensor_pb2
from tests.rpc.refusals import Refusal, refused_call
from tests.rpc.wire import PATIENCE, Wire, batch, config, tensor
from tests.versions import follow_one_another

SIX_POINTS = np.array([[1.0, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED
SMALL = {"max_comparisons": 2, "max_comparison_distances": 100_000, "max_batch_bytes": 1 << 20, "compute_threads": 1}


@pytest.fixture(scope="module")
def few() -> Iterator[Wire]:
    """A server that runs two comparisons at once, and no large ones."""
    with LocalServer(**SMALL) as server, Wire(server.target) as wire:
        yield wire


def request(**fields: Any) -> compare_pb2.CompareRequest:
    if "points" not in fields and "example" not in fields:
        fields["points"] = tensor(SIX_POINTS)
    return compare_pb2.CompareRequest(**{"n_clusters": 2, **fields})


def compare(wire: Wire, asked: compare_pb2.CompareRequest) -> Any:
    return compare_pb2_grpc.CompareServiceStub(wire.channel).Compare(asked, timeout=PATIENCE)


def with_init(centroids: Any) -> dict[str, Any]:
    return {"init": {"centroids": tensor(np.array(centroids, np.float64))}}


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (
            compare_pb2.CompareRequest(n_clusters=2),
            Refusal("POINTS_MISSING", ("there are no points", "name of an example"), "points"),
        ),
        (
            request(example="china"),
            Refusal("EXAMPLE_UNKNOWN", ("no example 'china'", "six-points, blobs"), "example"),
        ),
        (
            request(n_clusters=0),
            Refusal("N_CLUSTERS_INVALID", ("n_clusters is 0", "6 points", "from 1 to 6"), "n_clusters"),
        ),
        (
            request(n_clusters=7),
            Refusal("N_CLUSTERS_INVALID", ("n_clusters is 7", "6 points", "from 1 to 6"), "n_clusters"),
        ),
        (
            request(points=tensor(np.ones(3))),
            Refusal("SHAPE_INVALID", ("1 axes", "rows and columns"), "points"),
        ),
        (
            request(points=tensor(np.array([[1.0, 2], [3, np.nan], [1, 1]]))),
            Refusal("NOT_FINITE", ("points[1, 1] is nan", "leave such rows out"), "points"),
        ),
        (
            request(points=tensor(np.array([[1.0], [2], [1e200]]))),
            Refusal("VALUE_TOO_LARGE", ("points[2, 0] is 1e+200", "scale it down"), "points"),
        ),
        (
            request(points=tensor_pb2.Tensor(dtype=tensor_pb2.DTYPE_FLOAT64, shape=[2, 2], data=b"1234")),
            Refusal("BYTES_MISMATCH", ("points has 4 bytes", "takes 32"), "points.data"),
        ),
        (
            request(points=tensor(np.zeros((1 << 17, 2)))),
            Refusal("BATCH_TOO_LARGE", ("takes 1,048,576", "on a sample"), "points", EXHAUSTED),
        ),
        (
            request(points=tensor(np.zeros((60_000, 2))), n_clusters=2),
            Refusal("TOO_MANY_VALUES", ("120,000 distances", "allows 100,000", "on a sample"), "points", EXHAUSTED),
        ),
        (
            request(**with_init([[1.0, 2]])),
            Refusal("INIT_INVALID", ("init has shape [1, 2]", "make it [2, 2]"), "init.centroids"),
        ),
        (
            request(**with_init([[1.0, 2], [np.inf, 2]])),
            Refusal("NOT_FINITE", ("init.centroids[1, 0] is inf",), "init.centroids"),
        ),
        (
            request(init={"method": 9}),
            Refusal("INIT_UNKNOWN", ("init 9",), "init.method"),
        ),
        (
            request(engines=[1, 1]),
            Refusal("ENGINES_INVALID", ("names one twice", "scipy, scipy"), "engines"),
        ),
        (
            request(engines=[17]),
            Refusal("ENGINE_UNKNOWN", ("engine 17", "sklearn-minibatch"), "engines"),
        ),
        (
            request(max_iter=1001),
            Refusal("MAX_ITER_INVALID", ("max_iter is 1001", "1 to 1000"), "max_iter"),
        ),
        (
            request(max_iter=-1),
            Refusal("MAX_ITER_INVALID", ("max_iter is -1", "1 to 1000"), "max_iter"),
        ),
        (
            request(tol=-0.5),
            Refusal("TOL_INVALID", ("tol is -0.5", "from 0 up"), "tol"),
        ),
        (
            request(tol=float("nan")),
            Refusal("TOL_INVALID", ("tol is nan",), "tol"),
        ),
    ],
)
def test_an_invalid_comparison_is_refused(few: Wire, asked: compare_pb2.CompareRequest, refusal: Refusal) -> None:
    status = refused_call(lambda: list(compare(few, asked)))

    refusal.check(status)


def test_a_comparison_leaves_the_only_compute_thread_to_the_sessions(few: Wire, name: str) -> None:
    few.create(name, config(init=SIX_POINTS[:2]))
    points = np.random.default_rng(0).normal(size=(5000, 2))

    with ExitStack() as stack:
        call = compare(few, request(points=tensor(points), n_clusters=20, engines=[1, 2], max_iter=1000))
        stack.callback(call.cancel)
        next(call)
        for _ in range(10):
            assert few.push(name, batch(SIX_POINTS)).accepted == len(SIX_POINTS)


def test_sessions_are_served_while_a_large_comparison_runs(wire: Wire, name: str) -> None:
    wire.create(name, config(init=SIX_POINTS[:2]))
    points = np.random.default_rng(0).normal(size=(100_000, 2))
    pushed = Event()
    with ExitStack() as stack:
        call = compare(wire, request(points=tensor(points), n_clusters=50, engines=[1], max_iter=30))
        stack.callback(call.cancel)
        reader = stack.enter_context(ThreadPoolExecutor(1))
        stack.callback(pushed.set)

        started, first = next(call), next(call)
        rest = reader.submit(_read_a_few_then_wait_and_read_on, call, pushed)
        results = [wire.push(name, batch(SIX_POINTS)) for _ in range(10)]
        pushed.set()

        assert started.start.n_points == len(points)
        assert first.step.action == compare_pb2.COMPARE_ACTION_INITIALISE
        assert follow_one_another(results)
        assert rest.result()[-1].HasField("result")


def _read_a_few_then_wait_and_read_on(call: Any, serving_state: Event) -> list[Any]:
    """Read so that the server goes on computing at first, and can't send all that it has before the gate is open."""
    few = list(islice(call, 5))
    serving_state.wait(PATIENCE)
    return [*few, *call]

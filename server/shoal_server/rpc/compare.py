"""shoal.v1.CompareService."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from numpy.typing import NDArray

from shoal import wire
from shoal.v1 import compare_pb2, sessions_pb2
from shoal.wire.comparison import Agreement, ComparedEngine, ComparisonResult
from shoal_server.compare.request import ComparisonRequest
from shoal_server.compare.service import Comparisons
from shoal_server.compare.steps import Comparison, Step
from shoal_server.errors import Reason, invalid
from shoal_server.rpc.call_layers import CallContext
from shoal_server.rpc.config import decode_enum
from shoal_server.rpc.tensor import decode_points
from shoal_server.shared_results import SharedResults

_DEFAULT_ENGINES = [compare_pb2.COMPARE_ENGINE_SCIPY, compare_pb2.COMPARE_ENGINE_SKLEARN]
_DEFAULT_MAX_ITER = 100
_SAMPLE = "compare on a sample of them"


class CompareService:
    """Engines side by side, on the wire.

    Parameters
    ----------
    comparisons
        Runs them.
    max_bytes
        The most bytes of points.
    draw_random_state
        Gives a random_state where the request has none.
    shared
        Encodes what is large on a thread.
    """

    def __init__(
        self, comparisons: Comparisons, max_bytes: int, draw_random_state: Callable[[], int], shared: SharedResults
    ) -> None:
        self._comparisons = comparisons
        self._max_bytes = max_bytes
        self._draw_random_state = draw_random_state
        self._shared = shared

    async def Compare(
        self, parsed: wire.Parsed[compare_pb2.CompareRequest], _call: CallContext
    ) -> AsyncIterator[bytes]:
        """Run the engines one after the other: messages that are encoded already."""
        number, example = 0, parsed.message.example
        async with aclosing(self._comparisons.run(self._decode(parsed))) as events:
            del parsed  # the comparison holds what it needs
            async for event in events:
                number += isinstance(event, Step)
                yield await self._shared.make(
                    _array_bytes(event, example), partial(_encode_event, event, number, example)
                )
                del event

    def _decode(self, parsed: wire.Parsed[compare_pb2.CompareRequest]) -> ComparisonRequest:
        request = parsed.message
        return ComparisonRequest(
            points=self._decode_points(parsed),
            n_clusters=request.n_clusters,
            init=self._decode_init(parsed),
            random_state=request.random_state if request.HasField("random_state") else self._draw_random_state(),
            engines=_decode_engines(request.engines or _DEFAULT_ENGINES),
            max_iter=request.max_iter or _DEFAULT_MAX_ITER,
            tol=request.tol,
        )

    def _decode_points(self, parsed: wire.Parsed[compare_pb2.CompareRequest]) -> Any:
        request = parsed.message
        match request.WhichOneof("source"):
            case "points":
                return decode_points(parsed.tensor(request.points), "points", self._max_bytes, _SAMPLE)
            case "example":
                return request.example
            case _:
                raise invalid(
                    Reason.POINTS_MISSING, "points", "there are no points; give some, or the name of an example"
                )

    def _decode_init(self, parsed: wire.Parsed[compare_pb2.CompareRequest]) -> Any:
        request = parsed.message
        if request.init.HasField("weights"):
            raise invalid(
                Reason.INIT_WEIGHTS_INVALID,
                "init.weights",
                "init.weights are for sessions: a comparison begins with centroids of no weight; leave them out",
            )
        if request.init.WhichOneof("source") == "centroids":
            return decode_points(parsed.tensor(request.init.centroids), "init.centroids", self._max_bytes)
        method = request.init.method or sessions_pb2.INIT_METHOD_K_MEANS_PLUS_PLUS
        return decode_enum(wire.INIT_METHODS, method, "init", "init.method")


def _decode_engines(numbers: Sequence[int]) -> tuple[Any, ...]:
    if len(numbers) > len(wire.COMPARE_ENGINES):
        raise invalid(
            Reason.ENGINES_INVALID,
            "engines",
            f"engines names {len(numbers):,}, and there are {len(wire.COMPARE_ENGINES)}; name each at most once",
        )
    return tuple(decode_enum(wire.COMPARE_ENGINES, number, "engine", "engines") for number in numbers)


def _array_bytes(event: Comparison | Step | ComparisonResult, example: str) -> int:
    arrays: list[NDArray[Any] | None]
    match event:
        case Comparison():
            arrays = [event.initial_centroids, event.points if example else None]
        case Step():
            arrays = [event.centroids, event.labels, event.movement, event.path]
        case ComparisonResult():
            arrays = [array for engine in event.engines for array in (engine.centroids, engine.labels)]
    return sum(array.nbytes for array in arrays if array is not None)


def _encode_event(event: Comparison | Step | ComparisonResult, number: int, example: str) -> bytes:
    match event:
        case Comparison():
            response = compare_pb2.CompareResponse(start=_encode_start(event, example))
        case Step():
            response = compare_pb2.CompareResponse(step=_encode_step(event, number))
        case ComparisonResult():
            response = compare_pb2.CompareResponse(result=_encode_result(event))
    return response.SerializeToString()


def _encode_start(comparison: Comparison, example: str) -> compare_pb2.CompareStart:
    start = compare_pb2.CompareStart(
        example=example,
        initial_centroids=wire.tensor_message(comparison.initial_centroids),
        random_state=comparison.random_state,
        engines=[wire.COMPARE_ENGINES[engine] for engine in comparison.engines],
        max_iter=comparison.max_iter,
        tol=comparison.tol,
        n_points=len(comparison.points),
    )
    if example:
        start.points.CopyFrom(wire.tensor_message(comparison.points))
    return start


def _encode_step(step: Step, number: int) -> compare_pb2.CompareStep:
    message = compare_pb2.CompareStep(
        number=number,
        engine=wire.COMPARE_ENGINES[step.engine],
        action=wire.COMPARE_ACTIONS[step.action],
        iteration=step.iteration,
        centroids=wire.tensor_message(step.centroids),
        clusters=wire.tensor_message(step.clusters),
        inertia=step.inertia,
        distortion=step.distortion,
        elapsed=wire.duration_of(step.elapsed),
        own_figures=[
            compare_pb2.OwnFigure(name=figure.name, value=figure.value, meaning=figure.meaning)
            for figure in step.own_figures
        ],
        notes=step.notes,
    )
    for field, array in (("labels", step.labels), ("movement", step.movement), ("path", step.path)):
        if array is not None:
            getattr(message, field).CopyFrom(wire.tensor_message(array))
    return message


def _encode_result(result: ComparisonResult) -> compare_pb2.CompareResult:
    return compare_pb2.CompareResult(
        engines=[_encode_engine(engine) for engine in result.engines],
        agreements=[_encode_agreement(agreement) for agreement in result.agreements],
    )


def _encode_engine(result: ComparedEngine) -> compare_pb2.EngineResult:
    return compare_pb2.EngineResult(
        engine=wire.COMPARE_ENGINES[result.engine],
        centroids=wire.tensor_message(result.centroids),
        labels=wire.tensor_message(result.labels),
        inertia=result.inertia,
        distortion=result.distortion,
        iterations=result.iterations,
        converged=result.converged,
        matching=wire.tensor_message(result.matching),
        elapsed=wire.duration_of(result.elapsed),
    )


def _encode_agreement(agreement: Agreement) -> compare_pb2.Agreement:
    return compare_pb2.Agreement(
        one=wire.COMPARE_ENGINES[agreement.one],
        other=wire.COMPARE_ENGINES[agreement.other],
        adjusted_rand_index=agreement.adjusted_rand_index,
        points_that_differ=agreement.points_that_differ,
        largest_difference=agreement.largest_difference,
    )

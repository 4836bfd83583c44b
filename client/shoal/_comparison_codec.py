"""Encodes the request of a comparison and decodes its responses. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numpy.typing import ArrayLike, NDArray

from shoal import wire
from shoal._comparison_types import ComparisonStart, ComparisonStep
from shoal._session_codec import encode_init, enum_name, enum_number
from shoal._validation import INT32, UINT32, integer, invalid, points_array, real, shown, text
from shoal.v1 import compare_pb2, sessions_pb2, tensor_pb2
from shoal.wire.comparison import Agreement, ComparedEngine, ComparisonResult, OwnFigure


def encode_comparison(
    X: ArrayLike | None,
    n_clusters: int,
    *,
    example: str | None,
    init: str | ArrayLike,
    random_state: int | None,
    engines: Iterable[str],
    max_iter: int,
    tol: float,
) -> compare_pb2.CompareRequest:
    """Return the request of a comparison.

    Raises
    ------
    InvalidArgumentError
        If a value can't be sent.
    """
    request = compare_pb2.CompareRequest(
        n_clusters=integer("n_clusters", n_clusters, INT32),
        engines=[enum_number("engines", engine, wire.COMPARE_ENGINES) for engine in _listed(engines)],
        max_iter=_iterations(max_iter),
        tol=real("tol", tol),
    )
    if example is not None:
        request.example = text("example", example, "give the name of an example: six-points or blobs")
    if (X is None) == (example is None):
        raise invalid("POINTS_MISSING", "X", "give points as X, or the name of an example: one of the two")
    if X is not None:
        request.points.CopyFrom(wire.tensor_message(points_array(X)))
    encode_init(init, request.init)
    if random_state is not None:
        request.random_state = integer("random_state", random_state, UINT32)
    return request


class ComparisonDecoder:
    """Decodes the responses of a comparison.

    Parameters
    ----------
    points
        Those that were sent, None where the server has them.
    init
        As it was asked for.
    """

    def __init__(self, points: NDArray[Any] | None, init: sessions_pb2.Init) -> None:
        self._points = points
        self._init = init
        self.start: ComparisonStart | None = None
        self.result: ComparisonResult | None = None

    def receive(self, response: compare_pb2.CompareResponse) -> ComparisonStep | None:
        """Return the step in a response; None for the first and the last response."""
        match response.WhichOneof("event"):
            case "start":
                self.start = self._decode_start(response.start)
            case "step":
                return _decode_step(response.step)
            case "result":
                self.result = _decode_result(response.result)
        return None

    def _decode_start(self, start: compare_pb2.CompareStart) -> ComparisonStart:
        return ComparisonStart(
            points=wire.array_of(start.points) if self._points is None else self._points,
            initial_centroids=wire.array_of(start.initial_centroids),
            init="given" if self._init.HasField("centroids") else enum_name(self._init.method, wire.INIT_METHODS),
            random_state=start.random_state,
            engines=tuple(enum_name(engine, wire.COMPARE_ENGINES) for engine in start.engines),
            max_iter=start.max_iter,
            tol=start.tol,
            example=start.example or None,
        )


def _decode_step(step: compare_pb2.CompareStep) -> ComparisonStep:
    return ComparisonStep(
        number=step.number,
        engine=enum_name(step.engine, wire.COMPARE_ENGINES),
        action=enum_name(step.action, wire.COMPARE_ACTIONS),
        iteration=step.iteration,
        centroids=wire.array_of(step.centroids),
        clusters=wire.array_of(step.clusters),
        labels=_array(step, "labels"),
        inertia=step.inertia if step.HasField("inertia") else None,
        distortion=step.distortion if step.HasField("distortion") else None,
        movement=_array(step, "movement"),
        elapsed=wire.seconds_of(step.elapsed),
        path=_array(step, "path"),
        own_figures=tuple(OwnFigure(figure.name, figure.value, figure.meaning) for figure in step.own_figures),
        notes=tuple(step.notes),
    )


def _decode_result(result: compare_pb2.CompareResult) -> ComparisonResult:
    return ComparisonResult(
        engines=tuple(_decode_engine(engine) for engine in result.engines),
        agreements=tuple(
            Agreement(
                one=enum_name(agreement.one, wire.COMPARE_ENGINES),
                other=enum_name(agreement.other, wire.COMPARE_ENGINES),
                adjusted_rand_index=agreement.adjusted_rand_index,
                points_that_differ=agreement.points_that_differ,
                largest_difference=agreement.largest_difference,
            )
            for agreement in result.agreements
        ),
    )


def _decode_engine(result: compare_pb2.EngineResult) -> ComparedEngine:
    return ComparedEngine(
        engine=enum_name(result.engine, wire.COMPARE_ENGINES),
        centroids=wire.array_of(result.centroids),
        labels=wire.array_of(result.labels),
        inertia=result.inertia,
        distortion=result.distortion,
        iterations=result.iterations,
        converged=result.converged,
        matching=wire.array_of(result.matching),
        elapsed=wire.seconds_of(result.elapsed),
    )


def _array(step: compare_pb2.CompareStep, field: str) -> NDArray[Any] | None:
    tensor: tensor_pb2.Tensor = getattr(step, field)
    return wire.array_of(tensor) if step.HasField(field) else None  # type: ignore[arg-type]  # one of three names


def _listed(engines: Iterable[str]) -> tuple[str, ...]:
    if isinstance(engines, str) or not isinstance(engines, Iterable):
        example = engines if isinstance(engines, str) and engines in wire.COMPARE_ENGINES else "scipy"
        raise invalid(
            "ENGINES_INVALID", "engines", f"engines is {shown(engines)}; give a tuple of names: ({example!r},)"
        )
    listed = tuple(engines)
    if not listed:  # which on the wire leaves the choice to the server
        raise invalid("ENGINES_INVALID", "engines", f"engines is empty; choose of {', '.join(wire.COMPARE_ENGINES)}")
    return listed


def _iterations(max_iter: int) -> int:
    number = integer("max_iter", max_iter, INT32)
    if number == 0:  # which on the wire leaves the number to the server
        raise invalid("MAX_ITER_INVALID", "max_iter", "max_iter is 0; use a number from 1 on")
    return number

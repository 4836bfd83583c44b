"""Points that no way takes: a table. The session has two features, holds float32, and is past its warming."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from shoal.v1 import sessions_pb2, tensor_pb2
from tests.rpc.refusals import Refusal
from tests.rpc.wire import config, tensor

NAN, INF = float("nan"), float("inf")

CENTROIDS = [[1.0, 1.0], [10.0, 10.0]]
GOOD = [[0.0, 2.0], [9.0, 11.0]]


def euclidean() -> sessions_pb2.SessionConfig:
    return config(init=CENTROIDS)


def cosine() -> sessions_pb2.SessionConfig:
    return config(init=CENTROIDS, metric=sessions_pb2.METRIC_COSINE)


@dataclass(frozen=True)
class BadPoints:
    title: str
    points: tensor_pb2.Tensor
    refusal: Refusal
    config: sessions_pb2.SessionConfig = field(default_factory=euclidean)

    def __str__(self) -> str:
        return self.title


def _shape(shape: list[int], *says: str, at: str = "points.shape") -> Refusal:
    return Refusal("SHAPE_INVALID", (str(shape), *says), at)


def _cut(shape: list[int], present: int, needed: int) -> Refusal:
    return Refusal("BYTES_MISMATCH", (f"{present} bytes", f"{shape} of float32 takes {needed}"), "points.data")


def _not_finite(*says: str) -> Refusal:
    return Refusal("NOT_FINITE", (*says, "finite", "'drop'", "'impute'"), "points")


_DTYPES = "use one of float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64"

BAD_POINTS = [
    BadPoints(
        "a column too many",
        tensor([[1, 2, 3]]),
        Refusal("N_FEATURES_MISMATCH", ("points has 3 columns", "n_features=2"), "points"),
    ),
    BadPoints(
        "a column missing",
        tensor([[1]]),
        Refusal("N_FEATURES_MISMATCH", ("points has 1 columns", "n_features=2"), "points"),
    ),
    BadPoints(
        "far too many columns",
        tensor(np.zeros((1, 2**20), np.uint8)),
        Refusal("N_FEATURES_MISMATCH", ("points has 1048576 columns", "n_features=2"), "points"),
    ),
    BadPoints(
        "an unknown dtype",
        tensor(GOOD, dtype=99),
        Refusal("DTYPE_UNKNOWN", ("dtype 99", _DTYPES), "points.dtype"),
    ),
    BadPoints(
        "a negative dtype",
        tensor(GOOD, dtype=-1),
        Refusal("DTYPE_UNKNOWN", ("dtype -1", _DTYPES), "points.dtype"),
    ),
    BadPoints("no dtype", tensor(GOOD, dtype=0), Refusal("DTYPE_UNKNOWN", ("dtype 0", _DTYPES), "points.dtype")),
    BadPoints("bytes missing", tensor([[1, 2]], shape=[2, 2]), _cut([2, 2], 8, 16)),
    BadPoints("bytes too many", tensor(GOOD, shape=[1, 2]), _cut([1, 2], 16, 8)),
    BadPoints("no bytes", tensor(GOOD, contents=b""), _cut([2, 2], 0, 16)),
    BadPoints("half an element", tensor(GOOD, contents=b"123456789012345"), _cut([2, 2], 15, 16)),
    BadPoints("a negative axis", tensor(GOOD, shape=[-2, 2]), _shape([-2, 2], "-2 rows", "at least one")),
    BadPoints(
        "negative axes with the right product",
        tensor(GOOD, shape=[-2, -2]),
        _shape([-2, -2], "-2 rows", "at least one"),
    ),
    BadPoints("the most negative axes", tensor(GOOD, shape=[2, -(2**63)]), _shape([2, -(2**63)], "at least one")),
    BadPoints("a shape that overflows", tensor(GOOD, shape=[2**62, 2**62]), _cut([2**62, 2**62], 16, 2**126)),
    BadPoints(
        "a shape that overflows to nothing",
        tensor(GOOD, shape=[2**32, 2**32], contents=b""),
        _cut([2**32, 2**32], 0, 2**66),
    ),
    BadPoints("no rows", tensor(np.zeros((0, 2), np.float32)), _shape([0, 2], "0 rows", "at least one")),
    BadPoints("no columns", tensor(np.zeros((2, 0), np.float32)), _shape([2, 0], "0 columns", "at least one")),
    BadPoints("three axes", tensor([GOOD]), _shape([1, 2, 2], "3 axes", "rows and columns", at="points")),
    BadPoints("one axis", tensor(GOOD[0]), _shape([2], "1 axes", "rows and columns", at="points")),
    BadPoints("no axis", tensor(1.0), _shape([], "0 axes", "rows and columns", at="points")),
    BadPoints("no points", tensor_pb2.Tensor(), _shape([], "0 axes", "rows and columns", at="points")),
    BadPoints(
        "axes without end",
        tensor(GOOD, shape=[1] * 50_000),
        Refusal("SHAPE_INVALID", ("3 axes or more", "[1, 1, 1]", "rows and columns"), "points"),
    ),
    BadPoints("NaN", tensor([[1, 2], [3, NAN]]), _not_finite("points[1, 1] is nan")),
    BadPoints("infinity", tensor([[INF, 2], [3, 4]]), _not_finite("points[0, 0] is inf")),
    BadPoints(
        "several rows that are not finite",
        tensor([[1, 2], [-INF, NAN], [3, 4], [NAN, 1]]),
        _not_finite("points[1, 0] is -inf", "1 more rows"),
    ),
    BadPoints(
        "infinity in half precision", tensor(np.array([[1, INF]], np.float16)), _not_finite("points[0, 1] is inf")
    ),
    BadPoints(
        "values whose squares float32 doesn't hold",
        tensor([[1, 2], [1e30, 4]]),
        Refusal("VALUE_TOO_LARGE", ("points[1, 0] is 1e+30", "beyond 3.26e+18", "scale", "float64"), "points"),
    ),
    BadPoints(
        "a row of zeros under cosine",
        tensor([[1, 2], [0, 0], [0, 0]]),
        Refusal("ZERO_ROW", ("points[1] is all zeros", "1 more rows", "cosine", "'drop'"), "points"),
        cosine(),
    ),
    BadPoints(
        "NaN under cosine", tensor([[1, NAN], [0, 0]]), _not_finite("points[0, 1] is nan", "1 more rows"), cosine()
    ),
]

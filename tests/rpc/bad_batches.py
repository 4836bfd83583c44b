"""Batches that can't be applied although their points could be assigned: a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from shoal.v1 import clustering_pb2, sessions_pb2
from tests.rpc.bad_points import CENTROIDS, GOOD, INF, NAN, euclidean
from tests.rpc.refusals import Refusal
from tests.rpc.wire import batch, config, tensor


@dataclass(frozen=True)
class BadBatch:
    title: str
    batch: clustering_pb2.Batch
    refusal: Refusal
    config: sessions_pb2.SessionConfig = field(default_factory=euclidean)
    good: clustering_pb2.Batch = field(default_factory=lambda: batch(GOOD))

    def __str__(self) -> str:
        return self.title


def _lossy(dtype: str) -> BadBatch:
    says = (f"points are {dtype}", "computes in float32", "Convert them to float32", "dtype='float64'")
    points = np.array(GOOD, dtype)
    return BadBatch(f"{dtype} for float32", batch(points), Refusal("DTYPE_MISMATCH", says, "points.dtype"))


def _weighed(title: str, sample_weight: Any, *says: str) -> BadBatch:
    refusal = Refusal("SAMPLE_WEIGHT_INVALID", says, "sample_weight")
    return BadBatch(title, batch(GOOD, sample_weight=sample_weight), refusal)


def _malformed_weight(title: str, sample_weight: Any, refusal: Refusal) -> BadBatch:
    return BadBatch(title, batch(GOOD, sample_weight=sample_weight), refusal)


def _forgetting() -> sessions_pb2.SessionConfig:
    half_life = sessions_pb2.HalfLife(value=60, unit=sessions_pb2.HALF_LIFE_UNIT_SECONDS)
    return config(init=CENTROIDS, half_life=half_life)


BAD_BATCHES = [
    *(_lossy(dtype) for dtype in ("float64", "int32", "int64", "uint32", "uint64")),
    _weighed("a negative weight", [1, -2], "sample_weight[1] is -2", "from 0"),
    _weighed("a weight that is NaN", [NAN, 1], "sample_weight[0] is nan", "from 0"),
    _weighed("an infinite weight", [1, INF], "sample_weight[1] is inf", "from 0"),
    _weighed("a weight beyond any sum", np.array([1, 1e200]), "sample_weight[1] is 1e+200", "to 1e+50"),
    _weighed("too few weights", [1], "1 values for 2 rows", "one a row"),
    _weighed("too many weights", [1, 1, 1], "3 values for 2 rows", "one a row"),
    _malformed_weight(
        "no weights",
        np.zeros(0, np.float32),
        Refusal("SHAPE_INVALID", ("[0]", "at least one"), "sample_weight.shape"),
    ),
    _malformed_weight(
        "weights with two axes", [[1, 1]], Refusal("SHAPE_INVALID", ("2 axes", "must have one"), "sample_weight")
    ),
    _malformed_weight(
        "weights of an unknown dtype",
        tensor([1, 1], dtype=77),
        Refusal("DTYPE_UNKNOWN", ("dtype 77", "float64"), "sample_weight.dtype"),
    ),
    _malformed_weight(
        "weights without bytes",
        tensor([1, 1], contents=b""),
        Refusal("BYTES_MISMATCH", ("0 bytes", "takes 8"), "sample_weight.data"),
    ),
    BadBatch(
        "no event time for a half-life in seconds",
        batch(GOOD),
        Refusal("EVENT_TIME_MISSING", ("half-life is in seconds", "event_time", "say when"), "event_time"),
        _forgetting(),
        batch(GOOD, event_time=1000.0),
    ),
]

"""What the numbers of shoal.v1's enums are called in Python.

UNSPECIFIED has no name: it leaves the choice to the server.
"""

from __future__ import annotations

from collections.abc import Mapping

from shoal.v1 import compare_pb2, events_pb2, sessions_pb2, tensor_pb2

ENGINES: dict[str, sessions_pb2.Engine.ValueType] = {
    "numba": sessions_pb2.ENGINE_NUMBA,
    "sklearn": sessions_pb2.ENGINE_SKLEARN,
    "scipy": sessions_pb2.ENGINE_SCIPY,
}
METRICS: dict[str, sessions_pb2.Metric.ValueType] = {
    "euclidean": sessions_pb2.METRIC_EUCLIDEAN,
    "cosine": sessions_pb2.METRIC_COSINE,
}
ON_INVALID: dict[str, sessions_pb2.OnInvalid.ValueType] = {
    "reject": sessions_pb2.ON_INVALID_REJECT,
    "drop": sessions_pb2.ON_INVALID_DROP,
    "impute": sessions_pb2.ON_INVALID_IMPUTE,
}
INIT_METHODS: dict[str, sessions_pb2.InitMethod.ValueType] = {
    "k-means++": sessions_pb2.INIT_METHOD_K_MEANS_PLUS_PLUS,
    "random": sessions_pb2.INIT_METHOD_RANDOM,
}
PRECISIONS: dict[str, tensor_pb2.Dtype.ValueType] = {
    "float32": tensor_pb2.DTYPE_FLOAT32,
    "float64": tensor_pb2.DTYPE_FLOAT64,
}
"""Those of shoal.v1.Dtype in which a session can compute; `DTYPES` has those of arrays."""
HALF_LIFE_UNITS: dict[str, sessions_pb2.HalfLifeUnit.ValueType] = {
    "batches": sessions_pb2.HALF_LIFE_UNIT_BATCHES,
    "points": sessions_pb2.HALF_LIFE_UNIT_POINTS,
    "seconds": sessions_pb2.HALF_LIFE_UNIT_SECONDS,
}
DURABILITIES: dict[str, sessions_pb2.Durability.ValueType] = {
    "durable": sessions_pb2.DURABILITY_DURABLE,
    "memory": sessions_pb2.DURABILITY_MEMORY,
}
UPDATE_RULES: dict[str, sessions_pb2.UpdateRule.ValueType] = {
    "incremental": sessions_pb2.UPDATE_RULE_INCREMENTAL,
    "refined": sessions_pb2.UPDATE_RULE_REFINED,
}
EVENT_KINDS: dict[str, events_pb2.EventKind.ValueType] = {
    "born": events_pb2.EVENT_KIND_BORN,
    "split": events_pb2.EVENT_KIND_SPLIT,
    "merged": events_pb2.EVENT_KIND_MERGED,
    "reseeded": events_pb2.EVENT_KIND_RESEEDED,
    "retired": events_pb2.EVENT_KIND_RETIRED,
    "refined": events_pb2.EVENT_KIND_REFINED,
    "drift": events_pb2.EVENT_KIND_DRIFT,
    "reconfigured": events_pb2.EVENT_KIND_RECONFIGURED,
}
ON_DRIFT: dict[str, sessions_pb2.OnDrift.ValueType] = {
    "report": sessions_pb2.ON_DRIFT_REPORT,
    "adapt": sessions_pb2.ON_DRIFT_ADAPT,
}
COMPARE_ENGINES: dict[str, compare_pb2.CompareEngine.ValueType] = {
    "scipy": compare_pb2.COMPARE_ENGINE_SCIPY,
    "scipy-kmeans2": compare_pb2.COMPARE_ENGINE_SCIPY_KMEANS2,
    "sklearn": compare_pb2.COMPARE_ENGINE_SKLEARN,
    "sklearn-minibatch": compare_pb2.COMPARE_ENGINE_SKLEARN_MINIBATCH,
    "numba": compare_pb2.COMPARE_ENGINE_NUMBA,
}
COMPARE_ACTIONS: dict[str, compare_pb2.CompareAction.ValueType] = {
    "initialise": compare_pb2.COMPARE_ACTION_INITIALISE,
    "assign": compare_pb2.COMPARE_ACTION_ASSIGN,
    "update": compare_pb2.COMPARE_ACTION_UPDATE,
    "converged": compare_pb2.COMPARE_ACTION_CONVERGED,
    "stopped": compare_pb2.COMPARE_ACTION_STOPPED,
    "fit": compare_pb2.COMPARE_ACTION_FIT,
}


def name_of(number: int, numbers: Mapping[str, int]) -> str | None:
    """Return the name of a number, None if it has none there."""
    return next((name for name, known in numbers.items() if known == number), None)

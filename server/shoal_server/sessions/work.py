"""How much work batches make, in multiplications: what bounds a batch, a dispatch, and what may run in one piece."""

from __future__ import annotations

from collections.abc import Iterable

from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.errors import Reason, Refusal

# What the writer takes at most in one hop to a compute thread, or one job: 10 to 20 ms, beside which the hop and the
# answers cost little.
MAX_DISPATCH_WORK = 1 << 30
QUICK_WORK = 1 << 16  # 20 µs of the compiled kernels with all around them, where a thread costs 100
MAX_UNCUT_WORK = 1 << 25  # of a call in one piece that others may wait for: 10 ms of scikit-learn
# What a value costs besides k multiplications, and a batch besides its values: no more than 4,096 share a dispatch.
_VALUE_WORK, _BATCH_WORK = 128, 1 << 18
# scikit-learn's partial_fit can't be stopped, and does everything twice: it is given an eighth.
_UNCUT_SHARE: dict[EngineName, int] = {"sklearn": 8}


def dispatch_work(n_clusters: int, n_bytes: int, itemsize: int, n_batches: int) -> int:
    """Return about how much work batches make, as MAX_DISPATCH_WORK counts it."""
    return n_bytes // itemsize * (n_clusters + _VALUE_WORK) + n_batches * _BATCH_WORK


def max_values(config: ModelConfig, max_batch_work: int) -> int:
    """Return how many values, rows times columns, a batch may have at most."""
    return max_batch_work // _UNCUT_SHARE.get(config.engine, 1) // config.n_clusters


def work_refusal(config: ModelConfig, rows: int, columns: int, max_batch_work: int) -> Refusal | None:
    """Return why points are too much work; None: they aren't."""
    most = max_values(config, max_batch_work)
    if rows * columns <= most:
        return None
    return Refusal(
        Reason.WORK_TOO_LARGE,
        f"{rows:,} rows of {columns:,} columns against n_clusters {config.n_clusters:,} are "
        f"{rows * columns * config.n_clusters:,} multiplications, and the server allows engine {config.engine} "
        f"{most * config.n_clusters:,} at once: send at most {most // columns:,} rows at a time",
        field="points",
    )


def runs_uncut(engines: Iterable[EngineName | None], work: int) -> bool:
    """Return whether work takes long and one of the engines does it in one piece."""
    return work > MAX_UNCUT_WORK and any(engine in _UNCUT_SHARE for engine in engines)

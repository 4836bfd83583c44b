"""How much one batch, and the choice of initial centroids, may compute while others wait."""

from __future__ import annotations

import numpy as np
import pytest

from shoal_server.clustering.config import MAX_BATCH_WORK, MAX_INIT_WORK, ModelConfig, check_width
from shoal_server.clustering.model import assign, new_model
from shoal_server.clustering.state import Batch
from shoal_server.clustering.validation import check_batch
from shoal_server.engines.contract import run_in_order
from shoal_server.engines.scipy import ScipyEngine
from shoal_server.errors import DomainError

COLUMNS = 32
K = 2**12
PLENTY = 10**12


def huge(rows: int) -> np.ndarray:
    """Return points that take no memory."""
    return np.broadcast_to(np.float32(0), (rows, COLUMNS))


def test_a_batch_of_more_work_than_others_may_wait_for_is_refused() -> None:
    model = new_model(ModelConfig(K, init=np.zeros((K, COLUMNS))))
    rows = MAX_BATCH_WORK // (K * COLUMNS)

    check_batch(model, Batch(huge(rows)))
    with pytest.raises(DomainError) as pushed:
        check_batch(model, Batch(huge(rows + 1)))
    with pytest.raises(DomainError) as assigned:
        assign(model, huge(rows + 1), ScipyEngine(), run_in_order)

    assert pushed.value.refusal == assigned.value.refusal
    assert pushed.value.refusal.reason == "WORK_TOO_LARGE"
    assert "split the points" in pushed.value.refusal.message


def test_k_means_plus_plus_of_too_much_work_is_refused_and_other_ways_are_not() -> None:
    n_clusters = 200_000
    config = ModelConfig(n_clusters, init_size=n_clusters)
    assert n_clusters * n_clusters > MAX_INIT_WORK

    with pytest.raises(DomainError) as caught:
        check_width(config, 1, PLENTY, PLENTY)
    check_width(ModelConfig(n_clusters, init_size=n_clusters, init="random"), 1, PLENTY, PLENTY)
    check_width(ModelConfig(2, init=np.zeros((2, 1))), 1, PLENTY, PLENTY)

    assert caught.value.refusal.reason == "WORK_TOO_LARGE"
    assert "init='random'" in caught.value.refusal.message

"""Outliers after what changes a stream: far rows at once or again and again, a jump, another number of clusters."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.model import new_model, reconfigure
from shoal_server.clustering.state import Batch
from tests.clustering.builders import snapshot
from tests.clustering.streaming import BLOBS, applied, blobs, cut
from tests.warm import warm_engine

CONFIG = ModelConfig(BLOBS, random_state=0, update_rule="refined", outlier_threshold=0.01)


def test_outliers_are_found_at_once_after_a_change_to_fewer_clusters() -> None:
    batches = cut(blobs(60_000), [500])
    model, _ = applied(new_model(CONFIG), batches[:60])

    model = reconfigure(model, replace(model.config, n_clusters=BLOBS // 2), fitter=warm_engine())
    model, results = applied(model, batches[60:])

    assert 100 < sum(each.outliers for each in results[:40]) < 350


@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_a_burst_of_far_rows_hides_no_outliers_after_it(rule: Any) -> None:
    junk = (200 * np.random.default_rng(0).normal(size=(500, 4))).astype(np.float32)
    model, _ = applied(new_model(replace(CONFIG, update_rule=rule)), cut(blobs(60_000), [1000]))

    burst = Batch(np.concatenate([blobs(500, 3, at=0), junk]))
    _, (first, *results) = applied(model, [burst, *cut(blobs(40_000, 5, at=0), [1000])])

    assert first.outliers >= 495
    assert sum(each.outliers for each in results[:20]) == pytest.approx(200, rel=0.4)
    assert sum(each.outliers for each in results) == pytest.approx(400, rel=0.3)


@pytest.mark.parametrize("rule", ["incremental", "refined"])
def test_far_rows_that_keep_coming_are_outliers_and_so_are_others(rule: Any) -> None:
    config = replace(CONFIG, update_rule=rule, outlier_threshold=0.001)
    model, _ = applied(new_model(config), cut(blobs(60_000), [1000]))
    random, points = np.random.default_rng(1), blobs(60_000, 11, at=0)
    is_far = random.random(len(points)) < 0.005
    points[is_far] += (40 * random.normal(size=(is_far.sum(), 4))).astype(np.float32)

    after, results = applied(model, [each._replace(return_scores=True) for each in cut(points, [1000])])

    outlying = np.concatenate([each.scores for each in results if each.scores is not None]) < 0.001
    assert outlying[is_far].mean() > 0.98
    assert 0.0003 < outlying[~is_far].mean() < 0.0015
    assert abs(snapshot(after).centroids - snapshot(model).centroids).max() < 0.1


def test_outliers_are_found_again_after_all_rows_have_moved() -> None:
    config = replace(CONFIG, on_drift="adapt")
    model, _ = applied(new_model(config), cut(blobs(60_000), [1000]))

    _, results = applied(model, cut(blobs(40_000, at=77), [1000]))

    assert results[0].outliers > 950
    assert sum(each.outliers for each in results[1:10]) > 20
    assert sum(each.outliers for each in results[20:]) == pytest.approx(200, rel=0.3)

"""Light refinements that take long share no batch with other work."""

from __future__ import annotations

from shoal_server.clustering.model import new_model
from tests.clustering.pending_builders import ALONE, MANY, batches_of, learning_of
from tests.clustering.streaming import applied, cut
from tests.clustering.test_refined import blobs


def test_a_light_refinement_that_takes_effect_leaves_the_reduction_of_the_summary_to_the_next_batch() -> None:
    model, batches = new_model(MANY), iter(batches_of("light, many rounds"))
    size, over = MANY.summary_points(4), 0

    for batch in batches:
        model, (result,) = applied(model, [batch], 1)
        if model.state.learning is None:
            continue
        points = sum(len(bucket.weights) for bucket in learning_of(model).summary.buckets)
        over += points > size
        light = learning_of(model).light
        assert points <= size or (result.refined and light is not None and light.outcome == "better")

    assert over > 0


def test_a_long_light_refinement_has_a_batch_of_its_own() -> None:
    """It isn't beside a deep one's pieces, or the end of a block."""
    model, put_off = new_model(ALONE), 0

    for batch in cut(blobs(60_000, 32, 100), [500]):
        before = model
        model, (result,) = applied(model, [batch], 1)
        if before.state.learning is None or not learning_of(before).schedule.refinements:
            continue
        if learning_of(model).is_put_off:
            put_off += 1
            assert not learning_of(before).is_put_off
            assert not result.refined
        elif learning_of(before).is_put_off:
            assert result.refined
            deep, deep_before = learning_of(model).deep, learning_of(before).deep
            assert deep is None or deep.pieces == (deep_before.pieces if deep_before else 0)

    assert put_off > 2

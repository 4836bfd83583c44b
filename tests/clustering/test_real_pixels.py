"""On a photograph, where many points lie almost on a border, the engines still give the same labels."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.datasets import load_sample_image

from shoal_server.clustering.config import EngineName, ModelConfig
from shoal_server.clustering.model import new_model
from shoal_server.engines.contract import Engine
from tests.clustering.builders import half_life, push, snapshot


@pytest.mark.parametrize("name", ["sklearn", "scipy"])
def test_an_engine_labels_the_pixels_as_numba_does(engines: dict[EngineName, Engine], name: EngineName) -> None:
    pixels = load_sample_image("china.jpg").reshape(-1, 3)
    one = other = new_model(ModelConfig(16, random_state=0, half_life=half_life(1)))

    for start in range(0, len(pixels), 4096):
        one, labelled = push(one, pixels[start : start + 4096], engines["numba"])
        other, labelled_too = push(other, pixels[start : start + 4096], engines[name])
        np.testing.assert_array_equal(labelled_too.labels, labelled.labels)

    np.testing.assert_allclose(snapshot(other).centroids, snapshot(one).centroids, rtol=0, atol=1e-4)

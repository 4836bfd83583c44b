"""The photograph of the demo: china.jpg, which scikit-learn ships, as a stream of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

NAME = "china.jpg"

_BATCH_ROWS = 4096
_MIN_ROWS = 64  # more than the first centroids need, so that the first batch makes version 1


@dataclass(frozen=True)
class Photograph:
    """A picture and its pixels as points."""

    picture: NDArray[np.uint8]  # (height, width, 3)
    batch_rows: int  # pixels of a batch

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The pixels in scan order, (height * width, 3)."""
        return self.picture.reshape(-1, 3)

    @property
    def n_batches(self) -> int:
        """How many batches the pixels make."""
        return math.ceil(len(self.pixels) / self.batch_rows)

    @property
    def n_colours(self) -> int:
        """How many different colours the picture has."""
        return len(np.unique(self.pixels, axis=0))

    def shuffled(self, random_state: int) -> NDArray[np.uint8]:
        """Return the pixels in an order that `random_state` fixes, (height * width, 3)."""
        return np.random.default_rng(random_state).permutation(self.pixels)


def load_photograph(step: int) -> Photograph:
    """Return the photograph with every `step`-th pixel of every `step`-th row, for the same number of batches."""
    picture: NDArray[np.uint8] = load_sample_image(NAME)
    return Photograph(np.ascontiguousarray(picture[::step, ::step]), max(_BATCH_ROWS // step**2, _MIN_ROWS))


def batches(pixels: NDArray[np.uint8], batch_rows: int) -> Iterator[NDArray[np.uint8]]:
    """Yield (n, 3) pixels in batches of `batch_rows`."""
    for start in range(0, len(pixels), batch_rows):
        yield pixels[start : start + batch_rows]

"""The photograph of the demo: china.jpg, which scikit-learn ships, as a stream of pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_sample_image

NAME = "china.jpg"

_BATCH_ROWS = 4096
_MIN_ROWS = 192  # three for each cluster: so many the first centroids need, so that the first batch makes version 1


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

    @cached_property
    def n_colours(self) -> int:
        """How many different colours the picture has."""
        return len(np.unique(self.pixels, axis=0))

    def batches(self) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels in scan order, (n, 3), in batches of `batch_rows`."""
        for start in range(0, len(self.pixels), self.batch_rows):
            yield self.pixels[start : start + self.batch_rows]


def load_photograph(step: int) -> Photograph:
    """Return the photograph with every `step`-th pixel of every `step`-th row, for about the same number of batches."""
    picture: NDArray[np.uint8] = load_sample_image(NAME)
    return Photograph(np.ascontiguousarray(picture[::step, ::step]), max(_BATCH_ROWS // step**2, _MIN_ROWS))

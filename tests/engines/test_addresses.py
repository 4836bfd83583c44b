"""Where the rows of a batch begin is read from the array itself, and is what NumPy says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal_server.engines.numba import data_address
from tests.engines.builders import unaligned

POINTS = np.arange(60.0).reshape(20, 3)


@pytest.mark.parametrize(
    "points",
    [POINTS, POINTS[5:], POINTS[::-1], POINTS[:, 1:], unaligned(POINTS), np.asfortranarray(POINTS), POINTS[:0]],
    ids=["whole", "a slice", "backwards", "columns", "unaligned and read-only", "Fortran's order", "no rows"],
)
def test_the_data_address_equals_the_one_in_the_array_interface(points: NDArray[Any]) -> None:
    assert data_address(points) == points.__array_interface__["data"][0]

"""Arrays in few words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NONE = "–"

_SHOWN = 12  # values of an array, before only the first and the last ones are


def centroids_text(centroids: NDArray[np.float64] | None) -> str:
    """Return centroids (k, d) as ``[[5.5 3] [1 2]]``; with many of them the first and the last ones."""
    if centroids is None:
        return NONE
    rows = [_row_text(row) for row in (centroids if centroids.size <= _SHOWN else _ends(centroids))]
    if centroids.size > _SHOWN:
        rows.insert(1, "…")
    return f"[{' '.join(rows)}]"


def labels_text(labels: NDArray[np.int32] | None) -> str:
    """Return labels (n,) as ``[1 1 1 0 0 0]``; of many the first and the last ones."""
    if labels is None:
        return NONE
    if len(labels) <= 2 * _SHOWN:
        return f"[{' '.join(map(str, labels.tolist()))}]"
    first, last = labels[: _SHOWN // 2].tolist(), labels[-_SHOWN // 2 :].tolist()
    return f"[{' '.join(map(str, first))} … {' '.join(map(str, last))}]"


def number_text(value: float) -> str:
    """Return a number with as many digits as it deserves: 6 where they say something."""
    text = f"{value:.6g}"
    return "0" if text == "-0" else text


def count_text(number: int, thing: str) -> str:
    """Return how many there are: ``1 point``, ``2,000 points``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a``, ``a and b``, ``a, b and c``."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _row_text(row: NDArray[np.float64]) -> str:
    shown = [number_text(value) for value in row.tolist()]
    if len(shown) > _SHOWN // 2:
        shown = [*shown[:2], "…", shown[-1]]
    return f"[{' '.join(shown)}]"


def _ends(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    return rows[[0, -1]] if len(rows) > 1 else rows

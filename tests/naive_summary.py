"""The oracle of the summary's kernels: written down as plainly as can be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

MASK = (1 << 64) - 1


def draw(seed: int, number: int) -> float:
    """SplitMix64 of a number, as a number in [0, 1)."""
    word = (seed + (number + 1) * 0x9E3779B97F4A7C15) & MASK
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & MASK
    return ((word ^ (word >> 31)) >> 11) * 2.0**-53


@dataclass
class NaiveBlock:
    """What rows add up to, and which of them are kept with which weight."""

    reference: Any
    weight: float = 0.0
    decayed: float = 0.0
    rows: int = 0
    counts: Any = field(init=False)
    sums: Any = field(init=False)
    squares: Any = field(init=False)
    kept: list[int] = field(default_factory=list)
    kept_weight: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        k, d = self.reference.shape
        self.counts, self.sums, self.squares = np.zeros(k), np.zeros((k, d)), np.zeros(k)


def sample_rows(
    block: NaiveBlock,
    points: Any,
    weight: Any,
    labels: Any,
    ages: Any,
    number: int,
    seed: int,
    rates: tuple[float, float, Any],
    begin: float,
    span: float,
    most: tuple[float, int, int],
) -> tuple[int, bool]:
    """Add rows until the block is full; return the first row that was not looked at, and whether it is."""
    uniform, by_distance, by_label = rates
    for row, point in enumerate(points.astype(np.float64)):
        if weight[row] == 0:
            continue
        if ages[row] - begin > span:
            return row, True
        factor = 2.0 ** (ages[row] - begin)
        value, label = weight[row] * factor, labels[row]
        deviation = point - block.reference[label]
        square = float((deviation**2).sum())
        block.weight += value
        block.decayed += factor
        block.rows += 1
        block.counts[label] += value
        block.sums[label] += value * deviation
        block.squares[label] += value * square
        chance = value * (uniform + by_distance * square + by_label[label])
        if draw(seed, number + row) < chance:
            block.kept.append(row)
            block.kept_weight.append(value / min(chance, 1.0))
        if block.weight >= most[0] or block.rows >= most[1] or len(block.kept) == most[2]:
            return row + 1, True
    return len(points), False


def sample_batch(
    block: NaiveBlock,
    points: Any,
    weight: Any,
    labels: Any,
    centroids: Any,
    number: int,
    seed: int,
    rates: tuple[float, float, Any],
    factor: float,
    most: tuple[float, int],
) -> bool:
    """Add a batch, whose rows are drawn by their distances to the centroids, if it has room; return whether it has."""
    uniform, by_distance, by_label = rates
    kept, kept_weight = [], []
    for row, point in enumerate(points.astype(np.float64)):
        value = factor * weight[row]
        square = float(((point - centroids[labels[row]]) ** 2).sum())
        chance = value * (uniform + by_distance * square + by_label[labels[row]])
        if value > 0 and draw(seed, number + row) < chance:
            kept.append(row)
            kept_weight.append(value / min(chance, 1.0))
    if block.weight + factor * weight.sum() >= most[0] or len(block.kept) + len(kept) >= most[1]:
        return False
    block.kept += kept
    block.kept_weight += kept_weight
    for row, point in enumerate(points.astype(np.float64)):
        value, label = factor * weight[row], labels[row]
        deviation = point - block.reference[label]
        block.weight += value
        block.decayed += factor if value > 0 else 0.0
        block.rows += int(value > 0)
        block.counts[label] += value
        block.sums[label] += value * deviation
        block.squares[label] += value * float((deviation**2).sum())
    return True

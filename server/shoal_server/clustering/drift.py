"""Drift: the points lie farther from the centroids than they did, batch after batch.

What is watched is the inertia of a weight of 1, measured before a batch moves the centroids. Batches are joined into
blocks of some rows, and a block is high if it is beyond a bound above the usual level: a quarter at least, and more the
more blocks differ. Some high blocks in succession are a drift, the more of them the more often there were single ones.
So a batch of far rows is none, however far: heavy tails and rows of no cluster give such batches for ever, and seldom
many in succession. This is a run rule as in control charts: Page, "Control charts with warning lines" (1955).

The level follows blocks that are not high, quickly after a refinement, which lowers the inertia, and at once after as
many low blocks. A fit's own inertia is no such level: with many clusters and few rows it is a fraction of that of the
next rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

MIN_BLOCK_ROWS = 64
MIN_RUN = 4  # high blocks in succession that are a drift
MIN_BLOCKS = 8  # before the first drift
_MAX_CHANCE = math.log(3e-7)  # of such a run on stationary rows, the logarithm
_HIGH_MEMORY = 1024.0  # blocks that the share of high ones is known from
_MIN_RISE = math.log(1.25)
_SPREADS = 3.0  # mean absolute differences above the level at which a block is high
_MEMORY = 64.0  # blocks that the level, and how much they differ, are known from
_MAX_VALUE = 1e300
_MAX_DIFFERENCE = 1.5  # of logarithms: farther blocks count as if they were so far


class Drift(NamedTuple):
    """A drift that has been found."""

    before: float  # the usual inertia of a weight of 1
    after: float  # that of the blocks by which it was found
    weight: float  # of these


class Block(NamedTuple):
    """Batches that are looked at together."""

    rows: int = 0
    weight: float = 0.0
    inertia: float = 0.0

    @property
    def value(self) -> float:
        """Inertia of a weight of 1."""
        return min(self.inertia / self.weight, _MAX_VALUE)


class Run(NamedTuple):
    """Blocks in succession that are all high, or all low."""

    blocks: int = 0
    total: Block = Block()

    def with_block(self, block: Block) -> Run:
        """Return it with one more."""
        rows, weight, inertia = self.total
        return Run(self.blocks + 1, Block(rows + block.rows, weight + block.weight, inertia + block.inertia))


class Level(NamedTuple):
    """What blocks usually are."""

    blocks: int = 0  # so far
    value: float = 0.0  # usual inertia of a weight of 1
    followed: float = 0.0  # blocks that this is the mean of; fewer after a refinement
    difference: float = 0.0  # mean absolute difference of blocks from it, of logarithms
    rows: float = 0.0  # of such a block: the mean logarithm
    judged: float = 0.0  # blocks that were high or not, older ones forgotten; but for the run
    highs: float = 0.0  # and those that were


class DriftWatch(NamedTuple):
    """What is known of the inertia so far: numbers that must last. Never changed once made."""

    block: Block = Block()  # that isn't whole yet
    level: Level = Level()
    high: Run = Run()
    low: Run = Run()

    def refined(self) -> DriftWatch:
        """Return the watch after a refinement."""
        return self._replace(level=self.level._replace(followed=min(self.level.followed, 1.0)))


def watched(watch: DriftWatch, batches: Iterable[tuple[int, float, float]]) -> tuple[DriftWatch, int, Drift | None]:
    """Return the watch after batches up to the first by which a drift is found.

    Parameters
    ----------
    watch
        Before them.
    batches
        Rows, weight and inertia of each.

    Returns
    -------
    watch
        After those that were looked at.
    looked_at
        How many.
    drift
        That was found by the last of them; None: there is none, and all were looked at.
    """
    (rows, weight, inertia), level, high, low = watch
    number = 0
    for number, batch in enumerate(batches, 1):
        rows, weight, inertia = rows + batch[0], weight + batch[1], inertia + batch[2]
        if rows < MIN_BLOCK_ROWS or weight <= 0:
            continue
        level, kind = _with_block(level, high.blocks, rows, min(inertia / weight, _MAX_VALUE))
        if kind or high.blocks or low.blocks:  # seldom
            block = Block(rows, weight, inertia)
            high = high.with_block(block) if kind > 0 else _NO_RUN
            low = low.with_block(block) if kind < 0 else _NO_RUN
            if _is_drift(level, high):
                drift = Drift(level.value, high.total.value, high.total.weight)
                return DriftWatch(level=level._replace(value=drift.after, followed=1.0)), number, drift
            if low.blocks == MIN_RUN:
                level, low = level._replace(value=low.total.value, followed=float(MIN_RUN)), _NO_RUN
        rows, weight, inertia = 0, 0.0, 0.0
    return DriftWatch(Block(rows, weight, inertia), level, high, low), number, None


_NO_RUN = Run()
_HIGHS_KEPT = 1 - 1 / _HIGH_MEMORY


def _with_block(level: Level, run: int, rows: int, value: float) -> tuple[Level, int]:
    """Return the level after a block, and 1 if that is high, -1 if it is low, or 0. Many are looked at: in one step."""
    blocks, usual, followed, spread, typical, judged, highs = level
    size = math.log(rows)
    if not blocks:
        return Level(1, value, 1.0, 0.0, size), 0
    difference = _difference(value, usual)
    # Fewer rows differ more. That more rows differ less is not relied on: with heavy tails they hardly do.
    fewer = math.exp((typical - size) / 2) if size < typical else 1.0
    bound = max(_MIN_RISE, _SPREADS * spread * fewer)
    share = 1 / min(blocks, _MEMORY)
    spread += share * (abs(difference) / fewer - spread)
    typical += share * (size - typical)
    is_high = difference > bound
    if is_high and blocks >= MIN_BLOCKS:
        return Level(blocks + 1, usual, followed, spread, typical, judged, highs), 1
    followed = min(followed + 1, _MEMORY)
    usual += (value - usual) / followed
    judged, highs = judged * _HIGHS_KEPT + run + 1, highs * _HIGHS_KEPT + run + is_high
    return Level(blocks + 1, usual, followed, spread, typical, judged, highs), -1 if difference < -bound else 0


def _is_drift(level: Level, high: Run) -> bool:
    if high.blocks < MIN_RUN:
        return False
    chance = math.log((level.highs + 0.25) / (level.judged + 2))  # of a high block
    return high.blocks * chance <= _MAX_CHANCE


def _difference(value: float, level: float) -> float:
    """Return the logarithm of their ratio, or the largest that counts."""
    if value <= 0 or level <= 0:
        return 0.0 if value == level else math.copysign(_MAX_DIFFERENCE, value - level)
    return min(max(math.log(value) - math.log(level), -_MAX_DIFFERENCE), _MAX_DIFFERENCE)

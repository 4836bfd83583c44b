"""How much memory the rows of a batch take besides the batch itself while they are computed."""

from __future__ import annotations

from shoal_server.clustering.config import ModelConfig
from shoal_server.clustering.scoring import PART_ROWS
from shoal_server.clustering.state import Batch
from shoal_server.engines.numba import SMALL_SUM

# Of a row: its label; and where outliers are left out which these are, and the labels and weights of the others.
_LABEL_BYTES, _USUAL_BYTES, _WEIGHT_BYTES = 4, 1 + 4, 8
# Of a row that is being scored: its label, distance in both precisions and score, and whether it is an outlier.
_SCORED_ROW_BYTES = 32
SCORED_BYTES = _SCORED_ROW_BYTES * PART_ROWS  # of those that are scored at a time


def rows_bytes(config: ModelConfig, batch: Batch) -> int:
    """Return what the rows of a batch take from the time when they are computed until it has its result.

    Labels and scores that are asked for are counted where the answer is.
    """
    rows, columns = len(batch.points), int(batch.points.shape[1])
    labels = 0 if batch.return_labels else _LABEL_BYTES * rows
    if config.outlier_threshold is None:
        # numba's kernel adds rows up as it assigns them, unless the sums are large.
        is_labelled = config.engine != "numba" or config.n_clusters * columns > SMALL_SUM
        return labels if is_labelled or config.summary_points(columns) else 0
    weights = 0 if batch.sample_weight is None else _WEIGHT_BYTES * rows
    usual: int = batch.points.nbytes + _USUAL_BYTES * rows + weights
    return labels + usual + min(_SCORED_ROW_BYTES * rows, SCORED_BYTES)

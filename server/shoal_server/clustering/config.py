"""What a model is asked to be. Checked here once; inside, trusted."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from shoal_server.clustering.init_checks import check_init, check_init_weights
from shoal_server.clustering.search import seed_work
from shoal_server.engines.contract import Float64Array
from shoal_server.errors import Reason, invalid, refused

EngineName = Literal["numba", "sklearn", "scipy"]
Metric = Literal["euclidean", "cosine"]
OnInvalid = Literal["reject", "drop", "impute"]
InitMethod = Literal["k-means++", "random"]
Precision = Literal["float32", "float64"]
HalfLifeUnit = Literal["batches", "points", "seconds"]
UpdateRule = Literal["incremental", "refined"]
OnDrift = Literal["report", "adapt"]

DEFAULT_UPDATE_RULE: UpdateRule = "refined"  # of a session that doesn't say, where its centroids are few enough
# The points of the summary of a session that doesn't say: more where there are many centroids, and fewer where they and
# their weights would be more values than that, but never fewer than some for each centroid.
DEFAULT_SUMMARY_SIZE = 4000  # with 5,000 fits of china.jpg are 0.2 % better, and a sixth more is written
DEFAULT_SUMMARY_VALUES = 1 << 22
# In more than 258 columns a summary of few clusters has no more values than that, but 100 points for each of them. With
# 5 clusters in 768 columns, or 2 in 1,536, fits are 0.1 % worse than with 4,000 points; with 68 points for each of 10
# clusters they were 0.5 % worse.
WIDE_SUMMARY_VALUES, _WIDE_POINTS_PER_CLUSTER = 1 << 20, 100
_VALUES_BESIDE = 4  # of a point, besides its columns
_MIN_POINTS_PER_CLUSTER = 2
_MIN_SUMMARY_SIZE = 100  # of fewer, blocks would be closed all the time
# The most values of the centroids of a session with a summary: beyond it, parts of the work that aren't cut would take
# longer than others are to wait.
MAX_SUMMARISED_VALUES = 1 << 18
# On image patches (d 192, k 256): 6 % above the offline inertia with 8, and 2 % with 20. On noise (d 128, k 1024): 5 %
# above that of 20 with 5, worse than without refinements.
_GOOD_POINTS_PER_CLUSTER = 20

MAX_OUTLIER_THRESHOLD = 0.5
_MAX_INIT_SIZE = 2**31 - 1  # an int32 where sessions are described


@dataclass(frozen=True)
class HalfLife:
    """After `value` batches, points or seconds of event time, what came before counts half."""

    value: float
    unit: HalfLifeUnit


@dataclass(frozen=True)
class ModelConfig:
    """The configuration of a model; the names mean what they mean in scikit-learn."""

    n_clusters: int
    n_features: int | None = None  # None: as many as the first batch has
    engine: EngineName = "numba"
    metric: Metric = "euclidean"
    on_invalid: OnInvalid = "reject"
    init: InitMethod | NDArray[Any] = "k-means++"  # an array: the initial centroids (k, d)
    init_weights: Float64Array | None = None  # (k,) of given centroids: the points that they stand for; None: none
    init_size: int | None = None  # None: 3 * n_clusters
    random_state: int | None = None
    dtype: Precision | None = None  # None: follows the first points
    half_life: HalfLife | None = None  # None: nothing is forgotten
    update_rule: UpdateRule | None = "incremental"  # None: what suits the shape of the centroids; see `rule`
    summary_size: int | None = None  # None: the default; see `summary_points`
    outlier_threshold: float | None = None  # rows with a lower score stay out of the updates; None: there are no scores
    on_drift: OnDrift = "report"

    @property
    def points_needed(self) -> int:
        """How many points the initial centroids are computed from; 0 where they are given."""
        if not isinstance(self.init, str):
            return 0
        return self.init_size if self.init_size is not None else 3 * self.n_clusters

    def rule(self, n_features: int | None) -> UpdateRule:
        """Return the update rule for points of so many columns (None: not known yet).

        A configuration that names none has the default, unless it asks for no summary, or a session with one may not
        have so many values of centroids: then it is incremental.
        """
        if self.update_rule is not None:
            return self.update_rule
        is_too_large = self.n_clusters * (n_features or 1) > MAX_SUMMARISED_VALUES
        return "incremental" if is_too_large or self.summary_size == 0 else DEFAULT_UPDATE_RULE

    def summary_points(self, n_features: int | None) -> int:
        """Return how many points of so many columns (None: not known yet) the summary may have; 0: there is none."""
        if self.summary_size is not None:
            return self.summary_size
        if self.rule(n_features) == "incremental":
            return 0
        k, values = self.n_clusters, (n_features or 1) + _VALUES_BESIDE
        few = min(DEFAULT_SUMMARY_SIZE, max(WIDE_SUMMARY_VALUES // values, _WIDE_POINTS_PER_CLUSTER * k))
        size = min(max(few, _GOOD_POINTS_PER_CLUSTER * k), DEFAULT_SUMMARY_VALUES // values)
        return max(size, _MIN_POINTS_PER_CLUSTER * self.n_clusters)


def validate(
    config: ModelConfig,
    *,
    max_centroid_values: int,
    max_init_values: int,
    max_summary_values: int,
    max_init_work: int,
) -> None:
    """Check a configuration.

    Parameters
    ----------
    config
        What is asked for.
    max_centroid_values
        The most that n_clusters * n_features may be.
    max_init_values
        The most that init_size * n_features may be.
    max_summary_values
        The most that a summary_size * n_features that is asked for may be.
    max_init_work
        The most multiplications that the choice of the initial centroids may take.

    Raises
    ------
    DomainError
        N_CLUSTERS_INVALID, N_FEATURES_INVALID, INIT_SIZE_INVALID, INIT_INVALID, INIT_WEIGHTS_INVALID,
        HALF_LIFE_INVALID, SUMMARY_SIZE_INVALID, OUTLIER_THRESHOLD_INVALID, or TOO_MANY_VALUES or WORK_TOO_LARGE for
        what is over a limit.
    """
    check_settings(
        config,
        max_centroid_values=max_centroid_values,
        max_init_values=max_init_values,
        max_summary_values=max_summary_values,
        max_init_work=max_init_work,
    )
    check_init(config)
    check_init_weights(config)


def check_settings(
    config: ModelConfig,
    *,
    max_centroid_values: int,
    max_init_values: int,
    max_summary_values: int,
    max_init_work: int,
) -> None:
    """Check a configuration as `validate` does, but for the values of given centroids and their weights."""
    check_n_clusters(config)
    if config.n_features is not None and config.n_features < 1:
        raise invalid(
            Reason.N_FEATURES_INVALID,
            "config.n_features",
            f"n_features is {config.n_features}; use a number from 1 up, or 0 for as many as the first batch has",
        )
    given = 1 if isinstance(config.init, str) else config.init.shape[1]
    n_features = max(config.n_features or 1, given)
    check_width(config, n_features, max_centroid_values, max_init_values, max_summary_values, max_init_work)
    check_init_size(config)
    check_half_life(config.half_life)
    check_outlier_threshold(config.outlier_threshold)


def check_resize(config: ModelConfig, n_features: int, max_centroid_values: int, max_work: int) -> None:
    """Check the configuration of a model with centroids that gets another number of them.

    Parameters
    ----------
    config
        With that number.
    n_features
        Columns of the model's points.
    max_centroid_values
        The most that n_clusters * n_features may be.
    max_work
        The most multiplications that the choice of more centroids may take.

    Raises
    ------
    DomainError
        N_CLUSTERS_INVALID, SUMMARY_SIZE_INVALID, TOO_MANY_VALUES or WORK_TOO_LARGE.
    """
    check_n_clusters(config)
    if max_centroid_values < MAX_SUMMARISED_VALUES:  # only the tighter limit is one that helps to know
        _check_values((("n_clusters", config.n_clusters, max_centroid_values),), n_features)
    else:
        _check_summarised_values(config, n_features)
    points = config.summary_points(n_features)
    work = seed_work(points, config.n_clusters, n_features)
    if work > max_work:
        raise refused(
            Reason.WORK_TOO_LARGE,
            f"to choose up to {config.n_clusters:,} centroids among the summary's {points:,} points of {n_features:,} "
            f"columns takes {work:,} multiplications, and the server allows {max_work:,}: ask for fewer clusters",
            field="config.n_clusters",
        )


def check_width(
    config: ModelConfig,
    n_features: int,
    max_centroid_values: int,
    max_init_values: int,
    max_summary_values: int,
    max_init_work: int,
) -> None:
    """Raise TOO_MANY_VALUES or WORK_TOO_LARGE if points of so many columns make too much of the model."""
    sizes = (
        ("n_clusters", config.n_clusters, max_centroid_values),
        ("init_size", config.points_needed, max_init_values),
        ("summary_size", config.summary_size or 0, max_summary_values),
    )
    _check_values(sizes, n_features)
    if config.summary_points(n_features):
        _check_summarised_values(config, n_features, "; or use update_rule 'incremental' without a summary")
    _check_init_work(config, n_features, max_init_work)


def check_n_clusters(config: ModelConfig) -> None:
    """Raise N_CLUSTERS_INVALID, or SUMMARY_SIZE_INVALID if the summary has fewer points than there are clusters."""
    if config.n_clusters < 1:
        raise invalid(
            Reason.N_CLUSTERS_INVALID, "config.n_clusters", f"n_clusters is {config.n_clusters}; use a number from 1 up"
        )
    _check_summary_size(config)


def _check_values(sizes: Iterable[tuple[str, int, int]], n_features: int) -> None:
    """Raise TOO_MANY_VALUES if rows of one of the sizes (field, rows, most) have more values than they may."""
    for field, rows, most in sizes:
        if rows * n_features > most:
            raise refused(
                Reason.TOO_MANY_VALUES,
                f"{field} {rows:,} times n_features {n_features:,} is {rows * n_features:,} values, and the server "
                f"allows {most:,}: {_most_of(field, rows, n_features, most)}",
                field=f"config.{field}",
            )


def _check_summarised_values(config: ModelConfig, n_features: int, advice: str = "") -> None:
    if config.n_clusters * n_features > MAX_SUMMARISED_VALUES:
        raise refused(
            Reason.TOO_MANY_VALUES,
            f"n_clusters {config.n_clusters:,} times n_features {n_features:,} is {config.n_clusters * n_features:,} "
            f"values, and a session with a summary may have {MAX_SUMMARISED_VALUES:,}: "
            f"{_most_of('n_clusters', config.n_clusters, n_features, MAX_SUMMARISED_VALUES)}{advice}",
            field="config.n_clusters",
        )


def _check_init_work(config: ModelConfig, n_features: int, max_init_work: int) -> None:
    """Raise WORK_TOO_LARGE if the choice of the initial centroids takes too many multiplications."""
    if not isinstance(config.init, str):
        return  # nothing is chosen
    work = config.n_clusters * config.points_needed * n_features
    if config.init == "k-means++":
        work *= n_trials(config.n_clusters)
    if work > max_init_work:
        raise refused(
            Reason.WORK_TOO_LARGE,
            f"to choose {config.n_clusters:,} initial centroids among {config.points_needed:,} points of "
            f"{n_features:,} columns takes {work:,} multiplications, and the server allows {max_init_work:,}: ask for "
            f"fewer clusters, a smaller init_size or init='random', or give the initial centroids",
            field="config.init_size",
        )


def n_trials(n_clusters: int) -> int:
    """Return how many points k-means++ tries for each centroid: as many as scikit-learn."""
    return 2 + int(math.log(n_clusters))


def _most_of(field: str, rows: int, n_features: int, most: int) -> str:
    if n_features > most:
        return f"with {field} {min(rows, most):,}, n_features can be {most // min(rows, most):,} at most"
    return f"with n_features {n_features:,}, {field} can be {most // n_features:,} at most"


def check_changes(changes: Mapping[str, Any]) -> None:
    """Raise HALF_LIFE_INVALID or OUTLIER_THRESHOLD_INVALID if fields of a configuration can't be changed to these."""
    check_half_life(changes.get("half_life"))
    check_outlier_threshold(changes.get("outlier_threshold"))


def check_half_life(half_life: HalfLife | None) -> None:
    """Raise HALF_LIFE_INVALID unless the half-life is absent or above 0."""
    if half_life is not None and not 0 < half_life.value < math.inf:
        raise invalid(
            Reason.HALF_LIFE_INVALID,
            "config.half_life.value",
            f"half_life is {half_life.value} {half_life.unit}; use a finite number above 0, or leave it out to forget "
            f"nothing",
        )


def check_outlier_threshold(threshold: float | None) -> None:
    """Raise OUTLIER_THRESHOLD_INVALID unless the threshold is absent or can be one."""
    if threshold is not None and not 0 < threshold <= MAX_OUTLIER_THRESHOLD:
        raise invalid(
            Reason.OUTLIER_THRESHOLD_INVALID,
            "config.outlier_threshold",
            f"outlier_threshold is {threshold}; use a number above 0, up to {MAX_OUTLIER_THRESHOLD}, such as 0.001: "
            f"the share of usual points that may count as outliers. Or use None for no scores and no outliers",
        )


def check_init_size(config: ModelConfig) -> None:
    """Raise INIT_SIZE_INVALID if the initial centroids can't be chosen from so many points."""
    if config.points_needed > _MAX_INIT_SIZE:
        raise invalid(
            Reason.INIT_SIZE_INVALID,
            "config.init_size",
            f"init_size is three times n_clusters, which is {config.points_needed:,}, and can be {_MAX_INIT_SIZE:,} at "
            f"most; use fewer clusters, or say an init_size",
        )
    if config.init_size is not None and config.init_size < config.n_clusters:
        raise invalid(
            Reason.INIT_SIZE_INVALID,
            "config.init_size",
            f"init_size is {config.init_size}, below n_clusters {config.n_clusters}; every initial centroid needs a "
            f"point, so use {config.n_clusters} or more, or 0 for three times n_clusters; or fewer clusters",
        )


def _check_summary_size(config: ModelConfig) -> None:
    size, k = config.summary_size, config.n_clusters
    if size is None:
        return
    if size < 0:
        raise invalid(
            Reason.SUMMARY_SIZE_INVALID,
            "config.summary_size",
            f"summary_size is {size}; use a number from 0 up, 0 for no summary, or leave it out for the default",
        )
    if config.update_rule == "refined" and size == 0:
        raise invalid(
            Reason.SUMMARY_SIZE_INVALID,
            "config.summary_size",
            "summary_size is 0, and update_rule 'refined' fits the centroids to the summary; leave summary_size out "
            "for the default, or use update_rule 'incremental'",
        )
    least, good = max(k, _MIN_SUMMARY_SIZE), _GOOD_POINTS_PER_CLUSTER * k
    best = f"best {good:,} or more, " if good > least else ""
    if 0 < size < least:
        raise invalid(
            Reason.SUMMARY_SIZE_INVALID,
            "config.summary_size",
            f"summary_size is {size:,}; with n_clusters {k:,} use {least:,} or more, {best}or leave it out "
            f"for the default",
        )

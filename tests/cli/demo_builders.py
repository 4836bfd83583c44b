"""Results of a demo that never ran, for tests of its report."""

from __future__ import annotations

import numpy as np

from shoal_presentation.demo.image import Photograph, load_photograph
from shoal_presentation.demo.quality import fit_of, fit_offline, measure
from shoal_presentation.demo.results import PARTIAL_FIT, SHOAL, Array, DemoResults, OnePass, Version

N_CLUSTERS = 4


def demo_results(partial_fit: Array, shoal: Array, missed: int = 0) -> DemoResults:
    """Return results in which the passes end with the centroids given, and the watcher missed the first versions."""
    photograph = load_photograph(step=8)
    passes = one_pass(PARTIAL_FIT, partial_fit, photograph), one_pass(SHOAL, shoal, photograph, missed)
    offline, n_iter = fit_offline(photograph, N_CLUSTERS, 0)
    return DemoResults(photograph, *passes, offline, n_iter, measure(photograph, passes, offline, 0), seconds=12.3)


def one_pass(name: str, ends: Array, photograph: Photograph, missed: int = 0) -> OnePass:
    """Return a pass with a version for each batch, each second one of a refinement, without the missed ones."""
    n_batches = photograph.n_batches
    versions = tuple(
        Version(
            version,
            min(version * photograph.batch_rows, len(photograph.pixels)),
            ends + (n_batches - version),
            refined=name == SHOAL and version % 2 == 0,
        )
        for version in range(1, n_batches + 1)
    )
    fit = fit_of(name, ends, photograph, seconds=0.5)
    return OnePass(fit, versions[missed:], refinements=n_batches // 2 if name == SHOAL else 0)


def centroids() -> Array:
    return np.linspace(30, 220, 3 * N_CLUSTERS).reshape(N_CLUSTERS, 3)

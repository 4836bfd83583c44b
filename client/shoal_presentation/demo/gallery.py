"""Every picture of the demo, written as PNG files into one folder. The report embeds them, the README shows one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shoal_presentation.demo.looks import DARK, LIGHT
from shoal_presentation.demo.overview import save_overview
from shoal_presentation.demo.pictures import as_colours, palette, save_picture, save_quantised, spectrum
from shoal_presentation.demo.plots import save_distance_plot, save_inertia_plot
from shoal_presentation.demo.results import Array, DemoResults

ORIGINAL, OFFLINE = "original", "offline"


def save_pictures(results: DemoResults, folder: Path) -> None:
    """Write NAME.png and NAME-palette.png of the photograph and every fit, and the plots in light and in dark."""
    photograph = results.photograph
    height, width, _ = photograph.picture.shape
    save_picture(photograph.picture, folder / f"{ORIGINAL}.png")
    save_picture(spectrum(photograph.pixels), folder / f"{ORIGINAL}-palette.png")
    for run in results.runs:
        _save_fit(folder / run.engine, run.centroids, run.labels, (height, width))
    _save_fit(folder / OFFLINE, results.offline.centroids, results.offline.labels, (height, width))
    for look in (LIGHT, DARK):
        save_inertia_plot(results, look, folder / f"inertia-{look.name}.png")
        save_distance_plot(results, look, folder / f"distance-{look.name}.png")
        save_overview(results, look, folder / f"overview-{look.name}.png")


def _save_fit(stem: Path, centroids: Array, labels: NDArray[np.int32], shape: tuple[int, int]) -> None:
    colours = as_colours(centroids)
    save_quantised(labels.reshape(shape), colours, stem.with_name(f"{stem.name}.png"))
    save_quantised(palette(centroids, labels), colours, stem.with_name(f"{stem.name}-palette.png"))

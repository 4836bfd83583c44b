"""Pictures and palettes as PNG files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shoal_presentation.demo.results import Array

PALETTE_SHAPE = (48, 640)  # pixels: height, width

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722])  # Rec. 709, of R, G and B


def as_colours(centroids: Array) -> NDArray[np.uint8]:
    """Return (k, 3) centroids as colours."""
    return np.clip(np.round(centroids), 0, 255).astype(np.uint8)


def palette(centroids: Array, labels: NDArray[np.int32]) -> NDArray[np.intp]:
    """Return a (height, width) strip of labels, their colours from dark to light, as wide as they are frequent."""
    height, width = PALETTE_SHAPE
    order = np.argsort(centroids @ _LUMINANCE)
    counts = np.bincount(labels, minlength=len(centroids))[order]
    edges = np.round(np.cumsum(counts) / counts.sum() * width).astype(int)
    return np.broadcast_to(np.repeat(order, np.diff(edges, prepend=0)), (height, width))


def spectrum(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a (height, width, 3) strip of as many pixels as fit, from dark to light."""
    height, width = PALETTE_SHAPE
    sample = pixels[np.linspace(0, len(pixels) - 1, height * width).astype(int)]
    ordered: NDArray[np.uint8] = sample[np.argsort(sample @ _LUMINANCE, kind="stable")]
    return ordered.reshape(width, height, 3).transpose(1, 0, 2)


def save_picture(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a (height, width, 3) picture as PNG."""
    Image.fromarray(np.ascontiguousarray(picture)).save(path, optimize=True)


def save_quantised(labels: NDArray[np.integer], colours: NDArray[np.uint8], path: Path) -> None:
    """Write (height, width) labels in their (k, 3) colours as PNG with a palette, a quarter of the bytes."""
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(colours.tobytes())
    image.save(path, optimize=True)

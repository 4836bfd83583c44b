"""Images: every pixel is a point, its channels the coordinates, in scan order."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from shoal.cli.failures import CommandError
from shoal.cli.files.columns import select_columns
from shoal.cli.files.npy_reader import slices
from shoal.cli.files.point_file import Array, PointFile, ReadOptions

_AS_OTHER_MODE = {"1": "L", "PA": "RGBA", "CMYK": "RGB", "YCbCr": "RGB", "LAB": "RGB", "HSV": "RGB"}


def open_image(path: Path, options: ReadOptions) -> PointFile:
    """Open an image as (height * width, channels) points; its columns are called as its channels: R, G, B."""
    channels, pixels = _pixels(path)
    columns = select_columns(channels, options, str(path))
    batch_rows = options.rows_of(pixels.itemsize * len(columns.points))
    batches = (columns.take(piece).batch for piece in slices(pixels, batch_rows))
    return PointFile(str(path), len(pixels), batches)


def _pixels(path: Path) -> tuple[tuple[str, ...], Array]:
    try:
        with Image.open(path) as image:
            plain = _with_plain_channels(image)
            return plain.getbands(), np.asarray(plain).reshape(-1, len(plain.getbands()))
    except UnidentifiedImageError as error:
        raise CommandError(f"{path}: not an image that can be read") from error
    except Image.DecompressionBombError as error:
        raise CommandError(f"{path}: {error}") from error


def _with_plain_channels(image: Image.Image) -> Image.Image:
    if image.mode == "P":  # a palette's indices are no coordinates
        return image.convert("RGBA" if "transparency" in image.info else "RGB")
    mode = _AS_OTHER_MODE.get(image.mode)
    return image if mode is None else image.convert(mode)

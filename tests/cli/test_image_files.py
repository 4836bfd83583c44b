"""Images: their channels, and the order of their pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shoal.cli.failures import FAILED
from tests.cli.point_files import opened, points, refusal

RED, GREEN, BLUE, GREY = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)


def picture() -> Image.Image:
    return Image.fromarray(np.array([[RED, GREEN], [BLUE, GREY]], np.uint8))


def test_every_pixel_is_a_point_in_scan_order(tmp_path: Path) -> None:
    picture().save(tmp_path / "four.png")

    file = opened(tmp_path / "four.png")

    assert file.rows == 4
    pixels = points(file)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, [RED, GREEN, BLUE, GREY])


def test_image_channels_are_columns(tmp_path: Path) -> None:
    picture().save(tmp_path / "four.png")

    assert np.array_equal(points(opened(tmp_path / "four.png", columns=("B", "R")))[0], [0, 255])


def test_a_palette_image_is_read_as_colours_and_not_as_indices(tmp_path: Path) -> None:
    picture().quantize(4).save(tmp_path / "four.png")

    assert np.array_equal(points(opened(tmp_path / "four.png")), [RED, GREEN, BLUE, GREY])


def test_a_palette_image_with_transparency_has_an_alpha_channel(tmp_path: Path) -> None:
    picture().quantize(4).save(tmp_path / "four.gif", transparency=0)

    assert points(opened(tmp_path / "four.gif")).shape == (4, 4)


@pytest.mark.parametrize(("mode", "columns"), [("L", 1), ("1", 1), ("LA", 2), ("RGBA", 4), ("I;16", 1), ("F", 1)])
def test_other_kinds_of_pixels_have_as_many_columns_as_channels(tmp_path: Path, mode: str, columns: int) -> None:
    path = tmp_path / f"other.{'tif' if mode == 'F' else 'png'}"
    (Image.new(mode, (2, 2), 1) if mode in ("I;16", "F") else picture().convert(mode)).save(path)

    assert points(opened(path)).shape == (4, columns)


def test_a_jpeg_is_read(tmp_path: Path) -> None:
    picture().save(tmp_path / "four.JPG")

    assert points(opened(tmp_path / "four.JPG")).shape == (4, 3)


def test_a_file_that_is_not_an_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "four.png").write_bytes(b"hello")

    error = refusal(lambda: opened(tmp_path / "four.png"))

    assert "not an image" in str(error)
    assert error.exit_code == FAILED


def test_a_truncated_image_is_refused(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(tmp_path / "noise.png")
    whole = (tmp_path / "noise.png").read_bytes()
    (tmp_path / "noise.png").write_bytes(whole[: len(whole) // 2])

    assert refusal(lambda: opened(tmp_path / "noise.png")).exit_code == FAILED

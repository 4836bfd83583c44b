"""Helpers for the tests of file readers."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shoal import Batch
from shoal.cli.failures import CommandError
from shoal.cli.files import PointFile, ReadOptions, open_points


def opened(path: Path | str, batch_rows: int | None = 4, **options: Any) -> PointFile:
    return open_points(str(path), ReadOptions(batch_rows, **options), _no_stdin)


def piped(content: bytes, batch_rows: int | None = 4, **options: Any) -> PointFile:
    return open_points("-", ReadOptions(batch_rows, **options), stdin(content))


def read(file: PointFile) -> list[Batch]:
    try:
        return list(file.batches)
    finally:
        file.close()


def points(file: PointFile) -> NDArray[Any]:
    return np.concatenate([np.asarray(batch.points) for batch in read(file)])


def weights(file: PointFile) -> NDArray[Any]:
    return np.concatenate([np.asarray(batch.sample_weight) for batch in read(file)])


def refusal(read_file: Callable[[], object]) -> CommandError:
    with pytest.raises(CommandError) as caught:
        read_file()
    return caught.value


def stdin(content: bytes) -> Callable[[], io.BufferedReader]:
    return lambda: io.BufferedReader(io.BytesIO(content))


def _no_stdin() -> io.BufferedReader:
    raise AssertionError("standard input is not asked for")

"""Finds out the format of a file and opens it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from io import BufferedReader
from pathlib import Path

from shoal import Batch
from shoal.cli.failures import CommandError, usage_error
from shoal.cli.files.csv_reader import read_csv
from shoal.cli.files.image_reader import open_image
from shoal.cli.files.npy_reader import open_npy, read_npy
from shoal.cli.files.parquet_reader import open_parquet
from shoal.cli.files.point_file import PointFile, ReadOptions

STANDARD_INPUT = "-"

_NPY_MAGIC = b"\x93"  # npy begins with "\x93NUMPY"; no text does begin with this byte


def open_points(name: str, options: ReadOptions, stdin: Callable[[], BufferedReader]) -> PointFile:
    """Open a file of points.

    Parameters
    ----------
    name
        A path whose ending says what kind it is, or ``-`` for standard input: npy or csv, as its first byte says.
    options
        How to read it.
    stdin
        Gives the standard input; called only for ``-``.

    Raises
    ------
    CommandError
        For a file that isn't there, isn't of a known kind, has not the columns asked for or can't be read.
    """
    if name == STANDARD_INPUT:
        return _open_stream(stdin(), options)
    path = Path(name)
    opener = _opener(path)
    try:
        file = opener(path, options)
    except OSError as error:
        raise _unreadable(name, error) from error
    return replace(file, batches=_read(file))


def _open_stream(stream: BufferedReader, options: ReadOptions) -> PointFile:
    is_npy = stream.peek(1)[:1] == _NPY_MAGIC
    return (read_npy if is_npy else read_csv)(stream, options, "standard input")


def _read(file: PointFile) -> Iterator[Batch]:
    try:
        yield from file.batches
    except OSError as error:
        raise _unreadable(file.name, error) from error


def _unreadable(name: str, error: OSError) -> CommandError:
    return CommandError(f"{name}: can't be read: {error.strerror or error}")


def _opener(path: Path) -> Callable[[Path, ReadOptions], PointFile]:
    opener = _OPENERS.get(path.suffix.lower())
    if not path.exists():
        raise usage_error(f"{path}: there is no such file")
    if path.is_dir():
        raise usage_error(f"{path} is a folder; name the files in it")
    if opener is None:
        raise usage_error(f"{path}: unknown file extension; use one of {', '.join(_OPENERS)}")
    return opener


def _open_csv(path: Path, options: ReadOptions) -> PointFile:
    with ExitStack() as stack:
        file = read_csv(stack.enter_context(path.open("rb")), options, str(path))
        return replace(file, close=stack.pop_all().close)


_IMAGES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp")
_OPENERS: dict[str, Callable[[Path, ReadOptions], PointFile]] = {
    ".npy": open_npy,
    ".csv": _open_csv,
    ".parquet": open_parquet,
    **dict.fromkeys(_IMAGES, open_image),
}

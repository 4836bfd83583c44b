"""Where compiled code is kept between two starts.

Numba's cache is pickle and machine code on disk: whoever can write it can run code in this process. And Numba looks at
one source file only to see whether a compiled function is still up to date. So the folder is named by all that the code
depends on, belongs to this user alone, and carries checksums; a folder that is anything else is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import llvmlite
import numba
import numpy as np
import structlog
from llvmlite import binding

T = TypeVar("T")

_CHECKSUMS = "checksums.json"
_WRITABLE_BY_OTHERS = 0o022

log = structlog.get_logger()


def compile_cached(compile_all: Callable[[], T]) -> T:
    """Call a function that compiles, so that it finds what an earlier call in this or another process compiled."""
    folder = _ready_folder()
    if folder is None:
        with TemporaryDirectory(prefix="shoal-kernels-") as passing, _numba_caches_in(Path(passing)):
            return compile_all()
    with _numba_caches_in(folder):
        try:
            made = compile_all()
        except Exception as damage:  # noqa: BLE001  (whatever a foreign file makes Numba do, there is one remedy)
            log.warning("kernel cache is damaged and made anew", error=repr(damage))
            _empty(folder)
            made = compile_all()
    _seal(folder)
    return made


@contextmanager
def part_of_cache(name: str) -> Iterator[None]:
    """Let Numba cache in a folder in the one that it caches in: processes that compile at once need one each."""
    folder = Path(numba.config.CACHE_DIR) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    with _numba_caches_in(folder):
        yield


def _ready_folder() -> Path | None:
    """Return the folder for this code on this machine, sealed or empty; None if there can't be one."""
    folder = _base() / "shoal" / f"kernels-{_fingerprint()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
            raise PermissionError(f"{folder} belongs to another user, or others can write it")
        if not _is_sealed(folder):
            _empty(folder)
    except OSError as reason:
        log.warning("kernel cache can't be used; the kernels are compiled at every start", reason=str(reason))
        return None
    return folder


def _base() -> Path:
    chosen = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    return Path(chosen) if chosen else Path.home() / ".cache"


def _fingerprint() -> str:
    """Return a digest of all that the compiled code depends on."""
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    surroundings = [sys.version, numba.__version__, llvmlite.__version__, np.__version__, binding.get_host_cpu_name()]
    digest.update("\n".join([*surroundings, binding.get_host_cpu_features().flatten()]).encode())
    return digest.hexdigest()[:16]


@contextmanager
def _numba_caches_in(folder: Path) -> Iterator[None]:
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(folder)
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def _is_sealed(folder: Path) -> bool:
    try:
        noted = json.loads((folder / _CHECKSUMS).read_bytes())
    except (OSError, ValueError):
        return False
    return bool(noted == _checksums(folder))


def _seal(folder: Path) -> None:
    """Note what is in the folder. Where that fails the next start compiles again."""
    try:
        partial = folder / f"{_CHECKSUMS}.{os.getpid()}"
        partial.write_text(json.dumps(_checksums(folder)))
        partial.replace(folder / _CHECKSUMS)
    except OSError as reason:
        log.warning("kernel cache can't be written", reason=str(reason))


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*.nb[ic]") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _empty(folder: Path) -> None:
    """Remove what is in the folder; another process may be doing so too."""
    for entry in list(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)

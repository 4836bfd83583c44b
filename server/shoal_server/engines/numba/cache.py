"""Where compiled code is kept between two starts.

Numba's cache is pickle and machine code on disk: whoever can write it can run code in this process. And Numba looks at
one source file only to see whether a compiled function is still up to date. So the folder is named by all that the code
depends on, belongs to this user alone, and carries checksums; a folder that is anything else is made anew. Servers that
start at once load from it together; while one compiles the others wait.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
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
_CANT_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
# Numba says by a RuntimeError that it can write nowhere. A bug raises others, or the same again where nothing is kept.
_DISK_ERRORS = (OSError, RuntimeError)

log = structlog.get_logger()


def compile_cached(compile_all: Callable[[], T]) -> T:
    """Call a function that compiles, so that it finds what an earlier call in this or another process compiled."""
    try:
        folder = _ready_folder()
        with _lock_of(folder) as lock:
            return _load_or_compile(compile_all, folder, lock)
    except _UnusableError as reason:
        log.warning("kernel cache can't be used; the kernels are compiled at every start", reason=str(reason))
    try:
        # Processes that compile together share what they have compiled through a folder.
        with TemporaryDirectory(prefix="shoal-kernels-", ignore_cleanup_errors=True) as passing, caching_in(passing):
            return compile_all()
    except _DISK_ERRORS as reason:
        log.warning("nothing can be written: the kernels are compiled by one process", reason=str(reason))
    with caching_in(""):
        return compile_all()


def is_kept() -> bool:
    """Return whether what is compiled now is kept on disk."""
    return bool(numba.config.CACHE_DIR)


@contextmanager
def part_of_cache(name: str) -> Iterator[None]:
    """Let Numba cache in a folder in the one that it caches in: processes that compile at once need one each."""
    if not is_kept():
        yield
        return
    folder = Path(numba.config.CACHE_DIR) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    with caching_in(str(folder)):
        yield


class _UnusableError(OSError):
    """No cache can be used: the folder can't be had or not be trusted, can't be locked, or nothing can be written."""


@contextmanager
def _or_unusable() -> Iterator[None]:
    try:
        yield
    except OSError as reason:
        raise _UnusableError(str(reason)) from reason


@_or_unusable()
def _ready_folder() -> Path:
    """Return the folder for this code on this machine, which may have anything in it."""
    folder = _base() / "shoal" / f"kernels-{_fingerprint()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS:
        raise PermissionError(f"{folder} belongs to another user, or others can write it")
    return folder


@contextmanager
def _lock_of(folder: Path) -> Iterator[int]:
    """Open what servers lock: together those that load, alone who compiles. It is free again when it is closed."""
    with _or_unusable():
        lock = os.open(folder.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        yield lock
    finally:
        os.close(lock)


def _load_or_compile(compile_all: Callable[[], T], folder: Path, lock: int) -> T:
    _share_or_empty(folder, lock)
    with caching_in(str(folder)):
        try:
            made = compile_all()
        except Exception as damage:
            _take(lock, fcntl.LOCK_EX)
            _empty(folder)  # of what half fills a disk, too
            if isinstance(damage, OSError) and damage.errno in _CANT_WRITE:
                raise _UnusableError(str(damage)) from damage
            log.warning("kernel cache is damaged and made anew", error=repr(damage))
            made = _compile_anew(compile_all, folder)
    if not _is_sealed(folder):
        _seal(folder, lock)
    return made


def _compile_anew(compile_all: Callable[[], T], folder: Path) -> T:
    try:
        return compile_all()
    except _DISK_ERRORS as reason:
        with suppress(_UnusableError):
            _empty(folder)
        raise _UnusableError(str(reason)) from reason


def _share_or_empty(folder: Path, lock: int) -> None:
    """Hold the lock with others if the folder is sealed; otherwise alone, with the folder emptied."""
    _take(lock, fcntl.LOCK_SH)
    if _is_sealed(folder):
        return
    _take(lock, fcntl.LOCK_EX)
    if _is_sealed(folder):  # by the one that this one has waited for
        _take(lock, fcntl.LOCK_SH)
    else:
        _empty(folder)


@_or_unusable()
def _take(lock: int, how: int) -> None:
    """Lock with others or alone. Some file systems of a network have no locks, and say so here."""
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        log.info("waiting for another process, which compiles the kernels or loads them")
        fcntl.flock(lock, how)


def _base() -> Path:
    chosen = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(chosen) if chosen else Path.home() / ".cache"
    except RuntimeError as reason:  # a user without a home
        raise FileNotFoundError(str(reason)) from reason


def _fingerprint() -> str:
    """Return a digest of all that the compiled code depends on."""
    digest = hashlib.sha256(os.fsencode(Path(__file__).parent))  # by which, and by its stamp, Numba knows a source
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    versions = [sys.version, numba.__version__, llvmlite.__version__, np.__version__, binding.get_host_cpu_name()]
    digest.update("\n".join([*versions, binding.get_host_cpu_features().flatten()]).encode())
    return digest.hexdigest()[:16]


@contextmanager
def caching_in(folder: str) -> Iterator[None]:
    """Let Numba cache in a folder and nowhere else; nowhere at all if it is empty."""
    before = numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES
    # Where Numba can't write it would try others, such as one beside the source code.
    numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES = folder, "UserProvidedCacheLocator"
    try:
        yield
    finally:
        numba.config.CACHE_DIR, numba.config.CACHE_LOCATOR_CLASSES = before


def _is_sealed(folder: Path) -> bool:
    try:
        noted = json.loads((folder / _CHECKSUMS).read_bytes())
        return bool(noted == _checksums(folder))
    except (OSError, ValueError):
        return False


def _seal(folder: Path, lock: int) -> None:
    """Note what is in the folder. Where that fails the next start compiles again."""
    try:
        _take(lock, fcntl.LOCK_EX)
        partial = folder / f"{_CHECKSUMS}.{os.getpid()}"
        try:
            partial.write_text(json.dumps(_checksums(folder)))
            partial.replace(folder / _CHECKSUMS)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as reason:
        log.warning("kernel cache can't be written", reason=str(reason))


def _checksums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*.nb[ic]") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@_or_unusable()
def _empty(folder: Path) -> None:
    """Remove what is in the folder."""
    for entry in list(folder.iterdir()):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)

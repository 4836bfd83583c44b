"""Kernels on full or read-only disks: the server starts, and logs it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import numba
import pytest
from structlog.testing import capture_logs

from shoal_server.engines.numba import cache


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


class FullDisk:
    """Compiles like `Compiler`, in a folder on a full disk, or one that Numba can't use."""

    def __init__(self, error: Exception, folders: int) -> None:
        self.error, self.folders = error, folders  # how many folders are on the full disk
        self.tried: list[str] = []

    def __call__(self) -> str:
        folder: str = numba.config.CACHE_DIR
        if folder not in self.tried:
            self.tried.append(folder)
        if folder and len(self.tried) <= self.folders:
            (Path(folder) / "half.nbc").write_bytes(b"half")
            raise self.error
        return folder


FULL = [
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EDQUOT, "Disk quota exceeded"),
    OSError(errno.EROFS, "Read-only file system"),
    OSError(errno.EIO, "Input/output error"),
    RuntimeError("cannot cache function 'sweep': no locator available for file 'kernels.py'"),
]


@pytest.mark.parametrize("error", FULL, ids=str)
def test_a_full_disk_does_not_end_the_start(error: Exception, base: Path) -> None:
    compiler = FullDisk(error, folders=1)

    with capture_logs() as logged:
        where = Path(cache.compile_cached(compiler))

    assert where.parent == base / "temporary"
    assert logged[-1]["event"] == "kernel cache can't be used; the kernels are compiled at every start"
    assert str(error) in logged[-1]["reason"]
    assert not list((base / "shoal").rglob("*.nbc"))  # its room is free again


@pytest.mark.parametrize("error", FULL, ids=str)
def test_kernels_are_compiled_without_a_cache_folder_on_a_read_only_disk(error: Exception) -> None:
    with capture_logs() as logged:
        assert not cache.compile_cached(FullDisk(error, folders=2))

    assert logged[-1]["event"] == "nothing can be written: the kernels are compiled by one process"


def test_kernels_are_compiled_without_a_cache_folder_when_there_is_no_temporary_folder(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(base / "not there"))

    assert not cache.compile_cached(FullDisk(FULL[0], folders=1))


def test_a_user_without_a_home_has_no_cache(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000_000)

    with capture_logs() as logged:
        where = Path(cache.compile_cached(FullDisk(FULL[0], folders=0)))

    assert where.parent == base / "temporary"
    assert "home" in logged[0]["reason"]


KERNEL = """
    import resource, sys
    from pathlib import Path
    import numba
    from shoal_server.engines.numba.cache import compile_cached, is_kept
    source = Path(sys.argv[1])
    source.mkdir()
    (source / "kernel.py").write_text("def double(x):\\n    return 2 * x\\n")
    sys.path.insert(0, str(source))
    from kernel import double
    if "small files" in sys.argv:
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    def compile_all():
        function = numba.njit(["float64(float64)"], cache=is_kept())(double)
        return function(21.0), bool(numba.config.CACHE_DIR)
    print(*compile_cached(compile_all))
    assert not list(source.rglob("*.nb[ic]"))
"""


def _compiled_apart(base: Path, *arguments: str) -> str:
    """Return the output of a process in which Numba itself compiles and writes."""
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KERNEL), str(base / "source"), *arguments],
        env={**os.environ, "TMPDIR": str(base / "temporary")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]


def test_numba_compiles_when_no_file_may_grow(base: Path) -> None:
    assert _compiled_apart(base, "small files") == "42.0 False"


def test_numba_compiles_when_the_disk_of_the_cache_is_full(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = base / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", disk], check=False).returncode:
        pytest.skip("only root may mount a small disk")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(disk))
    try:
        assert _compiled_apart(base) == "42.0 True"  # in the folder for temporary files
    finally:
        subprocess.run(["umount", disk], check=True)

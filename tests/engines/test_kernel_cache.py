"""Compiled code on disk: damaged or foreign code is never run, and never fatal."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numba
import pytest
from structlog.testing import capture_logs

from shoal_server.engines.numba import cache

CODE = {"sweep.py-1.nbi": b"index of sweep", "sweep.py-1.1.nbc": b"machine code of sweep", "move.py-1.nbi": b"index"}
WAITING = "waiting for another process, which compiles the kernels or loads them"


class Compiler:
    """Replaces Numba: compiles missing files into the folder, and returns whether it had to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures

    def __call__(self) -> bool:
        folder = Path(numba.config.CACHE_DIR)
        self.folder, self.mode = folder, stat.S_IMODE(folder.stat().st_mode)
        self.found = {path.name for path in folder.iterdir()}
        if self.failures:
            self.failures -= 1
            (folder / "half.nbi").write_bytes(b"half")
            raise EOFError("Ran out of input")
        fresh = not (self.found >= CODE.keys())
        for name, code in CODE.items():
            (folder / name).write_bytes(code)
        return fresh


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


def _folder() -> Path:
    compiler = Compiler()
    assert cache.compile_cached(compiler)
    return compiler.folder


def _loads() -> bool:
    return not cache.compile_cached(Compiler())


def test_compiled_kernels_are_loaded_at_the_next_start() -> None:
    _folder()

    assert _loads()


def test_the_cache_folder_is_private(base: Path) -> None:
    folder = _folder()

    assert folder.parent == base / "shoal"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_numba_uses_its_own_cache_folder_after_the_kernels_are_compiled() -> None:
    before = numba.config.CACHE_DIR

    folder = _folder()

    assert numba.config.CACHE_DIR == before != str(folder)


def _flip(path: Path) -> None:
    code = bytearray(path.read_bytes())
    code[len(code) // 2] ^= 1
    path.write_bytes(code)


def _foreign_below(folder: Path) -> None:
    folder.mkdir()
    (folder / "foreign.nbc").write_bytes(b"x")


def _folder_in_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "flipped index": lambda folder: _flip(folder / "sweep.py-1.nbi"),
    "flipped code": lambda folder: _flip(folder / "sweep.py-1.1.nbc"),
    "truncated": lambda folder: (folder / "sweep.py-1.1.nbc").write_bytes(b"mach"),
    "emptied": lambda folder: (folder / "sweep.py-1.nbi").write_bytes(b""),
    "missing": lambda folder: (folder / "move.py-1.nbi").unlink(),
    "foreign": lambda folder: (folder / "foreign.nbi").write_bytes(b"cos\nsystem\n"),
    "foreign below": lambda folder: _foreign_below(folder / "other"),
    "swapped": lambda folder: (folder / "sweep.py-1.nbi").write_bytes(CODE["move.py-1.nbi"]),
    "garbage for checksums": lambda folder: (folder / "checksums.json").write_bytes(b"\xff\x00{"),
    "a list for checksums": lambda folder: (folder / "checksums.json").write_text("[1, 2]"),
    "empty checksums": lambda folder: (folder / "checksums.json").write_text("{}"),
    "no checksums": lambda folder: (folder / "checksums.json").unlink(),
    "a folder for checksums": lambda folder: _folder_in_place(folder / "checksums.json"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_a_damaged_cache_folder_is_emptied_before_anything_is_loaded(damage: Callable[[Path], object]) -> None:
    damage(_folder())
    compiler = Compiler()

    fresh = cache.compile_cached(compiler)

    assert fresh
    assert compiler.found == set()
    assert _loads()


def test_cached_kernels_that_fail_to_load_are_compiled_again() -> None:
    _folder()
    compiler = Compiler(failures=1)

    assert cache.compile_cached(compiler)

    assert compiler.found == set()
    assert _loads()


def test_a_start_during_another_ones_compilation_waits_and_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    compiling, asked = threading.Event(), threading.Event()
    lock = fcntl.flock

    def ask(descriptor: int, how: int) -> None:
        if compiling.is_set() and not how & fcntl.LOCK_NB:
            asked.set()
        lock(descriptor, how)

    def compile_slowly() -> bool:
        compiling.set()
        assert asked.wait(60)
        return Compiler()()

    monkeypatch.setattr(fcntl, "flock", ask)
    with capture_logs() as logged, ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.compile_cached, compile_slowly)
        assert compiling.wait(60)
        second = threads.submit(cache.compile_cached, Compiler())

        assert first.result()
        assert not second.result()
    assert [line["event"] for line in logged].count(WAITING) == 1
    assert _loads()


def test_a_start_that_does_not_wait_logs_nothing() -> None:
    with capture_logs() as logged:
        _folder()
        assert _loads()

    assert logged == []


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
@pytest.mark.parametrize("working", [0, 1], ids=["none", "one"])
def test_the_cache_is_not_used_on_a_file_system_without_locks(
    code: int, working: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _base_folder()
    left = [fcntl.flock] * working

    def lock(descriptor: int, how: int) -> None:
        if not left:
            raise OSError(code, os.strerror(code))
        left.pop()(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", lock)

    with capture_logs() as logged:
        _assert_elsewhere(folder)

    (line,) = logged
    assert (line["log_level"], line["event"]) == (
        "warning",
        "kernel cache can't be used; the kernels are compiled at every start",
    )
    assert line["reason"] == f"[Errno {code}] {os.strerror(code)}"


def _base_folder() -> Path:
    return cache._base() / "shoal" / f"kernels-{cache._fingerprint()}"


def test_several_starts_load_the_cache_at_the_same_time() -> None:
    _folder()
    both = threading.Barrier(2, timeout=60)

    def load() -> bool:
        both.wait()
        return True

    with ThreadPoolExecutor(2) as threads:
        assert all(loading.result() for loading in [threads.submit(cache.compile_cached, load) for _ in range(2)])


def test_a_compilation_that_fails_twice_raises() -> None:
    with pytest.raises(EOFError):
        cache.compile_cached(Compiler(failures=2))


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o720, 0o702, 0o777])
def test_a_cache_folder_that_others_can_write_is_not_used(mode: int) -> None:
    folder = _folder()
    folder.chmod(mode)

    _assert_elsewhere(folder)


def test_a_symbolic_link_in_place_of_the_cache_folder_is_not_followed(tmp_path: Path) -> None:
    folder = _folder()
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")

    _assert_elsewhere(folder)
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} >= CODE.keys()


def test_another_users_cache_folder_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = _folder()
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)

    _assert_elsewhere(folder)


@pytest.mark.parametrize("level", ["folder", "shoal", "base"])
def test_a_file_in_place_of_the_cache_folder_does_not_end_the_start(
    level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "base"))
    place = tmp_path / "base"
    if level != "base":
        place = place / "shoal"
    if level == "folder":
        place = place / f"kernels-{cache._fingerprint()}"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")

    _assert_elsewhere(place)
    assert place.read_text() == "in the way"


def _assert_elsewhere(folder: Path) -> None:
    compiler = Compiler()
    assert cache.compile_cached(compiler)
    assert compiler.folder != folder
    assert compiler.found == set()
    assert compiler.mode == 0o700
    assert not compiler.folder.exists()


def test_changed_source_code_gets_another_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = tmp_path / "sources"
    sources.mkdir()
    monkeypatch.setattr(cache, "__file__", str(sources / "cache.py"))
    (sources / "cache.py").write_text("a = 1\n")
    (sources / "kernels.py").write_text("b = 1\n")
    before = cache._fingerprint()

    (sources / "kernels.py").write_text("b = 2\n")

    assert cache._fingerprint() != before
    (sources / "kernels.py").write_text("b = 1\n")
    assert cache._fingerprint() == before


@pytest.mark.parametrize("module", ["numba", "llvmlite", "np"])
def test_another_compiler_version_gets_another_cache_folder(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cache._fingerprint()

    monkeypatch.setattr(getattr(cache, module), "__version__", "0.0")

    assert cache._fingerprint() != before

"""Freed memory stays with the process, and comes back without a fault a page."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from shoal_server.process import cgroup_limits

ROUNDS, MESSAGES, SIZE = 20, 8, 3 << 20
PAGES = ROUNDS * MESSAGES * SIZE // 4096
# Prints whether the memory is kept, and the page faults of messages that come and go.
SCRIPT = f"""
import resource
from shoal_server.process import keep_freed_memory
print(keep_freed_memory())
def come_and_go():
    messages = [bytearray({SIZE}) for _ in range({MESSAGES})]
come_and_go()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    come_and_go()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(**variables: str) -> tuple[str, int]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=kept | variables, check=True, capture_output=True, text=True
    )
    said, faults = done.stdout.split()
    return said, int(faults)


def test_repeated_large_allocations_cause_no_page_faults_with_glibc() -> None:
    said, faults = _run()

    assert said == str(platform.libc_ver()[0] == "glibc")
    if said == "True":
        assert faults < PAGES / 100


def test_allocator_settings_of_the_environment_are_left_alone() -> None:
    said, faults = _run(MALLOC_TRIM_THRESHOLD_="131072")

    assert said == "False"
    if platform.libc_ver()[0] == "glibc":
        assert faults > PAGES / 4


@pytest.mark.parametrize(
    ("membership", "files", "limits"),
    [
        ("0::/", {"memory.max": "1000\n"}, [1000]),
        ("0::/", {"memory.max": "max\n"}, []),
        ("0::/pod/app", {"pod/app/memory.max": "max", "pod/memory.max": "2000"}, [2000]),
        ("9:name=systemd:/\n4:memory:/app", {"memory/app/memory.limit_in_bytes": "3000"}, [3000]),
        ("4:cpu,memory:/elsewhere", {"memory/memory.limit_in_bytes": "4000"}, [4000]),
        ("3:cpu:/", {"memory/memory.limit_in_bytes": "4000"}, []),
    ],
)
def test_memory_limits_of_cgroups_are_read(
    tmp_path: Path, membership: str, files: dict[str, str], limits: list[int]
) -> None:
    _write(tmp_path / "proc/self/cgroup", membership)
    for name, contents in files.items():
        _write(tmp_path / "sys/fs/cgroup" / name, contents)

    assert list(cgroup_limits(tmp_path)) == limits


def test_a_system_without_cgroups_has_no_memory_limits(tmp_path: Path) -> None:
    assert list(cgroup_limits(tmp_path)) == []


def _write(path: Path, contents: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(contents)

"""The cores available for computing: as the scheduler and the cgroup's quota allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shoal_server.process import available_cores

ALL = 16


@pytest.fixture(autouse=True)
def sixteen_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(ALL)))


def _root(tmp_path: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


V2 = "0::/\n"
NESTED = "0::/kubepods/pod1/box\n"
V1 = "5:cpuset:/\n4:cpu,cpuacct:/docker/abc\n3:cpuset,memory:/\n0::/\n"

CASES: dict[str, tuple[dict[str, str], int]] = {
    "no cgroups": ({}, ALL),
    "v2 without a quota": ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "max 100000\n"}, ALL),
    "v2 two cores": ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
    "v2 a core and a half": ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 2),
    "v2 a tenth": ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "10000 100000\n"}, 1),
    "v2 more than there are": ({"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "6400000 100000\n"}, ALL),
    "v2 below": ({"proc/self/cgroup": NESTED, "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "300000 100000\n"}, 3),
    "v2 above": (
        {
            "proc/self/cgroup": NESTED,
            "sys/fs/cgroup/kubepods/cpu.max": "200000 100000\n",
            "sys/fs/cgroup/kubepods/pod1/box/cpu.max": "300000 100000\n",
        },
        2,
    ),
    "v2 beside v1": ({"proc/self/cgroup": V1, "sys/fs/cgroup/unified/cpu.max": "300000 100000\n"}, 3),
    "v1": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "400000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000\n",
        },
        4,
    ),
    "v1 in a container that sees its own root": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
        },
        1,
    ),
    "v1 without a quota": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
        },
        ALL,
    ),
    "v1 with a period of 0": (
        {
            "proc/self/cgroup": V1,
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "100000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "0\n",
        },
        ALL,
    ),
    "garbage": ({"proc/self/cgroup": "what\n\n0::\n", "sys/fs/cgroup/cpu.max": "many few\n"}, ALL),
}


@pytest.mark.parametrize(("files", "cores"), CASES.values(), ids=CASES.keys())
def test_available_cores_follow_the_cpu_quota_of_the_cgroup(files: dict[str, str], cores: int, tmp_path: Path) -> None:
    assert available_cores(_root(tmp_path, files)) == cores


def test_available_cores_are_at_most_those_the_scheduler_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _root(tmp_path, {"proc/self/cgroup": V2, "sys/fs/cgroup/cpu.max": "400000 100000\n"})
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})

    assert available_cores(root) == 1

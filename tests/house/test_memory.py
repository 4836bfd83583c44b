"""Freed memory stays with the process, and comes back without a fault a page."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

ROUNDS, MESSAGES, SIZE = 20, 8, 3 << 20
PAGES = ROUNDS * MESSAGES * SIZE // 4096
# Prints whether the memory is kept, and the page faults of messages that come and go.
SCRIPT = f"""
import resource
from shoal_server.memory import keep_freed_memory
print(keep_freed_memory())
def come_and_go():
    messages = [bytearray({SIZE}) for _ in range({MESSAGES})]
come_and_go()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({ROUNDS}):
    come_and_go()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(**surroundings: str) -> tuple[str, int]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=kept | surroundings, check=True, capture_output=True, text=True
    )
    said, faults = done.stdout.split()
    return said, int(faults)


def test_messages_that_come_and_go_cost_no_faults_where_the_c_library_can_be_told() -> None:
    said, faults = _run()

    assert said == str(platform.libc_ver()[0] == "glibc")
    if said == "True":
        assert faults < PAGES / 100


def test_what_the_environment_says_of_the_allocator_is_left_alone() -> None:
    said, faults = _run(MALLOC_TRIM_THRESHOLD_="131072")

    assert said == "False"
    if platform.libc_ver()[0] == "glibc":
        assert faults > PAGES / 4

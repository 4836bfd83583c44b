"""Lets a program that a test starts react to Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Sequence

# Not a `preexec_fn`: it makes subprocess fork, and gRPC's handlers of a fork write into the program's output.
_RESTORE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""


def interruptible(command: Sequence[str]) -> list[str]:
    """Return the command so that SIGINT reaches it, which a test runner in the background ignores and hands down."""
    return [sys.executable, "-S", "-c", _RESTORE, *command]

"""The commands `shoal`, `shoal-server` and `shoal-dashboard`: each loads its program, or says what it lacks.

Nothing is imported before that: so a package that is missing, or Ctrl-C meanwhile, gives no traceback.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

_INTERRUPTED = 128 + 2  # exit code: by SIGINT


def shoal() -> None:
    """Run `shoal`."""
    _load("shoal.cli.app", "the command", "cli").app()


def server() -> None:
    """Run `shoal-server`."""
    _load("shoal_server.program", "the server", "server").main()


def dashboard() -> None:
    """Run `shoal-dashboard`."""
    _load("shoal_dashboard.program", "the dashboard", "dashboard").main()


def _load(module: str, title: str, extra: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        sys.exit(
            f"error: the package {package!r} is missing; "
            f"{title} needs, in a checkout of Shoal: pip install '.[{extra}]'"
        )
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)

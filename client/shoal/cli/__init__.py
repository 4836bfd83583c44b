"""The `shoal` command. Thin: it reads files and options, calls the client, and prints.

Needs typer, rich, pyarrow and pillow: ``pip install 'shoal[cli]'``.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line of this process."""
    try:
        from shoal.cli.app import app  # noqa: PLC0415  (so that a missing package gets advice, not a traceback)
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        sys.exit(f"error: the package {package!r} is missing; the command needs: pip install 'shoal[cli]'")
    app()

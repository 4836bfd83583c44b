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
        sys.exit(f"error: the package {error.name!r} is missing; the command needs: pip install 'shoal[cli]'")
    app()

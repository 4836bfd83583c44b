"""`shoal-server`, and `python -m shoal_server`."""

from __future__ import annotations

import asyncio
import sys

from pydantic import ValidationError
from pydantic_settings import CliApp

from shoal_server.app import serve
from shoal_server.errors import StartError
from shoal_server.settings import Settings


def main() -> None:
    """Run the server of this process."""
    try:
        settings = CliApp.run(Settings, cli_args=sys.argv[1:])
    except ValidationError as error:
        sys.exit("\n".join(_told(error)))
    try:
        asyncio.run(serve(settings))
    except StartError as error:
        sys.exit(f"error: {error}")


def _told(error: ValidationError) -> list[str]:
    return [
        f"error: {'.'.join(str(part) for part in each['loc']) or 'settings'}: {each['msg']}" for each in error.errors()
    ]


if __name__ == "__main__":
    main()

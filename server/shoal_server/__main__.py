"""`shoal-server`, and `python -m shoal_server`."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_settings import CliApp

from shoal_server.app import serve
from shoal_server.errors import StartError, quoted
from shoal_server.settings import Settings

_USAGE = 2  # exit code


def main() -> None:
    """Run the server of this process."""
    try:
        settings = CliApp.run(Settings, cli_args=sys.argv[1:])
    except ValidationError as error:
        sys.stderr.writelines(f"error: {_message_of(each)}\n" for each in error.errors())
        sys.exit(_USAGE)
    try:
        has_ended = asyncio.run(serve(settings))
    except StartError as error:
        sys.exit(f"error: {error}")
    if not has_ended:
        # An ordinary exit takes the libraries' memory away, and the call that is in it crashes: end as by the signal.
        sys.stdout.flush()
        sys.stderr.flush()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


def _message_of(error: Mapping[str, Any]) -> str:
    """Return a line that names the flag or variable, its value, and what would be right."""
    right = re.sub("^(Input|String) should", "it must", error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return right  # of several settings, which it names
    return f"{_name_of(str(error['loc'][0]))} is {quoted(error['input'])}: {right}"


def _name_of(setting: str) -> str:
    """Return the flag or the environment variable that a setting was given by."""
    flag, variable = f"--{setting.replace('_', '-')}", f"SHOAL_{setting.upper()}"
    given = {argument.partition("=")[0] for argument in sys.argv[1:]}
    return variable if variable in os.environ and flag not in given else flag


if __name__ == "__main__":
    main()

"""`shoal-server`: read the flags, and run the server."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from pydantic import ValidationError
from pydantic_settings import CliApp, CliSettingsSource

# gRPC reads it when it is imported. What its log says of an address, the server says better.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from shoal_server.app import serve
from shoal_server.errors import StartError, quoted
from shoal_server.settings import Settings

_USAGE = 2  # exit code
_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than_equal": ("le", "at most"),
}
_RIGHT = {
    "bool_parsing": "use true or false",
    "finite_number": "use a finite number",
    "float_parsing": "use a number",
    "int_parsing": "use a whole number",
    "int_parsing_size": "use a whole number of fewer digits",
    "string_too_short": "use a host name or an address, such as 127.0.0.1",
}


def main() -> None:
    """Run the server of this process."""
    try:
        settings = CliApp.run(Settings, cli_args=sys.argv[1:], cli_settings_source=_command_line())
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


def _command_line() -> CliSettingsSource[Any]:
    parser = ArgumentParser("shoal-server", description=Settings.__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"shoal-server {version('shoal')}")
    return CliSettingsSource(Settings, root_parser=parser)


def _message_of(error: Mapping[str, Any]) -> str:
    """Return a line that names the flag or variable, its value, and what would be right."""
    name, given = _name_of(str(error["loc"][0])), quoted(error["input"])
    if error["type"] in _BOUNDS:
        key, words = _BOUNDS[error["type"]]
        given = given.strip("'")
        return f"{name} is {given}: use {words} {error['ctx'][key]:,}"
    if error["type"] == "literal_error":
        return f"{name} is {given}: use {error['ctx']['expected']}"
    return f"{name} is {given}: {_RIGHT.get(error['type']) or error['msg'].removeprefix('Value error, ')}"


def _name_of(setting: str) -> str:
    """Return the flag or the environment variable that a setting was given by."""
    flag, variable = f"--{setting.replace('_', '-')}", f"SHOAL_{setting.upper()}"
    given = {argument.partition("=")[0] for argument in sys.argv[1:]}
    return variable if variable in os.environ and flag not in given else flag

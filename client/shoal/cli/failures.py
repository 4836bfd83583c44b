"""How a command fails: a message on standard error and an exit code. No traceback for errors that a user can fix.

====  =================================================================================================================
code  meaning
====  =================================================================================================================
0     it worked
1     it failed: the server refused, a file can't be read, or what is in it is no points: another shape, text, nothing
2     the command line is wrong: an unknown option or column, a file that isn't there, a folder, an unknown ending
3     the server can't be reached, or doesn't answer in time
130   interrupted with Ctrl-C
====  =================================================================================================================
"""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

import shoal

FAILED = 1
USAGE = 2
UNREACHABLE = 3

_WRONG_OPTIONS = {"TARGET_INVALID", "TIMEOUT_INVALID", "NOT_UNICODE"}

# What errors advise, and how it is said on a command line.
_OPTIONS = {
    "give shoal.connect a longer timeout": "give a longer --timeout",
    "update_rule='refined', or with a summary_size above 0": "--update-rule refined, or with a --summary-size above 0",
}


class CommandError(Exception):
    """The command can't be carried out.

    Parameters
    ----------
    message
        What was wrong, where, and what would be right.
    exit_code
        What the process ends with.
    """

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def usage_error(message: str) -> CommandError:
    """Return the error for an invalid command line."""
    return CommandError(message, USAGE)


def exit_code(error: Exception) -> int:
    """Return the exit code for an error."""
    if isinstance(error, CommandError):
        return error.exit_code
    if isinstance(error, shoal.ShoalError) and error.reason in _WRONG_OPTIONS:
        return USAGE
    unreachable = (shoal.UnavailableError, shoal.DeadlineExceededError)
    return UNREACHABLE if isinstance(error, unreachable) else FAILED


def message_of(error: Exception) -> str:
    """Return what is said of an error, with the options of the command where it advises arguments."""
    said = str(error)
    for advice, option in _OPTIONS.items():
        said = said.replace(advice, option)
    return said


def tell(message: str) -> None:
    """Write a message for people on standard error, as it is: not wrapped, no markup."""
    Console(stderr=True).print(Text(message), soft_wrap=True)


def tell_error(message: str) -> None:
    """Write what went wrong on standard error."""
    text = Text.assemble(("error: ", "bold red"), message)
    Console(stderr=True).print(text, soft_wrap=True)

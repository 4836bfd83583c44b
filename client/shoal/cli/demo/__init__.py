"""`shoal demo`: a photograph clustered live by three engines, and a report of what came of it.

Needs the server's packages and matplotlib: ``pip install 'shoal[demo]'``. Only `command` is imported with the command
line; the rest, and those packages with it, when the demo runs.
"""

from shoal.cli.demo.command import demo

__all__ = ["demo"]

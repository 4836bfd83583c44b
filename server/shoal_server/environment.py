"""Environment variables that look like settings and aren't.

For a service named shoal Kubernetes sets SHOAL_PORT=tcp://10.0.0.1:50051 in every pod, the server's own among them.
https://kubernetes.io/docs/tutorials/services/connect-applications-service/#environment-variables
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_LINK = re.compile(r"(?:tcp|udp|sctp)://", re.IGNORECASE)


def service_links(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that Kubernetes has set for a service and that have the name of a setting."""
    return {name: value for name, value in environment.items() if name.upper() == "SHOAL_PORT" and _LINK.match(value)}

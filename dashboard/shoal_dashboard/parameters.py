"""The parameters of a comparison on the page, and the link that repeats it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from shoal_dashboard.parsing import ParseError, format_points, parse_points
from shoal_presentation.views import engine_text

ENGINES = {
    name: engine_text(name).library for name in ("scipy", "scipy-kmeans2", "sklearn", "sklearn-minibatch", "numba")
}
EXAMPLES = {"six-points": "Six points", "blobs": "Four blobs"}
WAYS = {"k-means++": "k-means++", "random": "random points", "given": "given centroids"}
MAX_LINKED = 8000  # characters of a link that everything on the way takes


@dataclass(frozen=True)
class Parameters:
    """The parameters of a comparison."""

    example: str | None = "six-points"  # None: the visitor's own points
    points: str = ""  # as they were typed
    n_clusters: int = 2
    init: str = "given"  # one of WAYS
    centroids: str = "5.5, 3\n1, 2"  # as they were typed
    random_state: int | None = 0
    engines: tuple[str, ...] = ("scipy", "sklearn")
    max_iter: int = 100
    tol: float = 0.0

    def request(self) -> dict[str, Any]:
        """Return the arguments of `Client.compare`.

        Raises
        ------
        ParseError
            For points or centroids that can't be read.
        """
        return {
            "X": None if self.example else self.own_points,
            "example": self.example,
            "n_clusters": self.n_clusters,
            "init": parse_points(self.centroids, "centroids") if self.init == "given" else self.init,
            "random_state": self.random_state,
            "engines": self.engines,
            "max_iter": self.max_iter,
            "tol": self.tol,
        }

    @cached_property
    def own_points(self) -> NDArray[np.float64]:
        """The visitor's own points (n, d), parsed once; (0, 2) if there are none yet.

        Raises
        ------
        ParseError
            For points that can't be read.
        """
        return parse_points(self.points) if self.points.strip() else np.empty((0, 2))

    def missing_points(self) -> str:
        """Return a message with the number of own points that are missing; empty if none are, or if d is not 2.

        Raises
        ------
        ParseError
            For points that can't be read.
        """
        if self.example is not None:
            return ""
        rows, columns = self.own_points.shape
        if rows >= self.n_clusters or columns != 2:  # noqa: PLR2004  (what can be drawn)
            return ""
        more = "1 more point" if self.n_clusters - rows == 1 else f"{self.n_clusters - rows} more points"
        return f"Click into the plot, or type rows: {more}, and k = {self.n_clusters} clusters can be found"

    def of_run(self, random_state: int | None) -> Parameters:
        """Return the parameters that repeat a run, with the random_state that it had."""
        return replace(self, random_state=random_state)

    def query(self) -> str:
        """Return the query of the link; empty if there are too many points for a link."""
        said = {
            "k": self.n_clusters,
            "engines": ",".join(self.engines),
            "init": format_points(parse_points(self.centroids), ";") if self.init == "given" else self.init,
            "max_iter": self.max_iter,
            "tol": repr(self.tol),
            **({} if self.random_state is None else {"random_state": self.random_state}),
        }
        if self.example:
            return urlencode({"example": self.example, **said})
        if self.own_points.size > MAX_LINKED:  # it would be longer anyway
            return ""
        query = urlencode({"points": format_points(self.own_points, ";"), **said}, safe=",;")
        return "" if len(query) > MAX_LINKED else query

    @staticmethod
    def of(query: Mapping[str, str]) -> Parameters:
        """Return the parameters in a link; those that it leaves out are as in the six-point example.

        Raises
        ------
        ParseError
            For what can't be read.
        """
        given = Parameters()
        if not query:
            return given
        init = query.get("init", "k-means++")
        return Parameters(
            example=None if "points" in query else _known("example", query.get("example", "six-points"), EXAMPLES),
            points=query.get("points", "").replace(";", "\n"),
            n_clusters=_whole(query, "k", given.n_clusters),
            init=init if init in WAYS else "given",
            centroids=given.centroids if init in WAYS else init.replace(";", "\n"),
            random_state=_whole(query, "random_state", 0) if "random_state" in query else None,
            engines=tuple(_known("engine", name, ENGINES) for name in query["engines"].split(","))
            if "engines" in query
            else given.engines,
            max_iter=_whole(query, "max_iter", given.max_iter),
            tol=_number(query, "tol", given.tol),
        )


def _known(what: str, name: str, names: Mapping[str, str]) -> str:
    if name not in names:
        raise ParseError(f"there is no {what} {name[:40]!r}; there are {', '.join(names)}")
    return name


def _whole(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise ParseError(f"{name} in the link is {text[:40]!r}; it must be a whole number") from None


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    text = query.get(name, str(default))
    try:
        return float(text)
    except ValueError:
        raise ParseError(f"{name} in the link is {text[:40]!r}; it must be a number") from None

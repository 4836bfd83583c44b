"""The program: it repeats this run with the libraries' own calls, and each step names its lines."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shoal import CompareEngine, ComparisonStart
from shoal_presentation.views.flow import origin_text
from shoal_presentation.views.run import Run, engine_text
from shoal_presentation.views.snippets import HELPER, IMPORTS, LOOPS, NEWER, ONE_CALL, SNIPPETS

_INLINE = 60  # values of an array, up to which they are written into the program
_WIDTH = 100


@dataclass(frozen=True)
class CodeSample:
    """A program, and what of it each step runs."""

    source: str
    lines: Mapping[int, tuple[int, ...]]  # of the number of each row of the table: lines of the source, from 1


def code_of(run: Run) -> CodeSample:
    """Return the program of a run; it prints the name, the centroids and the labels of each engine.

    It needs ``points.npy``, or ``initial_centroids.npy`` too, where there are too many to be written into it.
    """
    marked = [(line, "") for line in _head(run)]
    for engine in run.engines:
        marked += [("", ""), *_of_engine(run, engine)]
    lines = {
        step.number: tuple(
            index for index, (_, marks) in enumerate(marked, 1) if f"{step.engine}:{step.action}" in marks.split()
        )
        for step in run.steps
    }
    output = tuple(index for index, (text, _) in enumerate(marked, 1) if text.startswith("print("))
    lines[len(run.steps) + 1] = output
    return CodeSample("\n".join([*(text for text, _ in marked), ""]), lines)


def _head(run: Run) -> Iterator[str]:
    imports = {"import numpy as np", *(line for engine in run.engines for line in IMPORTS.get(engine, ()))}
    yield from sorted(_one_a_module(imports), key=lambda line: (line.startswith("from"), line))
    yield ""
    yield from _array("X", run.start.points, "points.npy", "the points of this run, saved with np.save")
    yield from _array("start", run.start.initial_centroids, "initial_centroids.npy", _origin(run.start))
    yield f"max_iter, tol, random_state = {run.start.max_iter}, {run.start.tol!r}, {run.start.random_state}"
    if any(engine in LOOPS for engine in run.engines):
        yield from ["", "", *HELPER.rstrip().split("\n"), ""]


def _one_a_module(imports: set[str]) -> Iterator[str]:
    """Join what is imported from one module."""
    names: dict[str, set[str]] = {}
    for line in imports:
        module, _, name = line.partition(" import ")
        if name:
            names.setdefault(module, set()).update(name.split(", "))
        else:
            yield line
    for module, imported in names.items():
        yield f"{module} import {', '.join(sorted(imported))}"


def _origin(start: ComparisonStart) -> str:
    return f"the initial centroids: {origin_text(start)}"


def _array(name: str, values: NDArray[np.generic], file: str, comment: str) -> Iterator[str]:
    if values.size > _INLINE:
        yield f"# {comment}"
        yield f'{name} = np.load("{file}").astype(float)'
        return
    literal = f"{name} = np.array({values.astype(np.float64).tolist()!r})"
    if name == "start":
        yield f"# {comment}"
    yield from textwrap.wrap(literal, _WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)


def _of_engine(run: Run, engine: CompareEngine) -> Iterator[tuple[str, str]]:
    """Yield lines, and the ``engine:action`` of the steps that run them."""
    snippet = SNIPPETS.get(engine, NEWER)
    for line in snippet.rstrip().split("\n"):
        text, _, actions = line.partition("  #> ")
        filled = re.sub("ENGINE", engine_text(engine).library, text)
        filled = filled.replace("TOLERANCE", "tol" if run.start.tol == 0 else _relative(run.start))
        yield filled, " ".join(f"{engine}:{action}" for action in actions.split())
    if engine == "scipy" and _is_one_call(run):
        yield ONE_CALL, ""


def _relative(start: ComparisonStart) -> str:
    # Points that are all the same have no variance, and nothing moves.
    return "tol**2 / X.var(axis=0).mean()" if np.ptp(start.points.astype(np.float64), axis=0).any() else "0"


def _is_one_call(run: Run) -> bool:
    """Return whether one call of kmeans gives the same: it takes a single k and stops by the distortion alone."""
    ended = run.steps_of("scipy")[-1].action
    return ended == "converged" and run.start.tol == 0 and run.start.initial_centroids.size > 1

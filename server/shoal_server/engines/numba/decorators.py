"""How functions are compiled here: the flags, in one place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.extending import intrinsic
from numpy.typing import NDArray

Reals = NDArray[np.floating[Any]]

Function = TypeVar("Function", bound=Callable[..., Any])

# All of fast-math but nnan and ninf, which would break the handling of NaN and infinity.
FASTMATH = {"reassoc", "nsz", "arcp", "contract", "afn"}
# Of what rounds as NumPy does: 0 and -0 may be the same. With no flag at all a function inherits those of its caller.
EXACT = {"nsz"}
# Divisions by zero give what NumPy gives: the kernels look at results, and don't raise.
FLAGS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
# Of what only other compiled functions call: without the code by which Python or C would, compiling takes a sixth less.
INTERNAL: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
# As arguments, instead of a literal: a function is compiled anew for each literal that it is called with.
ZERO: Any = np.int64(0)


def compiled(function: Function) -> Function:
    """Compile a function for whatever types the compiled functions that call it give it.

    Python can't call it, which crashes: `callable_from_python` is for that, and compilation.py.
    """
    return cast("Function", numba.njit(**FLAGS, **INTERNAL, fastmath=FASTMATH)(function))


def callable_from_python(function: Function) -> Function:
    """Compile a function as `compiled` does, for Python to call it, too."""
    return cast("Function", numba.njit(**FLAGS, fastmath=FASTMATH)(function))


def inlined(function: Function) -> Function:
    """Compile a function into the one that calls it: a call hands over seven words for each array."""
    return cast("Function", numba.njit(**FLAGS, fastmath=FASTMATH, inline="always")(function))


def compiled_exactly(function: Function) -> Function:
    """Compile a function as `compiled` does, but so that it rounds as NumPy does."""
    return cast("Function", numba.njit(**FLAGS, **INTERNAL, fastmath=EXACT)(function))


def generated(function: Callable[..., Any]) -> Any:
    """Make a function whose code is written at compile time; see numba.extending.intrinsic."""
    return intrinsic(function)


def generated_for_literals(function: Callable[..., Any]) -> Any:
    """Make such a function, with arguments that are to be known at compile time."""
    return intrinsic(prefer_literal=True)(function)

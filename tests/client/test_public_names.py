"""All types in public signatures can be imported from `shoal`."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any

import pytest

import shoal
import shoal.aio
import shoal.testing

MODULES = {"shoal": shoal, "shoal.aio": shoal.aio, "shoal.testing": shoal.testing}


def annotated_objects(module: Any) -> Iterator[tuple[str, Any]]:
    """Yield each public function, method, property and dataclass of a module that has annotations."""
    for name in getattr(module, "__all__", [name for name in vars(module) if not name.startswith("_")]):
        thing = getattr(module, name)
        if inspect.isfunction(thing):
            yield name, thing
        if not inspect.isclass(thing) or not thing.__module__.startswith("shoal"):
            continue
        if is_dataclass(thing):
            yield name, thing
        for kind in thing.__mro__:
            if not kind.__module__.startswith("shoal"):
                continue
            for attribute, value in vars(kind).items():
                function = value.fget if isinstance(value, property) else value
                if inspect.isfunction(function) and (not attribute.startswith("_") or attribute == "__next__"):
                    yield f"{name}.{attribute}", function


def names_of_shoal(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names in an object's annotations that Shoal itself defines, and what they stand for."""
    known = vars(sys.modules[thing.__module__])
    for annotation in thing.__annotations__.values():
        for node in ast.walk(ast.parse(annotation, mode="eval")):
            if isinstance(node, ast.Name) and _is_of_shoal(node.id, known):
                yield node.id, known[node.id]


def _is_of_shoal(name: str, known: dict[str, Any]) -> bool:
    """Return whether a module defines or imports a name that belongs to Shoal: a class, or an alias of a type."""
    meaning = known.get(name)
    if inspect.isclass(meaning):
        return meaning.__module__.startswith("shoal")
    return getattr(meaning, "__module__", "") == "typing" and str(meaning).startswith("typing.Literal[")


@pytest.mark.parametrize("module", MODULES)
def test_the_types_in_public_signatures_are_exported(module: str) -> None:
    public = vars(MODULES[module])

    hidden = {
        f"{where}: {name}"
        for where, thing in annotated_objects(MODULES[module])
        for name, meaning in names_of_shoal(thing)
        if public.get(name) is not meaning and (name not in shoal.__all__ or vars(shoal)[name] is not meaning)
    }

    assert not hidden


def test_the_test_of_signatures_reaches_functions_methods_properties_and_fields() -> None:
    met = {(where, name) for where, thing in annotated_objects(shoal) for name, _ in names_of_shoal(thing)}

    assert {
        ("connect", "Client"),
        ("Session.push", "PushResult"),
        ("Comparison.result", "ComparisonResult"),
        ("Comparison.__next__", "ComparisonStep"),
        ("SessionConfig", "Engine"),
        ("PushResult", "ShoalError"),
    } <= met


def test_everything_in_all_exists() -> None:
    assert not [name for name in shoal.__all__ if not hasattr(shoal, name)]

"""Rules of the code base that tools can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAX_LINES = 400


def test_imports_obey_the_contracts() -> None:
    done = subprocess.run(
        [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout


def test_every_package_that_the_server_imports_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {
        re.match(r"[\w-]+", each)[0]  # type: ignore[index]  # a requirement begins with a name
        for each in (*project["dependencies"], *project["optional-dependencies"]["server"])
    }
    owners = packages_distributions()

    undeclared = {
        package
        for package in _imported(ROOT / "server")
        - sys.stdlib_module_names
        - {"shoal", "shoal_programs", "shoal_server"}
        if not declared & set(owners[package])
    }

    assert not undeclared


@pytest.mark.parametrize("heavy", ["numba", "scipy", "sklearn", "typer", "rich", "pandas", "pydantic", "shoal_server"])
def test_the_light_client_loads_nothing_heavy(heavy: str) -> None:
    code = f"import shoal, shoal.aio, shoal.testing, sys; sys.exit({heavy!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_presentation_uses_only_public_names_of_the_client() -> None:
    private = {
        f"{path.name}: {name}"
        for path in (ROOT / "client/shoal_presentation").rglob("*.py")
        for name in _imports(path)
        if re.match(r"shoal\.(_|cli|wire|v1)", name)
    }

    assert not private


def test_files_are_short_enough_to_read() -> None:
    lengths = {
        path: len(path.read_text().splitlines())
        for room in ("benchmarks", "client", "dashboard", "server", "tests")
        for path in (ROOT / room).rglob("*.py")
        if "v1" not in path.parts
    }

    assert not {path: lines for path, lines in lengths.items() if lines > MAX_LINES}


def test_the_constraints_name_no_host() -> None:
    assert "://" not in (ROOT / "constraints.txt").read_text()


def _imported(room: Path) -> set[str]:
    """Return the top-level packages that a room's code imports."""
    return {name.partition(".")[0] for path in room.rglob("*.py") for name in _imports(path)}


def _imports(path: Path) -> set[str]:
    """Return the modules that a file imports, or imports from."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return plain | {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}

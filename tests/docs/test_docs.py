"""Facts in README and docs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shoal_server.budget import MIB
from shoal_server.errors import Reason
from shoal_server.process import available_cores
from shoal_server.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
WORDS = {"never": None, "none": None, "off": False, "on": True, "one a core": available_cores()}
DOCS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def _example() -> str:
    found = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert found
    return found[1]


def test_the_readme_example_has_twelve_lines_and_runs() -> None:
    code = _example()

    done = subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, capture_output=True, text=True)

    assert len([line for line in code.splitlines() if line]) == 12
    assert "version 100: 1000 points" in done.stdout


def test_the_readme_commands_are_targets_of_make() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)) == {"demo", "test"}
    assert {"demo", "test"} <= targets


@pytest.mark.parametrize("document", DOCS, ids=lambda path: path.name)
def test_links_in_the_docs_exist(document: Path) -> None:
    for link in re.findall(r'(?:\]\(|src="|srcset=")([^)#"]+)', document.read_text()):
        if not link.startswith("https://"):
            assert (document.parent / link).exists(), link


def test_every_setting_is_in_the_operators_table_with_its_default() -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \|", (ROOT / "docs/operator.md").read_text(), re.MULTILINE)

    defaults = {name: field.get_default(call_default_factory=True) for name, field in Settings.model_fields.items()}
    assert {name: _meant(default) for name, default in rows} == defaults


def _meant(default: str) -> object:
    """Return the value that the operator's table puts into words."""
    if default in WORDS:
        return WORDS[default]
    number = re.fullmatch(r"([\d,]+)( MiB)?", default)
    return int(number[1].replace(",", "")) * (MIB if number[2] else 1) if number else default


def test_every_reason_is_in_the_producers_table() -> None:
    documented = set(re.findall(r"`([A-Z_.]+)`", (ROOT / "docs/producer.md").read_text()))

    assert set(Reason) <= documented


def test_every_reason_of_the_client_is_in_the_producers_tables() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "client/shoal").rglob("*.py") if "v1" not in path.parts)
    raised = set(re.findall(r'(?:invalid\(\s*|reason=)"([A-Z_]+)"', code))
    checked = re.findall(r'\b(?:integer|flag|text|real)\(\s*"([a-z_.]+)"', code)  # arguments: these name the reason
    raised |= {f"{name.upper().replace('.', '_')}_INVALID" for name in checked}
    documented = set(re.findall(r"`([A-Z_.]+)`", (ROOT / "docs/producer.md").read_text()))

    assert len(raised) > 10
    assert raised <= documented

"""Reads the demo's report as a browser would."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image


@dataclass(frozen=True)
class Page:
    """The contents of an HTML file."""

    pictures: dict[str, str] = field(default_factory=dict)  # what each shows, and its address
    addresses: list[str] = field(default_factory=list)  # everything that a browser would fetch
    rows: list[list[str]] = field(default_factory=list)  # of the table
    words: list[str] = field(default_factory=list)


def page(path: Path) -> Page:
    reader = _Reader()
    reader.feed(path.read_text("utf-8"))
    return reader.page


def size(data_uri: str) -> tuple[int, int]:
    """Return width and height of an embedded PNG."""
    kind, _, content = data_uri.partition(",")
    assert kind == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(content, validate=True))) as image:
        image.load()
        assert image.format == "PNG"
        return image.size


class _Reader(HTMLParser):
    _FETCHED = ("src", "srcset", "href", "poster", "action", "data")

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self._in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.page.addresses.extend(named[name] for name in self._FETCHED if name in named)
        if tag == "img":
            self.page.pictures[named["alt"]] = named["src"]
        if tag == "tr":
            self.page.rows.append([])
        if tag in ("td", "th"):
            self._in_cell = True
            self.page.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_cell = self._in_cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        self.page.words.append(data)
        if self._in_cell:
            self.page.rows[-1][-1] += data

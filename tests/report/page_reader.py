"""A page as a reader without a browser sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

VOID = {"meta", "link", "br", "img", "hr", "input"}


@dataclass
class Seen:
    """What a page holds: anchors, links, addresses, figures with the number of their drawn parts, tables with rows."""

    anchors: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    tables: list[int] = field(default_factory=list)
    open_tags: list[str] = field(default_factory=list)
    text: str = ""


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen = Seen()
        self._figure = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "id" in given:
            self.seen.anchors.append(given["id"])
        if tag == "a":
            self.seen.links.append(given["href"])
        self.seen.addresses += [given[name] for name in ("src", "href", "xlink:href", "action") if name in given]
        if tag == "figure":
            self._figure = given["id"]
            self.seen.figures[self._figure] = 0
        elif tag in ("path", "use", "image") and self._figure:
            self.seen.figures[self._figure] += 1
        elif tag == "tbody":
            self.seen.tables.append(0)
        elif tag == "tr" and self.seen.open_tags[-1] == "tbody":
            self.seen.tables[-1] += 1
        if tag not in VOID:
            self.seen.open_tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.seen.open_tags.pop() == tag
        if tag == "figure":
            self._figure = ""

    def handle_data(self, data: str) -> None:
        self.seen.text += data


def look_at(page: Path) -> Seen:
    reader = _Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    reader.close()
    return reader.seen

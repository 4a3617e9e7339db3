"""The fenced blocks of the pages, and what their info strings ask for.

| info string | a test |
|---|---|
| `sh`, `python` | runs it, in its order on the page, where the tutorial was run before |
| `yaml` | lays it over `configs/sample.yaml` and reads it |
| `yaml campaign` | reads it as a campaign over `configs/sample.yaml` |
| anything with `not-run` | checks only that the commands and options exist |
| others | looks at nothing |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from generate import PAGES, README

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`(hydrocli [^`]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: the page, the line of its fence, the words of its info string, its text."""

    page: Path
    line: int
    info: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        """First word of the info string."""
        return self.info[0] if self.info else ""

    @property
    def is_run(self) -> bool:
        return "not-run" not in self.info

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def pages() -> list[Path]:
    """The README and all pages."""
    return [README, *sorted(PAGES.glob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page in their order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, tuple(match[1].split()), match[2])
        for match in FENCE.finditer(text)
    ]


def command_lines(page: Path) -> list[str]:
    """Every call of hydrocli on a page, in blocks and in the text."""
    found = [line for block in blocks(page) for line in block.text.replace("\\\n", " ").splitlines()]
    calls = [match[0] for line in found for match in re.finditer(r"\bhydrocli [a-z][^|;&#)\"]*", line)]
    return calls + INLINE.findall(page.read_text(encoding="utf-8"))

"""One fault of one input, with its place, the line itself, a caret and a hint; and the error made of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sites.errors import SitesError

_SHOWN = 160
_LONGEST_WORD, _KEPT = 120, 48
"""A longer word of a message, such as a name of ten thousand letters, is cut to so many characters of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong at one place.

    Attributes:
        file: relative to the fleet.
        line: counted from 1.
        column: counted from 1, in characters.
        message: what is wrong.
        hint: what to do; empty when the message says it.
        source: the line of the file; empty when it must not be shown (a secret) or cannot be.
        comes_first: what else is found may only follow from this.
    """

    file: str
    line: int
    column: int
    message: str
    hint: str = ""
    source: str = ""
    comes_first: bool = False

    def __post_init__(self) -> None:
        """Cut words that nobody reads to the end."""
        object.__setattr__(self, "message", _cut(self.message))
        object.__setattr__(self, "hint", _cut(self.hint))

    def __str__(self) -> str:
        """Return the finding as people read it."""
        lines = [f"{self.file}:{self.line}:{self.column}: {self.message}"]
        if self.source:
            start = max(0, self.column - 1 - _SHOWN // 2)
            shown = self.source[start : start + _SHOWN].replace("\t", " ")
            lines += [f"  {self.line:>5} | {shown}", f"        | {' ' * (self.column - 1 - start)}^"]
        if self.hint:
            lines.append(f"        hint: {self.hint}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as programs read it."""
        return {
            "file": self.file, "line": self.line, "column": self.column, "message": self.message, "hint": self.hint,
        }  # fmt: skip


class ManifestError(SitesError):
    """Everything that is wrong with a fleet, in the order of file and line.

    Attributes:
        findings: at least one.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(sorted(findings, key=_place))
        count = f"{len(self.findings)} error{'s' if len(self.findings) > 1 else ''}"
        super().__init__("\n".join([*map(str, self.findings), count]))


def _place(found: Finding) -> tuple[bool, str, int, int, str]:
    return (not found.comes_first, found.file, found.line, found.column, found.message)


def _cut(text: str) -> str:
    """Return a text in which every overlong word is cut, and says how long it was."""
    if len(text) <= _LONGEST_WORD:
        return text
    return _WORD.sub(lambda word: f"{word[0][:_KEPT]}… ({len(word[0])} characters)", text)


_WORD = re.compile(rf"[^\s]{{{_LONGEST_WORD + 1},}}")


def source_line(text: str, line: int) -> str:
    """Return one line of a text, counted from 1; empty past its end."""
    lines = text.split("\n", line)
    return lines[line - 1].rstrip("\r") if len(lines) >= line else ""

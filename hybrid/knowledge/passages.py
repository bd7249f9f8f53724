"""Cuts a document into passages short enough to embed and whole enough to quote."""

from __future__ import annotations

import re
from dataclasses import dataclass

PASSAGE_CHARACTERS = 900
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True)
class Passage:
    """A piece of a document: `id` is `document#number`, `title` the document's title and its section's."""

    id: str
    title: str
    text: str


def cut(name: str, document: str) -> list[Passage]:
    """Cut a markdown or plain text into passages of at most 900 characters, in reading order. Comments are left out.

    A passage never crosses a heading. Paragraphs are kept whole where they fit; a longer one is cut at its sentences.
    """
    passages: list[Passage] = []
    for title, body in _sections(name, document):
        for text in _packed(body):
            passages.append(Passage(f"{name}#{len(passages) + 1}", title, text))
    return passages


def _sections(name: str, document: str) -> list[tuple[str, str]]:
    title, section = name, ""
    sections: list[tuple[str, list[str]]] = [(title, [])]
    for line in COMMENT.sub("", document).splitlines():
        heading = HEADING.match(line)
        if heading is None:
            sections[-1][1].append(line)
            continue
        if len(heading[1]) == 1:
            title, section = heading[2], ""
        else:
            section = heading[2]
        sections.append((f"{title} · {section}" if section else title, []))
    return [(title, "\n".join(lines)) for title, lines in sections]


def _packed(body: str) -> list[str]:
    pieces = [piece for paragraph in re.split(r"\n\s*\n", body) for piece in _pieces(" ".join(paragraph.split()))]
    packed: list[str] = []
    for piece in pieces:
        if packed and len(packed[-1]) + 1 + len(piece) <= PASSAGE_CHARACTERS:
            packed[-1] = f"{packed[-1]} {piece}"
        else:
            packed.append(piece)
    return packed


def _pieces(paragraph: str) -> list[str]:
    if len(paragraph) <= PASSAGE_CHARACTERS:
        return [paragraph] if paragraph else []
    pieces: list[str] = []
    for sentence in SENTENCE_END.split(paragraph):
        pieces += [sentence[at : at + PASSAGE_CHARACTERS] for at in range(0, len(sentence), PASSAGE_CHARACTERS)]
    return pieces

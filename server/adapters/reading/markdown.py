"""Markdown as blocks: what a reader sees, without the marks. CommonMark with tables, through markdown-it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from server.application.markdown_tables import markdown_row
from server.domain.documents import Block, BlockKind, Line

_FRONT_MATTER = "---\n"
_MOST_FRONT_MATTER = 5000


def read_markdown(text: str) -> tuple[Block, ...]:
    """The blocks of a Markdown file. Every source line of a paragraph is a line, every table row one line; lines of
    code and of front matter are list lines, which nothing joins. HTML inside is left out."""
    front, rest = _front_matter(text)
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(rest)
    return (*_separate(front.splitlines()), *_blocks(tokens))


def _front_matter(text: str) -> tuple[str, str]:
    if not text.startswith(_FRONT_MATTER):
        return "", text
    end = text.find("\n---\n", 3, _MOST_FRONT_MATTER)
    return ("", text) if end < 0 else (text[4 : end + 1], text[end + 5 :])


def _separate(lines: Iterable[str]) -> list[Block]:
    return [Block(BlockKind.LIST, (Line(line.rstrip(), None),)) for line in lines if line.strip()]


def _blocks(tokens: Sequence[Token]) -> list[Block]:
    blocks: list[Block] = []
    markers: list[str] = []  # what the next paragraph of a list item begins with
    counters: list[int | None] = []
    heading = 0
    row: list[str] | None = None
    rows: list[Line] = []
    for token in tokens:
        match token.type:
            case "heading_open":
                heading = int(token.tag[1])
            case "bullet_list_open":
                counters.append(None)
            case "ordered_list_open":
                counters.append(int(token.attrs.get("start", 1)))
            case "bullet_list_close" | "ordered_list_close":
                counters.pop()
            case "list_item_open":
                markers = [_marker(counters)]
            case "tr_open":
                row = []
            case "tr_close" if row is not None:
                rows.append(Line(markdown_row(row), None))
                row = None
            case "table_close":
                blocks.append(Block(BlockKind.TABLE, tuple(rows)))
                rows = []
            case "fence" | "code_block":
                blocks.extend(_separate(token.content.splitlines()))
            case "inline" if row is not None:
                row.append(" ".join(_lines(token)))
            case "inline":
                lines = [line for line in _lines(token) if line]
                if lines:
                    blocks.append(_text_block(lines, heading, bool(counters), markers.pop() if markers else ""))
                heading = 0
            case _:
                pass
    return blocks


def _marker(counters: list[int | None]) -> str:
    number = counters[-1]
    if number is None:
        return "- "
    counters[-1] = number + 1
    return f"{number}. "


def _text_block(lines: list[str], heading: int, in_list: bool, marker: str) -> Block:
    lines[0] = marker + lines[0]
    kind = BlockKind.HEADING if heading else BlockKind.LIST if in_list else BlockKind.PARAGRAPH
    return Block(kind, tuple(Line(line, None) for line in lines), heading)


def _lines(inline: Token) -> list[str]:
    """The visible text of an inline token, one string a source line."""
    lines = [""]
    for child in inline.children or ():
        match child.type:
            case "softbreak" | "hardbreak":
                lines.append("")
            case "text" | "code_inline" | "image":
                lines[-1] += child.content
            case "html_inline" if child.content.lower().startswith("<br"):
                lines.append("")
            case _:
                pass
    return [line.strip() for line in lines]

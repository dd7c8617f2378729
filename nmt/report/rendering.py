"""Rendering a report as one self-contained HTML page, and as Markdown; no text in it can break the format."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path

from nmt import __version__
from nmt.errors import UserError, imported
from nmt.model_files import write_atomically
from nmt.report.blocks import Block, Code, Document, Example, Figure, Paragraph, Table
from nmt.report.words import Span

LONGEST = 1000
"""Maximum number of characters shown in a Markdown table cell; `report.json` has the whole text."""

_FOLDER = Path(__file__).parent
_BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def visible(text: str) -> str:
    """The text with the code point in place of every character that is invisible or reorders others."""
    return "".join(
        f"⟨U+{ord(character):04X}⟩"
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDIRECTIONAL
        else character
        for character in text
    )


def to_html(document: Document, numbers: str = "report.json") -> str:
    """The document as one HTML file with style, script and charts inside; all texts are escaped.

    numbers: name of the file in the same folder that has every number; empty if there is none
    """
    style, script = ((_FOLDER / f"page.{kind}").read_text("utf-8") for kind in ("css", "js"))
    page = _FOLDER / "page.html.jinja"
    return render(page, document=document, numbers=numbers, version=__version__, style=style, script=script)


def write_folder(folder: Path, files: Mapping[str, str]) -> None:
    """Write texts by file name into a folder, which is made if it is missing; each file is written atomically.

    Raises UserError if the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            write_atomically(folder / name, text.encode("utf-8", "backslashreplace"))  # half a surrogate pair
    except OSError as error:
        raise UserError(f"the report cannot be written to `{folder}`: {error.strerror or error}") from None


def render(template: Path, **values: object) -> str:
    """A template with values, in which all texts are escaped but those that it marks as safe."""
    jinja2 = imported("jinja2", "a report needs jinja2", "[train]")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(template.parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["visible"] = visible
    environment.filters["visible_lines"] = lambda text: "\n".join(map(visible, text.split("\n")))
    text: str = environment.get_template(template.name).render(values)
    return text


def to_markdown(document: Document) -> str:
    """The document as Markdown, without the charts; differences are underlined."""
    lines = [f"# {_cell(document.title)}", "", _cell(document.subtitle), ""]
    for section in document.sections:
        lines += [f"## {_cell(section.title)}", ""]
        for block in section.blocks:
            lines += _block(block)
        if section.command:
            lines += [f"Made by {code(section.command)}.", ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _block(block: Block) -> list[str]:
    if isinstance(block, Paragraph):
        return [_cell(block.text), ""]
    if isinstance(block, Code):
        return ["```text", *(line.replace("```", "` ` `") for line in map(visible, block.text.split("\n"))), "```", ""]
    if isinstance(block, Table):
        rule = ["---:" if column in block.numbers else "---" for column in range(len(block.head))]
        rows = [[_cell(cell) if cell.strip() else "" for cell in row] for row in [block.head, *block.rows]]
        return [*(f"| {' | '.join(row)} |" for row in [rows[0], rule, *rows[1:]]), ""]
    if isinstance(block, Figure):
        return []
    return _example(block)


def _example(example: Example) -> list[str]:
    lines = [f"| sentence {example.number} | {_cell(example.scores)} |", "| --- | --- |"]
    return [*lines, *(f"| {name} | {_spans(spans)} |" for name, spans in example.rows), ""]


def _spans(spans: list[Span]) -> str:
    length = sum(len(span.text) for span in spans)
    if not any(span.differs for span in spans) or length > LONGEST:
        return _cell("".join(span.text for span in spans))
    return "".join(f"<u>{escape(span.text)}</u>" if span.differs else escape(span.text) for span in spans)


# Entities rather than backslashes: every Markdown reader takes them in table cells too, the pipe included.
_ENTITIES = {ord(character): f"&#{ord(character)};" for character in "\\`*[]<>|~&$"}
_LONE_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # inside a word it does not emphasise


def _cell(text: str) -> str:
    """Any text as a table cell that shows it literally, on one line."""
    if not text.strip():
        return "*(empty)*"
    if len(text) > LONGEST:
        return f"{escape(text[:LONGEST])} *(cut: {len(text)} characters)*"
    return escape(text)


def escape(text: str) -> str:
    """Any text as Markdown that shows it literally."""
    return _LONE_UNDERSCORE.sub("&#95;", visible(text).translate(_ENTITIES))


def code(text: str) -> str:
    """A command as Markdown code; it may contain backticks."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * (longest + 1)
    space = " " if longest else ""
    return f"{fence}{space}{visible(text)}{space}{fence}"

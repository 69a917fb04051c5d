"""Elements of HTML and SVG. Text is escaped by the standard library, which writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, tostring

__all__ = ["Cell", "Element", "document_of", "element", "table"]

Cell = Element | str
"""The content of a cell of a table."""
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")
"""Control characters, halves of pairs, and marks that turn the direction of text: none may stand in a page."""


def element(tag: str, *content: Element | str, **attributes: str | float) -> Element:
    """Return an element with text and elements in it. `class_` becomes "class", and other underscores hyphens."""
    names = {name: "class" if name == "class_" else name.replace("_", "-") for name in attributes}
    made = Element(tag, {names[name]: plain(str(value)) for name, value in attributes.items()})
    for part in content:
        if not isinstance(part, str):
            made.append(part)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + plain(part)
        else:
            made.text = (made.text or "") + plain(part)
    return made


def plain(text: str) -> str:
    """Return a text with a replacement character for each character that may not stand in a page."""
    return _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def table(columns: Iterable[Cell], rows: Iterable[Iterable[Cell]], class_: str = "") -> Element:
    """Return a table. Cells are texts, or elements of their own: ``td`` and ``th`` as they are, others in a cell."""
    head = element("tr", *(_cell("th", column) for column in columns))
    body = [element("tr", *(_cell("td", cell) for cell in row)) for row in rows]
    return element("table", element("thead", head), element("tbody", *body), class_=class_)


def _cell(tag: str, content: Cell) -> Element:
    if not isinstance(content, str) and content.tag in ("td", "th"):
        return content
    return element(tag, content)


def document_of(title: str, style: str, body: Iterable[Element]) -> str:
    """Return a whole page of HTML."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="generator", content="streamloss"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", style),
    )
    page = element("html", head, element("body", *body), lang="en")
    return f"<!doctype html>\n{tostring(page, encoding='unicode', method='html')}\n"

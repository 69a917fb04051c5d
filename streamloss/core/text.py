"""Text for terminals: names of arrays, groups and losses may hold characters that command a terminal."""

from __future__ import annotations

_KEPT = " \n"


def printable(text: str) -> str:
    r"""Return a text with escapes for what is not to be read: control characters, and marks that turn its direction.

    >>> printable("a\x1b[31mred")
    'a\\x1b[31mred'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in _KEPT else c.encode("unicode_escape").decode() for c in text)

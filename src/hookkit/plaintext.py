"""Text from outside, made harmless to show: in a terminal, a log line, or a page.

A receiver's answer, a sender's header and a customer's name for something may hold anything. Written as they are, they
could move a cursor, change a colour, begin a new log line, hide themselves, or turn round what stands beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

__all__ = ["lines_of", "plain"]

# To str.isprintable() these are letters, marks and symbols, and yet nothing is seen of them: Unicode's
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt), and the blank pattern of Braille.
_UNSEEN: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)


def plain(value: str | bytes, limit: int | None = None) -> str:
    r"""Return text in one line, with every character that is not plainly seen as its escape.

    Escaped are controls (line feeds and NUL among them), bidirectional and invisible characters, unpaired surrogates,
    spaces of other widths, and what is no UTF-8. It is *not* made ready for HTML: ``<`` and ``&`` are plain text, and
    escaping them is the affair of the page's template.

    >>> plain("a\x1b[31m\nb"), plain(b"caf\xc3\xa9 \xff")
    ('a\\x1b[31m\\nb', 'café \\xff')

    Args:
        value: Text, or bytes that are read as UTF-8.
        limit: Show only so many characters, or bytes, and say how many more there are; None: show all.
    """
    shown = value if limit is None else value[:limit]
    text = shown.decode("utf-8", "backslashreplace") if isinstance(shown, bytes) else shown
    if not text.isprintable():
        text = "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)
    text = _UNSEEN.sub(lambda found: _escaped(found[0]), text)
    more = len(value) - len(shown)
    return text if more == 0 else f"{text}... and {more} {'bytes' if isinstance(value, bytes) else 'characters'} more"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def lines_of(body: bytes, limit: int) -> Iterator[str]:
    """Yield a body's lines as :func:`plain` writes them, and in the end how much of it is not shown.

    Args:
        body: The body; it is read as UTF-8.
        limit: How many bytes of it are shown.
    """
    text = body[:limit].decode("utf-8", "backslashreplace")
    for line in text.split("\n") if text else []:
        yield plain(line)
    if len(body) > limit:
        yield f"... and {len(body) - limit} bytes more"

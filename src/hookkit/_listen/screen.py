"""What the commands write: nothing that a sender sent reaches the terminal as anything but text.

Whatever could move the cursor, change a colour, hide or turn round what stands beside it is written as its escape.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final, TextIO

__all__ = ["Screen", "json_line", "lines_of", "masked_target", "masked_value", "plain"]

_SECRET_NAME: Final = re.compile(r"signature|hmac|authorization|cookie|token|secret|key|password", re.IGNORECASE)
_SECRET_FIELD: Final = re.compile(r"(?i)((?:^|[?&])[^=&]*(?:token|secret|key|password|sig)[^=&]*=)[^&#]+")


def plain(text: str) -> str:
    """Return `text` with every control, bidirectional, invisible or unpaired character as its escape."""
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in text)


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def lines_of(body: bytes, limit: int) -> Iterator[str]:
    """Yield a body's lines in plain text, and in the end how much of it is not shown."""
    text = body[:limit].decode("utf-8", "backslashreplace")
    for line in text.split("\n") if text else []:
        yield plain(line)
    if len(body) > limit:
        yield f"... and {len(body) - limit} bytes more"


def json_line(content: object) -> str:
    """Return JSON in one line of plain text."""
    return json.dumps(content).replace("\x7f", "\\u007f")  # the one control character that JSON lets stand


def masked_value(name: str, value: str) -> str:
    """Return a header's value; of one that may be a secret or a signature, only its length."""
    return f"({len(value)} characters, not shown)" if _SECRET_NAME.search(name) else value


def masked_target(target: str) -> str:
    """Return the target of a request without the values of what looks like a token."""
    return _SECRET_FIELD.sub(r"\1...", target)


class Screen:
    """Writes lines to a stream.

    Args:
        stream: Where to. What it cannot encode is written as its escape.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def line(self, text: str = "") -> None:
        """Write one line, at once."""
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self._stream.flush()

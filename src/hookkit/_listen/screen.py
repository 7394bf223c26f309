"""What the commands write, and what they leave out of it. :mod:`hookkit.plaintext` makes the rest harmless."""

from __future__ import annotations

import json
import re
from typing import Final, TextIO

__all__ = ["Screen", "json_line", "masked_target", "masked_value"]

_SECRET_NAME: Final = re.compile(r"signature|hmac|authorization|cookie|token|secret|key|password", re.IGNORECASE)
_SECRET_FIELD: Final = re.compile(r"(?i)((?:^|[?&])[^=&]*(?:token|secret|key|password|sig)[^=&]*=)[^&#]+")


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

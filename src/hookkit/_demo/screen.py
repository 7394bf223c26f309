"""What the demonstration writes: numbered steps with aligned rows, in colour only where somebody is looking."""

from __future__ import annotations

import os
import textwrap
from typing import Final, TextIO

__all__ = ["Screen"]

WIDTH: Final = 110
_LABEL: Final = 19
_INDENT: Final = 4
_BOLD, _DIM, _GREEN, _RED = "1", "2", "32", "31"


class Screen:
    """Writes steps and rows to a stream.

    Colour goes to a terminal only, and not if ``NO_COLOR`` is set (no-color.org) or the terminal is dumb. A character
    that the stream cannot encode is written as its escape, so that no terminal can make the demonstration fail.

    Args:
        stream: Where to.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._steps = 0
        self._colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def title(self, text: str) -> None:
        """Write the first line."""
        self._write(self._in(_BOLD, text))

    def step(self, text: str) -> None:
        """Begin the next step."""
        self._steps += 1
        self._write("")
        self._write(self._in(_BOLD, f"{self._steps:2}. {text}"))

    def row(self, label: str, text: str) -> None:
        """Write one row of the step, in several lines if it is long."""
        lines = textwrap.wrap(text, WIDTH - _INDENT - _LABEL, break_long_words=False, break_on_hyphens=False)
        for line in lines or [""]:
            self._write(f"{'':{_INDENT}}{self._in(_DIM, f'{label:{_LABEL}}')}{line}".rstrip())
            label = ""

    def done(self, text: str) -> None:
        """Write the last line, of a demonstration that went well."""
        self._write("")
        self._write(self._in(_GREEN, text))

    def failed(self, text: str) -> None:
        """Write the last line, of one that did not."""
        self._write("")
        self._write(self._in(_RED, f"Step {self._steps} did not go as it should: {text}"))

    def _in(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _write(self, line: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self._stream.flush()

"""How the log of a command is written: lines to read, or JSON, one object a line."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from hookkit._listen.screen import json_line
from hookkit.plaintext import plain

__all__ = ["JsonLines", "News", "TextLines", "write_log"]

_AGAIN_S: Final = 600.0
_TEXTS: Final = 100


class TextLines(logging.Formatter):
    """``2026-01-01T12:00:00.123Z WARNING hookkit.worker: …``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        """Return the time in UTC, with milliseconds."""
        return _time(record)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """Return the line, which whatever others have written into it cannot break."""
        record.message = plain(record.message)
        return super().formatMessage(record)


class JsonLines(logging.Formatter):
    """An object a line: ``time level logger message``, ``exception`` where there is one, and counts of a summary."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        content: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json_line(content | getattr(record, "counts", {}))


class News(logging.Filter):
    """Lets pass why a pool cannot connect, once in a while: it says so at every try, and of nothing else is it said."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is written."""
        if record.name != "psycopg.pool" or record.levelno >= logging.ERROR:
            return True
        text = record.getMessage()
        if not text.startswith("error connecting") or record.created - self._said.get(text, -_AGAIN_S) < _AGAIN_S:
            return False
        if len(self._said) >= _TEXTS:
            self._said.clear()
        self._said[text] = record.created
        return True


def _time(record: logging.LogRecord) -> str:
    at = datetime.fromtimestamp(record.created, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z"


def write_log(stream: TextIO, *, level: str, as_json: bool) -> None:
    """Have this process write its log to a stream: hookkit's own from `level` on, and the warnings of others."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if as_json else TextLines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("hookkit").setLevel(level.upper())
    handler.addFilter(News())

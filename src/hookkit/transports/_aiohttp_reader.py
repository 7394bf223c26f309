"""Reads replies with aiohttp's parser, which is in C. It decides and does no I/O.

The parser is the one part of aiohttp that is used. Its client counts no bytes, so interim replies, trailers or TLS
records without end would be read until the deadline; and it takes what came before a request for the reply.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any, Final, final

import attrs
from aiohttp.http import HttpResponseParser

from hookkit.transports._exchange import Ended, Exchange

__all__ = ["Answer", "HeadReader", "ReplyReader"]

# The parser's own limits lie above what an exchange lets through, so that there is one reason for too much.
_NO_LIMIT: Final = 1_000_000
# Where a head ends; the parser takes a line feed alone, too (RFC 9112 §2.2).
_HEAD_END: Final = re.compile(rb"\n\r?\n")
_REACH: Final = 2  # so many bytes of an end may have come with the piece before


@final
class _Unpaused:
    """Stands where the parser wants a connection, to be paused when much is read and little taken."""

    _reading_paused = False

    def pause_reading(self) -> None:
        """Do nothing: what is read is taken at once."""

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT001, FBT002 - as aiohttp calls it
        """Do nothing."""


_UNPAUSED: Final[Any] = _Unpaused()


@attrs.frozen
class Answer:
    """The head of a final reply.

    Args:
        status: 200 or more.
        headers: Pairs as received.
        body: aiohttp's stream of the body.
        rest: What arrived after the head.
        persists: The other side keeps the connection.
    """

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: Any
    rest: bytes
    persists: bool

    @property
    def length(self) -> int | None:
        """How many bytes the body has, or None if that is not told before they come (RFC 9112 §6.3)."""
        if self.status in {204, 304}:
            return 0
        return next((int(value) for name, value in self.headers if name.lower() == b"content-length"), None)


@final
class HeadReader:
    """Passes over interim replies, up to the head of a final one.

    Attributes:
        parser: aiohttp's, for what follows.
    """

    def __init__(self) -> None:
        self.parser: Any = HttpResponseParser(
            _UNPAUSED,
            asyncio.get_running_loop(),
            _NO_LIMIT,
            max_line_size=_NO_LIMIT,
            max_field_size=_NO_LIMIT,
            max_headers=_NO_LIMIT,
            read_until_eof=True,
            auto_decompress=False,
        )
        self._tail = b""

    def feed(self, data: bytes) -> Answer | None:
        """Take what arrived, nothing standing for the end, and return the head once it is complete.

        Raises:
            Ended: The connection ended before, or what came is no reply to a request.
            Exception: One of aiohttp's: it is no HTTP.
        """
        if not data:
            raise Ended("connection_lost")
        while data:
            # One head at a time: what follows may be no HTTP, and the parser would then give no head either.
            found = _HEAD_END.search(self._tail + data)
            end = len(data) if found is None else found.end() - len(self._tail)
            head, data = data[:end], data[end:]
            self._tail = b"" if found else (self._tail + head)[-_REACH:]
            if b"\0" in head:  # as RFC 9110 §5.5 has it; older versions of the parser take it for text
                raise Ended("protocol_error")
            messages, *_ = self.parser.feed_data(head)
            for message, body in messages:
                # 101 answers a question that was not asked (RFC 9110 §15.2.2).
                if message.code < 100 or message.code == 101:
                    raise Ended("protocol_error")
                if message.code >= 200:
                    return Answer(message.code, message.raw_headers, body, data, not message.should_close)
        return None


@final
class ReplyReader:
    """Makes one reply of what arrives.

    Args:
        exchange: Is told status, headers and body.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._heads = HeadReader()
        self._answer: Answer | None = None
        self._after = 0
        self.heard = False
        """True once a byte has arrived."""

    @property
    def to_the_byte(self) -> bool:
        """True if the reply was complete, nothing came after it, and the other side keeps the connection.

        Only if its length was told beforehand: what comes after chunks the parser does not show.
        """
        return self._answer is not None and self._answer.persists and self._after == self._answer.length

    def feed(self, data: bytes) -> bool:
        """Take what arrived, nothing standing for the end, and return whether the reply is complete.

        Raises:
            Ended: It ended before the head did.
            Exception: One of aiohttp's: it is no HTTP, or ended too early.
        """
        self.heard |= bool(data)
        if self._answer is None:
            self._answer = self._heads.feed(data)
            if self._answer is None:
                return False
            self._exchange.answered(self._answer.status, self._answer.headers)
            data = self._answer.rest
        elif not data:
            self._heads.parser.feed_eof()
        body = self._answer.body
        self._after += len(data)
        try:
            if data and not body.is_eof():
                self._heads.parser.feed_data(data)
        finally:
            self._exchange.took(body.read_nowait())
        return bool(body.is_eof())

"""One request and what comes back of it: its clock, its byte budget, its reply. Shared by sync and async.

It decides and does no I/O, but for reading the monotonic clock: deadlines are real time, whatever clock a host injects.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Final, final

import attrs

from hookkit.model import Reply, as_duration

__all__ = ["MAX_RESPONSE_BYTES", "Ended", "Exchange", "Limits"]

MAX_RESPONSE_BYTES: Final = 16_384
"""How much of a response body is kept, unless a host says otherwise."""

# What may come before the head is complete, interim replies included: some ten times what honest servers send, and a
# little less than h11 would bear, so that there is one reason for too much.
_HEAD_BUDGET = 98_304
# What may come after it: the body, in chunks of two bytes if it must be, and whatever goes with them.
_BODY_BUDGET = 65_536
_FRAMING = 8
_MAX_HEADERS = 100
_MAX_HEADER_BYTES = 16_384


class Ended(Exception):
    """Ends a request with one of the reasons of :class:`hookkit.protocols.Transport`. It never leaves a transport."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def _seconds(value: timedelta | float) -> float:
    seconds = as_duration(value).total_seconds()
    if not 0 < seconds < math.inf:
        raise ValueError("a timeout is a positive number of seconds")
    return seconds


def _count(value: int) -> int:
    if value < 0:
        raise ValueError("max_response_bytes is 0 or more")
    return value


@attrs.frozen
class Limits:
    """How long a request may take, in seconds, and how many bytes of its response body are kept."""

    total: float = attrs.field(converter=_seconds)
    connect: float = attrs.field(converter=_seconds)
    body: int = attrs.field(converter=_count)


@final
class Exchange:
    """One request under way.

    Args:
        limits: The transport's limits.
        deadline: The request's own; the smaller one counts, from now.
    """

    def __init__(self, limits: Limits, deadline: timedelta) -> None:
        self._started = time.monotonic()
        total = min(limits.total, deadline.total_seconds())
        self._end = self._started + total
        self._connect_end = self._started + min(limits.connect, total)
        self._cap = limits.body
        self._budget = _HEAD_BUDGET
        self._first = b""
        self.status: int | None = None
        self._headers: tuple[tuple[str, str], ...] = ()
        self._body = bytearray()
        self._truncated = False
        self._eof: bool | None = None
        self.connecting = True
        """True until TCP, and TLS if there is any, stand: so long the shorter connect timeout counts."""

    def left(self, share: int = 1) -> float:
        """Return the seconds that are left (divided by `share`); raise :class:`Ended` if there are none."""
        end = self._connect_end if self.connecting else self._end
        left = end - time.monotonic()
        if left <= 0:
            raise Ended("connect_timeout" if self.connecting else "timeout")
        return left / share

    def received(self, data: bytes) -> bytes:
        """Count what the network gave, headers and body alike, and hand it on.

        Raises:
            Ended: It is more than any reply needs, or the body is full: then nothing more is read.
        """
        self._eof = not data
        self._first = (self._first + data[:5])[:5]
        self._budget -= len(data)
        if self._budget < 0:
            raise Ended("too_large")
        return data

    def answered(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Take the status and the headers, these up to a cap. From here on the reply has this status."""
        kept: list[tuple[str, str]] = []
        room = _MAX_HEADER_BYTES
        for name, value in headers:
            room -= len(name) + len(value)
            if room < 0 or len(kept) == _MAX_HEADERS:
                break
            kept.append((name.decode("latin-1"), value.decode("latin-1")))
        self.status, self._headers = status, tuple(kept)
        self._budget += _BODY_BUDGET + _FRAMING * self._cap

    def took(self, chunk: bytes) -> None:
        """Keep `chunk` of the body, up to the cap. Beyond it, the body is cut and the next read ends the request."""
        room = self._cap - len(self._body)
        self._body += chunk[:room]
        if len(chunk) > room:
            self._truncated = True
            self._budget = -1

    @property
    def full(self) -> bool:
        """True if no more of the body is wanted."""
        return self._budget < 0

    @property
    def cut_off(self) -> bool | None:
        """True if the other side closed the connection, having sent nothing or the beginning of a reply.

        None if that is not known, because the bytes did not pass through here.
        """
        return self._eof and b"HTTP/".startswith(self._first)

    def reply(self, broken: str = "") -> Reply:
        """Return the reply so far.

        Args:
            broken: Why it ended early, or empty. It is the reason if no status arrived; otherwise the status stands and
                the body is cut short.
        """
        elapsed = timedelta(seconds=time.monotonic() - self._started)
        if self.status is None:
            return Reply(None, reason=broken or "connection_lost", elapsed=elapsed)
        return Reply(
            self.status,
            self._headers,
            bytes(self._body),
            truncated=self._truncated or bool(broken),
            reason="redirect" if 300 <= self.status < 400 else "",
            elapsed=elapsed,
        )

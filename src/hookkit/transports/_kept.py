"""Connections that wait for the next request to their URL."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, Final, final

import attrs

__all__ = ["Kept", "KeptConnections"]

# So old a connection may be: then name, addresses and certificate are checked anew.
_LIFE_S: Final = 60.0
_MOST: Final = 256


@attrs.define(eq=False)
class Kept:
    """One connection.

    Args:
        stream: The stream below the guard, with TLS if there is any.
        born: When it was made, in seconds of the monotonic clock.
    """

    stream: Any
    born: float = attrs.field(factory=time.monotonic)
    since: float = 0.0


@final
class KeptConnections:
    """Holds at most 256 connections, each for one URL: not for its host, where other tenants' receivers may be.

    Those that have waited too long are closed when the next one comes, or is wanted.

    Args:
        idle: So many seconds a connection waits; with 0, none is held.
    """

    def __init__(self, idle: float) -> None:
        self._idle = idle
        self._pid = os.getpid()
        self._by_url: dict[str, list[Kept]] = {}
        self._waiting: dict[Kept, str] = {}  # with their URLs, the longest waiting first

    async def take(self, url: str) -> Kept | None:
        """Return a connection for `url`, the one used last, or None. It is the caller's from now on."""
        await self._sweep()
        while found := self._by_url.get(url):
            kept = found[-1]
            if time.monotonic() - kept.born < _LIFE_S:
                self._remove(kept)
                return kept
            await self._drop(kept)
        return None

    async def put(self, url: str, kept: Kept) -> None:
        """Hold a connection, whose last reply was complete to the byte, for the next request to `url`."""
        kept.since = time.monotonic()
        self._by_url.setdefault(url, []).append(kept)
        self._waiting[kept] = url
        await self._sweep()

    async def aclose(self) -> None:
        """Close all of them."""
        for kept in list(self._waiting):
            await self._drop(kept)

    async def _sweep(self) -> None:
        if self._pid != os.getpid():
            # They are the parent's, which goes on using them: here only the descriptors are closed.
            self._pid = os.getpid()
            await self.aclose()
        now = time.monotonic()
        while self._waiting:
            kept = next(iter(self._waiting))
            if len(self._waiting) <= _MOST and now - kept.since < self._idle:
                break
            await self._drop(kept)

    async def _drop(self, kept: Kept) -> None:
        self._remove(kept)
        with suppress(Exception):
            await kept.stream.aclose()

    def _remove(self, kept: Kept) -> None:
        url = self._waiting.pop(kept)
        found = self._by_url[url]
        found.remove(kept)
        if not found:
            del self._by_url[url]

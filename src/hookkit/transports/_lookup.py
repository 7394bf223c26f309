"""Name lookups that cannot hold anybody past a deadline: a bounded number of threads, shared by sync and async.

``getaddrinfo`` can neither be interrupted nor be given a timeout, so it runs on a daemon thread and the caller waits
only as long as it may. Threads end when nothing is left to look up; none outlives its work.

A name whose name server says nothing holds a thread for longer than anybody waits for it, and a customer may have many
such names. So those that were waited for in vain before have at most half of the threads: others are still looked up.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any, Final, final

import attrs

from hookkit.transports._exchange import Ended, Exchange

__all__ = ["Lookups", "Resolver"]

Resolver = Callable[..., Iterable[tuple[Any, ...]]]
"""Called like :func:`socket.getaddrinfo`, with host, port, family and type; returns what that returns."""

_MAX_THREADS: Final = 128
_MAX_REMEMBERED: Final = 4096


@attrs.define(eq=False)
class _Lookup:
    host: str
    port: int
    found: Future[tuple[str, ...]] = attrs.field(factory=Future)
    waiting: int = 0
    asked: bool = False
    slow: bool = False


@final
class Lookups:
    """Looks names up. Requests that ask for the same name at the same time share one lookup.

    Args:
        resolver: None: :func:`socket.getaddrinfo`.
        max_threads: At most so many lookups at once; others queue. Half of them for names that were slow before.
    """

    def __init__(self, resolver: Resolver | None = None, max_threads: int = _MAX_THREADS) -> None:
        self._resolver = resolver
        self._max_threads = max_threads
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._running: dict[tuple[str, int], _Lookup] = {}
        self._queue: deque[_Lookup] = deque()
        self._slow: dict[str, None] = {}  # names, the oldest first
        self._threads = 0
        self._slow_asked = 0

    def resolve(self, host: str, port: int, exchange: Exchange) -> tuple[str, ...]:
        """Return the addresses of `host`, in the resolver's order and each once.

        Raises:
            Ended: ``dns``: there are none, or the lookup failed; ``connect_timeout``: it took too long.
        """
        lookup = self._join(host, port)
        try:
            found = lookup.found.result(exchange.left())
        except TimeoutError:
            raise Ended("connect_timeout") from None
        finally:
            self._leave(lookup)
        return _some(found)

    async def aresolve(self, host: str, port: int, exchange: Exchange) -> tuple[str, ...]:
        """As :meth:`resolve`, without holding up the event loop."""
        lookup = self._join(host, port)
        waiter = asyncio.wrap_future(lookup.found)
        try:
            await asyncio.wait({waiter}, timeout=exchange.left())
            if not waiter.done():
                raise Ended("connect_timeout")
            return _some(waiter.result())
        finally:
            # The lookup itself counts as running and goes on; only this loop no longer wants to hear of it.
            waiter.cancel()
            self._leave(lookup)

    def _join(self, host: str, port: int) -> _Lookup:
        if self._pid != os.getpid():
            self._reset()  # threads do not survive a fork
        with self._lock:
            lookup = self._running.get((host, port))
            if lookup is None:
                if self._threads < self._max_threads:
                    # It waits for the lock; and if it cannot start, nothing has been promised to anybody.
                    threading.Thread(target=self._work, name="hookkit-lookup", daemon=True).start()
                    self._threads += 1
                lookup = self._running[host, port] = _Lookup(host, port)
                lookup.found.set_running_or_notify_cancel()
                self._queue.append(lookup)
            lookup.waiting += 1
            return lookup

    def _leave(self, lookup: _Lookup) -> None:
        with self._lock:
            lookup.waiting -= 1
            if lookup.asked and not lookup.waiting and not lookup.found.done():
                self._slow[lookup.host] = None
                if len(self._slow) > _MAX_REMEMBERED:
                    del self._slow[next(iter(self._slow))]
                self._slow_asked += not lookup.slow
                lookup.slow = True

    def _next(self) -> _Lookup | None:
        """Return the next lookup that somebody still waits for and that may be made now; None ends the thread."""
        with self._lock:
            later: list[_Lookup] = []
            found = None
            while self._queue and found is None:
                lookup = self._queue.popleft()
                lookup.slow = lookup.host in self._slow
                if not lookup.waiting:
                    del self._running[lookup.host, lookup.port]
                elif lookup.slow and self._slow_asked >= max(1, self._max_threads // 2):
                    later.append(lookup)  # whoever ends one of those comes by here
                else:
                    found = lookup
            self._queue.extendleft(reversed(later))
            if found is None:
                self._threads -= 1
                return None
            found.asked = True
            self._slow_asked += found.slow
            return found

    def _work(self) -> None:
        while (lookup := self._next()) is not None:
            found = self._ask(lookup.host, lookup.port)
            with self._lock:
                del self._running[lookup.host, lookup.port]
                self._slow_asked -= lookup.slow
                if lookup.waiting:
                    self._slow.pop(lookup.host, None)
                lookup.found.set_result(found)

    def _ask(self, host: str, port: int) -> tuple[str, ...]:
        resolver = self._resolver or socket.getaddrinfo
        try:
            answers = resolver(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
            return tuple(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in answers))
        except BaseException:  # noqa: BLE001 - OSError, UnicodeError, or what a resolver of the host's raises: no answer
            return ()


def _some(found: tuple[str, ...]) -> tuple[str, ...]:
    if not found:
        raise Ended("dns")
    return found

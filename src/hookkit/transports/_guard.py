"""The guard below the HTTP library: network backends and streams that keep to the policy, the clock and the budget.

The library above is told one host and believes to reach it; what is looked up, checked and connected to is decided
here, and every read and write passes through here. Sync and async stand side by side and do the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, final

from hookkit.transports._exchange import Ended, Exchange
from hookkit.transports._family import TlsContext
from hookkit.transports._lookup import Lookups
from hookkit.transports._reasons import is_nothing_there
from hookkit.transports._route import Route
from hookkit.transports._tls import AsyncTlsStream

__all__ = ["AsyncGuardedBackend", "AsyncGuardedStream", "GuardedBackend", "GuardedStream"]

# A write waits for the other side to read, so it goes in pieces: between them the clock is looked at. So do reads, for
# what was read is parsed in one go: thousands of chunks of one byte would hold up everybody else on an event loop.
_PIECE = 16_384
# How long to wait for bytes that the socket says are there: inside TLS they may be session tickets, and no data at all.
_GLANCE_S = 0.002


def _pieces(data: bytes) -> Iterator[bytes]:
    return (data[start : start + _PIECE] for start in range(0, len(data), _PIECE))


@final
class GuardedStream:
    """One connection of one request.

    Args:
        stream: The family's own stream below.
        exchange: The request's clock and budget.
        route: Where it goes.
        tls: For ``https``.
    """

    def __init__(self, stream: Any, exchange: Exchange, route: Route, tls: TlsContext) -> None:
        self._stream = stream
        self._exchange = exchange
        self._route = route
        self._tls = tls
        self._quiet = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, within the time and the budget that are left."""
        if self._exchange.full:
            raise Ended("too_large")
        size = min(max_bytes, _PIECE)
        return self._exchange.received(self._stream.read(size, timeout=self._exchange.left()))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send `buffer` within the time that is left."""
        if not (self._exchange.connecting or self._quiet):
            self._check_quiet()
        for piece in _pieces(buffer):
            self._stream.write(piece, timeout=self._exchange.left())

    def _check_quiet(self) -> None:
        """Raise :class:`Ended` if something arrived before the request was sent: that cannot be its reply."""
        glance = _GLANCE_S if self._stream.get_extra_info("is_readable") else 0
        try:
            early = self._stream.read(1, timeout=glance)
        except Exception as error:
            if not is_nothing_there(error):
                raise
        else:
            raise Ended("protocol_error" if early else "connection_lost")
        self._quiet = True

    def close(self) -> None:
        """Close the connection; once is enough."""
        self._stream.close()

    def start_tls(self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None) -> Any:
        """Shake hands under the target's name, whatever address was connected to."""
        host = self._route.target.host
        self._stream = self._stream.start_tls(self._tls.get(), server_hostname=host, timeout=self._exchange.left())
        self._exchange.connecting = False
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what the stream below knows."""
        return self._stream.get_extra_info(info)


@final
class GuardedBackend:
    """Connects one request, to addresses that its route allows.

    Args:
        tcp: The family's own backend below.
        exchange: The request's clock and budget.
        route: Where it goes.
        tls: For ``https``.
        lookups: Looks names up.
    """

    def __init__(self, tcp: Any, exchange: Exchange, route: Route, tls: TlsContext, lookups: Lookups) -> None:
        self._tcp = tcp
        self._exchange = exchange
        self._route = route
        self._tls = tls
        self._lookups = lookups
        self._streams: list[GuardedStream] = []

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> GuardedStream:
        """Look the host up, check every answer, and connect to the first that can be reached.

        Raises:
            TargetRefused: An address must not be called.
            Ended: There is none, the time is up, or the connection went elsewhere.
        """
        addresses = self._addresses(host, port)
        failure: Exception = Ended("connect")
        for tried, address in enumerate(addresses):
            try:
                stream = self._tcp.connect_tcp(address, port, timeout=self._exchange.left(len(addresses) - tried))
            except Exception as error:  # noqa: BLE001 - the next address may do; the last failure is raised below
                failure = error
                continue
            return self._guarded(stream, address)
        raise failure

    def _addresses(self, host: str, port: int) -> list[str]:
        literal = self._route.literal
        answers = (literal,) if literal else self._lookups.resolve(host, port, self._exchange)
        return self._route.candidates(answers)

    def _guarded(self, stream: Any, address: str) -> GuardedStream:
        guarded = GuardedStream(stream, self._exchange, self._route, self._tls)
        self._streams.append(guarded)
        self._route.check_peer(address, stream)
        self._exchange.connecting = self._route.target.scheme == "https"
        return guarded

    def close(self) -> None:
        """Close whatever was opened."""
        for stream in self._streams:
            with suppress(Exception):
                stream.close()


@final
class AsyncGuardedStream:
    """The async twin of :class:`GuardedStream`."""

    def __init__(self, stream: Any, exchange: Exchange, route: Route, tls: TlsContext) -> None:
        self._stream = stream
        self._exchange = exchange
        self._route = route
        self._tls = tls
        self._quiet = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return what has arrived, within the time and the budget that are left."""
        if self._exchange.full:
            raise Ended("too_large")
        size = min(max_bytes, _PIECE)
        return self._exchange.received(await self._stream.read(size, timeout=self._exchange.left()))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send `buffer` within the time that is left."""
        if not (self._exchange.connecting or self._quiet):
            await self._check_quiet()
        for piece in _pieces(buffer):
            await self._stream.write(piece, timeout=self._exchange.left())

    async def _check_quiet(self) -> None:
        """Raise :class:`Ended` if something arrived before the request was sent: that cannot be its reply."""
        glance = _GLANCE_S if self._stream.get_extra_info("is_readable") else 0
        try:
            early = await self._stream.read(1, timeout=glance)
        except Exception as error:
            if not is_nothing_there(error):
                raise
        else:
            raise Ended("protocol_error" if early else "connection_lost")
        self._quiet = True

    async def aclose(self) -> None:
        """Close the connection; once is enough."""
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: Any, server_hostname: str | None = None, timeout: float | None = None
    ) -> Any:
        """Shake hands under the target's name, whatever address was connected to."""
        stream = AsyncTlsStream(self._stream, self._tls.get(), self._route.target.host)
        await stream.shake_hands(self._exchange.left())
        self._stream = stream
        self._exchange.connecting = False
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what the stream below knows."""
        return self._stream.get_extra_info(info)


@final
class AsyncGuardedBackend:
    """The async twin of :class:`GuardedBackend`."""

    def __init__(self, tcp: Any, exchange: Exchange, route: Route, tls: TlsContext, lookups: Lookups) -> None:
        self._tcp = tcp
        self._exchange = exchange
        self._route = route
        self._tls = tls
        self._lookups = lookups
        self._streams: list[AsyncGuardedStream] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Any = None,
    ) -> AsyncGuardedStream:
        """Look the host up, check every answer, and connect to the first that can be reached.

        Raises:
            TargetRefused: An address must not be called.
            Ended: There is none, the time is up, or the connection went elsewhere.
        """
        addresses = await self._addresses(host, port)
        failure: Exception = Ended("connect")
        for tried, address in enumerate(addresses):
            try:
                stream = await self._tcp.connect_tcp(address, port, timeout=self._exchange.left(len(addresses) - tried))
            except Exception as error:  # noqa: BLE001 - the next address may do; the last failure is raised below
                failure = error
                continue
            return self._guarded(stream, address)
        raise failure

    async def _addresses(self, host: str, port: int) -> list[str]:
        literal = self._route.literal
        answers = (literal,) if literal else await self._lookups.aresolve(host, port, self._exchange)
        return self._route.candidates(answers)

    def _guarded(self, stream: Any, address: str) -> AsyncGuardedStream:
        guarded = AsyncGuardedStream(stream, self._exchange, self._route, self._tls)
        self._streams.append(guarded)
        self._route.check_peer(address, stream)
        self._exchange.connecting = self._route.target.scheme == "https"
        return guarded

    async def aclose(self) -> None:
        """Close whatever was opened."""
        for stream in self._streams:
            with suppress(Exception):
                await stream.aclose()

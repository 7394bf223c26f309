"""The fast transport, for asyncio: it needs the extra ``aiohttp``.

:class:`AiohttpTransport` is guarded as the transports over httpx are, by the same code: the same addresses are called,
the same deadline and byte budgets hold, and failures have the same reasons. It costs less, for between the guard and
the event loop there is nothing but aiohttp's parser, which is in C. Each request has a connection of its own here, too.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from types import TracebackType
from typing import Final, Self, final

from hookkit.model import Reply, Request, as_duration
from hookkit.targets import PUBLIC_HTTPS, Target, TargetPolicy
from hookkit.transports._aiohttp_reader import HeadReader, ReplyReader
from hookkit.transports._exchange import MAX_RESPONSE_BYTES, Ended, Exchange, Limits
from hookkit.transports._family import Proxy, TlsContext, load
from hookkit.transports._guard import AsyncGuardedBackend, AsyncGuardedStream
from hookkit.transports._head import connect_head, request_head
from hookkit.transports._kept import Kept, KeptConnections
from hookkit.transports._lookup import Lookups, Resolver
from hookkit.transports._loop_sockets import LoopBackend
from hookkit.transports._reasons import failed
from hookkit.transports._route import Route

__all__ = ["AiohttpTransport", "Resolver"]

_PIECE: Final = 16_384
_AT_ONCE_S: Final = 1.0
_REMEMBERED: Final = 1024  # URLs that passed: a policy is a value, so what it says of one stays


@final
class AiohttpTransport:
    """Sends requests over sockets of the event loop, and reads replies with aiohttp's parser.

    It may be used by many tasks at once, and from one event loop after another. A cancelled ``send`` closes its
    connection. Under Python's development mode (``-X dev``) aiohttp's parser is stricter about replies.

    Args:
        targets: Which URLs and addresses may be called. Every address that a name resolves to is checked; if one is
            refused, so is the request.
        total_timeout: Seconds for a whole request, from the name's lookup to the reply's last byte. A request's own
            deadline counts if it is shorter.
        connect_timeout: Seconds for lookup, TCP and TLS together.
        ssl_context: Trust and client certificates. Its ALPN protocols are set to HTTP/1.1. None: what httpx trusts by
            default, which heeds ``SSL_CERT_FILE`` and ``SSLKEYLOGFILE`` of the environment.
        proxy: ``http://host:port``, with ``user:password@`` if need be. ``https`` targets are reached by ``CONNECT``.
            URLs are checked as always, but it is the proxy that looks names up: it has to refuse internal addresses
            itself. Proxies of the environment are never used.
        keep_alive: Seconds that a connection waits for the next request **to the same URL**. The default, 0, keeps
            none, so that a reply can never be taken for another request's. With more, a receiver that sends a second
            reply to one request, late, has it taken for its next delivery, which then counts as delivered without
            having been; what arrives before a request is sent is no reply in either case. A connection lives for a
            minute in all, and is kept only if its last reply was complete to the byte.
        max_response_bytes: How much of a response body is kept. What exceeds it is not read.
        resolver: Called in place of :func:`socket.getaddrinfo`, with host, port, family and type, on a thread of the
            transport's. Every address that it returns is checked; whatever it raises is ``dns``.

    Raises:
        ValueError: An option is out of range.
    """

    def __init__(
        self,
        *,
        targets: TargetPolicy = PUBLIC_HTTPS,
        total_timeout: timedelta | float = 15.0,
        connect_timeout: timedelta | float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        keep_alive: timedelta | float = 0.0,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        resolver: Resolver | None = None,
    ) -> None:
        self._targets = targets
        self._check_url: Callable[[str], Target] = lru_cache(_REMEMBERED)(targets.check_url)
        self._limits = Limits(total_timeout, connect_timeout, max_response_bytes)
        self._proxy = None if proxy is None else Proxy.parse(proxy)
        self._tls = TlsContext(load("auto"), ssl_context)
        self._lookups = Lookups(resolver)
        self._sockets = LoopBackend()
        self._keep_alive = as_duration(keep_alive).total_seconds()
        if self._keep_alive < 0:
            raise ValueError("keep_alive is 0 or more seconds")
        self._kept = KeptConnections(self._keep_alive)

    @property
    def targets(self) -> TargetPolicy:
        """Which URLs and addresses it calls."""
        return self._targets

    @property
    def total_timeout(self) -> float:
        """The longest that a request may take, in seconds, whatever its own deadline says."""
        return self._limits.total

    async def send(self, request: Request) -> Reply:
        """Send `request` and return the reply: see :meth:`hookkit.protocols.AsyncTransport.send`."""
        exchange = Exchange(self._limits, request.deadline)
        try:
            await self._send(request, exchange)
        except Exception as error:  # noqa: BLE001 - whatever the network does is a reply
            return failed(error, exchange)
        return exchange.reply()

    async def _send(self, request: Request, exchange: Exchange) -> None:
        target = self._check_url(request.url)
        head = request_head(request, target, self._proxy, close=not self._keep_alive)
        route = Route(target, self._targets if self._proxy is None else None)
        kept = await self._kept.take(request.url) if self._keep_alive else None
        if kept is not None and await self._send_again(kept, head, request, exchange, route):
            return
        backend = AsyncGuardedBackend(self._sockets, exchange, route, self._tls, self._lookups)
        first = target if self._proxy is None else self._proxy
        try:
            stream = await backend.connect_tcp(first.host, first.port)
            # Lookup and TCP keep their own time. From here on nothing below does, so one timer counts for all of it.
            async with asyncio.timeout(exchange.left()) as timer:
                if target.scheme == "https":
                    if self._proxy is not None:
                        await _tunnel(stream, connect_head(target, self._proxy))
                    await stream.start_tls(None)
                    timer.reschedule(asyncio.get_running_loop().time() + exchange.left())
                good = await _converse(stream, head, request.body, ReplyReader(exchange))
        except BaseException:
            await backend.aclose()
            raise
        if self._keep_alive and good:
            # What is kept is the stream below: its guard is for one request.
            await self._kept.put(request.url, Kept(stream._stream))  # noqa: SLF001 - of the same house
        else:
            await backend.aclose()

    async def _send_again(self, kept: Kept, head: bytes, request: Request, exchange: Exchange, route: Route) -> bool:
        """Send on a kept connection, and return whether it was still good for that.

        If it is not quiet, nothing is sent: what has arrived is nobody's reply. If it is closed at once and without a
        byte of a reply, it was closed before the request came, and that may be sent again (RFC 9112 §9.3.1).
        """
        exchange.connecting = False
        stream, reader = AsyncGuardedStream(kept.stream, exchange, route, self._tls), ReplyReader(exchange)
        begun = time.monotonic()
        good = False
        try:
            async with asyncio.timeout(exchange.left()):
                good = await _converse(stream, head, request.body, reader)
        except (Ended, OSError) as error:
            if reader.heard or isinstance(error, TimeoutError) or time.monotonic() - begun > _AT_ONCE_S:
                raise
            exchange.connecting = True
            return False
        finally:
            if not good:
                await kept.stream.aclose()
        if good:
            await self._kept.put(request.url, kept)
        return True

    async def aclose(self) -> None:
        """Close what is kept between requests. Whoever made the transport calls it; twice does no harm."""
        await self._kept.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


async def _tunnel(stream: AsyncGuardedStream, head: bytes) -> None:
    """Ask a proxy for a tunnel; raise :class:`Ended` if it refuses."""
    await stream.write(head)
    reader = HeadReader()
    while (answer := reader.feed(await stream.read(_PIECE))) is None:
        pass
    if answer.status >= 300 or answer.rest:
        raise Ended("connect")


async def _converse(stream: AsyncGuardedStream, head: bytes, body: bytes, reader: ReplyReader) -> bool:
    """Send a request, in one piece if it is small, read the reply, and return whether another may follow.

    That the request could not be sent is no failure yet: the other side may have answered before it closed.
    """
    sent = False
    try:
        if len(body) <= _PIECE:
            await stream.write(head + body)
        else:
            await stream.write(head)
            await stream.write(body)
        sent = True
    except (TimeoutError, ssl.SSLError):
        raise
    except OSError:
        pass
    while not reader.feed(await stream.read(_PIECE)):
        pass
    return sent and reader.to_the_byte

"""Transports over httpx or httpx2: hookkit's own, which guards every connection, and one for a host's own client.

:class:`HttpxTransport` and :class:`AsyncHttpxTransport` use the connection layer of httpx (httpcore), and none of what
its client does on top: no redirects, cookies, proxies from the environment, decompression, HTTP/2 or telemetry headers.
Each request has a connection of its own, which is closed after the reply: a reply can never be taken for another's.
"""

from __future__ import annotations

import ssl
from datetime import timedelta
from types import TracebackType
from typing import Self, final

from hookkit.model import Reply, Request
from hookkit.targets import PUBLIC_HTTPS, TargetPolicy
from hookkit.transports._client import AsyncClientTransport, ClientTransport
from hookkit.transports._exchange import MAX_RESPONSE_BYTES, Exchange, Limits
from hookkit.transports._family import FamilyName, HttpFamily, Proxy, TlsContext, load
from hookkit.transports._guard import AsyncGuardedBackend, GuardedBackend
from hookkit.transports._lookup import Lookups, Resolver
from hookkit.transports._reasons import failed
from hookkit.transports._route import Route
from hookkit.transports._wire import wire_headers

__all__ = ["AsyncClientTransport", "AsyncHttpxTransport", "ClientTransport", "HttpxTransport", "Resolver"]


class _Guarded:
    """What the two transports are made of. They hold no connection between requests."""

    def __init__(
        self,
        *,
        targets: TargetPolicy = PUBLIC_HTTPS,
        total_timeout: timedelta | float = 15.0,
        connect_timeout: timedelta | float = 5.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        family: FamilyName = "auto",
        max_response_bytes: int = MAX_RESPONSE_BYTES,
        resolver: Resolver | None = None,
    ) -> None:
        self.targets = targets
        """Which URLs and addresses it calls."""
        self._limits = Limits(total_timeout, connect_timeout, max_response_bytes)
        self._proxy = None if proxy is None else Proxy.parse(proxy)
        self._family: HttpFamily = load(family)
        self._tls = TlsContext(self._family, ssl_context)
        self._lookups = Lookups(resolver)

    @property
    def total_timeout(self) -> float:
        """The longest that a request may take, in seconds, whatever its own deadline says."""
        return self._limits.total

    def _route(self, request: Request) -> Route:
        target = self.targets.check_url(request.url)
        return Route(target, self.targets if self._proxy is None else None)


@final
class HttpxTransport(_Guarded):
    """Sends requests through httpx's connection layer, guarded: the default of every sync shell.

    It may be used from many threads at once.

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
        family: ``httpx``, ``httpx2``, or ``auto``: httpx2 where it is installed.
        max_response_bytes: How much of a response body is kept. What exceeds it is not read.
        resolver: Called in place of :func:`socket.getaddrinfo`, with host, port, family and type, on a thread of the
            transport's (for :class:`AsyncHttpxTransport`, too). Every address that it returns is checked; whatever it
            raises is ``dns``.

    Raises:
        ValueError: An option is out of range.
    """

    def send(self, request: Request) -> Reply:
        """Send `request` and return the reply: see :meth:`hookkit.protocols.Transport.send`."""
        exchange = Exchange(self._limits, request.deadline)
        try:
            self._send(request, exchange)
        except Exception as error:  # noqa: BLE001 - whatever the network does is a reply
            return failed(error, exchange)
        return exchange.reply()

    def _send(self, request: Request, exchange: Exchange) -> None:
        route = self._route(request)
        headers = wire_headers(request, route.target, close=True)
        sent = self._family.request(request.method, route.target, headers, request.body)
        backend = GuardedBackend(self._family.tcp(), exchange, route, self._tls, self._lookups)
        try:
            response = self._family.connection(sent, backend, self._proxy).handle_request(sent)
            exchange.answered(response.status, response.headers)
            # It ends by itself, for once there is enough the stream below refuses to read on.
            for chunk in response.iter_stream():
                exchange.took(chunk)
        finally:
            backend.close()

    def close(self) -> None:
        """Let go of what is held between requests. Whoever made the transport calls it; twice does no harm."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@final
class AsyncHttpxTransport(_Guarded):
    """The asyncio twin of :class:`HttpxTransport`; it takes the same arguments.

    It may be used by many tasks at once, and from one event loop after another. A cancelled ``send`` closes its
    connection.
    """

    async def send(self, request: Request) -> Reply:
        """Send `request` and return the reply: see :meth:`hookkit.protocols.AsyncTransport.send`."""
        exchange = Exchange(self._limits, request.deadline)
        try:
            await self._send(request, exchange)
        except Exception as error:  # noqa: BLE001 - whatever the network does is a reply
            return failed(error, exchange)
        return exchange.reply()

    async def _send(self, request: Request, exchange: Exchange) -> None:
        route = self._route(request)
        headers = wire_headers(request, route.target, close=True)
        sent = self._family.request(request.method, route.target, headers, request.body)
        backend = AsyncGuardedBackend(self._family.async_tcp(), exchange, route, self._tls, self._lookups)
        try:
            response = await self._family.async_connection(sent, backend, self._proxy).handle_async_request(sent)
            exchange.answered(response.status, response.headers)
            # It ends by itself, for once there is enough the stream below refuses to read on.
            async for chunk in response.aiter_stream():
                exchange.took(chunk)
        finally:
            await backend.aclose()

    async def aclose(self) -> None:
        """Let go of what is held between requests. Whoever made the transport calls it; twice does no harm."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

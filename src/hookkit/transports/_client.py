"""A transport over the host's own client, for what only that can do: client certificates, its proxies, its hooks.

What the client decides is the host's affair; the URL check, the deadline and the caps are kept around it.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta
from functools import partial
from importlib import import_module
from types import TracebackType
from typing import Any, Self, final

from hookkit.model import Reply, Request
from hookkit.targets import PUBLIC_HTTPS, TargetPolicy
from hookkit.transports._exchange import MAX_RESPONSE_BYTES, Exchange, Limits
from hookkit.transports._reasons import failed, reason_of
from hookkit.transports._wire import wire_headers

__all__ = ["AsyncClientTransport", "ClientTransport"]


def _library(client: object, kind: str, transport: str) -> Any:
    """Return the module, httpx or httpx2, whose `kind` of client this is."""
    for cls in type(client).__mro__:
        package = cls.__module__.partition(".")[0]
        if package in {"httpx", "httpx2"} and cls.__name__ == kind:
            return import_module(package)
    raise TypeError(f"{transport} takes an httpx.{kind} or an httpx2.{kind}")


@final
class _Call:
    """One request on its way through a client, watched through the client's ``trace`` extension.

    The client says in events when it has connected and when the headers have arrived, and hands out the stream: so the
    status is known even if a hook raises, and a connection can be cut when its time is up.
    """

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        self.done = threading.Event()
        self.failure = ""
        self._stream: Any = None
        self._tunnel = False
        self._head: tuple[int, Any] | None = None
        self._expired = False

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Take note of an event of httpcore's (its documented ``trace`` extension)."""
        step = event.partition(".")[2]
        if step in {"connect_tcp.started", "send_request_headers.started"}:
            self._head = None  # a second leg, as of an authentication scheme: the status so far was not the last
        if step == "connect_tcp.started":
            self.exchange.connecting = True
        elif step == "send_request_headers.started":
            self._tunnel = info["request"].method == b"CONNECT"
            self.exchange.connecting = self._tunnel
        elif step in {"connect_tcp.complete", "start_tls.complete"}:
            self._stream = info["return_value"]
            if self._expired:
                self.expire()
        elif step == "receive_response_headers.complete" and not self._tunnel:
            *start, headers = info["return_value"]  # HTTP/1.1: version, status, phrase; HTTP/2: the status alone
            self._head = start[1] if len(start) > 1 else start[0], headers

    async def atrace(self, event: str, info: dict[str, Any]) -> None:
        """As :meth:`trace`."""
        self.trace(event, info)

    def expire(self) -> None:
        """Wake whoever still reads or writes: their time is up. For threads, which cannot be cancelled."""
        self._expired = True
        sock = None if self._stream is None else self._stream.get_extra_info("socket")
        if isinstance(sock, socket.socket):
            with suppress(OSError):
                # Not SSLSocket's own method: it would take the encryption off a socket that is still in use.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    async def abandon(self) -> None:
        """Close a connection that was cancelled amid its handshake: httpcore does not."""
        if self.exchange.connecting and self._stream is not None:
            with suppress(Exception):
                await self._stream.aclose()

    def failed(self, error: BaseException) -> None:
        """Take note of how it failed; a status that had arrived by then stands."""
        if self._head is not None and self.exchange.status is None:
            self.exchange.answered(*self._head)
        self.failure = reason_of(error, self.exchange)


class _Around:
    """What the two transports have in common."""

    _kind = ""

    def __init__(
        self,
        client: Any,
        *,
        targets: TargetPolicy = PUBLIC_HTTPS,
        total_timeout: timedelta | float = 15.0,
        connect_timeout: timedelta | float = 5.0,
        max_response_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        self._http = _library(client, self._kind, type(self).__name__)
        self._client = client
        self._limits = Limits(total_timeout, connect_timeout, max_response_bytes)
        self.targets = targets
        """Which URLs it calls."""

    @property
    def total_timeout(self) -> float:
        """The longest that a request may take, in seconds, whatever its own deadline says."""
        return self._limits.total

    def _build(self, request: Request, exchange: Exchange, trace: Any) -> Any:
        """Return the client's own kind of request, built apart from the client: without its cookies and parameters."""
        target = self.targets.check_url(request.url)
        path = target.path.encode("ascii")
        url = self._http.URL(scheme=target.scheme, host=target.host, port=target.port, raw_path=path)
        # The client's own timeouts end what it does when nobody waits for it any more.
        connect = exchange.left()
        exchange.connecting = False  # until the client says that it connects: it may have a connection, or be a mock
        rest = exchange.left()
        timeout = {"connect": connect, "read": rest, "write": rest, "pool": rest}
        return self._http.Request(
            request.method,
            url,
            headers=wire_headers(request, target, close=False),
            content=request.body,
            extensions={"timeout": timeout, "trace": trace},
        )


def _connection(response: Any) -> Any:
    """Return the stream of a connection that `response` has for itself: with HTTP/2 others may share it."""
    return response.extensions.get("network_stream") if response.http_version.startswith("HTTP/1") else None


@final
class ClientTransport(_Around):
    """Sends requests through a host's own ``httpx.Client`` or ``httpx2.Client``: its TLS, proxies, auth and hooks.

    The URL is checked, redirects are not followed, none of its cookies is sent, the body is read raw and
    capped, and a connection is not used again. **The addresses that a name resolves to are not checked**: the client
    connects by name, so keep it from reaching internal addresses by other means (a proxy, a firewall, a transport of
    its own). httpx logs every URL at level INFO.

    Each request runs on a thread of its own, so that the caller is free at the deadline even if the client is not; the
    connection is then cut, and the thread ends. A connection that the client has from before (by HTTP/2, or from other
    requests of the host's) cannot be cut: there, the thread ends when the other side is silent for long enough.

    Args:
        client: It stays the host's: it is never closed here. Its default headers, parameters and base URL are not
            used, for requests are sent as they are.
        targets: Which URLs may be called.
        total_timeout: Seconds for a whole request; its own deadline counts if it is shorter.
        connect_timeout: Seconds until a connection stands.
        max_response_bytes: How much of a response body is kept.

    Raises:
        TypeError: `client` is something else.
        ValueError: An option is out of range.
    """

    _kind = "Client"

    def send(self, request: Request) -> Reply:
        """Send `request` and return the reply: see :meth:`hookkit.protocols.Transport.send`."""
        exchange = Exchange(self._limits, request.deadline)
        call = _Call(exchange)
        try:
            built = self._build(request, exchange, call.trace)
            work = partial(copy_context().run, self._run, built, call)
            threading.Thread(target=work, name="hookkit-send", daemon=True).start()
            while not call.done.wait(exchange.left()):
                pass  # the time to connect is over, but it has connected: now the rest of the time counts
        except Exception as error:  # noqa: BLE001 - whatever the network does is a reply
            call.expire()
            return failed(error, exchange)
        except BaseException:
            call.expire()
            raise
        return exchange.reply(call.failure)

    def _run(self, built: Any, call: _Call) -> None:
        try:
            self._exchange(built, call.exchange)
        except BaseException as error:  # noqa: BLE001 - a thread has nobody above it to raise to
            call.failed(error)
        finally:
            call.done.set()

    def _exchange(self, built: Any, exchange: Exchange) -> None:
        response = self._client.send(built, stream=True, follow_redirects=False)
        try:
            exchange.answered(response.status_code, response.headers.raw)
            if response.is_closed:  # a hook has read it
                exchange.took(response.content)
                return
            for chunk in response.stream:
                exchange.took(chunk)
                if exchange.full and not self._hang_up(response):
                    break
        finally:
            self._hang_up(response)
            response.close()

    @staticmethod
    def _hang_up(response: Any) -> bool:
        """Close the connection before the client takes it back, so that no later request is sent on it."""
        stream = _connection(response)
        if stream is not None:
            stream.close()
        return stream is not None

    def close(self) -> None:
        """Do nothing: the client is the host's to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


@final
class AsyncClientTransport(_Around):
    """The asyncio twin of :class:`ClientTransport`: over an ``httpx.AsyncClient`` or ``httpx2.AsyncClient``."""

    _kind = "AsyncClient"

    async def send(self, request: Request) -> Reply:
        """Send `request` and return the reply: see :meth:`hookkit.protocols.AsyncTransport.send`."""
        exchange = Exchange(self._limits, request.deadline)
        call = _Call(exchange)
        task: asyncio.Task[None] | None = None
        try:
            built = self._build(request, exchange, call.atrace)
            task = asyncio.create_task(self._run(built, call), name="hookkit-send")
            while not (await asyncio.wait({task}, timeout=exchange.left()))[0]:
                pass  # the time to connect is over, but it has connected: now the rest of the time counts
        except Exception as error:  # noqa: BLE001 - whatever the network does is a reply
            return failed(error, exchange)
        finally:
            if task is not None and not task.done():
                task.cancel()
                await asyncio.wait({task})
                await call.abandon()
        return exchange.reply(call.failure)

    async def _run(self, built: Any, call: _Call) -> None:
        try:
            await self._exchange(built, call.exchange)
        except Exception as error:  # noqa: BLE001 - whatever the network does is a reply
            call.failed(error)

    async def _exchange(self, built: Any, exchange: Exchange) -> None:
        response = await self._client.send(built, stream=True, follow_redirects=False)
        try:
            exchange.answered(response.status_code, response.headers.raw)
            if response.is_closed:  # a hook has read it
                exchange.took(response.content)
                return
            async for chunk in response.stream:
                exchange.took(chunk)
                if exchange.full and not await self._hang_up(response):
                    break
        finally:
            await self._hang_up(response)
            await response.aclose()

    @staticmethod
    async def _hang_up(response: Any) -> bool:
        """Close the connection before the client takes it back, so that no later request is sent on it."""
        stream = _connection(response)
        if stream is not None:
            await stream.aclose()
        return stream is not None

    async def aclose(self) -> None:
        """Do nothing: the client is the host's to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

"""The two families of HTTP libraries, httpx with httpcore and httpx2 with httpcore2: bound here and nowhere else.

Both have the same public names, so everything above works with either. They are imported when a transport is made.
"""

from __future__ import annotations

import ssl
import threading
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Literal, final
from urllib.parse import unquote, urlsplit

import attrs

from hookkit.targets import Target
from hookkit.transports._sockets import SocketBackend

__all__ = ["FamilyName", "HttpFamily", "Proxy", "TlsContext", "load"]

FamilyName = Literal["auto", "httpx", "httpx2"]


@final
class _NoContext:
    """Stands where httpcore wants a TLS context.

    It calls ``set_alpn_protocols`` for each connection; on a context that threads share, that races with handshakes
    that are copying the value. Ours is set once, and taken out of its :class:`TlsContext` by the guarded stream.
    """

    def set_alpn_protocols(self, protocols: list[str]) -> None:
        """Do nothing."""


_NO_CONTEXT = _NoContext()


@attrs.frozen
class Proxy:
    """An HTTP proxy that the host asked for."""

    host: str
    port: int
    auth: tuple[bytes, bytes] | None = attrs.field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> Proxy:
        """Return the proxy that `url` names: ``http://host:port`` or ``http://user:password@host:port``."""
        wanted = "proxy: a URL of the form http://host:port (other kinds of proxy are not supported)"
        try:
            parts = urlsplit(url)
            port = parts.port or 80
        except ValueError:
            raise ValueError(wanted) from None  # the reason given may quote a password
        if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
            raise ValueError(wanted)
        auth = None
        if parts.username is not None:
            auth = unquote(parts.username).encode(), unquote(parts.password or "").encode()
        return cls(parts.hostname, port, auth)


@final
class HttpFamily:
    """One family's modules, and what the transports build with them."""

    def __init__(self, core: Any, client: Any) -> None:
        self._core = core
        self._client = client

    def create_ssl_context(self) -> ssl.SSLContext:
        """Return a new TLS context that trusts what the family trusts by default."""
        context: ssl.SSLContext = self._client.create_ssl_context()
        return context

    def request(self, method: str, target: Target, headers: list[tuple[bytes, bytes]], body: bytes) -> Any:
        """Return a request with exactly these headers."""
        # An IPv6 address keeps its brackets: they belong into the CONNECT of a proxy, and nothing else is read of it.
        host = f"[{target.host}]" if ":" in target.host else target.host
        url = self._core.URL(scheme=target.scheme, host=host, port=target.port, target=target.path)
        return self._core.Request(method, url, headers=headers, content=body)

    def connection(self, request: Any, backend: Any, proxy: Proxy | None) -> Any:
        """Return a connection for this one request: direct, or through `proxy`."""
        if proxy is None:
            return self._core.HTTPConnection(request.url.origin, ssl_context=_NO_CONTEXT, network_backend=backend)
        return self._core.HTTPProxy(**self._proxied(proxy), network_backend=backend)

    def async_connection(self, request: Any, backend: Any, proxy: Proxy | None) -> Any:
        """As :meth:`connection`, for asyncio."""
        if proxy is None:
            return self._core.AsyncHTTPConnection(request.url.origin, ssl_context=_NO_CONTEXT, network_backend=backend)
        return self._core.AsyncHTTPProxy(**self._proxied(proxy), network_backend=backend)

    def _proxied(self, proxy: Proxy) -> dict[str, Any]:
        url = self._core.URL(scheme="http", host=proxy.host, port=proxy.port, target="/")
        return {"proxy_url": url, "proxy_auth": proxy.auth, "ssl_context": _NO_CONTEXT, "max_connections": 1}

    def tcp(self) -> SocketBackend:
        """Return the network backend for threads."""
        return SocketBackend(self._core.WriteError)

    def async_tcp(self) -> Any:
        """Return the network backend for asyncio: the family's own."""
        return self._core.AnyIOBackend()


def load(name: FamilyName) -> HttpFamily:
    """Import one family and return it; ``auto`` prefers httpx2 where it is installed."""
    if name not in {"auto", "httpx", "httpx2"}:
        raise ValueError("family: 'auto', 'httpx' or 'httpx2'")
    if name == "auto":
        name = "httpx2" if find_spec("httpx2") and find_spec("httpcore2") else "httpx"
    core, client = ("httpcore2", "httpx2") if name == "httpx2" else ("httpcore", "httpx")
    return HttpFamily(import_module(core), import_module(client))


@final
class TlsContext:
    """The one TLS context of a transport, made when it is first needed (that takes some 26 ms), or the host's own."""

    def __init__(self, family: HttpFamily, given: ssl.SSLContext | None) -> None:
        self._family = family
        self._lock = threading.Lock()
        self._context = None if given is None else _http11(given)

    def get(self) -> ssl.SSLContext:
        """Return the context, the same one every time."""
        with self._lock:
            if self._context is None:
                self._context = _http11(self._family.create_ssl_context())
            return self._context


def _http11(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_alpn_protocols(["http/1.1"])
    return context

"""A request's head as text, for a transport that writes its own. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from hookkit.model import Request
from hookkit.targets import Target
from hookkit.transports._exchange import Ended
from hookkit.transports._family import Proxy
from hookkit.transports._wire import wire_headers

__all__ = ["connect_head", "request_head"]

_METHOD: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §9.1


def request_head(request: Request, target: Target, proxy: Proxy | None, *, close: bool) -> bytes:
    """Return the head of `request`.

    Args:
        request: Its method is checked here, its headers by :func:`wire_headers`.
        target: Where it goes. What its path may hold, its policy has checked.
        proxy: Stands between. For ``http`` it is told the whole URL (RFC 9112 §3.2.2) and its password; for ``https``
            it was told before, by :func:`connect_head`.
        close: Nothing follows on this connection.

    Raises:
        Ended: The method or a header cannot be sent: ``protocol_error``.
    """
    if not _METHOD.fullmatch(request.method):
        raise Ended("protocol_error")
    headers = wire_headers(request, target, close=close)
    path = target.path
    if proxy is not None and target.scheme == "http":
        path = f"http://{_authority(target)}{path}"
        headers += _authorization(proxy)
    return _joined(f"{request.method} {path} HTTP/1.1", headers)


def connect_head(target: Target, proxy: Proxy) -> bytes:
    """Return the head of the request that asks `proxy` for a tunnel to `target` (RFC 9110 §9.3.6)."""
    authority = _authority(target)
    return _joined(f"CONNECT {authority} HTTP/1.1", [(b"host", authority.encode("ascii")), *_authorization(proxy)])


def _authority(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return f"{host}:{target.port}"


def _authorization(proxy: Proxy) -> list[tuple[bytes, bytes]]:
    if proxy.auth is None:
        return []
    return [(b"Proxy-Authorization", b"Basic " + b64encode(b":".join(proxy.auth)))]


def _joined(line: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([line.encode("ascii"), *(name + b": " + value for name, value in headers), b"", b""])

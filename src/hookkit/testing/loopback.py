"""A small HTTP server on this machine that behaves, or misbehaves, as the path asks."""

from __future__ import annotations

import gzip
import socket
import socketserver
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, final

import attrs

__all__ = ["LoopbackServer", "Received", "closed_port"]

GZIPPED: Final = gzip.compress(b'{"ok":true}', mtime=0)
_MAX_HEADERS: Final = 65_536


@attrs.frozen
class Received:
    """One request as it arrived.

    Args:
        method: The method.
        target: Path and query, as they were sent.
        headers: Pairs in the order of arrival, names as they were sent.
        body: The bytes.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> list[str]:
        """Return every value of a header, whatever the case of its name."""
        return [value for key, value in self.headers if key.lower() == name.lower()]


def _answer(status: int, body: bytes = b"", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status} Status", f"content-length: {len(body)}", "connection: close", *headers)
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@final
class LoopbackServer:
    """Serves HTTP on ``127.0.0.1``; a context manager. Every connection gets one answer and is closed.

    ================= ====================================================
    path              what it does
    ================= ====================================================
    ``/status/204``   answers this status; 3xx leads to ``/status/200``
    ``/echo``         answers 200 with the body it was sent
    ``/cookie``       answers 200 and sets a cookie
    ``/gzip``         answers 200 with a compressed body
    ``/cut``          promises 100 bytes of body, sends 5 and hangs up
    ``/endless``      sends body until the other side hangs up
    ``/drip``         sends a byte of body now and then, without end
    ``/silent``       reads the request and says nothing
    ``/hang-up``      reads the request and closes the connection
    ``/garbage``      answers something that is not HTTP
    ================= ====================================================

    Attributes:
        received: Every request that arrived, oldest first.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self._closing = threading.Event()
        handler = type("_Handler", (_Handler,), {"loopback": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="hookkit-loopback")
        self._thread.start()

    def url(self, path: str) -> str:
        """Return the URL of `path`."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def close(self) -> None:
        """Stop serving, hang up on everybody, and wait for the threads."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def answer(self, connection: socket.socket, request: Received) -> None:
        """Answer `request` as its path asks."""
        path, _, _ = request.target.partition("?")
        _, name, *rest = path.split("/")
        if name == "status":
            status = int(rest[0])
            moved = (f"location: {self.url('/status/200')}",) if 300 <= status < 400 else ()
            connection.sendall(_answer(status, b"", *moved))
        elif name == "echo":
            connection.sendall(_answer(200, request.body))
        else:
            _BEHAVIOURS[name](connection, self._closing)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: the other side hanging up is what some of the tests are about."""


class _Handler(socketserver.BaseRequestHandler):
    loopback: LoopbackServer

    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.settimeout(10)
        request = _read(connection)
        if request is not None:
            self.loopback.received.append(request)
            self.loopback.answer(connection, request)


def _read(connection: socket.socket) -> Received | None:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65_536)
        if not chunk or len(data) > _MAX_HEADERS:
            return None
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    pairs = tuple((name, value.strip()) for name, _, value in (line.partition(":") for line in lines))
    length = next((int(value) for name, value in pairs if name.lower() == "content-length"), 0)
    while len(body) < length:
        chunk = connection.recv(65_536)
        if not chunk:
            return None
        body += chunk
    return Received(method, target, pairs, body)


def _cookie(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(_answer(200, b"", "set-cookie: session=1; Path=/"))


def _gzip(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(_answer(200, GZIPPED, "content-encoding: gzip"))


def _cut(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbegun")


def _endless(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not closing.is_set():
        connection.sendall(b"x" * 16_384)


def _drip(connection: socket.socket, closing: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while not closing.wait(0.05):
        connection.sendall(b"x")


def _silent(connection: socket.socket, closing: threading.Event) -> None:
    connection.settimeout(0.05)
    while not closing.is_set():
        try:
            if not connection.recv(1):
                return
        except TimeoutError:
            continue


def _hang_up(_connection: socket.socket, _closing: threading.Event) -> None:
    """Leave: the server closes the connection."""


def _garbage(connection: socket.socket, _: threading.Event) -> None:
    connection.sendall(b"220 mail.example.com ESMTP ready\r\n\r\n")


_BEHAVIOURS: Final[dict[str, Callable[[socket.socket, threading.Event], None]]] = {
    "cookie": _cookie,
    "gzip": _gzip,
    "cut": _cut,
    "endless": _endless,
    "drip": _drip,
    "silent": _silent,
    "hang-up": _hang_up,
    "garbage": _garbage,
}


def closed_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port

"""Small servers on loopback that say exactly what a test wants them to say, and remember what they heard."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

__all__ = ["OK", "Peer", "Server", "answer", "closed_port", "interrupting", "resolving", "serving", "until", "within"]

_SLACK_S = 2.0  # for a busy machine; what must end here goes on for many times as long if it does not

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


class Peer:
    """One connection, from the server's side."""

    def __init__(self, sock: socket.socket, server: Server) -> None:
        self.sock = sock
        self.server = server

    def request(self) -> bytes:
        """Read one whole request, remember it and return it."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        while len(body) < length:
            body += self._more()
        request = head + b"\r\n\r\n" + body
        self.server.requests.append(request)
        return request

    def _more(self) -> bytes:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError
        return data

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def drip(self, data: bytes, gap: float = 0.02) -> None:
        """Send `data` byte by byte, until the server stops or nobody listens."""
        for byte in data:
            if self.server.stopping.wait(gap):
                return
            self.send(bytes([byte]))

    def flood(self, data: bytes) -> None:
        """Send `data` again and again, until the server stops or nobody listens."""
        while not self.server.stopping.is_set():
            self.send(data)

    def reset(self) -> None:
        """Close with a TCP reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.sock.close()

    def wait_gone(self) -> None:
        """Read until the other side has closed, then say so."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass
        self.server.gone.set()


class Server:
    """Listens on loopback; every connection is handled by `handler` on a thread of its own.

    Attributes:
        requests: What was read with :meth:`Peer.request`, in order.
        accepted: How many connections came.
        gone: Set when a client was seen to have closed its connection.
        names: The server names that TLS clients asked for.
    """

    def __init__(
        self, handler: Callable[[Peer], None], tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
    ) -> None:
        self.handler = handler
        self.tls = tls
        self.requests: list[bytes] = []
        self.names: list[str | None] = []
        self.accepted = 0
        self.gone = threading.Event()
        self.stopping = threading.Event()
        if tls is not None:
            tls.sni_callback = lambda _sock, name, _context: self.names.append(name)
        self._listener = socket.create_server(
            (address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET, backlog=64
        )
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            if self.stopping.is_set():
                sock.close()
                return
            self.accepted += 1
            thread = threading.Thread(target=self._handle, args=(sock,))
            self._sockets.append(sock)
            self._threads.append(thread)
            thread.start()

    def _handle(self, sock: socket.socket) -> None:
        try:
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                self._sockets.append(sock)
                self._shake_hands(sock)
            self.handler(Peer(sock, self))
        except OSError:
            self.gone.set()
        finally:
            sock.close()

    def _shake_hands(self, sock: ssl.SSLSocket) -> None:
        try:
            sock.do_handshake()
        except OSError:
            # Closed with something unread, a connection is reset, and the alert that says why may be lost with it.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_WR)
                while socket.socket.recv(sock, 65536):
                    pass
            raise

    def close(self) -> None:
        """Stop, and wait until nothing is left of it."""
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive()


@contextlib.contextmanager
def serving(
    handler: Callable[[Peer], None], tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[Server]:
    """Run a server for a while."""
    server = Server(handler, tls, address)
    try:
        yield server
    finally:
        server.close()


def answer(*parts: bytes, linger: bool = False) -> Callable[[Peer], None]:
    """Return a handler that reads a request and answers with `parts`, with a short pause between them.

    Args:
        parts: What to send.
        linger: Keep the connection open afterwards, until the other side closes it.
    """

    def handle(peer: Peer) -> None:
        peer.request()
        for number, part in enumerate(parts):
            if number:
                time.sleep(0.02)
            peer.send(part)
        if linger:
            peer.wait_gone()

    return handle


def closed_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def resolving(table: dict[str, list[str]]):
    """Return a resolver that knows `table` alone, and the list of names it was asked for."""
    asked = []

    def resolve(host, port, family, kind):
        asked.append(host)
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            (socket.AF_INET6, kind, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, kind, 6, "", (address, port))
            for address in table[host]
        ]

    return resolve, asked


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Check that what is done inside ends at its deadline, `seconds` from here."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < seconds + _SLACK_S


def until(condition: Callable[[], object], seconds: float = 10) -> bool:
    """Wait until `condition` holds, and return whether it did."""
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return bool(condition())


@contextlib.contextmanager
def interrupting(after: float) -> Iterator[None]:
    """Raise KeyboardInterrupt on this, the main, thread in `after` seconds."""

    def interrupt(*_) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, after)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)

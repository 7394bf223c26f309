"""Sockets below the guard, for threads: every call ends in time, and an address is connected to without a lookup.

httpcore's own backend asks the resolver once more, even for an address, and leaves a TLS handshake or read to OpenSSL,
which looks at no clock as long as records keep coming. (For asyncio the family's own backend serves, but for TLS.)
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar, final

from hookkit.transports._tls import CHUNK, Records

__all__ = ["SocketBackend", "SocketStream", "TlsStream"]

T = TypeVar("T")

_ENDS: Final = {"client_addr": socket.socket.getsockname, "server_addr": socket.socket.getpeername}


def _end(timeout: float) -> float | None:
    """Return when `timeout` seconds are over; None stands for 0 seconds: do not wait at all."""
    return time.monotonic() + timeout if timeout > 0 else None


class _Stream:
    """What a plain and an encrypted stream have in common.

    Args:
        sock: The connected socket; :meth:`close` closes it.
        write_error: What the HTTP library expects of a write that failed: it then reads on, for the other side may have
            answered before it closed.
    """

    def __init__(self, sock: socket.socket, write_error: type[Exception]) -> None:
        self._sock = sock
        self._write_error = write_error

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        """Return the socket address of either end; nothing else is known here."""
        ask = _ENDS.get(info)
        return None if ask is None else ask(self._sock)

    def _wait_until(self, end: float | None) -> None:
        """Set the socket to wait until `end`; raise TimeoutError if that is over."""
        if end is None:
            self._sock.settimeout(0)
            return
        left = end - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time is up")
        self._sock.settimeout(left)

    def _receive(self, max_bytes: int, end: float | None) -> bytes:
        self._wait_until(end)
        return self._sock.recv(max_bytes)

    def _send(self, data: bytes, end: float | None) -> None:
        rest = memoryview(data)
        while rest:
            self._wait_until(end)
            rest = rest[self._sock.send(rest) :]


@final
class SocketStream(_Stream):
    """A connected socket."""

    def read(self, max_bytes: int, timeout: float) -> bytes:
        """Return what arrives within `timeout` seconds; with 0, ``BlockingIOError`` if nothing is there."""
        return self._receive(max_bytes, _end(timeout))

    def write(self, data: bytes, timeout: float) -> None:
        """Send all of `data` within `timeout` seconds."""
        try:
            self._send(data, _end(timeout))
        except TimeoutError:
            raise
        except OSError as error:
            raise self._write_error from error

    def start_tls(self, context: ssl.SSLContext, server_hostname: str, timeout: float) -> TlsStream:
        """Shake hands within `timeout` seconds; the certificate is checked against `server_hostname`."""
        stream = TlsStream(self._sock, self._write_error, context, server_hostname)
        stream.shake_hands(timeout)
        return stream


@final
class TlsStream(_Stream):
    """A connected socket with TLS on top."""

    def __init__(
        self, sock: socket.socket, write_error: type[Exception], context: ssl.SSLContext, server_hostname: str
    ) -> None:
        super().__init__(sock, write_error)
        self._records = Records(context, server_hostname)

    def shake_hands(self, timeout: float) -> None:
        """Do the handshake."""
        end = _end(timeout)
        try:
            self._drive(self._records.shake_hands, end)
        except ssl.SSLError:
            with suppress(OSError):
                self._send(self._records.say(), end)  # the alert that tells the other side why
            raise

    def read(self, max_bytes: int, timeout: float) -> bytes:
        """Return what arrives within `timeout` seconds; with 0, ``BlockingIOError`` if nothing is there."""
        return self._drive(lambda: self._records.read(max_bytes), _end(timeout))

    def write(self, data: bytes, timeout: float) -> None:
        """Send all of `data` within `timeout` seconds."""
        try:
            self._drive(lambda: self._records.write(data), _end(timeout))
        except TimeoutError:
            raise
        except OSError as error:
            raise self._write_error from error

    def _drive(self, step: Callable[[], T], end: float | None) -> T:
        """Return what `step` returns, giving it what arrives and sending what it has to say."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._send(self._records.say(), end)
                self._records.hear(self._receive(CHUNK, end))
            else:
                self._send(self._records.say(), end)
                return result


@final
class SocketBackend:
    """Opens sockets.

    Args:
        write_error: What a stream raises for a write that failed.
    """

    def __init__(self, write_error: type[Exception]) -> None:
        self._write_error = write_error

    def connect_tcp(self, address: str, port: int, timeout: float) -> SocketStream:
        """Connect to an IP address within `timeout` seconds."""
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout)
            sock.connect((address, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return SocketStream(sock, self._write_error)

"""Sockets below the guard, for asyncio: straight on the event loop, without its transports and protocols.

A connection that carries one request has no use for them: they read ahead whatever comes, buffer what nobody reads, and
cost as much as the request. Whoever calls keeps the time, by cancelling.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, final

from hookkit.transports._tls import CHUNK

__all__ = ["LoopBackend", "LoopStream"]


@final
class LoopStream:
    """A connected socket.

    Args:
        sock: The socket, which does not block; :meth:`aclose` closes it.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    async def read(self, max_bytes: int, timeout: float) -> bytes:
        """Return what arrives; with a `timeout` of 0, ``TimeoutError`` if nothing is there."""
        if timeout <= 0:
            try:
                return self._sock.recv(max_bytes)
            except BlockingIOError as error:
                raise TimeoutError("nothing has arrived") from error
        data = await asyncio.get_running_loop().sock_recv(self._sock, max_bytes)
        await _breathe(len(data))
        return data

    async def write(self, data: bytes, timeout: float) -> None:
        """Send all of `data`."""
        await asyncio.get_running_loop().sock_sendall(self._sock, data)
        await _breathe(len(data))

    async def aclose(self) -> None:
        """Close the socket."""
        self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        """Return the socket address of either end; nothing else is known here."""
        if info == "server_addr":
            return self._sock.getpeername()
        return self._sock.getsockname() if info == "client_addr" else None


async def _breathe(size: int) -> None:
    """Let others have their turn after much data: as long as there is more, nothing else makes the loop do so."""
    if size >= CHUNK:
        await asyncio.sleep(0)


@final
class LoopBackend:
    """Opens sockets on the running event loop."""

    async def connect_tcp(self, address: str, port: int, timeout: float) -> LoopStream:
        """Connect to an IP address within `timeout` seconds."""
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            async with asyncio.timeout(timeout):
                await asyncio.get_running_loop().sock_connect(sock, (address, port))
        except BaseException:
            sock.close()
            raise
        return LoopStream(sock)

"""TLS fed by hand: every byte that arrives is counted before it is decrypted, and the clock is looked at in between.

Left to itself, a read inside TLS goes on as long as records keep coming, and most kinds of them hold no data: with
session tickets, say, a server could keep a sender busy without end, past the byte budget that counts what comes out of
TLS. :class:`Records` does no I/O; the streams are :class:`hookkit.transports._sockets.TlsStream`, and for asyncio
:class:`AsyncTlsStream`.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar, final

from hookkit.transports._exchange import Ended

__all__ = ["CHUNK", "AsyncTlsStream", "Records"]

T = TypeVar("T")

CHUNK: Final = 16_384
"""How much is read at once, and decrypted without looking at the clock."""

# What may arrive besides data: a handshake, whose certificates OpenSSL itself ends at 100 KiB, and some tickets. Each
# byte of data may cost as much again twice, for records may be short.
_OVERHEAD: Final = 262_144
_PER_BYTE: Final = 3


@final
class Records:
    """The TLS side of one connection. Every step may raise ``ssl.SSLWantReadError``: then it is to hear more first.

    Args:
        context: Trust and client certificates.
        server_hostname: The name, or address, that the certificate has to be for.
    """

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=server_hostname)
        self._spare = _OVERHEAD

    def shake_hands(self) -> None:
        """Do the handshake."""
        self._tls.do_handshake()

    def read(self, max_bytes: int) -> bytes:
        """Return data; nothing if the other side has ended."""
        try:
            data = self._tls.read(max_bytes)
        except ssl.SSLEOFError:
            return b""  # without TLS's goodbye; whether something is missing, HTTP knows
        self._spare += _PER_BYTE * len(data)
        return data

    def write(self, data: bytes) -> None:
        """Encrypt data."""
        self._tls.write(data)

    def say(self) -> bytes:
        """Return what is to be sent now, if anything."""
        return self._outgoing.read()

    def hear(self, arrived: bytes) -> None:
        """Take what has arrived; nothing stands for the end.

        Raises:
            Ended: It is more than its data explains.
        """
        if not arrived:
            self._incoming.write_eof()
            return
        self._spare -= len(arrived)
        if self._spare < 0:
            raise Ended("too_large")
        self._incoming.write(arrived)


@final
class AsyncTlsStream:
    """An encrypted stream for asyncio, on top of the family's own.

    Args:
        stream: The family's, connected.
        context: Trust and client certificates.
        server_hostname: The name, or address, that the certificate has to be for.
    """

    def __init__(self, stream: Any, context: ssl.SSLContext, server_hostname: str) -> None:
        self._stream = stream
        self._records = Records(context, server_hostname)

    async def shake_hands(self, timeout: float) -> None:
        """Do the handshake within `timeout` seconds."""
        end = time.monotonic() + timeout
        try:
            await self._drive(self._records.shake_hands, end)
        except ssl.SSLError:
            with suppress(Exception):
                await self._send(end)  # the alert that tells the other side why
            raise

    async def read(self, max_bytes: int, timeout: float) -> bytes:
        """Return what arrives within `timeout` seconds; with 0, a timeout if nothing is there."""
        return await self._drive(lambda: self._records.read(max_bytes), time.monotonic() + timeout)

    async def write(self, data: bytes, timeout: float) -> None:
        """Send all of `data` within `timeout` seconds."""
        await self._drive(lambda: self._records.write(data), time.monotonic() + timeout)

    async def _drive(self, step: Callable[[], T], end: float) -> T:
        """Return what `step` returns, giving it what arrives and sending what it has to say."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                await self._send(end)
                self._records.hear(await self._stream.read(CHUNK, timeout=_left(end)))
            else:
                await self._send(end)
                return result

    async def _send(self, end: float) -> None:
        said = self._records.say()
        if said:
            await self._stream.write(said, timeout=_left(end))

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        """Return what the stream below knows."""
        return self._stream.get_extra_info(info)


def _left(end: float) -> float:
    return max(0.0, end - time.monotonic())

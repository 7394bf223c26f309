"""A TLS 1.3 server that sends session tickets without end: records that hold no data, and cost their reader much."""

from __future__ import annotations

import os
import re
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand
from wire_server import Peer

__all__ = ["flood_tickets"]


def flood_tickets(peer: Peer, context: ssl.SSLContext) -> None:
    """Shake hands, then send tickets until nobody listens. :mod:`ssl` sends no more of them than it is told before.

    Args:
        peer: A connection without TLS so far.
        context: Has the certificate; it is changed.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory, "keys")
        context.keylog_filename = str(log)
        with context.wrap_socket(peer.sock, server_side=True) as tls:
            secret = bytes.fromhex(re.search(r"SERVER_TRAFFIC_SECRET_0 \S+ (\S+)", log.read_text())[1])
            records = _records(secret, tls.cipher()[0])
            with socket.socket(fileno=tls.detach()) as sock:
                while not peer.server.stopping.is_set():
                    sock.sendall(b"".join(next(records) for _ in range(8)))


def _records(secret: bytes, cipher: str) -> Iterator[bytes]:
    """Yield records full of tickets, encrypted as those of the server whose secret this is (RFC 8446 §5.2, §7.3)."""
    digest, size = (hashes.SHA384(), 32) if cipher == "TLS_AES_256_GCM_SHA384" else (hashes.SHA256(), 16)
    aead, start = AESGCM(_expanded(secret, b"key", size, digest)), _expanded(secret, b"iv", 12, digest)
    ticket = (7200).to_bytes(4, "big") + os.urandom(4) + b"\x01\0" + b"\0\x04abcd" + b"\0\0"  # RFC 8446 §4.6.1
    message = b"\x04" + len(ticket).to_bytes(3, "big") + ticket
    inner = message * (16_000 // len(message)) + b"\x16"
    head = b"\x17\x03\x03" + (len(inner) + 16).to_bytes(2, "big")
    number = int.from_bytes(start, "big")
    for sequence in range(2**32):
        yield head + aead.encrypt((number ^ sequence).to_bytes(12, "big"), inner, head)


def _expanded(secret: bytes, label: bytes, size: int, digest: hashes.HashAlgorithm) -> bytes:
    """HKDF-Expand-Label of RFC 8446 §7.1, without a context."""
    label = b"tls13 " + label
    info = size.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0"
    return HKDFExpand(algorithm=digest, length=size, info=info).derive(secret)

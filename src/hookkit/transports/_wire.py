"""The request's headers as they go over the wire. Pure."""

from __future__ import annotations

import logging
import re
from typing import Final

from hookkit.model import Request
from hookkit.plaintext import plain
from hookkit.targets import Target
from hookkit.transports._exchange import Ended

__all__ = ["wire_headers"]

_log = logging.getLogger("hookkit.transports")

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 §5.6.2
_VALUE = re.compile(r"[\t\x20-\x7e]*")
# What frames the message or speaks for the connection is the transport's to say, or two receivers could read two
# different messages (RFC 9112 §6.3, §11.2).
_RESERVED: Final = frozenset(
    {
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def wire_headers(request: Request, target: Target, *, close: bool) -> list[tuple[bytes, bytes]]:
    """Return every header of `request`: ``host``, its own in their order, and what the message needs.

    Args:
        request: Its headers are printable ASCII, checked when the webhook was registered, and once more here.
        target: Where it goes.
        close: Whether to say ``connection: close``: nothing follows on this connection.

    Raises:
        Ended: A header cannot be sent: ``protocol_error``. The log says which, by name.
    """
    pairs = [(b"host", target.authority.encode("ascii"))]
    names = set()
    for name, value in request.headers:
        stripped = value.strip(" \t")
        if not _TOKEN.fullmatch(name) or name.lower() in _RESERVED or not _VALUE.fullmatch(stripped):
            _log.warning("a delivery was not sent: its header '%s' is reserved or no printable ASCII", plain(name, 60))
            raise Ended("protocol_error")
        names.add(name.lower())
        pairs.append((name.encode("ascii"), stripped.encode("ascii")))
    pairs.append((b"content-length", str(len(request.body)).encode("ascii")))
    if "accept-encoding" not in names:
        pairs.append((b"accept-encoding", b"identity"))
    if close:
        pairs.append((b"connection", b"close"))
    return pairs

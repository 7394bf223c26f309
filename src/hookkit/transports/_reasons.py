"""Why a request failed, from the exception that it failed with: the one seam where foreign errors are mapped.

httpcore, httpcore2, httpx and httpx2 name their exceptions alike, so they are told apart by name, and none of the four
has to be imported here. What lies beneath (TLS, sockets) is found along the chain of causes.
"""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterator
from typing import Final

from hookkit.errors import TargetRefused
from hookkit.model import Reply
from hookkit.plaintext import plain
from hookkit.transports._exchange import Ended, Exchange

__all__ = ["failed", "is_nothing_there", "reason_of"]

_log: Final = logging.getLogger("hookkit.transports")

# X509_V_ERR_… of OpenSSL's x509_vfy.h
_CERTIFICATE_REASONS: Final = {
    2: "tls_unknown_ca",  # unable to get the issuer's certificate
    9: "tls_not_yet_valid",
    10: "tls_expired",
    18: "tls_self_signed",  # the certificate itself
    19: "tls_self_signed",  # one in its chain
    20: "tls_unknown_ca",  # unable to get the issuer's certificate locally
    21: "tls_unknown_ca",  # unable to verify the first certificate
    62: "tls_hostname",
    64: "tls_hostname",  # the same, for an IP address
}
_LOST = (ConnectionResetError, ConnectionAbortedError, BrokenPipeError)
_LOST_TLS = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
_LOST_NAMES = frozenset({"BrokenResourceError", "ClosedResourceError", "EndOfStream"})  # anyio's
_CHAIN_LIMIT = 10


def _names(error: BaseException) -> frozenset[str]:
    return frozenset(cls.__name__ for cls in type(error).__mro__)


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_CHAIN_LIMIT):
        if link is None:
            return
        yield link
        link = link.__cause__ or link.__context__


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATE_REASONS.get(getattr(error, "verify_code", 0), "tls_other")
    what = (getattr(error, "reason", None) or "").upper()
    if "CERT" in what or "UNKNOWN_CA" in what:  # the other side's alert about ours
        return "tls_other"
    return "tls_protocol"


def _beneath(error: BaseException) -> str:
    """Return the reason that a cause beneath the HTTP library gives, or nothing."""
    for link in _chain(error):
        if isinstance(link, Ended):
            return link.reason
        if isinstance(link, TargetRefused):
            return "target_refused"
        if isinstance(link, socket.gaierror):
            return "dns"
        if isinstance(link, (*_LOST, *_LOST_TLS)) or _names(link) & _LOST_NAMES:
            return "connection_lost"
        if isinstance(link, ssl.SSLError):
            return _tls_reason(link)
    return ""


def reason_of(error: BaseException, exchange: Exchange) -> str:
    """Return the reason of :class:`hookkit.protocols.Transport` that `error` stands for.

    Args:
        error: Whatever came out of the HTTP library, or out of our own layer below it.
        exchange: The request it ended.
    """
    names = _names(error)
    if names & {"TimeoutError", "TimeoutException"}:
        return "connect_timeout" if exchange.connecting or "ConnectTimeout" in names else "timeout"
    beneath = _beneath(error)
    if beneath:
        return beneath
    if names & {"ConnectError", "ProxyError"}:
        return "connect"
    if "RemoteProtocolError" in names:
        cut_off = "disconnected" in str(error) if exchange.cut_off is None else exchange.cut_off
        return "connection_lost" if cut_off else "protocol_error"
    if names & {"NetworkError", "OSError"}:
        return "connect" if exchange.connecting else "connection_lost"
    return "protocol_error"


def failed(error: BaseException, exchange: Exchange) -> Reply:
    """Return the reply of a request that ended with `error`; the operator's log says a little more than the reply."""
    reason = reason_of(error, exchange)
    if isinstance(error, TargetRefused):
        _log.info("a request was not sent: %s", plain(str(error)))
    else:
        # Not the message: h11 quotes the header that it does not like.
        _log.debug("a request failed: %s (%s)", reason, type(error).__name__)
    return exchange.reply(reason)


def is_nothing_there(error: Exception) -> bool:
    """Return whether a read that does not wait found nothing to read (which is no failure)."""
    if "TimeoutException" in _names(error):
        return True
    return any(isinstance(link, (BlockingIOError, ssl.SSLWantReadError)) for link in _chain(error))

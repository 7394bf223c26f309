"""Foreign errors become the transport's reasons at one seam."""

from __future__ import annotations

import socket
import ssl
from datetime import timedelta

import httpcore
import httpx
import pytest

from hookkit import TargetRefused
from hookkit.transports._exchange import Ended, Exchange, Limits
from hookkit.transports._reasons import is_nothing_there, reason_of


def exchange(*, connecting: bool = False) -> Exchange:
    made = Exchange(Limits(5, 5, 100), timedelta(seconds=5))
    made.connecting = connecting
    return made


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def certificate(code: int) -> ssl.SSLError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code = code
    return error


def alert(reason: str) -> ssl.SSLError:
    error = ssl.SSLError(1, reason)
    error.reason = reason
    return error


CODES = {
    2: "tls_unknown_ca",
    9: "tls_not_yet_valid",
    10: "tls_expired",
    18: "tls_self_signed",
    19: "tls_self_signed",
    20: "tls_unknown_ca",
    21: "tls_unknown_ca",
    23: "tls_other",
    26: "tls_other",
    62: "tls_hostname",
    64: "tls_hostname",
}


@pytest.mark.parametrize(("code", "reason"), CODES.items())
@pytest.mark.parametrize("layers", [(httpcore.ConnectError,), (httpcore.ConnectError, httpx.ConnectError), ()])
def test_certificates(code, reason, layers) -> None:
    """OpenSSL's code decides, however many libraries have wrapped the error."""
    error = certificate(code)
    for layer in layers:
        error = caused(layer("x"), error)
    assert reason_of(error, exchange(connecting=True)) == reason


@pytest.mark.parametrize(
    ("error", "connecting", "reason"),
    [
        (alert("WRONG_VERSION_NUMBER"), True, "tls_protocol"),
        (alert("TLSV1_ALERT_UNKNOWN_CA"), False, "tls_other"),
        (alert("TLSV13_ALERT_CERTIFICATE_REQUIRED"), False, "tls_other"),
        (ssl.SSLError(1, "nameless"), True, "tls_protocol"),
        (ssl.SSLEOFError(8, "EOF"), True, "connection_lost"),
        (ssl.SSLZeroReturnError(6, "closed"), False, "connection_lost"),
        (socket.gaierror(-2, "unknown"), True, "dns"),
        (ConnectionRefusedError(111, "refused"), True, "connect"),
        (OSError(113, "no route"), True, "connect"),
        (OSError(5, "odd"), False, "connection_lost"),
        (ConnectionResetError(104, "reset"), True, "connection_lost"),
        (BrokenPipeError(32, "pipe"), False, "connection_lost"),
        (TimeoutError("late"), True, "connect_timeout"),
        (TimeoutError("late"), False, "timeout"),
        (httpcore.ConnectTimeout("late"), False, "connect_timeout"),
        (httpcore.ReadTimeout("late"), False, "timeout"),
        (httpcore.WriteTimeout("late"), True, "connect_timeout"),
        (httpx.PoolTimeout("late"), False, "timeout"),
        (httpcore.ConnectError("x"), True, "connect"),
        (httpcore.ProxyError("407"), True, "connect"),
        (httpcore.ReadError("x"), False, "connection_lost"),
        (httpcore.LocalProtocolError("x"), False, "protocol_error"),
        (httpcore.RemoteProtocolError("illegal"), False, "protocol_error"),
        (httpx.RemoteProtocolError("Server disconnected without sending a response."), False, "connection_lost"),
        (UnicodeError("x"), False, "protocol_error"),
        (ValueError("x"), True, "protocol_error"),
        (TargetRefused("x", "ip"), True, "target_refused"),
        (Ended("too_large"), True, "too_large"),
    ],
    ids=repr,
)
def test_other_errors(error, connecting, reason) -> None:
    """What lies beneath is found first; then the HTTP library's own word counts."""
    assert reason_of(error, exchange(connecting=connecting)) == reason
    if not isinstance(error, (httpcore.TimeoutException, httpx.TimeoutException, TimeoutError)):
        wrapped = caused(httpx.RequestError("x"), error)
        beneath = isinstance(error, (ssl.SSLError, socket.gaierror, ConnectionResetError, BrokenPipeError, Ended))
        if beneath or isinstance(error, TargetRefused):
            assert reason_of(wrapped, exchange(connecting=connecting)) == reason


def test_a_circle_of_causes_ends() -> None:
    """A chain of causes that bites its tail is not followed for ever."""
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    assert reason_of(first, exchange()) == "protocol_error"


@pytest.mark.parametrize(
    ("error", "nothing"),
    [
        (httpcore.ReadTimeout("x"), True),
        (caused(httpcore.ReadError("x"), BlockingIOError(11, "x")), True),
        (caused(httpcore.ReadError("x"), ssl.SSLWantReadError(2, "x")), True),
        (httpcore.ReadError("x"), False),
        (ConnectionResetError(104, "x"), False),
    ],
)
def test_nothing_to_read_is_no_failure(error, nothing) -> None:
    """A read that does not wait tells an empty connection from a broken one."""
    assert is_nothing_there(error) == nothing

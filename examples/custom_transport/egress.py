"""A transport of one's own: every request through an egress proxy, with the standard library alone.

It is here to be changed: into one over your company's HTTP client, a sidecar, a relay. ``test_egress.py`` runs
hookkit's contract kit over it; keep that green. (For a proxy alone, hookkit has ``HttpxTransport(proxy=…)``.)
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
import time
from base64 import b64encode
from contextlib import suppress

from hookkit import Reply, Request, TargetRefused
from hookkit.targets import PUBLIC_HTTPS, Target, TargetPolicy

MAX_BODY = 65_536  # bytes of an answer that are kept; nobody needs more to see what went wrong

# What OpenSSL says of a certificate (X509_V_ERR_…), in the words of hookkit's log.
CERTIFICATES = {9: "not_yet_valid", 10: "expired", 18: "self_signed", 19: "self_signed"}
CERTIFICATES |= {2: "unknown_ca", 20: "unknown_ca", 21: "unknown_ca", 62: "hostname", 64: "hostname"}


class EgressTransport:
    """Tunnels each request through a proxy (``CONNECT``): a :class:`hookkit.protocols.Transport`.

    The proxy looks names up, so it is the proxy that has to refuse internal addresses; here only URLs are checked.

    Args:
        host: The proxy's host.
        port: Its port.
        user: ``name:password``, if it asks who you are.
        targets: Which URLs may be called.
        total_timeout: The longest that a request may take, in seconds. A worker reads this attribute, to make its
            leases longer; it reads ``targets``, too.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        user: str | None = None,
        targets: TargetPolicy = PUBLIC_HTTPS,
        total_timeout: float = 15.0,
    ) -> None:
        self.targets = targets
        self.total_timeout = total_timeout
        self._proxy = (host, port)
        self._who = {} if user is None else {"proxy-authorization": f"Basic {b64encode(user.encode()).decode()}"}
        self._tls = ssl.create_default_context()

    def send(self, request: Request) -> Reply:
        """Send, and return what came back. It raises nothing, whatever the network does."""
        try:
            target = self.targets.check_url(request.url)
        except TargetRefused:
            return Reply(None, reason="target_refused")
        seconds = min(self.total_timeout, request.deadline.total_seconds())
        return _Exchange(self._proxy, seconds).run(request, target, self._who, self._tls)


class _Exchange:
    """One request and its reply, on a connection of its own: no reply can ever be taken for another's."""

    def __init__(self, proxy: tuple[str, int], seconds: float) -> None:
        self._connection = http.client.HTTPConnection(*proxy, timeout=seconds)
        self._began = time.monotonic()
        self._seconds = seconds
        self._sock: socket.socket | None = None
        self._connecting = True
        self._expired = False

    def run(self, request: Request, target: Target, who: dict[str, str], tls: ssl.SSLContext) -> Reply:
        # A socket's timeout begins anew with every byte, so somebody has to look at the whole: a drip would never end.
        watch = threading.Timer(self._seconds, self._expire)
        watch.daemon = True
        watch.start()
        try:
            self._connect(target, who, tls)
            response = self._answer(request, target)
        except Exception as error:  # noqa: BLE001 - a transport never raises
            return Reply(None, reason=self._reason(error), elapsed=time.monotonic() - self._began)
        else:
            # With the status the receiver has spoken; whatever becomes of the body, the event has arrived.
            body, truncated = self._body(response)
            reason = "redirect" if 300 <= response.status < 400 else ""  # never followed: nobody signed for there
            pairs = tuple(response.getheaders())
            return Reply(response.status, pairs, body, truncated, reason, time.monotonic() - self._began)
        finally:
            watch.cancel()
            self._connection.close()

    def _connect(self, target: Target, who: dict[str, str], tls: ssl.SSLContext) -> None:
        self._connection.set_tunnel(target.host, target.port, who)
        self._connection.connect()
        if target.scheme == "https":
            plain = self._connection.sock
            # Not at once: the watch must find the socket that shakes hands.
            secure = tls.wrap_socket(plain, server_hostname=target.host, do_handshake_on_connect=False)
            self._connection.sock = secure
            secure.do_handshake()
        self._sock = self._connection.sock  # which http.client forgets where the answer has no length
        self._connecting = False

    def _answer(self, request: Request, target: Target) -> http.client.HTTPResponse:
        # Path and query as they were registered, the headers that were signed, and nothing of our own beside them: no
        # cookie, no user agent, no trace of whoever emitted the event.
        self._connection.putrequest(request.method, target.path, skip_host=True, skip_accept_encoding=True)
        own = {"host": target.authority, "content-length": str(len(request.body)), "connection": "close"}
        for name, value in (*own.items(), ("accept-encoding", "identity"), *request.headers):
            self._connection.putheader(name, value)
        self._connection.endheaders(request.body)
        response = self._connection.getresponse()
        if self._expired:  # http.client takes headers that were cut off for all of them
            raise TimeoutError
        return response

    def _body(self, response: http.client.HTTPResponse) -> tuple[bytes, bool]:
        """Return what there is of the body, raw, and whether there was more: a compressed one may be a bomb."""
        announced, body = response.length, b""
        wanted = MAX_BODY + 1 if announced is None else min(announced, MAX_BODY + 1)
        try:
            while len(body) < wanted and (chunk := response.read1(wanted - len(body))):
                body += chunk
        except (OSError, http.client.HTTPException):
            return body[:MAX_BODY], True
        finally:
            response.close()
        cut = self._expired or len(body) > MAX_BODY or len(body) < (announced or 0)
        return body[:MAX_BODY], cut

    def _expire(self) -> None:
        """Wake whoever still reads or writes: the time is up."""
        self._expired = True
        sock = self._sock or self._connection.sock
        if sock is not None:
            with suppress(OSError):
                # Not SSLSocket's own method, which would take the encryption off a socket that is still in use.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _reason(self, error: Exception) -> str:
        """Return why there is no reply, in one of the words that the protocol's docstring lists."""
        if self._expired or isinstance(error, TimeoutError):
            return "connect_timeout" if self._connecting else "timeout"
        if isinstance(error, socket.gaierror):
            return "dns"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"tls_{CERTIFICATES.get(error.verify_code, 'other')}"
        if isinstance(error, ssl.SSLError):
            return "tls_protocol"
        if isinstance(error, OSError):  # the proxy refuses to connect, or cannot
            return "connect" if self._connecting else "connection_lost"
        return "protocol_error"

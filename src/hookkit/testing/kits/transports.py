"""The contract of a Transport, checked over real sockets on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import pytest

from hookkit.model import Reply, Request
from hookkit.protocols import Transport
from hookkit.testing.loopback import GZIPPED, LoopbackServer, closed_port

__all__ = ["TransportContract"]

MEBIBYTE = 1_048_576


def _send(transport: Transport, url: str, body: bytes = b'{"type":"user.created"}', deadline: float = 10) -> Reply:
    headers = (("content-type", "application/json"), ("webhook-id", "evt_1"), ("X-Team", "identity"))
    return transport.send(Request("POST", url, headers, body, deadline))


class TransportContract:
    """Checks a :class:`hookkit.protocols.Transport`.

    Override the fixture ``transport`` with one that may call plain http on ``127.0.0.1``, at any port, such as
    ``HttpxTransport(targets=LOOPBACK)``; and ``refused_url`` with one that it must refuse, if it does not refuse the
    default.

    Attributes:
        threads: How many threads send at once; 0 skips this, for a transport of which each thread needs its own.
    """

    threads: ClassVar[int] = 8

    @pytest.fixture
    def transport(self) -> Transport:
        """Return the transport under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `transport`")

    @pytest.fixture
    def refused_url(self) -> str:
        """Return a URL whose address the transport's target policy refuses."""
        return "http://192.0.2.1:9/"

    @pytest.fixture
    def server(self) -> Iterator[LoopbackServer]:
        """Yield a server that behaves as the path asks."""
        with LoopbackServer() as server:
            yield server

    def test_a_request_is_sent_as_it_is(self, transport: Transport, server: LoopbackServer) -> None:
        """Method, path and query, headers and the very bytes that were signed."""
        body = bytes(range(256))
        _send(transport, server.url("/status/204?a=%20b&c"), body)
        request = server.received[0]
        assert (request.method, request.target, request.body) == ("POST", "/status/204?a=%20b&c", body)
        sent = {name: request.header(name) for name in ("content-type", "webhook-id", "x-team", "content-length")}
        assert sent == {
            "content-type": ["application/json"],
            "webhook-id": ["evt_1"],
            "x-team": ["identity"],
            "content-length": ["256"],
        }

    def test_nothing_is_sent_that_was_not_asked_for(self, transport: Transport, server: LoopbackServer) -> None:
        """But what the connection itself needs: no cookie, no user agent, no trace of the caller."""
        _send(transport, server.url("/status/204"))
        names = {name.lower() for name, _ in server.received[0].headers}
        needed = {"host", "content-length", "connection", "accept", "accept-encoding"}
        assert names - needed == {"content-type", "webhook-id", "x-team"}

    def test_the_reply_comes_back_as_it_is(self, transport: Transport, server: LoopbackServer) -> None:
        """Status, headers and raw body, without a reason."""
        reply = _send(transport, server.url("/echo"), b"\x00\xff")
        assert (reply.status, reply.reason, reply.body, reply.truncated) == (200, "", b"\x00\xff", False)
        assert ("content-length", "2") in [(name.lower(), value) for name, value in reply.headers]

    @pytest.mark.parametrize("status", [200, 201, 204, 400, 404, 410, 429, 500, 503])
    def test_any_status_is_a_reply(self, transport: Transport, server: LoopbackServer, status: int) -> None:
        """What to make of it is not the transport's business."""
        reply = _send(transport, server.url(f"/status/{status}"))
        assert (reply.status, reply.reason) == (status, "")

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_no_redirect_is_followed(self, transport: Transport, server: LoopbackServer, status: int) -> None:
        """The other address was never checked, and nobody signed for it."""
        reply = _send(transport, server.url(f"/status/{status}"))
        assert (reply.status, reply.reason, len(server.received)) == (status, "redirect", 1)

    def test_no_cookie_is_kept(self, transport: Transport, server: LoopbackServer) -> None:
        """One receiver's cookies are not for the next."""
        for _ in range(2):
            _send(transport, server.url("/cookie"))
        assert [request.header("cookie") for request in server.received] == [[], []]

    def test_no_body_is_decoded(self, transport: Transport, server: LoopbackServer) -> None:
        """A compressed one may be a bomb."""
        assert _send(transport, server.url("/gzip")).body == GZIPPED

    @pytest.mark.parametrize("path", ["/cut", "/drip", "/endless"])
    def test_the_status_counts_whatever_becomes_of_the_body(
        self, transport: Transport, server: LoopbackServer, path: str
    ) -> None:
        """It breaks off, drips until the deadline, or never ends: the receiver has the event."""
        reply = _send(transport, server.url(path), deadline=0.5)
        assert (reply.status, reply.reason, reply.truncated) == (200, "", True)
        assert len(reply.body) <= MEBIBYTE

    @pytest.mark.parametrize(
        ("path", "reason"), [("/silent", "timeout"), ("/hang-up", "connection_lost"), ("/garbage", "protocol_error")]
    )
    def test_what_is_no_reply_has_a_reason(
        self, transport: Transport, server: LoopbackServer, path: str, reason: str
    ) -> None:
        """And no status; nothing is raised."""
        reply = _send(transport, server.url(path), deadline=0.5)
        assert (reply.status, reply.reason) == (None, reason)

    def test_a_refused_connection_has_a_reason(self, transport: Transport) -> None:
        """Nobody listens there."""
        reply = _send(transport, f"http://127.0.0.1:{closed_port()}/")
        assert (reply.status, reply.reason) == (None, "connect")

    def test_a_refused_target_is_not_called(self, transport: Transport, refused_url: str) -> None:
        """Whatever the URL says, the target policy decides."""
        reply = _send(transport, refused_url, deadline=2)
        assert (reply.status, reply.reason) == (None, "target_refused")

    def test_several_threads_may_send_at_once(self, transport: Transport, server: LoopbackServer) -> None:
        """Each gets the reply to its own request."""
        if not self.threads:
            pytest.skip("this transport is not used from several threads")
        bodies = [f"body {number}".encode() for number in range(self.threads * 4)]
        with ThreadPoolExecutor(self.threads) as pool:
            replies = list(pool.map(lambda body: _send(transport, server.url("/echo"), body), bodies))
        assert [reply.body for reply in replies] == bodies

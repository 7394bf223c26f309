"""What comes back: the status is the receiver's word, whatever becomes of the rest, and the deadline holds."""

from __future__ import annotations

import asyncio
import gzip
import time

import pytest
from wire_server import OK, Peer, answer, closed_port, serving, within

from hookkit import Request
from hookkit.transports._exchange import Exchange

DEADLINE = 0.4
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


def timed(sender, url, **options):
    """Send with a short deadline, and check that it held."""
    with within(DEADLINE):
        reply = sender.post(url, deadline=DEADLINE, **options)
    assert reply.elapsed.total_seconds() >= DEADLINE
    return reply


def test_a_plain_success(sender) -> None:
    """A 204 comes back as its status, without a reason, with its headers as received."""
    with serving(answer(b"HTTP/1.1 204 No Content\r\nX-Request-ID: 7\r\nx-note: caf\xe9\r\n\r\n")) as server:
        reply = sender.post(server.url("/hook"))
    assert (reply.status, reply.reason, reply.body, reply.truncated) == (204, "", b"", False)
    assert reply.headers == (("X-Request-ID", "7"), ("x-note", "café"))
    assert reply.elapsed.total_seconds() > 0


def test_the_request_goes_out_as_given(sender) -> None:
    """On the wire are the request's own headers in order, and only what the message itself needs around them."""
    headers = [("webhook-id", "evt_1"), ("X-Custom", "a b"), ("user-agent", "hookkit/1")]
    with serving(answer(OK)) as server:
        sender.post(server.url("/a/../b?x=1&y[]=%20"), b'{"a":1}', headers)
    assert server.requests == [
        b"POST /a/../b?x=1&y[]=%20 HTTP/1.1\r\n"
        + f"host: 127.0.0.1:{server.port}\r\n".encode()
        + b"webhook-id: evt_1\r\nX-Custom: a b\r\nuser-agent: hookkit/1\r\n"
        b'content-length: 7\r\naccept-encoding: identity\r\nconnection: close\r\n\r\n{"a":1}'
    ]


def test_an_accept_encoding_of_the_hosts_own_stays(sender) -> None:
    """The transport adds what is missing and doubles nothing."""
    with serving(answer(OK)) as server:
        sender.post(server.url(), headers=[("Accept-Encoding", "br")])
    assert server.requests[0].lower().count(b"accept-encoding") == 1


@pytest.mark.parametrize(
    "header",
    [
        ("Host", "other.example"),
        ("content-length", "3"),
        ("Transfer-Encoding", "chunked"),
        ("connection", "webhook-signature"),
        ("", "x"),
        ("x y", "z"),
        ("x:", "z"),
        ("x-é", "z"),
        ("x", "a\r\nb: c"),
        ("x", "a\0"),
        ("x", "é"),
        ("x", "日"),
    ],
)
def test_a_header_that_cannot_be_sent_ends_the_attempt(sender, header, caplog) -> None:
    """What would break the message, or is not ours to say, is never sent; the log names the header, not its value."""
    with serving(answer(OK)) as server:
        reply = sender.post(server.url(), headers=[header])
    assert (reply.status, reply.reason) == (None, "protocol_error")
    assert server.accepted == 0
    assert len(caplog.records) == 1
    assert "webhook-signature" not in caplog.text


def test_the_body_is_kept_raw(sender) -> None:
    """A compressed body is kept as it came: it is never decompressed."""
    body = gzip.compress(b"x" * 1_000_000)
    head = HEAD + b"Content-Encoding: gzip, gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    with serving(answer(head + body)) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.body, reply.truncated) == (200, body, False)


@pytest.mark.parametrize(("size", "truncated"), [(0, False), (99, False), (100, False), (101, True), (1_000_000, True)])
def test_the_body_is_cut_at_the_cap(sender, size, truncated) -> None:
    """What exceeds the cap is neither kept nor waited for, and the reply says so."""
    head = HEAD + b"Content-Length: %d\r\n\r\n" % size
    with serving(answer(head + b"x" * size)) as server:
        reply = sender.post(server.url(), max_response_bytes=100)
    assert (reply.status, reply.body, reply.truncated) == (200, b"x" * min(size, 100), truncated)


LOCATIONS = [b"http://127.0.0.1:1/", b"//10.0.0.1/", b"/", b"javascript:alert(1)", b"http:a", b"https://xn--/"]


@pytest.mark.parametrize(
    ("status", "location"),
    [*((status, b"/") for status in (300, 301, 302, 303, 304, 308)), *((307, location) for location in LOCATIONS)],
)
def test_a_redirect_is_not_followed(sender, status, location) -> None:
    """A 3xx is a failure with its status, wherever it points (SSRF-385)."""
    with serving(answer(b"HTTP/1.1 %d Moved\r\nLocation: %b\r\n\r\n" % (status, location))) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.reason) == (status, "redirect")
    assert server.accepted == 1


@pytest.mark.parametrize("status", [200, 202, 299, 400, 410, 500, 503, 600, 999])
def test_every_other_status_is_the_receivers_word(sender, status) -> None:
    """A status that is no redirect comes back without a reason, known or not."""
    with serving(answer(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.reason) == (status, "")


@pytest.mark.parametrize(
    "prefix", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 5]
)
def test_interim_replies_are_passed_over(sender, prefix) -> None:
    """The status is that of the final reply."""
    with serving(answer(prefix + OK)) as server:
        assert sender.post(server.url()).status == 204


BROKEN_BODIES = {
    "short": answer(HEAD + b"Content-Length: 10\r\n\r\nhello"),
    "cut chunk": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n9\r\nhello"),
    "bad chunk": answer(HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"),
}


@pytest.mark.parametrize("handler", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
def test_a_body_that_breaks_off_does_not_undo_the_status(sender, handler) -> None:
    """Once the status line and the headers are there, the delivery has this status; the body says it was cut."""
    with serving(handler) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.reason, reply.truncated) == (200, "", True)
    assert reply.body in {b"hello", b""}


def test_a_reset_amid_the_body_does_not_undo_the_status(sender) -> None:
    """The same for a connection that is reset once the headers were read."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"Content-Length: 10\r\n\r\nhello")
        time.sleep(0.1)
        peer.reset()

    with serving(handle) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.reason, reply.truncated, reply.body) == (200, "", True, b"hello")


def test_a_dripping_body_ends_at_the_deadline(sender) -> None:
    """A body that never ends keeps its status and its slot no longer than the deadline."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"Content-Length: 10000\r\n\r\n")
        peer.drip(b"x" * 10_000)

    with serving(handle) as server:
        reply = timed(sender, server.url())
    assert (reply.status, reply.reason, reply.truncated) == (200, "", True)
    assert 0 < len(reply.body) < 10_000


def test_an_infinite_body_ends_at_the_cap(sender) -> None:
    """A body without end is read up to the cap and no further."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"\r\n")
        peer.flood(b"x" * 65536)

    with serving(handle) as server:
        reply = sender.post(server.url(), deadline=30)
    assert (reply.status, reply.truncated, len(reply.body)) == (200, True, 16_384)
    assert reply.elapsed.total_seconds() < 10


def test_a_body_of_nothing_but_framing_ends_at_the_budget(sender) -> None:
    """Chunk extensions are no body, but they are counted."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        peer.flood((b"1;" + b"x" * 1000 + b"\r\na\r\n") * 50)

    with serving(handle) as server:
        reply = sender.post(server.url(), deadline=30)
    assert (reply.status, reply.truncated) == (200, True)
    assert len(reply.body) < 1000


@pytest.mark.parametrize(
    ("start", "rest"),
    [(b"", HEAD * 100), (HEAD, b"X-Slow: " + b"x" * 1000), (b"HTTP/1.1 100 Continue\r\n", b"X: y\r\n" * 500)],
)
def test_dripping_headers_end_at_the_deadline(sender, start, rest) -> None:
    """A head that comes byte by byte is a timeout, at the deadline and not a byte later."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        peer.drip(rest)

    with serving(handle) as server:
        reply = timed(sender, server.url())
    assert (reply.status, reply.reason) == (None, "timeout")


def test_silence_ends_at_the_deadline(sender) -> None:
    """A server that reads and never answers is a timeout; the transport's total_timeout counts if it is shorter."""
    with serving(answer(linger=True)) as server:
        assert timed(sender, server.url()).reason == "timeout"
        with within(0.2):
            assert sender.post(server.url(), deadline=20, total_timeout=0.2).reason == "timeout"
        assert server.gone.wait(5)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "too_large"),
        (b"X-Header: y\r\n" * 1000, "too_large"),
        (b"X-" + b"y" * 65536, "too_large"),
        (b"x" * 65536, "too_large"),
    ],
)
def test_a_flood_ends_at_the_budget(sender, data, reason) -> None:
    """Interim replies, headers or garbage without end cost a bounded number of bytes, and no time to speak of."""

    def handle(peer: Peer) -> None:
        peer.request()
        if data.startswith(b"X-"):
            peer.send(HEAD)
        peer.flood(data)

    with serving(handle) as server:
        reply = sender.post(server.url(), deadline=30)
    if sender.family == "aiohttp" and data.startswith(b"x"):
        reason = "protocol_error"  # its parser does not wait for the end of a line to see that it is no status line
    assert (reply.status, reply.reason) == (None, reason)
    assert reply.elapsed.total_seconds() < 10


def test_a_reply_is_read_in_small_pieces(sender, monkeypatch) -> None:
    """However much has arrived, a little of it is parsed at a time, so that others on the event loop get their turn."""
    pieces, received = [], Exchange.received

    def watched(self, data: bytes) -> bytes:
        pieces.append(len(data))
        return received(self, data)

    monkeypatch.setattr(Exchange, "received", watched)
    size = 150_000
    with serving(answer(HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)) as server:
        reply = sender.post(server.url(), max_response_bytes=size)
    assert (len(reply.body), reply.truncated) == (size, False)
    assert max(pieces) <= 16_384


def test_stored_headers_are_capped(sender) -> None:
    """Many or long headers are no failure, but only so many are kept."""
    many = b"".join(b"X-%d: y\r\n" % number for number in range(1000))
    long = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 4000) for number in range(10))
    with serving(answer(HEAD + many + b"\r\n")) as server:
        reply = sender.post(server.url())
        assert (reply.status, len(reply.headers)) == (200, 100)
    with serving(answer(HEAD + long + b"\r\n")) as server:
        reply = sender.post(server.url())
        assert reply.status == 200
        assert 1 < len(reply.headers) < 6


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"hello",
        b"<html>no</html>",
        b"HTTP/1.1 99 Low\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 1000 High\r\n\r\n",
        b"HTTP/1.1 2x0 Odd\r\n\r\n",
        b"\0\0\0\x12\x04\0\0\0\0\0",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\nX: \0\r\n\r\n",
    ],
    ids=lambda data: repr(data[:30]),
)
def test_garbage_is_a_protocol_error(sender, data) -> None:
    """A reply that is not HTTP is no status, and no exception either."""
    with serving(answer(data)) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.reason) == (None, "protocol_error")


@pytest.mark.parametrize("data", [b"", b"HT", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", HEAD])
def test_a_close_before_the_status_is_a_lost_connection(sender, data) -> None:
    """A connection that ends before the head is complete leaves no status."""
    with serving(answer(data)) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.reason) == (None, "connection_lost")


def test_a_reset_is_a_lost_connection(sender) -> None:
    """So does one that is reset."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.reset()

    with serving(handle) as server:
        reply = sender.post(server.url())
    assert (reply.status, reply.reason) == (None, "connection_lost")


def test_a_closed_port_is_connect(sender) -> None:
    """Nobody listens: that is its own reason."""
    reply = sender.post(f"http://127.0.0.1:{closed_port()}/")
    assert (reply.status, reply.reason) == (None, "connect")


def test_a_request_that_nobody_reads_ends_at_the_deadline(sender) -> None:
    """A large body is written in pieces, so that a server that does not read cannot hold the sender."""

    def handle(peer: Peer) -> None:
        peer.server.stopping.wait(20)

    with serving(handle) as server:
        reply = timed(sender, server.url(), body=b"x" * 30_000_000)
    assert (reply.status, reply.reason) == (None, "timeout")


def test_a_request_that_is_read_slowly_ends_at_the_deadline(sender) -> None:
    """Reading a little now and then does not prolong it."""

    def handle(peer: Peer) -> None:
        while not peer.server.stopping.wait(0.05) and peer.sock.recv(10_000):
            pass

    with serving(handle) as server:
        reply = timed(sender, server.url(), body=b"x" * 30_000_000)
    assert (reply.status, reply.reason) == (None, "timeout")


def test_a_refusal_amid_the_upload_keeps_its_status(sender) -> None:
    """A server may answer before it has read everything; its status counts."""

    def handle(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        peer.wait_gone()

    with serving(handle) as server:
        reply = sender.post(server.url(), b"x" * 3_000_000)
    assert (reply.status, reply.reason) == (413, "")


def test_a_refusal_with_a_reset_amid_the_upload(sender) -> None:
    """If the server closes without reading on, its status is had if it still can be, and nothing is raised."""

    def handle(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        time.sleep(0.05)

    with serving(handle) as server:
        reply = sender.post(server.url(), b"x" * 30_000_000)
    assert (reply.status, reply.reason) in {(413, ""), (None, "connection_lost")}


def test_nothing_of_one_reply_reaches_the_next(sender) -> None:
    """Each request has its own connection, so bytes behind a reply are nobody's reply."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
    with serving(answer(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" + evil, linger=True)) as server:
        replies = [sender.post(server.url()) for _ in range(3)]
        assert server.accepted == 3
    assert [(reply.status, reply.body) for reply in replies] == [(500, b"")] * 3


def test_cookies_are_not_kept(sender) -> None:
    """What one delivery was given is not sent with another."""
    with serving(answer(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n")) as server:
        request = Request("POST", server.url(), (), b"")

        async def main() -> None:
            async with sender.transport() as transport:
                await transport.send(request)
                await transport.send(request)

        if sender.mode == "async":
            asyncio.run(main())
        else:
            with sender.transport() as transport:
                transport.send(request)
                transport.send(request)
        assert len(server.requests) == 2
        assert not any(b"cookie" in sent.lower() for sent in server.requests)

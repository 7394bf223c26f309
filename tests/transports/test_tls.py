"""TLS: the certificate is checked under the target's name, and each way it can fail has a word of its own."""

from __future__ import annotations

import ssl
import time
from datetime import UTC, datetime, timedelta
from queue import SimpleQueue

import pytest
from wire_server import OK, Peer, answer, resolving, serving, within
from wire_tickets import flood_tickets

NAME = "hook-a.test"
NOW = datetime.now(UTC)
DAY = timedelta(days=1)


def post(sender, authority, server, name=NAME, **options):
    """Send to `name`, which resolves to loopback, trusting the test's authority alone."""
    resolve, _ = resolving({NAME: ["127.0.0.1"]})
    options = {"resolver": resolve, "ssl_context": authority.client()} | options
    return sender.post(server.url(host=name), **options)


@pytest.mark.parametrize("name", [NAME, NAME + ".", NAME.upper()])
def test_a_good_certificate(sender, authority, name) -> None:
    """The handshake asks for the name without a trailing dot, whatever address was connected to (SSRF-393)."""
    with serving(answer(OK), authority.server(NAME)) as server:
        reply = post(sender, authority, server, name)
    assert (reply.status, reply.reason) == (204, "")
    assert server.names == [NAME]
    assert f"host: {NAME}:{server.port}\r\n".encode() in server.requests[0]


def test_a_good_certificate_for_an_address(sender, authority) -> None:
    """An IP literal needs a certificate for that address, and sends no server name."""
    with serving(answer(OK), authority.server("127.0.0.1")) as server:
        assert post(sender, authority, server, "127.0.0.1").status == 204
    assert server.names == [None]


BAD = {
    "expired": (lambda issue: issue.server(NAME, start=NOW - 3 * DAY, end=NOW - DAY), "tls_expired"),
    "not yet valid": (lambda issue: issue.server(NAME, start=NOW + DAY, end=NOW + 2 * DAY), "tls_not_yet_valid"),
    "self-signed": (lambda issue: issue.self_signed(), "tls_self_signed"),
    "unknown": (lambda issue: issue.server(NAME, unknown=True), "tls_unknown_ca"),
}


@pytest.mark.parametrize(("make", "reason"), BAD.values(), ids=BAD)
def test_a_bad_certificate(sender, authority, make, reason) -> None:
    """Expired, not yet valid, self-signed and unknown certificates are told apart (SSRF-391)."""
    with serving(answer(OK), make(authority)) as server:
        reply = post(sender, authority, server)
        assert (reply.status, reply.reason) == (None, reason)
        assert server.requests == []


@pytest.mark.parametrize(
    ("certificate", "name"),
    [
        ("other.test", NAME),
        ("*.other.test", NAME),
        ("*.test", "hook-a.b.test"),
        (NAME, "127.0.0.1"),
        ("127.0.0.1", NAME),
    ],
)
def test_a_certificate_for_another_name(sender, authority, certificate, name) -> None:
    """A certificate for some other name is no certificate for this one (SSRF-390, SSRF-391)."""
    resolve, _ = resolving({NAME: ["127.0.0.1"], "hook-a.b.test": ["127.0.0.1"]})
    with serving(answer(OK), authority.server(certificate)) as server:
        reply = post(sender, authority, server, name, resolver=resolve)
    assert (reply.status, reply.reason) == (None, "tls_hostname")


def test_an_unknown_authority(sender, authority) -> None:
    """Without a context of the host's, what the HTTP library trusts counts; the test's authority is not in it."""
    with serving(answer(OK), authority.server(NAME)) as server:
        reply = post(sender, authority, server, ssl_context=None)
    assert (reply.status, reply.reason) == (None, "tls_unknown_ca")


@pytest.mark.parametrize(
    "handler",
    [answer(b"HTTP/1.1 400 Bad Request\r\n\r\n"), lambda peer: peer.send(b"220 mail.test ESMTP\r\n")],
    ids=["http", "smtp"],
)
def test_no_tls_on_the_port(sender, authority, handler) -> None:
    """A port that does not speak TLS is a protocol failure, and nothing it says is a reply."""

    def handle(peer: Peer) -> None:
        peer.sock.recv(65536)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        peer.wait_gone()

    with serving(handle) as server:
        url = server.url().replace("http:", "https:")
        reply = sender.post(url, ssl_context=authority.client())
    assert (reply.status, reply.reason) == (None, "tls_protocol")


def test_no_common_version(sender, authority) -> None:
    """So is a handshake that finds no common ground."""
    context = authority.server(NAME)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    client = authority.client()
    client.minimum_version = ssl.TLSVersion.TLSv1_3
    with serving(answer(OK), context) as server:
        reply = post(sender, authority, server, ssl_context=client)
    assert (reply.status, reply.reason) == (None, "tls_protocol")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_wanted(sender, authority, version) -> None:
    """A server that wants a certificate of ours says so in an alert."""
    context = authority.server(NAME)
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    with serving(answer(OK), context) as server:
        reply = post(sender, authority, server)
    assert (reply.status, reply.reason in {"tls_other", "tls_protocol"}) == (None, True)


def test_a_handshake_that_is_cut(sender, authority) -> None:
    """A server that hangs up amid the handshake is a lost connection."""

    def handle(peer: Peer) -> None:
        peer.sock.recv(65536)

    with serving(handle) as server:
        reply = sender.post(server.url().replace("http:", "https:"), ssl_context=authority.client())
    assert (reply.status, reply.reason) == (None, "connection_lost")


@pytest.mark.parametrize("drips", [False, True])
def test_a_handshake_without_end(sender, authority, drips) -> None:
    """A handshake that stalls or drips ends at the connect timeout, or at the deadline if that is sooner."""

    def handle(peer: Peer) -> None:
        peer.sock.recv(65536)
        if drips:
            peer.drip(b"\x16\x03\x03\x40\x00" + b"\x02\x00\x3f\xfc" + b"\0" * 10_000)
        peer.wait_gone()

    with serving(handle) as server:
        url = server.url().replace("http:", "https:")
        for options in ({"deadline": 0.3}, {"deadline": 20, "connect_timeout": 0.3}):
            with within(0.3):
                reply = sender.post(url, ssl_context=authority.client(), **options)
            assert (reply.status, reply.reason) == (None, "connect_timeout")
        assert server.gone.wait(5)


def test_the_time_to_connect_ends_with_the_handshake(sender, authority) -> None:
    """From then on the request has all the time that its deadline leaves."""
    with serving(answer(linger=True), authority.server(NAME)) as server, within(0.6):
        reply = post(sender, authority, server, connect_timeout=0.3, deadline=0.6)
    assert (reply.status, reply.reason) == (None, "timeout")
    assert reply.elapsed.total_seconds() >= 0.6


def test_a_body_cut_without_tls_close(sender, authority) -> None:
    """A connection that ends without TLS's own goodbye still leaves the status."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello")
        time.sleep(0.05)

    with serving(handle, authority.server(NAME)) as server:
        reply = post(sender, authority, server)
    assert (reply.status, reply.truncated, reply.body) == (200, True, b"hello")


@pytest.mark.parametrize("drip", ["head", "body"])
def test_drips_inside_tls_end_at_the_deadline(sender, authority, drip) -> None:
    """The deadline holds inside TLS as well."""

    def handle(peer: Peer) -> None:
        peer.request()
        if drip == "body":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n")
        peer.drip(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000)

    with serving(handle, authority.server(NAME)) as server, within(0.5):
        reply = post(sender, authority, server, deadline=timedelta(seconds=0.5))
    assert (reply.status, reply.reason) == ((200, "") if drip == "body" else (None, "timeout"))


@pytest.mark.parametrize("tickets", [0, 2, 200])
def test_session_tickets_are_no_early_reply(sender, authority, tickets) -> None:
    """What TLS itself sends after the handshake is taken neither for a reply nor for trouble."""
    context = authority.server(NAME)
    context.num_tickets = tickets
    with serving(answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), context) as server:
        for _ in range(5):
            reply = post(sender, authority, server, body=b"x" * 100_000)
            assert (reply.status, reply.body) == (200, b"ok")


def test_session_tickets_without_end_are_too_much(sender, authority) -> None:
    """Records that hold no data are counted as well: a server that sends nothing else keeps nobody busy for long.

    It begins before the request, when the sender only looks whether something has arrived: that look had no end.
    """
    context = authority.server(NAME)
    with serving(lambda peer: flood_tickets(peer, context)) as server:
        url = server.url(host=NAME).replace("http:", "https:")
        resolve, _ = resolving({NAME: ["127.0.0.1"]})
        with within(10):
            reply = sender.post(url, deadline=20, resolver=resolve, ssl_context=authority.client())
        assert server.gone.wait(5)
    assert (reply.status, reply.reason) == (None, "too_large")


@pytest.mark.parametrize("size", [2, 100, 1_000])
def test_short_records_are_no_attack(sender, authority, size) -> None:
    """A reply that comes in records of few bytes each is heard all the same, and whole."""
    body = b"x" * 16_384
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)

    def handle(peer: Peer) -> None:
        peer.request()
        data = head + body
        for start in range(0, len(data), size):
            peer.send(data[start : start + size])

    with serving(handle, authority.server(NAME)) as server:
        reply = post(sender, authority, server)
    assert (reply.status, reply.reason) == (200, "")
    assert reply.body == body


def test_a_long_reply_earns_its_records(sender, authority) -> None:
    """What its records cost besides data grows with the data: 256 KiB of them alone would not do for this one."""
    body = b"x" * 500_000
    said = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    with serving(answer(said), authority.server(NAME)) as server:
        reply = post(sender, authority, server, max_response_bytes=1_000_000)
    assert (reply.status, reply.reason, reply.body == body) == (200, "", True)


def test_a_server_is_told_why_its_certificate_is_refused(sender, authority) -> None:
    """TLS has an alert for it, which its operator finds in a log: not just a connection that is gone."""
    told: SimpleQueue[str | None] = SimpleQueue()
    context = authority.server(NAME, unknown=True)

    def handle(peer: Peer) -> None:
        try:
            context.wrap_socket(peer.sock, server_side=True).close()
        except ssl.SSLError as error:
            told.put(error.reason)

    with serving(handle) as server:
        url = server.url(host=NAME).replace("http:", "https:")
        resolve, _ = resolving({NAME: ["127.0.0.1"]})
        reply = sender.post(url, resolver=resolve, ssl_context=authority.client())
    assert reply.reason == "tls_unknown_ca"
    assert told.get(timeout=5) == "TLSV1_ALERT_UNKNOWN_CA"


def test_a_large_upload_inside_tls(sender, authority) -> None:
    """A body of many records arrives whole."""
    body = bytes(range(256)) * 8192
    with serving(answer(OK), authority.server(NAME)) as server:
        assert post(sender, authority, server, body=body).status == 204
    assert server.requests[0].endswith(b"\r\n\r\n" + body)


def test_an_upload_that_nobody_reads_inside_tls(sender, authority) -> None:
    """The deadline holds for writes inside TLS."""

    def handle(peer: Peer) -> None:
        peer.server.stopping.wait(20)

    with serving(handle, authority.server(NAME)) as server, within(0.4):
        reply = post(sender, authority, server, body=b"x" * 30_000_000, deadline=0.4)
    assert (reply.status, reply.reason) == (None, "timeout")


def test_a_refusal_amid_an_upload_inside_tls(sender, authority) -> None:
    """A server that closes without reading on is no exception."""

    def handle(peer: Peer) -> None:
        peer.sock.recv(1000)
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        time.sleep(0.05)

    with serving(handle, authority.server(NAME)) as server:
        reply = post(sender, authority, server, body=b"x" * 30_000_000)
    assert (reply.status, reply.reason) in {(413, ""), (None, "connection_lost")}


def test_http2_is_not_spoken(sender, authority) -> None:
    """Even with a context that offers HTTP/2 to a server that prefers it, HTTP/1.1 is agreed on."""
    context = authority.server(NAME)
    context.set_alpn_protocols(["h2", "http/1.1"])
    client = authority.client()
    client.set_alpn_protocols(["h2", "http/1.1"])
    agreed = []

    def handle(peer: Peer) -> None:
        agreed.append(peer.sock.selected_alpn_protocol())
        answer(OK)(peer)

    with serving(handle, context) as server:
        assert post(sender, authority, server, ssl_context=client).status == 204
    assert agreed == ["http/1.1"]

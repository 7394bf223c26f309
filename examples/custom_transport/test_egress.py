"""The transport does what hookkit's contract asks of any, with every connection through a proxy."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, closing

import pytest
import trustme
from egress import MAX_BODY, EgressTransport
from egress_proxy import Proxy

from hookkit import Reply, Request
from hookkit.targets import LOOPBACK, TargetPolicy
from hookkit.testing import TransportContract
from hookkit.testing.loopback import LoopbackServer

pytestmark = pytest.mark.examples

Running = Callable[..., AbstractContextManager[Proxy]]


def through(proxy: Proxy, targets: TargetPolicy = LOOPBACK) -> EgressTransport:
    """Return a transport through a proxy."""
    return EgressTransport("127.0.0.1", proxy.server_address[1], targets=targets)


def post(transport: EgressTransport, url: str, deadline: float = 10, **headers: str) -> Reply:
    """Send a small request."""
    return transport.send(Request("POST", url, tuple(headers.items()), b"{}", deadline))


class TestEgressTransport(TransportContract):
    """hookkit's own kit: 25 rules over real sockets."""

    @pytest.fixture
    def transport(self, proxy: Proxy) -> EgressTransport:
        """Return the transport under test."""
        return through(proxy)


def test_everything_goes_through_the_proxy(proxy: Proxy, capfd: pytest.CaptureFixture[str]) -> None:
    """Each request has a tunnel of its own."""
    with LoopbackServer() as server:
        for _ in range(2):
            assert post(through(proxy), server.url("/status/204")).status == 204
        port = server.url("").rpartition(":")[2]
    assert capfd.readouterr().out.splitlines() == [f"proxy: CONNECT 127.0.0.1:{port}"] * 2


def test_what_the_proxy_refuses_is_not_reached(run_proxy: Running) -> None:
    """Its answer is not taken for the receiver's."""
    with run_proxy() as proxy, LoopbackServer() as server:
        reply = post(through(proxy), server.url("/status/204"))
        assert (reply.status, reply.reason, server.received) == (None, "connect", [])


def test_a_proxy_that_is_gone_is_a_failed_attempt(run_proxy: Running) -> None:
    """And nothing goes past it."""
    with run_proxy("127.0.0.1") as proxy:
        transport = through(proxy)
    with LoopbackServer() as server:
        assert (post(transport, server.url("/status/204")).reason, server.received) == ("connect", [])


def test_a_proxy_that_is_silent_ends_with_the_deadline() -> None:
    """It accepts, and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        transport = EgressTransport("127.0.0.1", silent.getsockname()[1], targets=LOOPBACK)
        assert post(transport, "http://127.0.0.1:9/", deadline=0.3).reason == "connect_timeout"


def test_headers_that_drip_end_with_the_deadline(proxy: Proxy) -> None:
    """A byte now and then, so that no single read takes long."""
    done = threading.Event()

    def drip(listening: socket.socket) -> None:
        connection, _ = listening.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            try:
                while not done.wait(0.02):
                    connection.sendall(b"x")
            except OSError:
                pass

    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=drip, args=(listening,))
        thread.start()
        reply = post(through(proxy), f"http://127.0.0.1:{listening.getsockname()[1]}/", deadline=0.3)
        done.set()
        thread.join()
    assert (reply.status, reply.reason) == (None, "timeout")


def test_a_long_answer_is_cut(proxy: Proxy) -> None:
    """Only so much of it is read and kept."""
    with LoopbackServer() as server:
        reply = post(through(proxy), server.url("/endless"))
    assert (reply.status, len(reply.body), reply.truncated) == (200, MAX_BODY, True)


def test_a_header_cannot_smuggle_another(proxy: Proxy) -> None:
    """A line end in a value is not sent."""
    with LoopbackServer() as server:
        assert post(through(proxy), server.url("/status/204"), x_odd="a\r\nx: b").reason == "protocol_error"
        assert server.received == []


def serve_tls(context: ssl.SSLContext, listening: socket.socket, seen: list[bytes]) -> None:
    """Answer one request over TLS."""
    connection, _ = listening.accept()
    with connection:
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                data = b""
                while not data.endswith(b"\r\n\r\n{}"):
                    data += secure.recv(65_536)
                seen.append(data)
                secure.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        except OSError as error:
            seen.append(repr(error).encode())


@pytest.mark.parametrize(
    ("name", "trusted", "outcome"),
    [
        ("localhost", True, (204, "")),
        ("other.test", True, (None, "tls_hostname")),
        ("localhost", False, (None, "tls_unknown_ca")),
    ],
)
def test_certificates_are_checked_beyond_the_proxy(
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    trusted: bool,  # noqa: FBT001 - a parameter
    outcome: tuple[int | None, str],
) -> None:
    """The receiver's own, against its own name; the proxy sees nothing but bytes."""
    authority = trustme.CA()
    root = tmp_path_factory.mktemp("ca") / "root.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(str(root))
    monkeypatch.setenv("SSL_CERT_FILE", str(root))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    seen: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listening:
        thread = threading.Thread(target=serve_tls, args=(context, listening, seen))
        thread.start()
        port = listening.getsockname()[1]
        reply = post(through(proxy), f"https://localhost:{port}/hooks?a=1")
        thread.join()
    assert (reply.status, reply.reason) == outcome
    assert (b"POST /hooks?a=1 HTTP/1.1" in seen[0]) == (outcome[0] == 204)
    if outcome[0] == 204:
        assert f"host: localhost:{port}".encode() in seen[0]

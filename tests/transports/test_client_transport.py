"""A host's own client as a transport: what it brings stays, and the checks, the deadline and the caps hold."""

from __future__ import annotations

import asyncio
import base64
import importlib
import signal
import threading

import attrs
import pytest
from wire_server import OK, Peer, answer, closed_port, interrupting, resolving, serving, until, within

from hookkit import Reply, Request
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS
from hookkit.transports.httpx import AsyncClientTransport, ClientTransport

DEADLINE = 0.4
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"


@attrs.frozen
class Wrapped:
    """Sends through a client made for it, and hands the client out to look at."""

    mode: str
    family: str
    seen: list = attrs.field(factory=list)

    @property
    def http(self):
        return importlib.import_module(self.family)

    def hook(self, function):
        """Return an event hook that calls `function`, as this mode wants it."""
        if self.mode == "sync":
            return function

        async def hook(message) -> None:
            result = function(message)
            if asyncio.iscoroutine(result):
                await result

        return hook

    def send_all(self, *requests: Request, client=None, **options) -> list[Reply]:
        options = {"targets": LOOPBACK} | options
        made = {"trust_env": False, "verify": False} | (client or {})  # no trust store to load, as a rule
        if self.mode == "sync":
            with self.http.Client(**made) as own, ClientTransport(own, **options) as transport:
                replies = [transport.send(request) for request in requests]
                assert not own.is_closed
                self.seen.append(dict(own.cookies))
                return replies

        async def main() -> list[Reply]:
            async with self.http.AsyncClient(**made) as own, AsyncClientTransport(own, **options) as transport:
                replies = [await transport.send(request) for request in requests]
                assert not own.is_closed
                self.seen.append(dict(own.cookies))
                return replies

        return asyncio.run(main())

    def post(self, url, body=b"{}", headers=(), deadline=5, **options) -> Reply:
        return self.send_all(Request("POST", url, tuple(headers), body, deadline), **options)[0]


@pytest.fixture
def wrapped(mode, family) -> Wrapped:
    return Wrapped(mode, family)


def timed(wrapped, url, **options) -> Reply:
    with within(DEADLINE):
        return wrapped.post(url, **({"deadline": DEADLINE} | options))


def send_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "hookkit-send"]


@pytest.fixture(autouse=True)
def no_thread_stays():
    """Whatever a test did, the threads that sent for it have ended soon after."""
    yield
    assert until(lambda: not send_threads())


def test_the_request_goes_out_as_given(wrapped) -> None:
    """The client's default headers, cookies and parameters are left out: the request is sent as it is."""
    client = {"headers": {"x-default": "1", "user-agent": "mine"}, "params": {"a": "b"}, "cookies": {"c": "d"}}
    with serving(answer(OK)) as server:
        reply = wrapped.post(server.url("/x?y=1"), b'{"a":1}', [("webhook-id", "evt_1")], client=client)
    assert (reply.status, reply.reason) == (204, "")
    assert server.requests == [
        b"POST /x?y=1 HTTP/1.1\r\n"
        + f"host: 127.0.0.1:{server.port}\r\n".encode()
        + b'webhook-id: evt_1\r\ncontent-length: 7\r\naccept-encoding: identity\r\n\r\n{"a":1}'
    ]


def test_the_clients_authentication_stays(wrapped) -> None:
    """What the host built into its client goes with every request."""
    with serving(answer(OK)) as server:
        assert wrapped.post(server.url(), client={"auth": ("user", "pass")}).status == 204
    token = base64.b64encode(b"user:pass")
    assert b"Authorization: Basic " + token in server.requests[0]


def test_an_authentication_scheme_with_two_legs(wrapped) -> None:
    """The status is that of the last leg."""
    challenge = (
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a", nonce="b", qop="auth"\r\nContent-Length: 0\r\n\r\n'
    )
    legs = iter([challenge, OK])

    def handle(peer: Peer) -> None:
        for leg in legs:
            peer.request()
            peer.send(leg)

    with serving(handle) as server:
        reply = wrapped.post(server.url(), client={"auth": wrapped.http.DigestAuth("user", "pass")})
    assert (reply.status, reply.reason) == (204, "")


def test_a_second_leg_that_fails_has_no_status(wrapped) -> None:
    """A 401 that was answered is not the last word."""
    challenge = (
        b'HTTP/1.1 401 No\r\nWWW-Authenticate: Digest realm="a", nonce="b", qop="auth"\r\nContent-Length: 0\r\n\r\n'
    )

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(challenge)
        peer.request()

    with serving(handle) as server:
        reply = wrapped.post(server.url(), client={"auth": wrapped.http.DigestAuth("user", "pass")})
    assert (reply.status, reply.reason) == (None, "connection_lost")


def test_the_clients_hooks_run(wrapped) -> None:
    """Hooks see the request and the response; one that raises does not undo a status that has arrived."""
    seen = []

    def on_request(request) -> None:
        seen.append(request.method)

    def on_response(response) -> None:
        seen.append(response.status_code)
        raise RuntimeError("the hook's own mistake")

    hooks = {"request": [wrapped.hook(on_request)], "response": [wrapped.hook(on_response)]}
    with serving(answer(OK)) as server:
        reply = wrapped.post(server.url(), client={"event_hooks": hooks})
    assert seen == ["POST", 204]
    assert (reply.status, reply.reason) == (204, "")


def test_a_hook_may_read_the_body(wrapped) -> None:
    """What a hook has read already is kept all the same."""

    def on_response(response):
        return response.read() if wrapped.mode == "sync" else response.aread()

    hooks = {"response": [wrapped.hook(on_response)]}
    with serving(answer(HEAD + b"Content-Length: 5\r\n\r\nhello")) as server:
        reply = wrapped.post(server.url(), client={"event_hooks": hooks})
    assert (reply.status, reply.body, reply.truncated) == (200, b"hello", False)


def test_a_mock_serves_as_well(wrapped) -> None:
    """A client without a network works: it says nothing of connections, and nothing is asked of it."""
    client = {
        "transport": wrapped.http.MockTransport(lambda request: wrapped.http.Response(202, content=request.content))
    }
    reply = wrapped.post("http://localhost/", b"hello", client=client)
    assert (reply.status, reply.body) == (202, b"hello")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("http://example.com/", {"targets": PUBLIC_HTTPS}),
        ("https://10.0.0.1/", {"targets": PUBLIC_HTTPS}),
        ("https://localhost/", {"targets": PUBLIC_HTTPS}),
        ("http://8.8.8.8/", {}),
        ("http://127.0.0.1/#x", {}),
    ],
)
def test_the_url_is_checked(wrapped, url, options) -> None:
    """What the policy refuses by its URL never reaches the client."""

    def fail(request):
        raise AssertionError(request)

    reply = wrapped.post(url, client={"transport": wrapped.http.MockTransport(fail)}, **options)
    assert (reply.status, reply.reason) == (None, "target_refused")


@pytest.mark.parametrize(
    "location", [b"http://127.0.0.1:1/", b"/", b"javascript:alert(1)", b"http:a", b"https://xn--/", b"//10.0.0.1/"]
)
def test_a_redirect_is_not_followed(wrapped, location) -> None:
    """Even a client that follows redirects does not, and one that cannot read the location keeps the status."""
    with serving(answer(b"HTTP/1.1 307 Moved\r\nLocation: %b\r\n\r\n" % location)) as server:
        reply = wrapped.post(server.url(), client={"follow_redirects": True})
        assert server.accepted == 1
    assert (reply.status, reply.reason) == (307, "redirect")


def test_cookies_are_not_sent_again(wrapped) -> None:
    """A cookie that came with one reply goes with no other request."""
    with serving(answer(b"HTTP/1.1 204 No Content\r\nSet-Cookie: a=b\r\n\r\n")) as server:
        request = Request("POST", server.url(), (), b"")
        wrapped.send_all(request, request)
    assert len(server.requests) == 2
    assert not any(b"cookie" in sent.lower() for sent in server.requests)


def test_nothing_of_one_reply_reaches_the_next(wrapped) -> None:
    """A connection is not used again, so bytes behind a reply are nobody's reply."""
    evil = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
    with serving(answer(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" + evil, linger=True)) as server:
        request = Request("POST", server.url(), (), b"")
        replies = wrapped.send_all(request, request, request)
        assert server.accepted == 3
    assert [(reply.status, reply.body) for reply in replies] == [(500, b"")] * 3


def test_the_body_is_kept_raw_and_cut(wrapped) -> None:
    """Nothing is decompressed, and what exceeds the cap is not waited for."""
    with serving(answer(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")) as server:
        assert wrapped.post(server.url()).body == b"hello"

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(HEAD + b"\r\n")
        peer.flood(b"x" * 65536)

    with serving(handle) as server:
        reply = wrapped.post(server.url(), deadline=30, max_response_bytes=100)
        assert server.gone.wait(5)
    assert (reply.status, reply.body, reply.truncated) == (200, b"x" * 100, True)
    assert reply.elapsed.total_seconds() < 10


def test_an_endless_body_of_a_mock_is_cut(wrapped) -> None:
    """The same where there is no connection to hang up."""

    async def endless_async():
        while True:
            yield b"x" * 50

    def endless():
        while True:
            yield b"x" * 50

    def respond(request):
        return wrapped.http.Response(200, content=endless() if wrapped.mode == "sync" else endless_async())

    client = {"transport": wrapped.http.MockTransport(respond)}
    reply = wrapped.post("http://localhost/", client=client, max_response_bytes=100)
    assert (reply.status, reply.body, reply.truncated) == (200, b"x" * 100, True)


@pytest.mark.parametrize(
    ("start", "rest", "status"),
    [(b"", HEAD * 100, None), (HEAD + b"Content-Length: 10000\r\n\r\n", b"x" * 10_000, 200), (b"", b"", None)],
    ids=["head", "body", "silence"],
)
def test_the_deadline_holds(wrapped, start, rest, status) -> None:
    """However the server drips, the caller is free at the deadline and the connection is cut."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        peer.drip(rest)
        peer.wait_gone()

    with serving(handle) as server:
        reply = timed(wrapped, server.url())
        assert server.gone.wait(5)
    assert (reply.status, reply.reason) == (status, "" if status else "timeout")
    assert reply.truncated == bool(status)


def test_the_deadline_holds_inside_tls(wrapped, authority) -> None:
    """The same for an encrypted connection."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.drip(HEAD * 100)
        peer.wait_gone()

    with serving(handle, authority.server("localhost")) as server:
        reply = timed(wrapped, server.url(host="localhost"), client={"verify": authority.client()})
        assert server.gone.wait(5)
    assert (reply.status, reply.reason) == (None, "timeout")


@pytest.mark.parametrize("options", [{"deadline": 0.3}, {"deadline": 20, "connect_timeout": 0.3}])
def test_the_time_to_connect_holds(wrapped, authority, options) -> None:
    """A handshake that stalls ends at the connect timeout."""

    def handle(peer: Peer) -> None:
        peer.wait_gone()

    with serving(handle) as server:
        url = server.url(host="localhost").replace("http:", "https:")
        reply = timed(wrapped, url, client={"verify": authority.client()}, **options)
        assert server.gone.wait(5)
    assert (reply.status, reply.reason) == (None, "connect_timeout")


def test_a_slow_lookup_ends_at_the_deadline(wrapped, monkeypatch) -> None:
    """The client looks names up itself; the caller does not wait for it beyond the deadline."""
    release = threading.Event()

    def resolve(*_, **__):
        release.wait(20)
        raise OSError("too late")

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    timer = threading.Timer(DEADLINE + 1.5, release.set)  # asyncio.run waits for the client's lookup, after the reply
    timer.start()
    try:
        reply = wrapped.post("http://slow.test/", deadline=DEADLINE)
        assert reply.elapsed.total_seconds() < DEADLINE + 1.2
        assert (reply.status, reply.reason) == (None, "connect_timeout")
    finally:
        timer.cancel()
        release.set()


def test_a_connection_that_comes_too_late_is_cut(mode, family, monkeypatch) -> None:
    """If the lookup ends after the deadline, nothing is sent any more."""
    release = threading.Event()
    resolve, _ = resolving({"slow.test": ["127.0.0.1"]})

    def slowly(host, port, family=0, type=0, *_, **__):
        if host == "slow.test":
            release.wait(20)
        return resolve(host, port, family, type)

    with serving(answer(OK)) as server, importlib.import_module(family).Client(trust_env=False) as client:
        monkeypatch.setattr("socket.getaddrinfo", slowly)
        reply = ClientTransport(client, targets=LOOPBACK).send(
            Request("POST", server.url(host="slow.test"), (), b"", 0.1)
        )
        assert reply.reason == "connect_timeout"
        release.set()
        assert until(lambda: not send_threads())
        assert server.requests == []


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (answer(b"garbage\r\n\r\n"), "protocol_error"),
        (answer(), "connection_lost"),
        (lambda peer: peer.request() and peer.reset(), "connection_lost"),
    ],
    ids=["garbage", "close", "reset"],
)
def test_failures_have_their_reasons(wrapped, handler, reason) -> None:
    """The client's exceptions are mapped to the transport's reasons."""
    with serving(handler) as server:
        reply = wrapped.post(server.url())
    assert (reply.status, reply.reason) == (None, reason)


def test_unreachable_and_unknown(wrapped, authority) -> None:
    """So are those of connecting: a closed port, an unknown name, a certificate."""
    assert wrapped.post(f"http://127.0.0.1:{closed_port()}/").reason == "connect"
    assert wrapped.post("http://nowhere.invalid.test/").reason == "dns"
    with serving(answer(OK), authority.server("other.test")) as server:
        reply = wrapped.post(server.url(host="localhost"), client={"verify": authority.client()})
    assert reply.reason == "tls_hostname"


def test_a_status_of_the_clients_proxy_is_not_the_receivers(wrapped) -> None:
    """The CONNECT that a client's proxy answered is no delivery."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")

    with serving(handle) as proxy:
        proxied = {"proxy": f"http://127.0.0.1:{proxy.port}"}
        reply = wrapped.post("https://hook-a.test/", client=proxied)
        assert proxy.requests[0].startswith(b"CONNECT hook-a.test:443 ")
    assert (reply.status, reply.reason) == (None, "connection_lost")


def test_a_header_that_cannot_be_sent_ends_the_attempt(wrapped) -> None:
    """Reserved headers are refused here, too."""
    with serving(answer(OK)) as server:
        assert wrapped.post(server.url(), headers=[("Content-Length", "3")]).reason == "protocol_error"
        assert server.accepted == 0


def test_a_closed_client_is_a_failed_attempt(wrapped) -> None:
    """A host that closed its client too early gets replies, not exceptions."""
    request = Request("POST", "http://127.0.0.1:1/", (), b"")
    if wrapped.mode == "sync":
        client = wrapped.http.Client()
        client.close()
        assert ClientTransport(client, targets=LOOPBACK).send(request).reason == "protocol_error"
    else:

        async def main() -> Reply:
            client = wrapped.http.AsyncClient()
            await client.aclose()
            return await AsyncClientTransport(client, targets=LOOPBACK).send(request)

        assert asyncio.run(main()).reason == "protocol_error"


def test_cancelling_closes_the_connection(family) -> None:
    """A cancelled send leaves no connection behind."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.wait_gone()

    async def main(server) -> None:
        async with importlib.import_module(family).AsyncClient(trust_env=False) as client:
            transport = AsyncClientTransport(client, targets=LOOPBACK)
            task = asyncio.create_task(transport.send(Request("POST", server.url(), (), b"", 20)))
            await asyncio.sleep(0.1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.gone.wait, 5)

    with serving(handle) as server:
        asyncio.run(main(server))


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
def test_an_interrupt_closes_the_connection(family) -> None:
    """Ctrl-C passes through a send at once, and the connection is cut."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.wait_gone()

    http = importlib.import_module(family)
    with serving(handle) as server, interrupting(0.2), http.Client(trust_env=False) as client:
        with pytest.raises(KeyboardInterrupt):
            ClientTransport(client, targets=LOOPBACK).send(Request("POST", server.url(), (), b"", 20))
        assert server.gone.wait(5)


def test_a_subclass_is_a_client(family) -> None:
    """A host's own subclass is recognised."""
    http = importlib.import_module(family)

    class Client(http.Client):
        pass

    with serving(answer(OK)) as server, Client(trust_env=False) as client:
        reply = ClientTransport(client, targets=LOOPBACK).send(Request("POST", server.url(), (), b""))
    assert reply.status == 204


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        (ClientTransport, lambda http: http.AsyncClient()),
        (AsyncClientTransport, lambda http: http.Client()),
        (ClientTransport, lambda _: None),
        (ClientTransport, lambda http: http.Client),
    ],
)
def test_what_is_no_client_is_a_type_error(family, kind, make) -> None:
    """A client of the other kind, or no client at all, is refused by name."""
    with pytest.raises(
        TypeError, match=rf"{kind.__name__} takes an httpx\.(Async)?Client or an httpx2\.(Async)?Client"
    ):
        kind(make(importlib.import_module(family)))


def test_options(family) -> None:
    """The defaults are the guarded transport's."""
    with importlib.import_module(family).Client() as client:
        transport = ClientTransport(client)
        assert (transport.targets, transport.total_timeout) == (PUBLIC_HTTPS, 15.0)
        with pytest.raises(ValueError):
            ClientTransport(client, total_timeout=0)

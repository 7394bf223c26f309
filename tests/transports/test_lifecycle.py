"""One transport, many requests: threads, tasks, cancellation, options, and nothing left behind."""

from __future__ import annotations

import asyncio
import logging
import signal
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from wire_server import OK, Peer, answer, interrupting, resolving, serving

from hookkit import Request
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS
from hookkit.transports import _guard
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport

OPEN_FILES = Path("/proc/self/fd")


def echo(peer: Peer) -> None:
    """Answer with the request's body."""
    body = peer.request().partition(b"\r\n\r\n")[2]
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def numbered(url: str, number: int) -> Request:
    return Request("POST", url, (), b"%d" % number)


def test_many_threads_share_a_transport(family, authority) -> None:
    """Each gets the reply to its own request; one TLS context serves all."""
    resolve, _ = resolving({"hook-a.test": ["127.0.0.1"]})
    with (
        serving(echo, authority.server("hook-a.test")) as server,
        HttpxTransport(targets=LOOPBACK, family=family, resolver=resolve, ssl_context=authority.client()) as transport,
        ThreadPoolExecutor(16) as pool,
    ):
        url = server.url(host="hook-a.test")
        replies = list(pool.map(lambda number: transport.send(numbered(url, number)), range(100)))
    assert [reply.body for reply in replies] == [b"%d" % number for number in range(100)]


def test_many_tasks_share_a_transport(async_sender, authority) -> None:
    """The same for tasks; the same transport serves one event loop after another."""
    resolve, _ = resolving({"hook-a.test": ["127.0.0.1"]})
    with serving(echo, authority.server("hook-a.test")) as server:
        transport = async_sender.transport(resolver=resolve, ssl_context=authority.client())
        url = server.url(host="hook-a.test")

        async def main() -> list[bytes]:
            async with asyncio.timeout(30):
                replies = await asyncio.gather(*(transport.send(numbered(url, number)) for number in range(50)))
            return [reply.body for reply in replies]

        for _ in range(2):
            assert asyncio.run(main()) == [b"%d" % number for number in range(50)]
        asyncio.run(transport.aclose())


def test_the_context_is_made_once_and_late(monkeypatch, sender, authority) -> None:
    """Building a TLS context is slow, so it is built for the first https request, and kept."""
    made = []

    def create(family) -> ssl.SSLContext:
        made.append(family)
        return authority.client()

    monkeypatch.setattr("hookkit.transports._family.HttpFamily.create_ssl_context", create)
    resolve, _ = resolving({"hook-a.test": ["127.0.0.1"]})
    transport = sender.transport(resolver=resolve)
    with serving(answer(OK)) as plain, serving(answer(OK), authority.server("hook-a.test")) as server:
        request = Request("POST", server.url(host="hook-a.test"), (), b"")
        if sender.mode == "sync":
            assert transport.send(Request("POST", plain.url(), (), b"")).status == 204
            assert made == []
            assert [transport.send(request).status for _ in range(3)] == [204] * 3
        else:
            assert asyncio.run(transport.send(Request("POST", plain.url(), (), b""))).status == 204
            assert made == []
            assert [asyncio.run(transport.send(request)).status for _ in range(3)] == [204] * 3
    assert len(made) == 1


# --- Bytes before the request -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("early", "reason"), [(OK, "protocol_error"), (b"", "connection_lost")])
def test_what_arrives_before_the_request_is_no_reply(sender, authority, monkeypatch, secure, early, reason) -> None:
    """A server that answers, or hangs up, before it was asked is not answering this request."""
    resolve, _ = resolving({"hook-a.test": ["127.0.0.1"]})
    said = threading.Event()

    def handle(peer: Peer) -> None:
        if early:
            peer.send(early)
        said.set()
        if early:
            peer.wait_gone()

    def wait() -> None:
        """Let the server's bytes arrive before the first write looks for them."""
        assert said.wait(5)
        time.sleep(0.05)

    if sender.mode == "async":
        stream, check = _guard.AsyncGuardedStream, _guard.AsyncGuardedStream._check_quiet

        async def checked(self) -> None:
            wait()
            await check(self)
    else:
        stream, check = _guard.GuardedStream, _guard.GuardedStream._check_quiet

        def checked(self) -> None:
            wait()
            check(self)

    monkeypatch.setattr(stream, "_check_quiet", checked)
    with serving(handle, authority.server("hook-a.test") if secure else None) as server:
        url = server.url(host="hook-a.test")
        reply = sender.post(url, resolver=resolve, ssl_context=authority.client())
    assert (reply.status, reply.reason) == (None, reason)


# --- Ending early -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["handshake", "head", "body"])
def test_cancelling_closes_the_connection(async_sender, authority, stage) -> None:
    """A cancelled send raises ``CancelledError`` and leaves no connection behind, wherever it was."""
    reached = threading.Event()

    def handle(peer: Peer) -> None:
        peer.sock.recv(65536)
        if stage == "body":
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhe")
        reached.set()
        peer.wait_gone()

    async def main(url: str) -> None:
        async with async_sender.transport(ssl_context=authority.client()) as transport:
            task = asyncio.create_task(transport.send(Request("POST", url, (), b"{}", 20)))
            assert await asyncio.to_thread(reached.wait, 5)
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.gone.wait, 5)

    with serving(handle) as server:
        url = server.url()
        asyncio.run(main(url.replace("http:", "https:") if stage == "handshake" else url))


def test_cancelling_a_lookup(async_sender) -> None:
    """A lookup that is under way does not hold up a cancelled task, nor does it speak to a loop that is gone."""
    release = threading.Event()

    def resolve(*_):
        release.wait(20)
        return []

    async def main() -> None:
        transport = async_sender.transport(resolver=resolve)
        task = asyncio.create_task(transport.send(Request("POST", "http://slow.test/", (), b"{}", 20)))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    release.set()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timers")
@pytest.mark.parametrize("secure", [False, True], ids=["reading", "handshake"])
def test_an_interrupt_closes_the_connection(family, secure) -> None:
    """Ctrl-C passes through a send, and the connection is closed on the way."""

    def handle(peer: Peer) -> None:
        peer.wait_gone()

    with serving(handle) as server, interrupting(0.2), HttpxTransport(targets=LOOPBACK, family=family) as transport:
        url = server.url().replace("http:", "https:") if secure else server.url()
        with pytest.raises(KeyboardInterrupt):
            transport.send(Request("POST", url, (), b"{}", 20))
        assert server.gone.wait(5)


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="this system does not list open files")
def test_no_connection_is_left_open(sender) -> None:
    """After the reply, however it came about, the process holds as many sockets as before."""
    endings = [
        answer(OK, linger=True),
        answer(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", linger=True),
        answer(b"garbage\r\n\r\n", linger=True),
        answer(),
    ]
    for handler in endings:
        before = len(list(OPEN_FILES.iterdir()))
        with serving(handler) as server:
            for _ in range(5):
                sender.post(server.url(), deadline=0.1)
        assert len(list(OPEN_FILES.iterdir())) <= before


# --- Options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HttpxTransport, AsyncHttpxTransport])
def test_defaults(kind) -> None:
    """Public https, fifteen seconds; both can be read off the transport."""
    transport = kind()
    assert transport.targets == PUBLIC_HTTPS
    assert transport.total_timeout == 15.0
    assert kind(total_timeout=timedelta(seconds=2)).total_timeout == 2.0


@pytest.mark.parametrize(
    "options",
    [
        {"total_timeout": 0},
        {"total_timeout": -1},
        {"connect_timeout": timedelta(0)},
        {"max_response_bytes": -1},
        {"family": "requests"},
        {"proxy": "https://proxy.test:3128"},
        {"proxy": "socks5://proxy.test:1080"},
        {"proxy": "proxy.test:3128"},
        {"proxy": "http://"},
        {"proxy": "http://proxy.test:99999"},
        {"proxy": "http://proxy.test/path"},
        {"proxy": "http://proxy.test?x"},
    ],
)
@pytest.mark.parametrize("kind", [HttpxTransport, AsyncHttpxTransport])
def test_options_out_of_range(kind, options) -> None:
    """A wrong option is a ValueError when the transport is made."""
    with pytest.raises(ValueError):
        kind(**options)


def test_a_proxys_password_is_nobodys_business() -> None:
    """It is in no error and in no repr, even if the URL is malformed so that it looks like a port."""
    with pytest.raises(ValueError) as caught:
        HttpxTransport(proxy="http://user:hunter2/@proxy.test")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert "hunter2" not in repr(vars(HttpxTransport(proxy="http://user:hunter2@proxy.test:3128")))


IMPORTS = """
import sys
import hookkit.transports.httpx
assert not {"httpx", "httpx2", "httpcore", "httpcore2"} & set(sys.modules)
hookkit.transports.httpx.HttpxTransport(family="httpx")
assert "httpcore" in sys.modules and "httpcore2" not in sys.modules
"""


def test_a_family_is_imported_when_a_transport_is_made() -> None:
    """Importing the module costs no HTTP library; making a transport loads the family it uses and no other."""
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, timeout=60)


@pytest.mark.parametrize(
    ("installed", "core"), [({"httpx2", "httpcore2"}, "httpcore2"), ({"httpx2"}, "httpcore"), (set(), "httpcore")]
)
def test_auto_prefers_httpx2(monkeypatch, installed, core) -> None:
    """Where httpx2 is installed it is used, else httpx."""
    loaded = []
    monkeypatch.setattr("hookkit.transports._family.find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr("hookkit.transports._family.import_module", loaded.append)
    HttpxTransport()
    assert loaded[0] == core


def test_the_log_quotes_nothing_of_the_request(sender, caplog) -> None:
    """Neither a header's value nor the path or the body is logged, at any level."""
    secret = "T0PSECRET"
    with caplog.at_level(logging.DEBUG), serving(answer(b"garbage\r\n\r\n")) as server:
        sender.post(server.url(f"/{secret}"), secret.encode(), [("x-token", secret)])
        sender.post(server.url(f"/{secret}"), secret.encode(), [("x-token", secret + "\n")])
        sender.post(server.url(f"/{secret}#"), secret.encode(), [("x-token", secret)])
        sender.post(server.url(f"/{secret}"), secret.encode(), [("x-token", secret)], targets=PUBLIC_HTTPS)
    assert caplog.records
    assert secret not in caplog.text


def test_a_url_that_is_no_text_is_a_failed_attempt(sender) -> None:
    """Whatever a store hands out, ``send`` answers with a reply."""
    assert sender.post(None).reason == "protocol_error"
    assert sender.send(Request("PO ST", "http://127.0.0.1:1/", (), b"")).status is None

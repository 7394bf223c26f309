"""Connections that are kept, where a host asks for it: for whom, for how long, and when they are not."""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
import threading
from importlib import import_module

import pytest
from wire_server import Peer, resolving, serving, until
from wire_ways import AIOHTTP

from hookkit import Reply, Request
from hookkit.targets import LOOPBACK
from hookkit.transports import _kept
from hookkit.transports._kept import Kept, KeptConnections
from hookkit.transports._loop_sockets import LoopStream

pytestmark = AIOHTTP
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def transport(**options):
    module = import_module("hookkit.transports.aiohttp")
    return module.AiohttpTransport(**{"targets": LOOPBACK, "keep_alive": 30} | options)


def to(url: str, deadline: float = 5) -> Request:
    return Request("POST", url, (), b"{}", deadline)


def send(*requests: Request, **options) -> list[Reply]:
    """Send one after another with one transport."""

    async def main() -> list[Reply]:
        async with transport(**options) as made:
            return [await made.send(request) for request in requests]

    return asyncio.run(main())


def persistent(peer: Peer) -> None:
    """Answer one request after another."""
    while True:
        peer.request()
        peer.send(OK)


def first(data: bytes, *, after: bool = True):
    """Return a handler that answers the very first request with `data`, and then waits; all others go well."""
    numbers = itertools.count()

    def handle(peer: Peer) -> None:
        if next(numbers):
            persistent(peer)
        peer.request()
        peer.send(data)
        if after:
            peer.wait_gone()

    return handle


def test_a_connection_carries_the_next_request_to_its_url() -> None:
    """It is not asked to be closed, and what is sent is the same otherwise."""
    with serving(persistent) as server:
        replies = send(*[to(server.url())] * 3)
        assert server.accepted == 1
        assert len(set(server.requests)) == 1
        assert b"connection:" not in server.requests[0].lower()
        assert server.gone.wait(5)
    assert [(reply.status, reply.body, reply.reason) for reply in replies] == [(200, b"ok", "")] * 3


def test_by_default_none_is_kept() -> None:
    """Each request has a connection of its own unless a host asks for another thing."""
    with serving(persistent) as server:
        replies = send(*[to(server.url())] * 3, keep_alive=0)
        assert server.accepted == 3
        assert all(b"connection: close\r\n" in request for request in server.requests)
    assert [reply.status for reply in replies] == [200] * 3


def test_a_connection_is_not_for_another_url() -> None:
    """Behind one host there may be receivers of several tenants, and only one of them had this connection."""
    with serving(persistent) as server:
        send(*(to(server.url(path)) for path in ("/a", "/b", "/a?b", "/a")))
        assert server.accepted == 3


def test_a_connection_with_tls_is_kept(authority) -> None:
    """One handshake serves both requests; the tickets that come between them are no reply."""
    resolve, asked = resolving({"hook-a.test": ["127.0.0.1"]})
    with serving(persistent, authority.server("hook-a.test")) as server:
        url = server.url(host="hook-a.test")
        replies = send(to(url), to(url), resolver=resolve, ssl_context=authority.client())
        assert server.accepted == 1
    assert [reply.status for reply in replies] == [200, 200]
    assert asked == ["hook-a.test"]


NOT_KEPT = {
    "more than the reply": OK + OK.replace(b"ok", b"no"),
    "a byte more": OK + b"H",
    "a body where there is none": b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok",
    "close": OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "HTTP/1.0": OK.replace(b"1.1", b"1.0"),
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": OK.replace(b"\r\n\r\n", b"\r\nX: y\r\nContent-Length: 2\r\n\r\n"),
    "more than is read": b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 99_999,
}


@pytest.mark.parametrize("data", NOT_KEPT.values(), ids=NOT_KEPT)
def test_what_is_not_framed_to_the_byte_is_not_kept(data: bytes) -> None:
    """Whatever the reply to the first request was, the second one has a new connection and its own reply."""
    with serving(first(data)) as server:
        _, reply = send(to(server.url()), to(server.url()))
        assert server.accepted == 2
    assert (reply.status, reply.body, reply.reason) == (200, b"ok", "")


def test_each_reply_decides_anew() -> None:
    """A kept connection is closed after a later reply that is not framed to the byte."""
    numbers = itertools.count()

    def handle(peer: Peer) -> None:
        if not next(numbers):
            peer.request()
            peer.send(OK)
            peer.request()
            peer.send(OK + b"H")
            peer.wait_gone()
        persistent(peer)

    with serving(handle) as server:
        replies = send(*[to(server.url())] * 3)
        assert (server.accepted, len(server.requests)) == (2, 3)
    assert [reply.body for reply in replies] == [b"ok"] * 3


def test_a_connection_on_which_a_write_failed_is_not_kept(monkeypatch) -> None:
    """The other side may wait for the rest of that request, and would take the next one for it."""
    write = LoopStream.write

    async def failing(self, data: bytes, timeout: float) -> None:
        await write(self, data, timeout)
        raise OSError(errno.ENOBUFS, "no room")

    monkeypatch.setattr(LoopStream, "write", failing)
    with serving(persistent) as server:
        replies = send(*[to(server.url())] * 2)
        assert server.accepted == 2
    assert [reply.status for reply in replies] == [200, 200]


def waiting(made) -> list[socket.socket]:
    """Return the sockets that a transport keeps."""
    return [kept.stream._sock for kept in made._kept._waiting]


def arrived(sock: socket.socket) -> bool:
    try:
        sock.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


@pytest.mark.parametrize("stray", [OK.replace(b"ok", b"no"), b"H", b""], ids=["a reply", "a byte", "a close"])
def test_what_comes_between_requests_is_nobodys_reply(stray: bytes) -> None:
    """A connection that is not quiet is closed before anything is sent on it, and the request has a new one."""
    go = threading.Event()
    numbers = itertools.count()

    def handle(peer: Peer) -> None:
        if next(numbers):
            persistent(peer)
        peer.request()
        peer.send(OK)
        go.wait(5)
        if stray:
            peer.send(stray)
            peer.wait_gone()

    async def main(url: str) -> Reply:
        async with transport() as made:
            await made.send(to(url))
            (sock,) = waiting(made)
            go.set()
            assert until(lambda: arrived(sock))
            return await made.send(to(url))

    with serving(handle) as server:
        reply = asyncio.run(main(server.url()))
        assert (server.accepted, len(server.requests)) == (2, 2)
    assert (reply.status, reply.body) == (200, b"ok")


def closing_at_the_second(peer: Peer) -> None:
    """Answer one request of a connection, and close when the next has come."""
    peer.request()
    peer.send(OK)
    peer.request()


def test_a_connection_that_closes_under_a_request_is_replaced() -> None:
    """Before a byte of the reply has come the request is sent again, on a new connection, within the same attempt."""
    with serving(closing_at_the_second) as server:
        replies = send(to(server.url()), to(server.url()))
        assert (server.accepted, len(server.requests)) == (2, 3)
    assert [reply.status for reply in replies] == [200, 200]


def test_a_server_that_is_gone_is_connect() -> None:
    """The new connection that replaces a kept one is judged as any other is."""

    async def main(url: str) -> Reply:
        async with transport() as made:
            await made.send(to(url))
            server.close()
            return await made.send(to(url))

    with serving(persistent) as server:
        reply = asyncio.run(main(server.url()))
    assert (reply.status, reply.reason) == (None, "connect")


@pytest.mark.parametrize(
    ("said", "status", "reason", "deadline"),
    [
        (b"H", None, "connection_lost", 5),
        (b"HTTP/1.1 503 Later\r\nContent-Length: 2\r\n\r\n", 503, "", 5),
        (b"what\r\n", None, "protocol_error", 5),
        (None, None, "timeout", 0.3),
    ],
)
def test_no_request_is_sent_again_after_a_word_or_a_wait(said, status, reason, deadline) -> None:
    """If the other side has begun to answer, or says nothing until the deadline, that is the attempt's outcome."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.request()
        if said is None:
            peer.wait_gone()
        else:
            peer.send(said)

    with serving(handle) as server:
        _, reply = send(to(server.url()), to(server.url(), deadline))
        assert (server.accepted, len(server.requests)) == (1, 2)
    assert (reply.status, reply.reason) == (status, reason)


def test_a_late_close_is_the_outcome(monkeypatch) -> None:
    """A server that takes its time, and then closes without a word, may have taken the request: it is not repeated."""
    monkeypatch.setattr("hookkit.transports.aiohttp._AT_ONCE_S", 0.0)
    with serving(closing_at_the_second) as server:
        _, reply = send(to(server.url()), to(server.url()))
        assert server.accepted == 1
    assert (reply.status, reply.reason) == (None, "connection_lost")


def test_an_old_connection_is_not_used(monkeypatch) -> None:
    """However busy it was, after a minute the name is looked up, and the certificate checked, anew."""
    monkeypatch.setattr(_kept, "_LIFE_S", 0.0)
    with serving(persistent) as server:
        send(to(server.url()), to(server.url()))
        assert server.accepted == 2


def test_cancelling_closes_a_kept_connection() -> None:
    """A cancelled send leaves nothing behind that another could use."""
    reached = threading.Event()

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(OK)
        peer.request()
        reached.set()
        peer.wait_gone()

    async def main(url: str) -> None:
        async with transport() as made:
            await made.send(to(url))
            task = asyncio.create_task(made.send(to(url, 20)))
            assert await asyncio.to_thread(reached.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(server.gone.wait, 5)
            assert waiting(made) == []

    with serving(handle) as server:
        asyncio.run(main(server.url()))


def test_a_connection_outlives_an_event_loop() -> None:
    """It is bound to none: the next loop goes on with it."""
    made = transport()
    with serving(persistent) as server:
        for _ in range(2):
            assert asyncio.run(made.send(to(server.url()))).status == 200
        assert server.accepted == 1
        asyncio.run(made.aclose())
        assert server.gone.wait(5)


def test_many_tasks_never_share_a_connection() -> None:
    """Each gets the reply to its own request, and they need no more connections than there are of them."""

    def echo(peer: Peer) -> None:
        while True:
            body = peer.request().partition(b"\r\n\r\n")[2]
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    async def one(made, url: str, start: int) -> None:
        for number in range(start, 200, 8):
            body = b"%d" % number
            assert (await made.send(Request("POST", url, (), body))).body == body

    async def main(url: str) -> None:
        async with transport() as made, asyncio.timeout(30):
            await asyncio.gather(*(one(made, url, start) for start in range(8)))

    with serving(echo) as server:
        asyncio.run(main(server.url()))
        assert server.accepted <= 8
        assert len(server.requests) == 200


# --- What is held -----------------------------------------------------------------------------------------------------


class Stream:
    """Remembers whether it was closed."""

    closed = False

    async def aclose(self) -> None:
        self.closed = True
        raise OSError("it was closed before")


def held(idle: float, *urls: str) -> tuple[KeptConnections, list[Stream]]:
    """Return connections that were put, in this order, and their streams."""
    connections, streams = KeptConnections(idle), [Stream() for _ in urls]

    async def main() -> None:
        for url, stream in zip(urls, streams, strict=True):
            await connections.put(url, Kept(stream))

    asyncio.run(main())
    return connections, streams


def test_the_connection_used_last_is_taken_first() -> None:
    """It is the one least likely to have been closed; and none is taken twice."""
    connections, (one, two) = held(30, "a", "a")
    taken = [asyncio.run(connections.take(url)) for url in ("b", "a", "a", "a")]
    assert [kept and kept.stream for kept in taken] == [None, two, one, None]
    assert not one.closed


def test_a_connection_waits_no_longer_than_it_was_told() -> None:
    """Then it is closed by whoever comes next."""
    _, streams = held(0, "a")
    assert streams[0].closed


def test_so_many_connections_are_held_and_no_more() -> None:
    """Those that have waited longest make room."""
    _, streams = held(30, *map(str, range(_kept._MOST + 2)))
    assert [stream.closed for stream in streams[:3]] == [True, True, False]
    assert not any(stream.closed for stream in streams[3:])


def test_a_fork_takes_no_connection_along(monkeypatch) -> None:
    """Two processes on one connection would read each other's replies."""
    connections, (stream,) = held(30, "a")
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert asyncio.run(connections.take("a")) is None
    assert stream.closed

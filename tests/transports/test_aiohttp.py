"""What is the aiohttp transport's own: its options, its reading of replies, its sockets, its requests' heads."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from importlib import import_module
from inspect import signature

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_server import OK, answer, serving
from wire_ways import AIOHTTP

from hookkit import Request
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS
from hookkit.transports import _kept
from hookkit.transports._exchange import Exchange, Limits
from hookkit.transports._head import request_head
from hookkit.transports._loop_sockets import LoopStream
from hookkit.transports._reasons import is_nothing_there, reason_of
from hookkit.transports.httpx import AsyncHttpxTransport
from sourcetree import PROJECT

pytestmark = AIOHTTP


def transport(**options):
    return import_module("hookkit.transports.aiohttp").AiohttpTransport(**options)


# --- Options ----------------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    """Public https, fifteen seconds; both can be read off the transport, and neither can be changed."""
    made = transport()
    assert (made.targets, made.total_timeout) == (PUBLIC_HTTPS, 15.0)
    assert transport(total_timeout=timedelta(seconds=2)).total_timeout == 2.0
    with pytest.raises(AttributeError):
        made.targets = LOOPBACK


def test_its_options_are_those_of_the_one_over_httpx() -> None:
    """With the same defaults; there is one family only, and connections can be kept."""

    def options(kind) -> dict[str, object]:
        return {name: option.default for name, option in signature(kind.__init__).parameters.items()}

    ours = options(type(transport()))
    assert ours.pop("keep_alive") == 0
    assert ours == {name: value for name, value in options(AsyncHttpxTransport).items() if name != "family"}


def test_the_page_about_the_network_has_its_numbers() -> None:
    """How many connections are kept, and for how long, stands in ``docs/network.md``."""
    page = (PROJECT / "docs" / "network.md").read_text(encoding="utf-8")
    module = import_module("hookkit.transports.aiohttp")
    assert (module._AT_ONCE_S, _kept._LIFE_S) == (1.0, 60.0)
    for words in (f"at most {_kept._MOST} of them", "within a second", "for a minute in all"):
        assert words in page


@pytest.mark.parametrize(
    "options",
    [
        {"total_timeout": 0},
        {"connect_timeout": timedelta(0)},
        {"max_response_bytes": -1},
        {"keep_alive": -1},
        {"keep_alive": timedelta(seconds=-1)},
        {"proxy": "https://proxy.test:3128"},
    ],
)
def test_options_out_of_range(options) -> None:
    """A wrong option is a ValueError when the transport is made."""
    with pytest.raises(ValueError):
        transport(**options)


def test_a_proxys_password_is_in_no_repr() -> None:
    """Whoever looks at the transport sees where the proxy is, and not how to use it."""
    assert "hunter2" not in repr(vars(transport(proxy="http://user:hunter2@proxy.test:3128")))


IMPORTS = """
import sys
sys.modules["aiohttp"] = None
import hookkit.transports.httpx
try:
    import hookkit.transports.aiohttp
except ModuleNotFoundError as error:
    assert "aiohttp" in str(error)
else:
    raise AssertionError
"""


def test_nothing_else_needs_the_extra() -> None:
    """Where aiohttp is not installed, the error says so, and the transports over httpx work on."""
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, timeout=60)


# --- Replies ----------------------------------------------------------------------------------------------------------

REPLIES = {
    "no body": OK,
    "a length": b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nT: u\r\n\r\n",
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "line feeds": b"HTTP/1.1 200 OK\nX: y\nContent-Length: 5\n\nhello",
    "interim replies": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + OK,
    "something after it": OK + b"hello\r\n\r\nthis is no HTTP",
    "a reply after it": b"HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno" + OK,
    "a body that is too long": b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n" + b"x" * 50,
    "a cut body": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    "a cut head": b"HTTP/1.1 200 OK\r\nX: y\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    "garbage": b"HTTP/1.1 2x0 OK\r\n\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
    "status 0": b"HTTP/1.1 000 OK\r\n\r\n",
}


def made_of(pieces):
    """Return what a reader makes of these pieces, and of the end after them, on a running event loop."""
    exchange = Exchange(Limits(5, 5, 20), timedelta(seconds=5))
    exchange.connecting = False
    reader = import_module("hookkit.transports._aiohttp_reader").ReplyReader(exchange)
    reason = ""
    try:
        for piece in (*pieces, b""):
            if exchange.full or reader.feed(exchange.received(piece)):
                break
    except Exception as error:  # noqa: BLE001 - as the transport does
        reason = reason_of(error, exchange)
    reply = exchange.reply(reason)
    return reply.status, reply.headers, reply.body, reply.truncated, reply.reason


def read(*arrivals):
    """Return the set of what a reader makes of each of `arrivals`, which are pieces."""

    async def main():
        return {made_of(pieces) for pieces in arrivals}

    return asyncio.run(main())


WHOLE = {
    "no body": (204, b"", False, ""),
    "a length": (200, b"hello", False, ""),
    "chunks": (200, b"hello!", False, ""),
    "until the end": (200, b"hello", False, ""),
    "line feeds": (200, b"hello", False, ""),
    "interim replies": (204, b"", False, ""),
    "something after it": (204, b"", False, ""),
    "a reply after it": (500, b"no", False, ""),
    "a body that is too long": (200, b"x" * 20, True, ""),
    "a cut body": (200, b"hello", True, ""),
    "a bad chunk": (200, b"hello", True, ""),
    "a cut head": (None, b"", False, "connection_lost"),
    "an upgrade": (None, b"", False, "protocol_error"),
    "garbage": (None, b"", False, "protocol_error"),
    "a NUL": (None, b"", False, "protocol_error"),
    "status 0": (None, b"", False, "protocol_error"),
}


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_in_one_piece(name: str) -> None:
    """Status, body, whether that was cut, and the reason."""
    ((status, _, body, truncated, reason),) = read([REPLIES[name]])
    assert (status, body, truncated, reason) == WHOLE[name]


@pytest.mark.parametrize("name", REPLIES)
def test_it_does_not_matter_how_a_reply_arrives(name: str) -> None:
    """Byte by byte or in two pieces, even if the first ends amid a line's end, the same is made of it."""
    data = REPLIES[name]
    arrivals = [[data[:end], data[end:]] for end in range(1, len(data))]
    arrivals += [[data], [data[number : number + 1] for number in range(len(data))]]
    assert len(read(*arrivals)) == 1


@pytest.mark.parametrize("name", REPLIES)
@given(cuts=st.sets(st.integers(1, 130), max_size=8))
def test_nor_in_how_many_pieces(name: str, cuts: set[int]) -> None:
    """The same for any number of them."""
    data = REPLIES[name]
    ends = sorted(cut for cut in cuts if cut < len(data))
    pieces = [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]
    assert len(read([data], pieces)) == 1


# --- Sockets ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pair():
    ends = socket.socketpair()
    for end in ends:
        end.setblocking(False)
    yield ends
    for end in ends:
        end.close()


def test_a_glance_finds_what_is_there_and_does_not_wait(pair) -> None:
    """With no time, a read returns at once: what has arrived, or a timeout that says that there is nothing."""

    async def main() -> None:
        stream = LoopStream(pair[0])
        with pytest.raises(TimeoutError) as nothing:
            await stream.read(1, 0)
        assert is_nothing_there(nothing.value)
        pair[1].send(b"x")
        assert await stream.read(1, 0) == b"x"

    asyncio.run(main())


@pytest.mark.parametrize("writes", [False, True])
def test_others_have_their_turn_amid_much_data(pair, writes) -> None:
    """Where data is always there, or always taken, whoever reads or writes lets the event loop go round."""
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def main() -> None:
        stream = LoopStream(pair[0])
        counting = asyncio.create_task(count())
        await asyncio.sleep(0)
        before = turns
        if not writes:
            assert pair[1].send(bytes(65_536)) == 65_536
        for _ in range(4):
            if writes:
                await stream.write(bytes(16_384), 5)
            else:
                assert len(await stream.read(16_384, 5)) == 16_384
        assert turns - before >= 4
        counting.cancel()
        with suppress(asyncio.CancelledError):
            await counting

    asyncio.run(main())


# --- Proxies ----------------------------------------------------------------------------------------------------------


def test_a_proxy_that_says_more_than_its_reply_is_not_used() -> None:
    """What comes before TLS has begun is not the target's, and a proxy that goes on has understood something else."""

    async def main(url: str, proxy: str):
        async with transport(targets=LOOPBACK, proxy=proxy) as made:
            return await made.send(Request("POST", url, (), b""))

    with serving(answer(b"HTTP/1.1 200 OK\r\n\r\nmore", linger=True)) as proxy:
        reply = asyncio.run(main("https://hook-a.test/", f"http://127.0.0.1:{proxy.port}"))
    assert (reply.status, reply.reason) == (None, "connect")


def test_a_plain_target_through_a_proxy_with_a_password() -> None:
    """The proxy gets it with the request itself, for there is no other."""

    async def main(proxy: str):
        async with transport(targets=LOOPBACK, proxy=proxy) as made:
            return await made.send(Request("POST", "http://hook-a.test/x", (), b""))

    with serving(answer(OK)) as proxy:
        assert asyncio.run(main(f"http://user:p%40ss@127.0.0.1:{proxy.port}")).status == 204
    assert b"\r\nProxy-Authorization: Basic dXNlcjpwQHNz\r\n" in proxy.requests[0]


# --- Requests ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["", "PO ST", "POST / HTTP/1.1\r\nX: y\r\n", "PÖST", "POST\n"])
def test_a_method_that_is_no_token_is_not_sent(method: str) -> None:
    """It would be read as a part of something else."""

    async def main(url: str):
        async with transport(targets=LOOPBACK) as made:
            return await made.send(Request(method, url, (), b""))

    with serving(answer(OK)) as server:
        reply = asyncio.run(main(server.url()))
        assert server.accepted == 0
    assert (reply.status, reply.reason) == (None, "protocol_error")


def test_a_head_is_what_was_given() -> None:
    """Request line, host, the request's own headers in order and case, and what the message needs; nothing else."""
    request = Request("POST", "https://a.example.com/x?y", (("X-One", "1"), ("x-two", " 2 ")), b"{}")
    target = PUBLIC_HTTPS.check_url(request.url)
    lines = (
        b"POST /x?y HTTP/1.1",
        b"host: a.example.com",
        b"X-One: 1",
        b"x-two: 2",
        b"content-length: 2",
        b"accept-encoding: identity",
    )
    assert request_head(request, target, None, close=False) == b"\r\n".join([*lines, b"", b""])

"""The museum of hostile servers: what each of them does, and what hookkit makes of it.

An exhibit is a row of :data:`EXHIBITS` and, where a plain answer does not say it all, a small function. It is visited
by a transport (what came back), by ``judge`` (what that is worth), and by whole workers. ``opening.py`` runs the
servers, ``visitor.py`` measures a visit.
"""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from collections.abc import Callable
from functools import cache
from typing import Final, Literal

import attrs
from wire_server import Peer, answer

__all__ = ["EXHIBITS", "GOOD", "Exhibit", "Verdict", "bomb"]

State = Literal["succeeded", "pending", "failed"]


@attrs.frozen
class Verdict:
    """What is made of a visit.

    Args:
        status: The status, or None.
        reason: The attempt's reason, as the log has it.
        state: What ``judge`` makes of the delivery, with the STANDARD profile, after its first attempt.
        truncated: The body is cut short.
    """

    status: int | None
    reason: str
    state: State
    truncated: bool = False


def delivered(status: int = 200, *, truncated: bool = False) -> Verdict:
    """A 2xx: the delivery is done."""
    return Verdict(status, "", "succeeded", truncated)


def unwanted(status: int, reason: str = "status", *, truncated: bool = False) -> Verdict:
    """Any other status: tried again."""
    return Verdict(status, reason, "pending", truncated)


def lost(reason: str) -> Verdict:
    """No status at all: tried again."""
    return Verdict(None, reason, "pending")


@attrs.frozen
class Exhibit:
    """One hostile server.

    Args:
        name: Words with hyphens; its host is called so, too.
        fact: The row of the list of hostile endpoints that it shows.
        handle: What it does with a connection.
        verdicts: What may come of a visit: one verdict, or what depends on who is faster.
        tls: How it meets TLS: ``no`` (plain HTTP), or its certificate is ``good``, or bad in one of the ways of
            ``opening.py``; ``raw``: it is called by https, and speaks for itself.
        host: Its host is asked for under this name instead.
        size: How many bytes the visitor sends.
        reached: The visitor connects; false where the name's lookup is in the way.
        waits: The visit lasts until the deadline; others end before it.
        wait: Of a delivery that is tried again: after the schedule's wait, or after the longest there is.
        aiohttp: What comes of a visit over aiohttp, whose parser sees it otherwise.
    """

    name: str
    fact: str
    handle: Callable[[Peer], None]
    verdicts: tuple[Verdict, ...] = attrs.field(converter=lambda one: (one,) if isinstance(one, Verdict) else one)
    tls: str = attrs.field(default="no", kw_only=True)
    host: str = attrs.field(default="", kw_only=True)
    size: int = attrs.field(default=300, kw_only=True)
    reached: bool = attrs.field(default=True, kw_only=True)
    waits: bool = attrs.field(default=False, kw_only=True)
    wait: Literal["schedule", "longest"] = attrs.field(default="schedule", kw_only=True)
    aiohttp: Verdict | None = attrs.field(default=None, kw_only=True)

    def verdicts_over(self, family: str) -> tuple[Verdict, ...]:
        """Return what may come of a visit by a transport of that family."""
        return (self.aiohttp,) if family == "aiohttp" and self.aiohttp is not None else self.verdicts


OK: Final = b"HTTP/1.1 200 OK\r\n"
EMPTY: Final = b"Content-Length: 0\r\n\r\n"
CHUNKED: Final = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GAP_S: Final = 0.03
FIFTY_MB: Final = 50_000_000

# --- Time -------------------------------------------------------------------------------------------------------------


def drip_head(peer: Peer) -> None:
    """Send the head a byte at a time."""
    peer.request()
    peer.drip(OK + b"X: y\r\n" * 10_000, GAP_S)


def drip_header_lines(peer: Peer) -> None:
    """Send a header line at a time, each one whole, so that nothing unparsed piles up."""
    peer.request()
    peer.send(OK)
    while not peer.server.stopping.wait(GAP_S):
        peer.send(b"X-Header: y\r\n")


def drip_body(peer: Peer) -> None:
    """Send the body a byte at a time, after a head that is whole."""
    peer.request()
    peer.send(OK + b"Content-Length: 10000\r\n\r\n")
    peer.drip(b"x" * 10_000, GAP_S)


def drip_record(peer: Peer) -> None:
    """Begin a TLS record beneath the encrypted connection, and send it a byte at a time."""
    peer.request()
    for byte in b"\x17\x03\x03\x40\x00" + bytes(16_384):
        if peer.server.stopping.wait(GAP_S):
            return
        socket.socket.send(peer.sock, bytes([byte]))  # not SSLSocket's own method, which would encrypt it


def drip_handshake(peer: Peer) -> None:
    """Answer the hello with a handshake record a byte at a time."""
    peer.sock.recv(65_536)
    peer.drip(b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc" + bytes(16_384), GAP_S)


def plain_http(peer: Peer) -> None:
    """Answer the hello in plain HTTP, with a success."""
    peer.sock.recv(65_536)
    peer.send(OK + EMPTY)
    peer.wait_gone()


def hang_up(peer: Peer) -> None:
    """Close after the hello."""
    peer.sock.recv(65_536)


def slow_at_everything(peer: Peer) -> None:
    """Take a while for the handshake, for the first byte, and for each one after it: none of it long, all of it too."""
    time.sleep(0.2)
    peer.sock = peer.server.late.wrap_socket(peer.sock, server_side=True)
    peer.request()
    time.sleep(0.2)
    peer.send(OK)
    peer.drip(b"X: y\r\n" * 10_000, 0.1)


def never_read(peer: Peer) -> None:
    """Read nothing, say nothing."""
    peer.server.stopping.wait(60)


def read_slowly(peer: Peer) -> None:
    """Read a little now and then."""
    while not peer.server.stopping.wait(0.2) and peer.sock.recv(65_536):
        pass


# --- Size -------------------------------------------------------------------------------------------------------------


def flood(start: bytes, piece: bytes) -> Callable[[Peer], None]:
    """Return a server that answers with `start`, and then `piece` without end."""

    def handle(peer: Peer) -> None:
        peer.request()
        peer.send(start)
        peer.flood(piece)

    return handle


def tickets(peer: Peer) -> None:
    """Send TLS session tickets without end, before anything was asked; none of it comes out of TLS as data."""
    from wire_tickets import flood_tickets  # only who opens the museum needs it

    flood_tickets(peer, peer.server.late)


@cache
def bomb(times: int) -> bytes:
    """Return 100 MB of nothing, compressed so many times."""
    if times > 1:
        return gzip.compress(bomb(times - 1))
    packer, nothing = zlib.compressobj(9, wbits=31), bytes(1_000_000)
    return b"".join([*(packer.compress(nothing) for _ in range(100)), packer.flush()])


def gzip_bomb(times: int) -> Callable[[Peer], None]:
    """Return a server that answers with a small body which grows to 100 MB in the hands of who unpacks it."""

    def handle(peer: Peer) -> None:
        encoding = b", ".join([b"gzip"] * times)
        head = OK + b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding, len(bomb(times)))
        answer(head + bomb(times))(peer)

    return handle


# --- Breaking off -----------------------------------------------------------------------------------------------------


def refuse_early(peer: Peer) -> None:
    """Answer before the request has been read, and close with the rest of it unread, which resets the connection."""
    peer.sock.recv(1000)
    peer.send(b"HTTP/1.1 413 Too Large\r\n" + EMPTY)
    time.sleep(0.05)


def refuse_early_and_linger(peer: Peer) -> None:
    """Answer before the request has been read, and read on until the other side closes."""
    peer.sock.recv(1000)
    peer.send(b"HTTP/1.1 413 Too Large\r\n" + EMPTY)
    peer.wait_gone()


def reset_amid_body(peer: Peer) -> None:
    """Reset the connection when half the body has been sent."""
    peer.request()
    peer.send(OK + b"Content-Length: 10\r\n\r\nhello")
    time.sleep(0.1)
    peer.reset()


def eat(peer: Peer) -> None:
    """Read the whole request, and close without a word."""
    peer.request()


def eat_and_reset(peer: Peer) -> None:
    """Read the whole request, and reset the connection."""
    peer.request()
    peer.reset()


# --- Words ------------------------------------------------------------------------------------------------------------


def headed(*lines: bytes, status: bytes = b"200 OK", body: bytes = b"") -> Callable[[Peer], None]:
    """Return a server that answers with these header lines and a body of the right length."""
    head = b"".join(line + b"\r\n" for line in (b"HTTP/1.1 " + status, *lines, b"Content-Length: %d" % len(body)))
    return answer(head + b"\r\n" + body)


def ask_for_cookies(peer: Peer) -> None:
    """Set a cookie; who brings one is not let in."""
    if b"\r\ncookie:" in peer.request().lower():
        peer.send(b"HTTP/1.1 500 You Keep Cookies\r\n" + EMPTY)
    else:
        peer.send(OK + b"Set-Cookie: a=b; Path=/\r\nset-cookie: c=d\r\n" + EMPTY)


def send_home(peer: Peer) -> None:
    """Redirect to this very server, under the address of the inside; a visitor who follows is counted once more."""
    peer.request()
    to = b"http://127.0.0.1:%d/" % peer.server.port
    peer.send(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %b\r\n" % to + EMPTY)


def echo(peer: Peer) -> None:
    """Send the whole request back, signature and all."""
    request = peer.request()
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    signature = [b"X-Seen-" + line for line in lines if line.lower().startswith(b"webhook-")]
    head = b"\r\n".join([*signature, b"Content-Length: %d" % len(request)])
    peer.send(OK + head + b"\r\n\r\n" + request)


def redirect(name: str, location: bytes, status: int = 307, fact: str = "B-25") -> Exhibit:
    """Return the exhibit of a redirect."""
    handle = headed(b"Location: " + location, status=b"%d Elsewhere" % status)
    return Exhibit(f"redirect-{name}", fact, handle, unwanted(status, "redirect"))


def retry_after(name: str, *values: bytes, wait: Literal["schedule", "longest"] = "schedule") -> Exhibit:
    """Return the exhibit of a 503 that says when to come back."""
    handle = headed(*(b"Retry-After: " + value for value in values), status=b"503 Later")
    return Exhibit(f"retry-after-{name}", "B-26", handle, unwanted(503), wait=wait)


def says(name: str, fact: str, data: bytes, verdict: Verdict, aiohttp: Verdict | None = None) -> Exhibit:
    """Return the exhibit of a server that answers with just these bytes, and closes."""
    return Exhibit(name, fact, answer(data), verdict, aiohttp=aiohttp)


GOOD: Final = Exhibit("good", "-", answer(b"HTTP/1.1 204 No Content\r\n\r\n"), delivered(204))
"""A server that is not hostile, for what is to go on beside those that are."""

MALFORMED: Final = lost("protocol_error")
TIMED_OUT: Final = lost("timeout")
UNCONNECTED: Final = lost("connect_timeout")
ENOUGH: Final = lost("too_large")
CUT: Final = delivered(truncated=True)

_TIME = (
    Exhibit("silence", "B-01", answer(linger=True), TIMED_OUT, waits=True),
    Exhibit("drip-head", "B-01", drip_head, TIMED_OUT, waits=True),
    Exhibit("drip-head-in-tls", "B-01", drip_head, TIMED_OUT, tls="good", waits=True),
    Exhibit("drip-body", "B-02", drip_body, CUT, waits=True),
    Exhibit("drip-body-in-tls", "B-02", drip_body, CUT, tls="good", waits=True),
    Exhibit("drip-tls-record", "B-01", drip_record, TIMED_OUT, tls="good", waits=True),
    Exhibit("drip-header-lines", "B-04", drip_header_lines, TIMED_OUT, waits=True),
    Exhibit("never-read", "B-10", never_read, TIMED_OUT, size=FIFTY_MB, waits=True),
    Exhibit("never-read-in-tls", "B-10", never_read, TIMED_OUT, tls="good", size=FIFTY_MB, waits=True),
    Exhibit("read-slowly", "B-10", read_slowly, TIMED_OUT, size=FIFTY_MB, waits=True),
    Exhibit("stall-handshake", "B-22", never_read, UNCONNECTED, tls="raw", waits=True),
    Exhibit("drip-handshake", "B-22", drip_handshake, UNCONNECTED, tls="raw", waits=True),
    Exhibit("slow-at-everything", "B-41", slow_at_everything, TIMED_OUT, tls="raw", waits=True),
    Exhibit("slow-lookup", "A-31", eat, UNCONNECTED, host="slow.museum.test", reached=False, waits=True),
)

_SIZE = (
    Exhibit("endless-100-continue", "B-03", flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), ENOUGH),
    Exhibit("endless-early-hints", "B-03", flood(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 99), ENOUGH),
    Exhibit("endless-headers", "B-04", flood(OK, b"X-Header: y\r\n" * 1000), ENOUGH),
    Exhibit("endless-header", "B-04", flood(OK + b"X-Header: ", b"y" * 65_536), ENOUGH),
    Exhibit("endless-status-line", "B-04", flood(b"HTTP/1.1 200 ", b"O" * 65_536), ENOUGH),
    Exhibit("endless-session-tickets", "B-03", tickets, ENOUGH, tls="raw"),
    Exhibit("infinite-body", "B-05", flood(OK + b"\r\n", b"x" * 65_536), CUT),
    Exhibit("infinite-body-in-tls", "B-05", flood(OK + b"\r\n", b"x" * 65_536), CUT, tls="good"),
    Exhibit("infinite-chunks", "B-05", flood(CHUNKED, b"1\r\nx\r\n" * 1000), CUT),
    Exhibit("infinite-chunk-extension", "B-05", flood(CHUNKED + b"1;", b"x" * 65_536), CUT),
    Exhibit("infinite-trailers", "B-05", flood(CHUNKED + b"1\r\nx\r\n0\r\n", b"X-Trailer: y\r\n" * 1000), CUT),
    Exhibit("terabyte", "B-05", flood(OK + b"Content-Length: 1000000000000\r\n\r\n", b"x" * 65_536), CUT),
    Exhibit("gzip-bomb", "B-06", gzip_bomb(1), CUT),
    Exhibit("double-gzip-bomb", "B-06", gzip_bomb(2), delivered()),
    Exhibit("14000-content-encodings", "B-07", headed(b"Content-Encoding: " + b"gzip, " * 14_000), delivered()),
    Exhibit("header-of-80-kb", "B-08", headed(b"X: " + b"y" * 80_000), delivered()),
    Exhibit("header-of-110-kb", "B-08", headed(b"X: " + b"y" * 110_000), ENOUGH),
    Exhibit("header-of-1-mb", "B-08", headed(b"X: " + b"y" * 1_000_000), ENOUGH),
    Exhibit("9000-headers", "B-09", headed(*[b"a: 1"] * 9000), delivered()),
)

_BREAKING_OFF = (
    Exhibit("early-413", "B-11", refuse_early_and_linger, unwanted(413), size=3_000_000),
    Exhibit("early-413-and-reset", "B-11", refuse_early, (unwanted(413), lost("connection_lost")), size=30_000_000),
    says("short-body", "B-12", OK + b"Content-Length: 10\r\n\r\nhello", CUT),
    Exhibit("reset-amid-body", "B-12", reset_amid_body, CUT),
    says("cut-chunk", "B-12", CHUNKED + b"9\r\nhello", CUT),
    says("bad-chunk", "B-12", CHUNKED + b"5\r\nhello\r\nzz\r\n", CUT),
    says("cut-chunk-extension", "B-12", CHUNKED + b"5;x=", CUT),
    says(
        "short-body-of-a-500",
        "B-12",
        b"HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nhello",
        unwanted(500, truncated=True),
    ),
    says("cut-head", "B-12", OK + b"X: y", lost("connection_lost")),
    says("close-after-100", "B-12", b"HTTP/1.1 100 Continue\r\n\r\n", lost("connection_lost")),
    says("closes-what-it-would-keep", "B-19", OK + b"Connection: keep-alive\r\n" + EMPTY, delivered()),
    Exhibit("eaten", "B-21", eat, lost("connection_lost")),
    Exhibit("eaten-and-reset", "B-21", eat_and_reset, lost("connection_lost")),
)

_GRAMMAR = (
    says("http-0-9", "B-13", b"hello\r\n\r\n", MALFORMED),
    says("smtp", "B-13", b"220 mail.test ESMTP\r\n", MALFORMED),
    says("http-2-frame", "B-13", b"\0\0\x12\x04\0\0\0\0\0", MALFORMED),
    *(
        says(f"status-{word}", "B-13", b"HTTP/1.1 %b X\r\n" % word.encode() + EMPTY, MALFORMED)
        for word in ("99", "000", "1000", "2x0")
    ),
    says("status-minus-200", "B-13", b"HTTP/1.1 -200 X\r\n" + EMPTY, MALFORMED),
    says("status-200-in-arabic", "B-13", "HTTP/1.1 ٢٠٠ X\r\n".encode() + EMPTY, MALFORMED),
    says("status-600", "B-14", b"HTTP/1.1 600 X\r\n" + EMPTY, unwanted(600)),
    says("status-999", "B-14", b"HTTP/1.1 999 X\r\n" + EMPTY, unwanted(999)),
    says("version-9-9", "B-14", b"HTTP/9.9 200 OK\r\n" + EMPTY, delivered(), MALFORMED),
    says("version-2-0", "B-14", b"HTTP/2.0 200 OK\r\n" + EMPTY, delivered()),
    says("switching-protocols", "B-15", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", MALFORMED),
    says("204-with-a-body", "B-15", b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", delivered(204)),
    says(
        "length-and-chunks",
        "B-15",
        CHUNKED[:-2] + b"Content-Length: 3\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        delivered(),
        MALFORMED,
    ),
    *(
        says(f"length-{name}", "B-15", OK + b"Content-Length: %b\r\n\r\nhello" % value, MALFORMED)
        for name, value in (("plus-5", b"+5"), ("minus-1", b"-1"), ("of-5000-nines", b"9" * 5000), ("5-and-6", b"5, 6"))
    ),
    says("two-lengths", "B-15", OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", MALFORMED),
    says("gzip-as-transfer-encoding", "B-15", OK + b"Transfer-Encoding: gzip\r\n\r\nhello", MALFORMED, delivered()),
    says("folded-header", "B-15", OK + b"X: a\r\n b\r\n" + EMPTY, delivered()),
    says("line-feeds-only", "B-15", b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", delivered()),
    says("nul-in-a-header", "B-15", OK + b"X: a\0b\r\n" + EMPTY, MALFORMED),
    says("space-before-the-colon", "B-15", OK + b"X : a\r\n" + EMPTY, MALFORMED),
    says("no-colon", "B-15", OK + b"no colon\r\n" + EMPTY, MALFORMED),
)

_WORDS = (
    Exhibit("latin-1-header", "B-16", headed(b"X: caf\xe9 \x80\xff"), delivered()),
    Exhibit("latin-1-phrase", "B-16", headed(status=b"200 D\xe9j\xe0 vu"), delivered()),
    *(
        Exhibit(
            f"charset-{name.replace('_', '-')}",
            "B-17",
            headed(b"Content-Type: text/plain; charset=" + name.encode(), body=b"x\xff"),
            delivered(),
        )
        for name in ("zlib_codec", "utf-16", "idna", "no-such-thing")
    ),
    Exhibit("bad-gzip", "B-18", headed(b"Content-Encoding: gzip", body=b"this is no gzip"), delivered()),
    says(
        "two-replies-at-once",
        "B-20",
        b"HTTP/1.1 500 No\r\n" + EMPTY + OK + b"Content-Length: 4\r\n\r\nEVIL",
        unwanted(500),
    ),
    Exhibit("set-cookie", "B-24", ask_for_cookies, delivered()),
    Exhibit("echo", "B-34", echo, delivered()),
    Exhibit("nul-and-surrogates", "B-35", headed(body=b"\0\xed\xa0\x80\xff\xfe"), delivered()),
    Exhibit("terminal-codes", "B-36", headed(body=b"\x1b[2J\x1b]0;title\x07\r\nERROR forged\x9b"), delivered()),
    Exhibit("bidi", "B-36", headed(body="\u202egnp.exe\u2066".encode()), delivered()),
    Exhibit("bidi-phrase", "B-36", headed(status="200 \u202eKO".encode()), delivered()),
    Exhibit("terminal-codes-in-the-phrase", "B-36", headed(status=b"200 \x1b[31mOK"), delivered()),
    Exhibit("terminal-codes-in-a-header", "B-36", headed(b"X: \x1b[31mred\x1b[0m"), delivered()),
    Exhibit("html", "B-34", headed(b"Content-Type: text/html", body=b"<script>alert(1)</script>"), delivered()),
)

_TLS = (
    *(
        Exhibit(f"certificate-{kind}", "B-22", GOOD.handle, lost(reason), tls=kind)
        for kind, reason in (
            ("expired", "tls_expired"),
            ("not-yet-valid", "tls_not_yet_valid"),
            ("self-signed", "tls_self_signed"),
            ("of-unknown-ca", "tls_unknown_ca"),
            ("for-another-host", "tls_hostname"),
        )
    ),
    Exhibit(
        "certificate-wildcard-too-deep",
        "B-22",
        GOOD.handle,
        lost("tls_hostname"),
        tls="good",
        host="too.deep.museum.test",
    ),
    Exhibit("certificate-for-no-address", "B-22", GOOD.handle, lost("tls_hostname"), tls="good", host="127.0.0.1"),
    Exhibit("http-on-the-tls-port", "B-22", plain_http, lost("tls_protocol"), tls="raw"),
    Exhibit("hang-up-amid-handshake", "B-22", hang_up, lost("connection_lost"), tls="raw"),
    Exhibit("nothing-but-tls-1-1", "B-22", GOOD.handle, lost("tls_protocol"), tls="too-old"),
)

_ELSEWHERE = (
    Exhibit("redirect-home", "A-23", send_home, unwanted(307, "redirect")),
    redirect("to-metadata", b"http://169.254.169.254/latest/meta-data/", fact="A-23"),
    redirect("to-inside", b"//10.0.0.1/", 302, fact="A-23"),
    redirect("relative", b"/", 308, fact="B-23"),
    redirect("get", b"/", 303, fact="B-23"),
    redirect("script", b"javascript:alert(1)"),
    redirect("no-host", b"http:///"),
    redirect("bad-port", b"http://a:99999999/"),
    redirect("bad-idna", b"https://xn--\xff/"),
    redirect("bad-bracket", b"http://[::1/"),
    redirect("endless", b"/" + b"a" * 20_000),
    Exhibit("name-of-the-inside", "A-33", eat, lost("target_refused"), host="inside.museum.test", reached=False),
)

_RETRY_AFTER = (
    *(
        retry_after(name, value)
        for name, value in (
            ("minus-5", b"-5"),
            ("plus-5", b"+5"),
            ("1e3", b"1e3"),
            ("1e18", b"1e18"),
            ("nan", b"nan"),
            ("inf", b"inf"),
            ("fraction", b"3.5"),
            ("underscore", b"1_000"),
            ("arabic", "٣٠".encode()),
            ("10000-digits", b"9" * 10_000),
            ("list", b"30, 40"),
            ("empty", b""),
            ("past", b"Sun, 06 Nov 1994 08:49:37 GMT"),
            ("year-99999", b"Fri, 31 Dec 99999 23:59:59 GMT"),
            ("naive", b"Fri, 31 Dec 2100 23:59:59"),
            ("zone", b"Fri, 31 Dec 2100 23:59:59 +9999"),
            ("wrong-weekday", b"Mon, 31 Dec 2100 23:59:59 GMT"),
            ("no-such-day", b"Fri, 30 Feb 2100 23:59:59 GMT"),
        )
    ),
    retry_after("twice", b"86400", b"1"),
    retry_after("317-years", b"9999999999", wait="longest"),
    retry_after("year-9999", b"Fri, 31 Dec 9999 23:59:59 GMT", wait="longest"),
    Exhibit("retry-after-on-200", "B-27", headed(b"Retry-After: 86400"), delivered()),
    Exhibit(
        "retry-after-on-404", "B-27", headed(b"Retry-After: 99999999", status=b"404 No"), unwanted(404), wait="longest"
    ),
    Exhibit("gone", "B-27", headed(b"Retry-After: 1", status=b"410 Gone"), Verdict(410, "status", "failed")),
)

EXHIBITS: Final = (*_TIME, *_SIZE, *_BREAKING_OFF, *_GRAMMAR, *_WORDS, *_TLS, *_ELSEWHERE, *_RETRY_AFTER)
"""All of them."""

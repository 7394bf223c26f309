"""``hookkit listen``: a receiver on this machine that shows what arrives, and whether it verifies."""

from __future__ import annotations

import argparse
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, Final, TextIO

import attrs

from hookkit._listen.check import as_json, explained
from hookkit._listen.inputs import MAX_BODY, Problem, keys_from
from hookkit._listen.screen import Screen, json_line, masked_target, masked_value
from hookkit.explain import Explanation
from hookkit.plaintext import lines_of, plain
from hookkit.signing import SigningKey

__all__ = ["listen"]

_SHOWN: Final = 4096  # bytes of a body
_TIMEOUT_S: Final = 10.0
_MAX_CHUNK_LINE: Final = 1024
_SIZE: Final = re.compile(rb"[0-9a-fA-F]{1,8}")


def listen(arguments: argparse.Namespace, output: TextIO, errors: TextIO) -> int:
    """Serve until Ctrl-C, or until ``--count`` requests have come.

    Returns:
        0; 1 if keys were given and a request did not verify; 2 if there is something wrong with keys, port or options.
    """
    try:
        keys = keys_from(arguments.key_env, arguments.key_file)
        receiver = Receiver(arguments, keys, Screen(output))
        server = _server(arguments.port, receiver)
    except Problem as problem:
        Screen(errors).line(f"hookkit listen: {plain(str(problem))}")
        return 2
    with server:
        receiver.start(f"http://127.0.0.1:{server.server_port}/", server)
        with suppress(KeyboardInterrupt):
            server.serve_forever(0.05)
        return receiver.end()


def _server(port: int, receiver: Receiver) -> ThreadingHTTPServer:
    try:
        return _Server(("127.0.0.1", port), type("_Bound", (_Handler,), {"receiver": receiver}))
    except (OSError, OverflowError) as error:
        raise Problem(f"--port {port}: {getattr(error, 'strerror', None) or error}") from None


@attrs.frozen
class Arrived:
    """One request as it arrived.

    Args:
        method: Its method.
        target: What was asked for: path and query.
        headers: Pairs, in the order of arrival.
        body: The body, or why it could not be read.
    """

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes | Unreadable


class Unreadable(Exception):
    """A body that could not be read.

    Args:
        status: What to answer.
        why: In words.
    """

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class Receiver:
    """Shows requests, one at a time, and says what to answer.

    Args:
        arguments: The command's.
        keys: The keys; without any, nothing is verified.
        screen: Where to show them.
    """

    def __init__(self, arguments: argparse.Namespace, keys: Sequence[SigningKey], screen: Screen) -> None:
        self._arguments = arguments
        self._keys = keys
        self._screen = screen
        self._lock = threading.Lock()
        self._arrived = 0
        self._verified = 0
        self._answered = 0
        self._server: ThreadingHTTPServer | None = None
        self._broken: OSError | None = None

    def start(self, url: str, server: ThreadingHTTPServer) -> None:
        """Say where it listens."""
        self._server = server
        if self._arguments.json:
            self._screen.line(json_line({"listening": url}))
            return
        what = f"verifying as {self._arguments.scheme}" if self._keys else "no key given, so nothing is verified"
        self._screen.line(f"Listening on {url} ({what}). Ctrl-C ends it.")

    def end(self) -> int:
        """Say how many came, and return the exit status. What made writing fail is raised."""
        with self._lock:
            if self._broken is not None:
                raise self._broken
            if not self._arguments.json:
                verified = f", {self._verified} verified" if self._keys else ""
                self._screen.line(f"{self._arrived} arrived{verified}.")
            return int(bool(self._keys) and self._verified < self._arrived)

    def receive(self, arrived: Arrived) -> int:
        """Show a request, and return the status to answer."""
        with self._lock:
            if self._arguments.count and self._arrived >= self._arguments.count:
                return 503
            self._arrived += 1
            explanation = self._explanation(arrived)
            status = self._status(arrived, explanation)
            self._verified += explanation is not None and explanation.ok
            try:
                self._show(arrived, explanation, status)
            except OSError as error:  # whoever was reading has gone
                self._broken = error
                self._shut_down()
            return status

    def answered(self) -> None:
        """Note that a request has got its answer; after the last one, stop."""
        with self._lock:
            self._answered += 1
            if self._arguments.count and self._answered >= self._arguments.count:
                self._shut_down()

    def _shut_down(self) -> None:
        if self._server is not None:  # from another thread than the one that serves, and that waits for it
            threading.Thread(target=self._server.shutdown, daemon=True).start()

    def _explanation(self, arrived: Arrived) -> Explanation | None:
        if not self._keys or isinstance(arrived.body, Unreadable):
            return None
        try:
            return explained(self._arguments, arrived.body, arrived.headers, self._keys, method=arrived.method)
        except Problem as problem:
            return Explanation(None, "not_verified", str(problem), (), (), None)

    def _status(self, arrived: Arrived, explanation: Explanation | None) -> int:
        if isinstance(arrived.body, Unreadable):
            return arrived.body.status
        if self._arguments.status is not None:
            status: int = self._arguments.status
            return status
        return 204 if explanation is None or explanation.ok else 401

    def _show(self, arrived: Arrived, explanation: Explanation | None, status: int) -> None:
        if self._arguments.json:
            self._screen.line(json_line(_record(arrived, explanation, status)))
            return
        self._screen.line()
        self._screen.line(f"#{self._arrived} {plain(arrived.method)} {plain(masked_target(arrived.target))}")
        for name, value in arrived.headers:
            self._screen.line(f"  {plain(name)}: {plain(masked_value(name, value))}")
        body = arrived.body
        for line in [f"({body})"] if isinstance(body, Unreadable) else lines_of(body, _SHOWN):
            self._screen.line(f"  | {line}")
        for line in str(explanation).splitlines() if explanation is not None else []:
            self._screen.line(f"=> {plain(line)}")
        self._screen.line(f"=> answered {status}")


def _record(arrived: Arrived, explanation: Explanation | None, status: int) -> dict[str, Any]:
    body = b"" if isinstance(arrived.body, Unreadable) else arrived.body
    return {
        "method": arrived.method,
        "target": masked_target(arrived.target),
        "headers": [[name, masked_value(name, value)] for name, value in arrived.headers],
        "body": body[:_SHOWN].decode("utf-8", "backslashreplace"),
        "body_bytes": len(body),
        "unreadable": str(arrived.body) if isinstance(arrived.body, Unreadable) else "",
        "status": status,
        "explanation": None if explanation is None else as_json(explanation),
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a sender that hangs up."""


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    timeout = _TIMEOUT_S
    protocol_version = "HTTP/1.1"  # or Expect: 100-continue gets no answer

    def _answer(self) -> None:
        headers = [(name, str(value)) for name, value in self.headers.items()]
        body: bytes | Unreadable
        try:
            body = _body(self.rfile, {name.lower(): value.strip() for name, value in headers})
        except Unreadable as unreadable:
            body = unreadable
        status = self.receiver.receive(Arrived(self.command, self.path, headers, body))
        try:
            self.send_response(status)
            if status >= 200 and status not in {204, 304}:
                self.send_header("content-length", "0")
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.flush()
        finally:
            self.close_connection = True
            self.receiver.answered()

    do_DELETE = do_GET = do_HEAD = do_OPTIONS = do_PATCH = do_POST = do_PUT = _answer  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the receiver shows what arrives."""


def _body(stream: BufferedIOBase, headers: Mapping[str, str]) -> bytes:
    """Return the body of a request, or raise :class:`Unreadable`."""
    if "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise Unreadable(501, "an unknown transfer-encoding")
        return b"".join(_chunks(stream))
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit() and len(length) < 16):
        raise Unreadable(400, "its content-length is no length")
    if int(length) > MAX_BODY:
        raise _too_long()
    body = stream.read(int(length))
    if len(body) < int(length):
        raise Unreadable(400, f"it ended after {len(body)} of {int(length)} bytes")
    return body


def _chunks(stream: BufferedIOBase) -> Iterator[bytes]:
    """Yield the parts of a body that comes in chunks (RFC 9112 §7.1)."""
    room = MAX_BODY
    while True:
        size = stream.readline(_MAX_CHUNK_LINE).partition(b";")[0].strip()
        if _SIZE.fullmatch(size) is None:
            raise Unreadable(400, "its chunks are malformed")
        length = int(size, 16)
        if length == 0:
            return
        room -= length
        if room < 0:
            raise _too_long()
        chunk = stream.read(length)
        if len(chunk) < length or stream.readline(3).strip():
            raise Unreadable(400, "its chunks are malformed")
        yield chunk


def _too_long() -> Unreadable:
    return Unreadable(413, f"it is too long: more than {MAX_BODY} bytes")

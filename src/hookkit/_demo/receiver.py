"""The receiver of the demonstration: an HTTP server of the standard library, and ``verify_signature``."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

import attrs

from hookkit import SigningKey, VerificationError, Verified, verify_signature

__all__ = ["Receiver", "Seen"]

MAX_BODY: Final = 65_536
PATH: Final = "/hooks"


@attrs.frozen
class Seen:
    """One request as it arrived, and what became of it.

    Args:
        headers: Pairs in the order of arrival.
        body: The bytes.
        status: What was answered.
        verified: What was proven, or None.
        reason: Why it did not verify, or nothing.
    """

    headers: tuple[tuple[str, str], ...]
    body: bytes
    status: int
    verified: Verified | None
    reason: str


class Receiver:
    """Listens on a free port of ``127.0.0.1``; a context manager. Each verified event is handled once.

    Attributes:
        keys: The signing keys of its settings.
        ahead: By how much its clock runs ahead.
        seen: Every request that arrived, oldest first.
        handled: The events that were handled, by their ``dedupe_key``.
    """

    def __init__(self) -> None:
        self.keys: Sequence[SigningKey] = ()
        self.ahead = timedelta()
        self.seen: list[Seen] = []
        self.handled: dict[str, Verified] = {}
        self._overloaded = True
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("_Bound", (_Handler,), {"receiver": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="hookkit-receiver")

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}{PATH}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def receive(self, headers: tuple[tuple[str, str], ...], body: bytes) -> int:
        """Verify a request, handle it if it did, and return the status to answer."""
        verified, reason = None, ""
        try:
            verified = self.verify(headers, body)
        except VerificationError as error:
            status, reason = 401, error.reason
        else:
            status = self.handle(verified)
        self.seen.append(Seen(headers, body, status, verified, reason))
        return status

    def verify(self, headers: tuple[tuple[str, str], ...], body: bytes) -> Verified:
        """Verify a request by this receiver's own clock."""
        return verify_signature(body, headers, self.keys, now=datetime.now(UTC) + self.ahead)

    def handle(self, verified: Verified) -> int:
        """Handle an event and return the status to answer: 503 the very first time, as if the database were away."""
        if self._overloaded:
            self._overloaded = False
            return 503
        self.handled.setdefault(verified.dedupe_key, verified)
        return 204

    def post(self, headers: Sequence[tuple[str, str]], body: bytes) -> int:
        """Send a request to the receiver, as anybody on the network could, and return the status of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=5)
        try:
            connection.request("POST", PATH, body, dict(headers))
            return connection.getresponse().status
        finally:
            connection.close()


class _Handler(BaseHTTPRequestHandler):
    receiver: Receiver
    timeout = 5.0

    def do_POST(self) -> None:
        """Read a request, and answer as the receiver says."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 9 and int(length) <= MAX_BODY):
            self.send_error(413)
            return
        body = self.rfile.read(int(length))
        self.send_response(self.receiver.receive(tuple(self.headers.items()), body))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the demonstration tells what happened."""

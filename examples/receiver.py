"""A receiver: a WSGI application that verifies webhooks. It needs hookkit and the standard library.

Copy :class:`Receiver`; its ``app`` runs in any WSGI server. In other frameworks, give ``verify_signature`` the raw body
and the request's headers as they are.

    python examples/receiver.py --try               # serve, send one request of each kind, and stop
    WEBHOOK_KEY=whsec_... python examples/receiver.py --port 8000       # serve until Ctrl-C
"""

from __future__ import annotations

import argparse
import http.client
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from hookkit import VerificationError, Verified, verify_signature

PATH = "/hooks"
MAX_BODY = 1_048_576  # bytes; what is larger is not even read


class Receiver:
    """Verifies each request, and handles each event once.

    ``keys`` has the signing key that the sender showed when the webhook was made. While keys are rotated it has both: a
    request verifies if any of them signed it.
    """

    def __init__(self, keys: Sequence[str], inbox: sqlite3.Connection) -> None:
        self.keys = keys
        self.inbox = inbox
        self.lock = threading.Lock()  # one connection for all threads; with a pool there is no need
        inbox.execute("CREATE TABLE IF NOT EXISTS inbox (dedupe_key TEXT PRIMARY KEY, body BLOB NOT NULL)")

    def app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """Answer one request: the WSGI application."""
        start_response(self.answer(environ), [])
        return []

    def answer(self, environ: dict[str, Any]) -> str:
        """Return the status to answer. A 2xx tells the sender that the event has arrived for good."""
        if environ["PATH_INFO"] != PATH:
            return "404 Not Found"
        if environ["REQUEST_METHOD"] != "POST":
            return "405 Method Not Allowed"
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit() and len(length) < 9 and int(length) <= MAX_BODY):
            return "413 Content Too Large"
        # The raw body, as it arrived: JSON that was parsed and written again is not what was signed.
        body = environ["wsgi.input"].read(int(length))
        try:
            verified = verify_signature(body, environ, self.keys)  # in a framework: its request.headers
        except VerificationError as error:
            print(f"receiver: refused: {error}", flush=True)  # for your log; the sender is told 401 and no more
            return "401 Unauthorized"
        self.accept(verified)
        return "200 OK"

    def accept(self, verified: Verified) -> None:
        """Store an event, unless it is there already: retries and replays come with the same key.

        Answer when it is stored, and do what takes longer afterwards: a sender does not wait for long.
        """
        with self.lock, self.inbox:  # commits at its end
            stored = self.inbox.execute(
                "INSERT OR IGNORE INTO inbox VALUES (?, ?)", (verified.dedupe_key, verified.body)
            )
        what = verified.json() if stored.rowcount else "is here already"
        print(f"receiver: {verified.dedupe_key} {what}", flush=True)


# --- What serves it here ----------------------------------------------------------------------------------------------


class Quiet(WSGIRequestHandler):
    """Writes no access log, and hangs up on whoever does not finish a request."""

    timeout = 10

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def bind(receiver: Receiver, port: int) -> tuple[WSGIServer, str]:
    """Return a server on this machine, and the URL of its webhook; port 0 is any free one."""
    server = make_server("127.0.0.1", port, receiver.app, handler_class=Quiet)
    return server, f"http://127.0.0.1:{server.server_port}{PATH}"


def inbox(path: str) -> sqlite3.Connection:
    """Return the database of a receiver, which its threads share."""
    return sqlite3.connect(path, check_same_thread=False)


def keys_of_the_environment() -> list[str]:
    """Return the keys in ``WEBHOOK_KEY``: one, or several separated by spaces while they are rotated."""
    return os.environ.get("WEBHOOK_KEY", "").split()


@contextmanager
def receiver_at(url: str | None) -> Generator[tuple[str, list[str]], None, None]:
    """Give the other examples a receiver's URL and its keys; without a URL, serve one on a thread for the occasion."""
    if url is not None:
        yield url, keys_of_the_environment()
        return
    keys: list[str] = []
    with closing(inbox(":memory:")) as database:
        server, own = bind(Receiver(keys, database), 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield own, keys
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


def serve(keys: list[str], port: int, path: str) -> None:
    """Serve until Ctrl-C."""
    with closing(inbox(path)) as database:
        server, url = bind(Receiver(keys, database), port)
        print(f"receiver: listening on {url}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()


def try_it() -> bool:
    """Send a good request, the same again, and two bad ones; return whether each was answered as it should be."""
    import secrets

    from hookkit.keys import new_standard_key
    from hookkit.testing import sign_request

    key = new_standard_key(secrets.token_bytes)
    body = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"id":"u_1"}}'
    good = sign_request(body, key, id="evt_1")
    answers: list[int] = []
    with receiver_at(None) as (url, keys):
        keys.append(key)
        for what, headers, sent in (
            ("good", good, body),
            ("again", good, body),
            ("changed", good, body.replace(b"u_1", b"u_2")),
            ("unsigned", {}, body),
        ):
            answers.append(post(url, headers, sent))
            print(f"sender: {what}: {answers[-1]}", flush=True)
    return answers == [200, 200, 401, 401]


def post(url: str, headers: dict[str, str], body: bytes) -> int:
    """Send a request and return the status of the answer."""
    with closing(http.client.HTTPConnection(url.split("/")[2], timeout=10)) as connection:
        connection.request("POST", PATH, body, headers)
        return connection.getresponse().status


def main() -> int:
    """Read the arguments, and serve."""
    parser = argparse.ArgumentParser(description="Verify webhooks, with the signing key in WEBHOOK_KEY.")
    parser.add_argument("--try", action="store_true", dest="once", help="serve, send some requests, and stop")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    parser.add_argument("--inbox", default=":memory:", help="a file, so that it still knows tomorrow what came today")
    arguments = parser.parse_args()
    if arguments.once:
        return 0 if try_it() else 1
    keys = keys_of_the_environment()
    if not keys:
        parser.error("set WEBHOOK_KEY to the webhook's signing key")
    serve(keys, arguments.port, arguments.inbox)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A receiver for the tests of whoever emits: a real endpoint on this machine that answers from a script."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias, final

from hookkit.model import Reply
from hookkit.schemes import STANDARD
from hookkit.signing import SigningKey, Verified, as_keys
from hookkit.testing.loopback import Received, _read, _Server
from hookkit.verify import verify_signature

if TYPE_CHECKING:
    from hookkit.protocols import Verifier

__all__ = ["ReceiverAnswer", "ReceiverStep", "ScriptedReceiver"]

ReceiverAnswer: TypeAlias = int | Reply
"""A status; or a Reply, of which status, headers and body are sent, and one without a status hangs up."""
ReceiverStep: TypeAlias = ReceiverAnswer | Callable[[Received], ReceiverAnswer]


@final
class ScriptedReceiver:
    """Serves HTTP on ``127.0.0.1``; a context manager. Anything may call it, from any thread or process.

    A worker calls it if it may: ``Worker(store, targets=LOOPBACK)``, and so must a registry be told that registers it.

    Args:
        script: How it answers, each step once, the last one from then on: a status such as 204; a
            :class:`hookkit.Reply`; or a callable that takes what was received and returns one of those.

    Attributes:
        url: Where it listens. Any other path on this host and port will do as well.
        requests: Every request that arrived, oldest first.
    """

    def __init__(self, *script: ReceiverStep) -> None:
        self.requests: list[Received] = []
        self._changed = threading.Condition()
        self._steps: list[ReceiverStep] = []
        self._error: Exception | None = None
        self.answer(*(script or (204,)))
        self._server = _Server(("127.0.0.1", 0), type("_Handler", (_Handler,), {"receiver": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="hookkit-receiver")
        self._thread.start()
        self.url: str = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"

    def answer(self, *script: ReceiverStep) -> None:
        """Go on with another script.

        Raises:
            ValueError: It is empty, or a step is no answer.
        """
        for step in script:
            if not callable(step):
                _encode(step)
        if not script:
            raise ValueError("an empty script; give a status, a Reply or a callable, or several")
        with self._changed:
            self._steps = list(script)

    def wait(self, count: int = 1, *, timeout: float = 10.0) -> list[Received]:
        """Wait until `count` requests have arrived, for senders in other threads; return all there are.

        Args:
            count: How many there must be.
            timeout: How long to wait, in seconds.

        Raises:
            AssertionError: They have not arrived in this time.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self.requests) >= count, timeout)
            if len(self.requests) < count:
                raise AssertionError(f"{len(self.requests)} requests in {timeout:g} s, {count} were expected")
            return list(self.requests)

    def verified(
        self, keys: str | SigningKey | Iterable[str | SigningKey], *, scheme: Verifier = STANDARD, **options: Any
    ) -> list[Verified]:
        """Return every request as its receiver would see it, verified.

        Args:
            keys: The webhook's keys.
            scheme: How it is signed.
            options: Of :func:`hookkit.verify_signature`, such as ``now`` where the sender's clock is a ManualClock.

        Raises:
            VerificationError: One of them does not verify.
        """
        kept = as_keys(keys)
        return [
            verify_signature(one.body, one.headers, kept, scheme=scheme, method=one.method, **options)
            for one in list(self.requests)
        ]

    def close(self) -> None:
        """Stop serving and wait for the threads.

        Raises:
            Exception: What a callable of the script has raised, so that it does not go unnoticed.
        """
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def respond(self, request: Received) -> bytes:
        """Note a request, and return the bytes to answer it with; none: hang up. For the server."""
        with self._changed:
            self.requests.append(request)
            step = self._steps.pop(0) if len(self._steps) > 1 else self._steps[0]
            self._changed.notify_all()
        try:
            return _encode(step(request) if callable(step) else step)
        except Exception as error:  # noqa: BLE001 - it is raised where the test can see it
            self._error = error
            return _encode(500)


class _Handler(socketserver.BaseRequestHandler):
    receiver: ScriptedReceiver

    def handle(self) -> None:
        connection: socket.socket = self.request
        connection.settimeout(10)
        request = _read(connection)
        if request is not None:
            connection.sendall(self.receiver.respond(request))


def _encode(answer: Any) -> bytes:
    reply = Reply(answer) if isinstance(answer, int) else answer
    if not isinstance(reply, Reply) or (reply.status is not None and not 200 <= reply.status <= 999):
        raise ValueError(f"{answer!r} is no answer; give a status from 200 to 999, a Reply, or a callable")
    if reply.status is None:
        return b""
    length = () if reply.status in {204, 304} else (("content-length", str(len(reply.body))),)  # RFC 9110 §8.6
    fields = [*reply.headers, *length, ("connection", "close")]
    head = [f"HTTP/1.1 {reply.status} Status", *(f"{name}: {value}" for name, value in fields)]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + reply.body

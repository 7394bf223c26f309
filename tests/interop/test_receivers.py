"""Receivers that are not hookkit accept what hookkit delivers, refuse what was tampered with, and the other way round.

The receivers are written in JavaScript: one as Logto's documentation tells its readers to, one with the reference
library of Standard Webhooks. What they get are real deliveries: through the outbox on disk, a worker, and a socket.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hookkit import Endpoint, OutboxDispatcher, Registry, VerificationError, Worker, schemes, verify_signature
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import HttpxTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hookkit import LogEntry, Reply, Request

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
PATIENCE = 30
"""Seconds after which a receiver that says nothing is taken for dead."""

KEYS = {"logto": "u7tsOhkGXZ3kQ9rY2vB5nC8mD1fA4wLp", "standard": "whsec_" + base64.b64encode(bytes(range(32))).decode()}
SCHEMES = {"logto": schemes.LOGTO, "standard": schemes.STANDARD}

DATA = [
    pytest.param({"id": "u1", "name": "Zoë", "tags": [], "age": 1.0, "big": 1e21, "none": None}, id="plain"),
    pytest.param({"text": "\u2028\u2029 \u0000 \U0001f600 </script> \\ \" '"}, id="odd characters"),
    pytest.param({"agent": "broken \ud83d emoji"}, id="lone surrogate"),
    pytest.param({"10": "a", "2": "b", "x": "c"}, id="keys like numbers"),
    pytest.param(None, id="nothing"),
    pytest.param({"blob": "x" * 200_000}, id="large"),
]


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    """Skip, and say how to go on, unless the npm packages are there."""
    if not (HERE / "node_modules" / "standardwebhooks").is_dir():
        pytest.skip("the npm packages are not installed; `nox -s interop` installs them")


class Receiver:
    """A receiver in a process of its own; it ends with its input."""

    def __init__(self, process: subprocess.Popen[str], key: str) -> None:
        self._lines: Queue[str] = Queue()
        self._reader = Thread(target=self._read, args=(process.stdout,))
        self._reader.start()
        process.stdin.write(key + "\n")
        process.stdin.flush()
        self.url = f"http://127.0.0.1:{self.next()['port']}/hook?x=1"

    def _read(self, output: Any) -> None:
        for line in output:
            self._lines.put(line)

    def next(self) -> dict[str, Any]:
        """Return what the receiver says next: of its port, then of each request."""
        return json.loads(self._lines.get(timeout=PATIENCE))

    def join(self) -> None:
        """Wait until the receiver has said its last."""
        self._reader.join(PATIENCE)


@contextmanager
def receiving(kind: str, key: str) -> Iterator[Receiver]:
    """Run a receiver of `kind` that verifies with `key`."""
    command = [shutil.which("node"), "receiver.mjs", kind]
    with subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            receiver = Receiver(process, key)
            yield receiver
        finally:
            process.stdin.close()
            process.wait(PATIENCE)
            receiver.join()


class Tampering:
    """A transport on whose way somebody changes the body."""

    def __init__(self, transport: HttpxTransport) -> None:
        self._transport = transport
        self.targets = transport.targets
        self.total_timeout = transport.total_timeout

    def send(self, request: Request) -> Reply:
        return self._transport.send(attrs.evolve(request, body=request.body.replace(b"u1", b"u2")))


class House:
    """A sender with everything on disk and a real transport."""

    def __init__(self, store: SQLiteStore, transport: HttpxTransport) -> None:
        self.registry = Registry(store, targets=LOOPBACK)
        self._dispatcher = OutboxDispatcher(store)
        self._store = store
        self._transport = transport

    def deliver(self, data: Any, *, event: str = "User.Created", tampered: bool = False, **fields: Any) -> LogEntry:
        """Emit one event for the one webhook there is, deliver it, and return its log entry."""
        (delivery_id,) = self._dispatcher.emit(event, data, **fields).delivery_ids
        transport = Tampering(self._transport) if tampered else self._transport
        assert Worker(self._store, targets=LOOPBACK, transport=transport).run_once() == 1
        return self.registry.entry(delivery_id)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A sender."""
    with closing(SQLiteStore(tmp_path / "hooks.db")) as store, HttpxTransport(targets=LOOPBACK) as transport:
        yield House(store, transport)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("data", DATA)
def test_a_delivery_verifies(house: House, kind: str, data: Any) -> None:
    """The receiver verifies a delivery, and reads from it what was emitted."""
    with receiving(kind, KEYS[kind]) as receiver:
        house.registry.create(Endpoint(receiver.url, "User.*", profile=kind, keys=KEYS[kind]))
        entry = house.deliver(data)
        request = receiver.next()
    assert request["problem"] == ""
    assert (entry.state, [attempt.status for attempt in entry.attempts]) == ("succeeded", [204])
    assert (request["method"], request["url"]) == ("POST", "/hook?x=1")
    assert request["headers"]["content-type"] == "application/json"
    body = base64.b64decode(request["body"])
    assert body == entry.body
    read = json.loads(body)
    assert read.get("data") == data
    assert read["type" if kind == "standard" else "event"] == "User.Created"


@pytest.mark.parametrize("data", DATA)
def test_a_logto_body_is_what_javascript_would_write(house: House, data: Any) -> None:
    """Parsed and written again by JavaScript, a LOGTO body is the same text: whoever signs that, too, verifies."""
    with receiving("logto", KEYS["logto"]) as receiver:
        house.registry.create(Endpoint(receiver.url, "*", profile="logto", keys=KEYS["logto"]))
        entry = house.deliver(data, context={"userAgent": "node", "ip": "::1"})
        request = receiver.next()
    assert request["json"].encode() == entry.body


@pytest.mark.parametrize("kind", KEYS)
def test_a_tampered_delivery_is_refused(house: House, kind: str) -> None:
    """A body changed on the way does not verify; the receiver's 401 is what the log says."""
    with receiving(kind, KEYS[kind]) as receiver:
        house.registry.create(Endpoint(receiver.url, "*", profile=kind, keys=KEYS[kind]))
        entry = house.deliver({"id": "u1"}, tampered=True)
        request = receiver.next()
    assert request["problem"]
    assert b"u2" in base64.b64decode(request["body"])
    assert [(attempt.status, attempt.reason) for attempt in entry.attempts] == [(401, "status")]
    assert entry.state == ("failed" if kind == "logto" else "pending")


@pytest.mark.parametrize("kind", KEYS)
def test_another_key_is_refused(house: House, kind: str) -> None:
    """A receiver with another key than the webhook's refuses the delivery."""
    with receiving(kind, KEYS[kind]) as receiver:
        house.registry.create(Endpoint(receiver.url, "*", profile=kind))
        entry = house.deliver({})
        assert receiver.next()["problem"]
    assert entry.attempts[0].status == 401


def test_both_keys_verify_while_a_rotation_overlaps(house: House) -> None:
    """During the overlap of a rotation, receivers with the old key and receivers with the new one both verify."""
    old = KEYS["standard"]
    with receiving("standard", old) as receiver:
        endpoint = house.registry.create(Endpoint(receiver.url, "*", keys=old))
        new = house.registry.rotate_key(endpoint.id, overlap=timedelta(hours=1))
        house.deliver({})
        assert receiver.next()["problem"] == ""
    with receiving("standard", new.value) as receiver:
        house.registry.update(endpoint.id, url=receiver.url)
        house.deliver({})
        assert receiver.next()["problem"] == ""


def signed(kind: str, body: bytes, *, key: str, seconds: int) -> dict[str, str]:
    """Return the headers with which the other side signs `body`."""
    given = {"key": key, "body": base64.b64encode(body).decode(), "id": "msg_1", "seconds": seconds}
    command = [shutil.which("node"), "sign.mjs", kind]
    ran = subprocess.run(
        command, cwd=HERE, input=json.dumps(given), capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return json.loads(ran.stdout)


@pytest.mark.parametrize("kind", KEYS)
def test_what_the_other_side_signs_verifies(kind: str) -> None:
    """``verify_signature`` accepts what the other side signed, and refuses it with one byte changed."""
    body = '{"event":"PostSignIn","name":"Zoë"}'.encode()
    now = int(time.time())
    headers = signed(kind, body, key=KEYS[kind], seconds=now)
    verified = verify_signature(body, headers, KEYS[kind], scheme=SCHEMES[kind], now=now)
    assert verified.json()["name"] == "Zoë"
    if kind == "standard":
        assert (verified.id, verified.timestamp) == ("msg_1", datetime.fromtimestamp(now, UTC))
    with pytest.raises(VerificationError, match=r"^bad_signature"):
        verify_signature(body.replace(b"Z", b"z"), headers, KEYS[kind], scheme=SCHEMES[kind], now=now)

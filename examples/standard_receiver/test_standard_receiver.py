"""Each receiver verifies, stores, answers at once, and does its work once. The same for three frameworks."""

from __future__ import annotations

import http.client
import json
import os
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hookkit import Endpoint, OutboxDispatcher, Registry, Worker
from hookkit.stores.memory import MemoryStore
from hookkit.targets import LOOPBACK
from hookkit.testing import sign_request

if TYPE_CHECKING:
    from conftest import Receiver

pytestmark = pytest.mark.examples

KEY = "whsec_" + "A" * 43 + "="
OTHER = "whsec_" + "B" * 43 + "="
BODY = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"id":"u_1"}}'


def post(url: str, headers: dict[str, str], body: bytes = BODY) -> int:
    """Send a request, and return the status."""
    named = {"content-type": "application/json", **headers}
    request = urllib.request.Request(url, body, named)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310 - likewise
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_what_hookkit_sends_is_worked_off(receiver: Receiver) -> None:
    """Events that a worker delivers are answered at the first attempt, and done, once each."""
    url, store = receiver.start(), MemoryStore()
    hook = Registry(store, targets=LOOPBACK).create(Endpoint(url, "user.*", keys=[KEY]))
    dispatcher = OutboxDispatcher(store)
    for number in range(5):
        dispatcher.emit("user.created", {"id": number})
    assert Worker(store, targets=LOOPBACK).drain() == 5
    entries = Registry(store, targets=LOOPBACK).recent(hook.id)
    assert Counter((one.state, one.attempts[-1].status) for one in entries) == {("succeeded", 204): 5}
    for number in range(5):
        receiver.written(rf"(done: user.created {{'id': {number}}})")
    rows = receiver.query("SELECT type, data FROM done")
    assert sorted(rows) == [("user.created", json.dumps({"id": number})) for number in range(5)]
    assert receiver.query("SELECT * FROM todo") == []


def test_a_repeat_is_done_once(receiver: Receiver) -> None:
    """Retries, replays and requests at the same time are answered with success, and nothing is done for them."""
    url, headers = receiver.start(), sign_request(BODY, KEY, id="evt_1")
    with ThreadPoolExecutor(6) as pool:
        statuses = Counter(pool.map(lambda _: post(url, headers), range(12)))
    assert set(statuses) <= {204, 503}
    receiver.written("(done: user.created)")
    receiver.end()
    url = receiver.start()
    assert post(url, sign_request(BODY, KEY, id="evt_1")) == 204  # a later attempt has another signature
    assert post(url, sign_request(BODY, KEY, id="evt_2")) == 204
    receiver.end()
    url = receiver.start()  # which does what is left
    receiver.end()
    assert len(receiver.query("SELECT * FROM done")) + len(receiver.query("SELECT * FROM todo")) == 2


def test_what_does_not_verify_is_refused(receiver: Receiver) -> None:
    """Changed, unsigned, signed by somebody else, or long ago; and what is no event, however well it is signed."""
    url, good = receiver.start(), sign_request(BODY, KEY)
    old = sign_request(BODY, KEY, at=datetime.now(UTC) - timedelta(minutes=6))
    refused = [(BODY + b" ", good), (BODY, {}), (b"", {}), (BODY, sign_request(BODY, OTHER)), (BODY, old)]
    assert [post(url, headers, body) for body, headers in refused] == [401] * 5
    for body in (b"", b"{", b"[]", b'{"type": 1}'):
        assert post(url, sign_request(body, KEY), body) == 400
    with closing(http.client.HTTPConnection(url.split("/")[2], timeout=60)) as connection:
        connection.putrequest("POST", "/hooks")
        connection.putheader("content-length", "1048577")
        connection.endheaders()  # it is refused before any of it is read
        assert connection.getresponse().status == 413
    assert receiver.query("SELECT * FROM todo") == receiver.query("SELECT * FROM done") == []


def test_both_keys_are_good_while_they_are_rotated(receiver: Receiver) -> None:
    """The new one and the old one."""
    url = receiver.start(f"{OTHER} {KEY}")
    assert [post(url, sign_request(BODY, key, id=f"evt_{key[-5]}")) for key in (KEY, OTHER)] == [204, 204]


def test_what_cannot_be_stored_is_not_answered_with_success(receiver: Receiver) -> None:
    """Its note in the inbox goes with it, so the sender's next attempt is the first again."""
    url, headers = receiver.start(), sign_request(BODY, KEY, id="evt_1")
    receiver.query("CREATE TRIGGER no BEFORE INSERT ON todo BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert post(url, headers) == 500
    receiver.query("DROP TRIGGER no")
    assert post(url, headers) == 204
    receiver.written("(done: user.created)")


def test_a_locked_database_loses_nothing(receiver: Receiver) -> None:
    """While somebody else holds the lock a webhook waits, and is taken then."""
    url, headers = receiver.start(), sign_request(BODY, KEY)
    with closing(sqlite3.connect(receiver.folder / "receiver.db")) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(post, url, headers)
        assert not waiting.done()
        other.rollback()
        assert waiting.result() == 204
    receiver.written("(done: user.created)")


def test_work_that_a_crash_interrupts_is_done_after_it(receiver: Receiver) -> None:
    """What was answered with success is in the database, and begun anew; what cannot be done keeps nobody waiting."""
    url = receiver.start()
    receiver.query(
        "CREATE TRIGGER no BEFORE INSERT ON done WHEN NEW.type = 'user.created' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    assert post(url, sign_request(BODY, KEY)) == 204
    receiver.written("(a user.created is left for later)")
    other = BODY.replace(b"created", b"deleted")
    assert post(url, sign_request(other, KEY, id="evt_2"), other) == 204
    receiver.written("(done: user.deleted)")
    receiver.end(9)
    receiver.query("DROP TRIGGER no")
    receiver.start()
    receiver.written("(done: user.created)")


def test_the_key_stays_here(receiver: Receiver) -> None:
    """Neither the key nor a signature is in the log or in the database."""
    url, headers = receiver.start(), sign_request(BODY, KEY)
    assert post(url, headers) == 204
    assert post(url, headers, BODY + b" ") == 401
    receiver.written("(done: user.created)")
    receiver.end()
    stored = b"".join(path.read_bytes() for path in receiver.folder.glob("receiver.db*"))
    for text in ("\n".join(receiver.lines), stored.decode("latin-1")):
        assert [secret for secret in (KEY, KEY[6:], headers["webhook-signature"][3:]) if secret in text] == []
    assert "bad_signature" in "\n".join(receiver.lines)
    assert b"user.created" in stored


@pytest.mark.parametrize("framework", ["fastapi", "flask", "django"])
def test_without_a_key_it_does_not_start(framework: str) -> None:
    """It ends, and says why."""
    command = [sys.executable, str(Path(__file__).with_name(f"{framework}_app.py")), "--port", "0"]
    environment = {**os.environ, "WEBHOOK_KEY": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 1
    assert "InvalidKey" in done.stderr

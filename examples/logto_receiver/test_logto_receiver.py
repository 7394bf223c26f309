"""What Logto sends arrives over HTTP, is verified, and is handled once."""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Any

import pytest

from hookkit import Endpoint, OutboxDispatcher, Registry, Worker, schemes
from hookkit.catalogs.logto import CATALOG
from hookkit.stores.memory import MemoryStore
from hookkit.targets import LOOPBACK
from hookkit.testing import sign_request

if TYPE_CHECKING:
    from conftest import Receiver

pytestmark = pytest.mark.examples

KEY = "canary-signing-key"
# Bodies with the signatures that Logto's own code makes of them.
VECTORS = json.loads((Path(__file__).parents[2] / "tests/vectors/logto.json").read_text(encoding="utf-8"))
EVENTS = [vector for vector in VECTORS if '"event"' in vector["body"]]


def post(url: str, body: bytes, **headers: str) -> int:
    """Send a request as Logto does, and return the status."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, {"content-type": "application/json", **named})  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - likewise
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def send(url: str, event: str, at: datetime | None = None, **fields: Any) -> int:
    """Send a signed event of now, unless `at` says otherwise; return the status."""
    created = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = json.dumps({"event": event, "createdAt": created, **fields, "hookId": "hook_id"}).encode()
    return post(url, body, **sign_request(body, KEY, scheme=schemes.LOGTO))


def user(email: str, updated: int, suspended: bool = False) -> dict[str, Any]:  # noqa: FBT001, FBT002 - a column
    """Return a user as Logto sends it."""
    return {"id": "u_1", "primaryEmail": email, "isSuspended": suspended, "updatedAt": updated}


def test_logtos_own_signatures_verify(receiver: Receiver) -> None:
    """Every body of the vectors, with the signature that Logto made of it, is taken; changed by a byte, it is not."""
    keys = " ".join({vector["key"] for vector in VECTORS})
    url = receiver.start(keys, MAX_AGE_DAYS="36500")
    for vector in VECTORS:
        body, header = vector["body"].encode(), {"logto_signature_sha_256": vector["signature"]}
        assert post(url, body, **header) == (204 if vector in EVENTS else 400), vector["name"]  # some are no events
        assert post(url, body + b" ", **header) == 401
        assert post(url, body) == 401
    assert receiver.query("SELECT email FROM users") == [("fake-user@fake-service.com",)]
    assert receiver.query("SELECT * FROM members") == [("o1", "u_001")]
    assert receiver.query("SELECT event FROM audit ORDER BY event") == [("Identifier.Lockout",), ("Role.Created",)]


def test_all_31_events_are_taken(receiver: Receiver) -> None:
    """Sent by hookkit, with the bodies that Logto's code makes, each is answered with a 2xx at the first attempt."""
    url, store = receiver.start(), MemoryStore()
    hook = Registry(store, targets=LOOPBACK).create(Endpoint(url, "*", profile="logto", keys=[KEY]))
    dispatcher = OutboxDispatcher(store)
    for name in CATALOG:
        context = {**CATALOG[name].example}
        dispatcher.emit(name, context.pop("data", None), context=context)
    assert Worker(store, targets=LOOPBACK).drain() == 31
    entries = Registry(store, targets=LOOPBACK).recent(hook.id, limit=50)
    assert Counter((one.state, one.attempts[-1].status) for one in entries) == {("succeeded", 204): 31}
    acted = {"PostRegister", "PostSignIn", "User.Created", "User.Deleted", "User.Data.Updated"}
    acted |= {"User.SuspensionStatus.Updated", "Organization.Membership.Updated"}
    assert {event for _, event, _ in receiver.query("SELECT * FROM audit")} == set(CATALOG) - acted


def test_the_projection_follows(receiver: Receiver) -> None:
    """Users and members are what the last events made of them, in whatever order they come."""
    url = receiver.start()
    assert send(url, "PostRegister", user=user("ada@example.com", 1)) == 204
    assert send(url, "User.Data.Updated", data=user("lovelace@example.com", 3)) == 204
    assert send(url, "User.SuspensionStatus.Updated", data=user("ada@example.com", 2, suspended=True)) == 204
    assert send(url, "User.Data.Updated", data={"theme": "dark"}) == 204
    assert receiver.query("SELECT * FROM users") == [("u_1", "lovelace@example.com", 0, 3)]
    assert send(url, "Organization.Membership.Updated", organizationId="o1", addedUserIds=["u_1", "u_2"]) == 204
    assert send(url, "Organization.Membership.Updated", organizationId="o1", removedUserIds=["u_2"]) == 204
    assert send(url, "Organization.Membership.Updated", organizationId="o1") == 204
    assert receiver.query("SELECT * FROM members") == [("o1", "u_1")]
    assert send(url, "User.Deleted", params={"userId": "u_1"}) == 204
    assert receiver.query("SELECT * FROM users") == receiver.query("SELECT * FROM members") == []


def test_a_repeat_is_handled_once(receiver: Receiver) -> None:
    """Sent again, at the same time, or after a restart: it is answered with success, and nothing is done."""
    now = datetime.now(UTC)
    url = receiver.start()
    with ThreadPoolExecutor(6) as pool:
        statuses = Counter(pool.map(lambda _: send(url, "Role.Created", now, data={}), range(12)))
    assert set(statuses) <= {204, 503}
    receiver.end()
    assert send(receiver.start(), "Role.Created", now, data={}) == 204
    assert len(receiver.query("SELECT * FROM audit")) == 1


def test_what_fails_is_rolled_back(receiver: Receiver) -> None:
    """If handling fails, nothing of it stays, and the next attempt is the first again."""
    url, now = receiver.start(), datetime.now(UTC)
    receiver.query("CREATE TRIGGER no AFTER DELETE ON members BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert send(url, "User.Created", data=user("ada@example.com", 1)) == 204
    assert send(url, "Organization.Membership.Updated", organizationId="o1", addedUserIds=["u_1"]) == 204
    assert send(url, "User.Deleted", now, data=user("ada@example.com", 1)) == 500
    assert len(receiver.query("SELECT * FROM users")) == 1
    receiver.query("DROP TRIGGER no")
    assert send(url, "User.Deleted", now, data=user("ada@example.com", 1)) == 204
    assert receiver.query("SELECT * FROM users") == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"event": 1, "createdAt": "2026-01-31T09:30:00Z"}', b'{"createdAt": {}}']
)
def test_what_is_no_event_is_refused(receiver: Receiver, body: bytes) -> None:
    """However well it is signed."""
    assert post(receiver.start(), body, **sign_request(body, KEY, scheme=schemes.LOGTO)) == 400


def test_what_is_old_is_refused(receiver: Receiver) -> None:
    """Logto's signature covers no time of sending, so the body's own is looked at: both ways, with a zone or not."""
    url, day = receiver.start(), timedelta(days=1, minutes=1)
    for at in (datetime.now(UTC) - day, datetime.now(UTC) + day):
        assert send(url, "Role.Created", at) == 400
    body = b'{"event": "Role.Created", "createdAt": "2026-01-31T09:30:00"}'
    assert post(url, body, **sign_request(body, KEY, scheme=schemes.LOGTO)) == 400


def test_a_locked_database_loses_nothing(receiver: Receiver) -> None:
    """While somebody else holds the lock, a webhook waits for it, and is handled then."""
    url = receiver.start()
    with closing(sqlite3.connect(receiver.folder / "receiver.db")) as other, ThreadPoolExecutor(1) as pool:
        other.execute("BEGIN IMMEDIATE")
        waiting = pool.submit(send, url, "Role.Created", data={})
        assert post(url, b"{}") == 401  # others are answered meanwhile
        other.rollback()
        assert waiting.result() == 204


def test_the_key_stays_here(receiver: Receiver) -> None:
    """Neither the key nor a signature is in the log or in the database."""
    url = receiver.start()
    body = json.dumps({"event": "Role.Created", "createdAt": datetime.now(UTC).isoformat()}).encode()
    headers = sign_request(body, KEY, scheme=schemes.LOGTO)
    assert post(url, body, **headers) == 204
    assert post(url, body + b" ", **headers) == 401
    receiver.end()
    stored = b"".join(path.read_bytes() for path in receiver.folder.glob("receiver.db*"))
    for text in ("\n".join(receiver.lines), stored.decode("latin-1")):
        assert [secret for secret in (KEY, *headers.values()) if secret in text] == []
    assert "bad_signature" in "\n".join(receiver.lines)
    assert b"Role.Created" in stored


def test_without_a_key_it_does_not_start() -> None:
    """It ends, and says why."""
    environment = {**os.environ, "LOGTO_SIGNING_KEY": ""}
    command = [sys.executable, str(Path(__file__).with_name("app.py")), "--port", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    assert done.returncode == 1
    assert "hookkit.errors.InvalidKey" in done.stderr

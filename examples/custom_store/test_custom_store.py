"""Webhooks are added and users sign up over HTTP; what arrives, and what the host's own tables say of it."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.examples

ADA = "ada@example.com"
PASSWORD = "canary-password"  # noqa: S105 - made up, to be looked for


def sign_up(client: httpx.Client, email: str = ADA) -> httpx.Response:
    """Sign up."""
    return client.post("/users", data={"email": email, "password": PASSWORD})


def sign_in(client: httpx.Client) -> str:
    """Sign in; return the cookie."""
    assert client.post("/login", data={"email": ADA, "password": PASSWORD}).status_code == 204
    return client.cookies["session"]


def test_events_arrive_and_the_own_log_tells(server: Server) -> None:
    """Signed with the row's key; the log's own tables have what became of each, once the worker is through."""
    with server.start() as client:
        hook = server.subscribe(client, "user.*")
        user = sign_up(client).json()["id"]
        server.receiver.wait(1)
        sign_in(client)
        server.receiver.wait(2)
        server.end()
        rows = server.query("SELECT event_type, state, tries FROM webhook_log WHERE endpoint_id = ? ORDER BY at", hook)
    assert rows == [("user.created", "succeeded", 1), ("user.signed_in", "succeeded", 1)]
    with server.start() as client:
        shown = client.get(f"/subscriptions/{hook}/log").json()
    assert (shown["active"], shown["state"], shown["success_rate"]) == (True, "healthy", 1)
    assert shown["entries"] == [
        {"event": name, "state": "succeeded", "tries": 1, "status": 204} for name in ("user.signed_in", "user.created")
    ]
    assert server.told() == [("user.created", {"id": user, "email": ADA}), ("user.signed_in", {"id": user})]


def test_what_hookkit_disables_is_seen_in_the_row(server: Server) -> None:
    """A receiver that is gone turns the row off, and a restart leaves it so; turned on, it gets what was held."""
    server.receiver.answer(410, 204)
    with server.start() as client:
        hook = server.subscribe(client, "user.created")
        sign_up(client)
        server.receiver.wait(1)
        server.end()
        assert server.query("SELECT active FROM subscriptions") == [(0,)]
    with server.start() as client:
        sign_up(client, "grace@example.com")
        shown = client.get(f"/subscriptions/{hook}/log").json()
        assert (shown["active"], shown["state"]) == (False, "disabled")
        assert [one["status"] for one in shown["entries"]] == [410]
        assert client.patch(f"/subscriptions/{hook}", data={"active": "true"}).status_code == 204
        server.receiver.wait(2)
    assert [data["email"] for _, data in server.told()] == [ADA, "grace@example.com"]


def test_the_store_follows_the_table(server: Server) -> None:
    """Rows that were changed past the application, or just before a crash, count from the next start on."""
    with server.start() as client:
        hook, other = server.subscribe(client, "user.deleted"), server.subscribe(client, "*")
        server.end(signal.SIGKILL)
    server.query("UPDATE subscriptions SET topics = '[\"user.created\"]' WHERE id = ?", hook)
    server.query("DELETE FROM subscriptions WHERE id = ?", other)
    with server.start() as client:
        sign_up(client)
        server.receiver.wait(1)
        assert client.patch(f"/subscriptions/{hook}", data={"active": "false"}).status_code == 204
        sign_up(client, "grace@example.com")
        assert client.delete(f"/subscriptions/{hook}").status_code == 204
        sign_up(client, "joan@example.com")
        assert client.get(f"/subscriptions/{hook}/log").status_code == 404
    server.keys = server.keys[:1]
    assert [data["email"] for _, data in server.told()] == [ADA]
    rows = server.query("SELECT state, reason, tries FROM webhook_log ORDER BY created_at")
    assert rows == [("succeeded", "", 1), ("failed", "removed", 0)]


@pytest.mark.parametrize(("url", "topic"), [("https://10.0.0.1/", "user.*"), ("nonsense", "*"), ("", "user created")])
def test_a_webhook_that_is_not_right_is_refused(server: Server, url: str, topic: str) -> None:
    """Neither table has it, and neither has a change for the worse."""
    with server.start() as client:
        hook = server.subscribe(client, "user.*")
        before = server.query("SELECT * FROM subscriptions")
        asked = {"url": url or server.receiver.url, "topic": topic}
        assert client.post("/subscriptions", data=asked).status_code == 400
        assert client.patch(f"/subscriptions/{hook}", data=asked).status_code == 400
        assert server.query("SELECT * FROM subscriptions") == before
    server.end()


def test_what_is_rolled_back_is_told_to_nobody(server: Server) -> None:
    """A sign-up that fails at its commit, when its event has been emitted already, is told to nobody."""
    with server.start() as client:
        server.subscribe(client, "*")
        assert sign_up(client).status_code == 201
        assert sign_up(client).json() == {"error": "this address is taken"}
        assert sign_up(client, "grace@example.com").status_code == 201
    assert [data["email"] for _, data in server.told()] == [ADA, "grace@example.com"]


def test_no_secret_reaches_a_webhook(server: Server) -> None:
    """No password, hash, cookie or key is in what was sent, in hookkit's events, in the own log, or logged."""
    with server.start() as client:
        server.subscribe(client, "*")
        sign_up(client)
        secrets = [PASSWORD, sign_in(client)]
        server.receiver.wait(2)
    assert len(server.told()) == 2
    secrets += [row[0] for row in server.query("SELECT password FROM users")]
    sent = b"".join(repr((one.target, one.headers)).encode() + one.body for one in server.receiver.requests)
    tables = server.query(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND (name LIKE 'hookkit%' OR name = 'webhook_log')"
    )
    # Keys are at home in `subscriptions`, and in hookkit's copy of it, which a vault seals.
    stored = {table: repr(server.query(f"SELECT * FROM {table}")) for (table,) in tables}  # noqa: S608 - our own
    for text in (sent.decode(), *stored.values(), "\n".join(server.lines)):
        assert [secret for secret in secrets if secret in text] == []
    assert server.keys[0] not in sent.decode() + stored["webhook_log"] + "\n".join(server.lines)
    assert "user.signed_in" in stored["webhook_log"]
    file = b"".join(path.read_bytes() for path in server.folder.glob("app.db*"))
    assert [secret for secret in secrets[:2] if secret.encode() in file] == []


def test_a_login_waits_for_no_locked_database(server: Server) -> None:
    """While somebody else holds the database's lock, users sign in; it is told when the lock is gone."""
    with server.start() as client:
        server.subscribe(client, "*")
        sign_up(client)
        server.receiver.wait(1)
        with closing(sqlite3.connect(server.folder / "app.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(5):
                sign_in(client)
            assert len(server.receiver.requests) == 1
            other.rollback()
        server.receiver.wait(6)
    assert Counter(name for name, _ in server.told()) == {"user.created": 1, "user.signed_in": 5}


def test_a_login_waits_for_no_endpoint(server: Server) -> None:
    """While every request to the webhook hangs, users sign up and in."""
    answered = threading.Event()
    server.receiver.answer(lambda _: 204 if answered.wait(60) else 500)
    try:
        with server.start() as client:
            server.subscribe(client, "*")
            sign_up(client)
            server.receiver.wait(1)
            for _ in range(5):
                sign_in(client)
            server.receiver.wait(4)  # as many as this webhook may have at once: they hang, too
            assert sign_up(client, "grace@example.com").status_code == 201
    finally:
        answered.set()
    assert Counter(name for name, _ in server.told()) == {"user.created": 2, "user.signed_in": 5}

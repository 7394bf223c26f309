"""Users sign up and in over HTTP; their webhooks leave through the proxy, and through nothing else."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from egress_proxy import Proxy

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


def test_events_leave_through_the_proxy(server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    """Sign-up, sign-in and a test payload arrive and verify; each had a tunnel of its own."""
    with server.start() as client:
        user = sign_up(client).json()["id"]
        server.receiver.wait(1)
        sign_in(client)
        server.receiver.wait(2)
        assert client.post("/webhooks/test").json() == [
            {"event": "webhook.test", "ok": True, "status": 204, "reason": ""}
        ]
    assert server.told() == [
        ("user.created", {"id": user, "email": ADA}),
        ("user.signed_in", {"id": user}),
        ("webhook.test", {}),
    ]
    tunnels = [line for line in capfd.readouterr().out.splitlines() if line.startswith("proxy: ")]
    assert tunnels == [f"proxy: CONNECT {server.receiver.url.split('/')[2]}"] * 3


def test_without_the_proxy_nothing_leaves(server: Server, proxy: Proxy) -> None:
    """Not past it either: the delivery waits for its next attempt, and users notice nothing."""
    proxy.allowed = ()
    with server.start() as client:
        sign_up(client)
        sign_in(client)
        assert client.post("/webhooks/test").json() == [
            {"event": "webhook.test", "ok": False, "status": None, "reason": "connect"}
        ]
        assert server.receiver.requests == []
        proxy.allowed = ("127.0.0.1",)
        server.receiver.wait(2, timeout=30)  # five seconds later
    assert Counter(name for name, _ in server.told()) == {"user.created": 1, "user.signed_in": 1}


def test_what_is_rolled_back_is_told_to_nobody(server: Server) -> None:
    """A sign-up that fails after its event was emitted is told to nobody."""
    with server.start() as client:
        assert sign_up(client).status_code == 201
        assert sign_up(client).json() == {"error": "this address is taken"}
        assert sign_up(client, "grace@example.com").status_code == 201
    assert [data["email"] for _, data in server.told()] == [ADA, "grace@example.com"]


def test_no_secret_reaches_a_webhook(server: Server) -> None:
    """No password, hash or cookie, nor what the proxy asks for, is in what was sent, in hookkit's tables, or logged."""
    with server.start() as client:
        sign_up(client)
        secrets = [PASSWORD, sign_in(client), "canary-proxy", "Y2FuYXJ5"]  # the last two: plain, and in base64
        client.post("/webhooks/test")
    assert len(server.told()) == 3
    ((hashed,),) = server.query("SELECT password FROM users")
    sent = b"".join(repr((one.target, one.headers)).encode() + one.body for one in server.receiver.requests)
    tables = server.query("SELECT name FROM sqlite_master WHERE name LIKE 'hookkit%' AND type = 'table'")
    stored = "\n".join(repr(server.query(f"SELECT * FROM {table}")) for (table,) in tables)  # noqa: S608 - our own
    for text in (sent.decode(), stored, "\n".join(server.lines)):
        assert [secret for secret in (*secrets, hashed) if secret in text] == []
    assert "user.signed_in" in stored, "these are the tables that events are stored in"
    # A hash is at home in this file, which is the users' own. What it is made of is not.
    file = b"".join(path.read_bytes() for path in server.folder.glob("app.db*"))
    assert [secret for secret in secrets if secret.encode() in file] == []


def test_a_login_waits_for_no_locked_database(server: Server) -> None:
    """While somebody else holds the database's lock, users sign in; it is told when the lock is gone."""
    with server.start() as client:
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
            sign_up(client)
            server.receiver.wait(1)
            for _ in range(5):
                sign_in(client)
            server.receiver.wait(4)  # as many as this webhook may have at once: they hang, too
            assert sign_up(client, "grace@example.com").status_code == 201
    finally:
        answered.set()
    assert Counter(name for name, _ in server.told()) == {"user.created": 2, "user.signed_in": 5}

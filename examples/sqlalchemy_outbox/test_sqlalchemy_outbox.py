"""A user signs up, signs in and so on over HTTP; what webhooks are told of it, and what they are not."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.examples

ADA = "ada@example.com"
PASSWORD = "canary-password-1"  # noqa: S105 - made up, to be looked for
NEW = "canary-password-2"


def sign_up(client: httpx.Client, email: str = ADA) -> httpx.Response:
    """Sign up."""
    return client.post("/users", json={"email": email, "password": PASSWORD})


def sign_in(client: httpx.Client, password: str = PASSWORD) -> str:
    """Sign in; return the cookie, which the client sends from now on."""
    assert client.post("/login", json={"email": ADA, "password": password}).status_code == 204
    return client.cookies["session"]


def tables(server: Server) -> list[str]:
    """Return the names of hookkit's tables."""
    found = server.query("SELECT name FROM sqlite_master WHERE name LIKE 'hookkit%' AND type = 'table'")
    return [name for (name,) in found]


def live(server: Server, client: httpx.Client) -> tuple[dict[str, str], list[str], list[str]]:
    """Do everything a user can do, once; return ids, the secrets that were about, and the hashes of such."""
    user = sign_up(client).json()["id"]
    first = sign_in(client)
    hashes = [*server.query("SELECT password FROM users")[0]]
    answer = client.post("/me/tokens", json={"name": "backup"})
    token, secret = answer.json()["id"], answer.json()["token"]
    hashes += server.query("SELECT digest FROM tokens")[0]
    program = {"authorization": f"Bearer {secret}"}
    me = client.base_url.join("/me")
    assert httpx.get(me, headers=program).json() == {"id": user, "email": ADA}
    assert client.put("/me/password", json={"old": PASSWORD, "new": NEW}).status_code == 204
    hashes += server.query("SELECT password FROM users")[0]
    assert httpx.get(me, headers={"cookie": f"session={first}"}).status_code == 401
    second = client.cookies["session"]
    assert client.delete(f"/me/tokens/{token}").status_code == 204
    assert httpx.get(me, headers=program).status_code == 401
    assert client.delete("/me").status_code == 204
    assert client.get("/me").status_code == 401
    return {"user": user, "token": token}, [PASSWORD, NEW, first, second, secret], hashes


def test_each_change_is_told(server: Server) -> None:
    """A whole life of a user arrives as events: verified, once each, complete, and in the order of their times."""
    with server.start() as client:
        ids, _, _ = live(server, client)
    user, token = ids["user"], ids["token"]
    assert server.told() == [
        ("user.created", {"id": user, "email": ADA}),
        ("user.signed_in", {"id": user}),
        ("token.created", {"id": token, "user_id": user, "name": "backup"}),
        ("user.password.changed", {"id": user}),
        ("token.revoked", {"id": token, "user_id": user}),
        ("user.deleted", {"id": user}),
    ]


def test_no_secret_reaches_a_webhook(server: Server) -> None:
    """No password, hash, token or cookie is in what was sent, in hookkit's tables, or in the log."""
    with server.start() as client:
        _, secrets, hashes = live(server, client)
    assert len({*secrets, *hashes}) == 8
    assert len(server.told()) == 6
    sent = b"".join(repr((one.target, one.headers)).encode() + one.body for one in server.receiver.requests)
    kept = "\n".join(repr(server.query(f"SELECT * FROM {table}")) for table in tables(server))  # noqa: S608 - our own
    for text in (sent.decode(), kept, "\n".join(server.lines)):
        assert [secret for secret in (*secrets, *hashes) if secret in text] == []
    assert "user.password.changed" in kept, "these are the tables that events are stored in"
    # Hashes are at home in this file, which is the users' own. What they are made of is not.
    stored = b"".join(path.read_bytes() for path in server.folder.glob("app.db*"))
    assert [secret for secret in secrets if secret.encode() in stored] == []


def test_what_is_rolled_back_is_told_to_nobody(server: Server) -> None:
    """A sign-up that fails at its commit, when its event has been emitted already, is told to nobody."""
    with server.start() as client:
        assert sign_up(client).status_code == 201
        assert sign_up(client).json() == {"detail": "this address is taken"}
        assert sign_up(client, "grace@example.com").status_code == 201
    assert [data["email"] for _, data in server.told()] == [ADA, "grace@example.com"]


def test_a_change_whose_event_cannot_be_stored_is_not_made(server: Server) -> None:
    """If hookkit's tables cannot be written, nobody is created that webhooks would never hear of; logins go on."""
    with server.start() as client:
        assert sign_up(client).status_code == 201
        server.receiver.wait(1)
        for table in tables(server):
            server.query(f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")
        answer = client.post(
            "/users",
            json={"email": "grace@example.com", "password": PASSWORD},
            headers={"connection": "close"},  # uvicorn hangs up after an error of this kind
        )
        assert answer.status_code == 500
        assert server.query("SELECT email FROM users") == [(ADA,)]
        sign_in(client)
        assert client.get("/me").status_code == 200
        server.written("(a user.signed_in is not told yet)")
    server.end()


def test_a_login_waits_for_no_locked_database(server: Server) -> None:
    """While somebody else holds the database's lock, users sign in; it is told when the lock is gone."""
    with server.start() as client:
        assert sign_up(client).status_code == 201
        server.receiver.wait(1)
        with closing(sqlite3.connect(server.folder / "app.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(5):
                sign_in(client)
            assert client.get("/me").status_code == 200
            assert len(server.receiver.requests) == 1
            other.rollback()
        server.receiver.wait(6)
    assert Counter(name for name, _ in server.told()) == {"user.created": 1, "user.signed_in": 5}


def test_a_login_waits_for_no_endpoint(server: Server) -> None:
    """While every request to the webhook hangs, users sign up, sign in and change their passwords."""
    answered = threading.Event()
    server.receiver.answer(lambda _: 204 if answered.wait(60) else 500)
    try:
        with server.start() as client:
            assert sign_up(client).status_code == 201
            server.receiver.wait(1)
            for _ in range(5):
                sign_in(client)
            server.receiver.wait(4)  # as many as this webhook may have at once: they hang, too
            assert client.put("/me/password", json={"old": PASSWORD, "new": NEW}).status_code == 204
    finally:
        answered.set()
    names = Counter(name for name, _ in server.told())
    assert names == {"user.created": 1, "user.signed_in": 5, "user.password.changed": 1}


def test_many_at_once_are_told_once_each(server: Server) -> None:
    """Users who sign up at the same time, some with the same address, wait for each other; one event for each user."""
    emails = [f"user{number}@example.com" for number in range(12)] * 2
    with server.start() as client, ThreadPoolExecutor(8) as pool:
        statuses = Counter(answer.status_code for answer in pool.map(lambda email: sign_up(client, email), emails))
    assert statuses == {201: 12, 400: 12}
    assert sorted(data["email"] for _, data in server.told()) == sorted(set(emails))

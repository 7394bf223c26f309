"""A user signs up, signs in and so on over HTTP; what webhooks are told of it, and what they are not."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.examples

ADA = "ada@example.com"
PASSWORD = "canary-password-1"  # noqa: S105 - made up, to be looked for


def sign_up(client: httpx.Client, email: str = ADA, password: str = PASSWORD) -> str:
    """Sign up; return the user's id."""
    answer = client.post("/auth/register", json={"email": email, "password": password})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def sign_in(client: httpx.Client, email: str = ADA, password: str = PASSWORD) -> str:
    """Sign in; return the token, which the client sends from now on."""
    answer = client.post("/auth/login", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    token = str(answer.json()["access_token"])
    client.headers["authorization"] = f"Bearer {token}"
    return token


def live(server: Server, client: httpx.Client, wait: Callable[[int], object] = lambda _: None) -> tuple[str, list[str]]:
    """Do everything a user can do, once; return the user's id, and every secret that was about.

    Before what comes next, `wait` is called with the number of events that there must be.
    """
    secrets = [PASSWORD, "canary-password-2", "canary-password-3", "canary-cookie"]
    client.cookies.set("theirs", "canary-cookie")
    user = sign_up(client)
    wait(1)
    assert client.post("/auth/request-verify-token", json={"email": ADA}).status_code == 202
    secrets.append(server.written(f"mail to {ADA}: verify (.+)"))
    wait(2)
    assert client.post("/auth/verify", json={"token": secrets[-1]}).status_code == 200
    wait(3)
    secrets.append(sign_in(client))
    wait(4)
    hashes = "SELECT hashed_password FROM user"
    secrets += [row[0] for row in server.users(hashes)]
    assert client.patch("/users/me", json={"password": "canary-password-2"}).status_code == 200
    wait(5)
    secrets += [row[0] for row in server.users(hashes)]
    assert client.patch("/users/me", json={"email": "lovelace@example.com"}).status_code == 200
    wait(6)
    assert client.post("/auth/forgot-password", json={"email": "lovelace@example.com"}).status_code == 202
    secrets.append(server.written("mail to lovelace@example.com: reset (.+)"))
    wait(7)
    reset = {"token": secrets[-1], "password": "canary-password-3"}
    assert client.post("/auth/reset-password", json=reset).status_code == 200
    wait(8)
    secrets += [row[0] for row in server.users(hashes)]
    assert client.post("/auth/logout").status_code == 204
    assert client.get("/users/me").status_code == 401  # no hook has told of this; the next one does
    # Users are deleted by a superuser, here themselves.
    server.users("UPDATE user SET is_superuser = 1")
    secrets.append(sign_in(client, "lovelace@example.com", "canary-password-3"))
    wait(10)
    assert client.delete(f"/users/{user}").status_code == 204
    wait(11)
    assert len(set(secrets)) == 11
    return user, secrets


def test_each_hook_tells_what_happened(server: Server) -> None:
    """A whole life of a user arrives as events, each at once: verified, once, complete, in the order of their times."""
    with server.start(SWEEP_EVERY="3600") as client:
        user, _ = live(server, client, server.receiver.wait)
    flags = {"is_active": True, "is_superuser": False, "is_verified": False}
    lovelace = {"id": user, "email": "lovelace@example.com", **flags, "changed": ["email", "is_verified"]}
    expected: list[tuple[str, Any]] = [
        ("user.created", {"id": user, "email": ADA, **flags}),
        ("user.verification.requested", {"id": user}),
        ("user.email.verified", {"id": user, "email": ADA, **flags, "is_verified": True}),
        ("session.created", {"user_id": user}),
        ("user.password.changed", {"id": user}),
        ("user.updated", lovelace),
        ("user.password.forgotten", {"id": user}),
        ("user.password.changed", {"id": user}),
        ("session.revoked", {"user_id": user}),
        ("session.created", {"user_id": user}),
        ("user.deleted", {"id": user}),
    ]
    assert server.told() == expected


def test_no_secret_reaches_a_webhook(server: Server) -> None:
    """No password, hash, mailed token, access token or cookie is in what was sent, stored, noted or logged."""
    with server.start() as client:
        with closing(sqlite3.connect(server.folder / "hooks.db")) as other:
            other.execute("BEGIN IMMEDIATE")  # so that the notes of it all are still there to be looked at
            _, secrets = live(server, client)
            noted = repr(server.users("SELECT * FROM untold"))
            assert noted.count("canary") == 0
            assert noted.count("user.password.changed") == 2
        assert len(server.told()) == 11
    sent = b"".join(repr((one.target, one.headers)).encode() + one.body for one in server.receiver.requests)
    stored = b"".join(path.read_bytes() for path in server.folder.glob("hooks.db*"))
    logged = "\n".join(line for line in server.lines if not line.startswith("mail to "))
    for text in (sent.decode(), stored.decode("latin-1"), logged, noted):
        assert [secret for secret in secrets if secret in text] == []
    assert b"user.password.forgotten" in stored, "this is the file that events are stored in"


def test_what_was_committed_is_told_after_a_crash(server: Server) -> None:
    """Killed between the commit of a user and the emit, the server tells of the user when it is started again."""
    with server.start() as client, closing(sqlite3.connect(server.folder / "hooks.db")) as other:
        other.execute("BEGIN IMMEDIATE")  # nothing can be emitted
        user = sign_up(client)
        sign_in(client)
        server.end(signal.SIGKILL)
    assert [row[0] for row in server.users("SELECT type FROM untold ORDER BY occurred_at")] == [
        "user.created",
        "session.created",
    ]
    server.start().close()
    server.receiver.wait(2)
    assert [(name, data.get("id", data.get("user_id"))) for name, data in server.told()] == [
        ("user.created", user),
        ("session.created", user),
    ]


def test_what_was_emitted_and_not_forgotten_is_sent_once(server: Server) -> None:
    """Killed between the emit and the deletion of the note, the server emits a repeat, which is sent to nobody."""
    with server.start() as client:
        # The users' database lets no note go.
        server.users("CREATE TRIGGER keep BEFORE DELETE ON untold BEGIN SELECT RAISE(ABORT, 'kept'); END")
        sign_up(client)
        server.receiver.wait(1)
        server.written("(webhooks are not told yet)")
        server.end(signal.SIGKILL)
    assert len(server.users("SELECT * FROM untold")) == 1
    server.users("DROP TRIGGER keep")
    server.start().close()
    assert [name for name, _ in server.told()] == ["user.created"]
    assert len(server.receiver.requests) == 1


def test_two_servers_that_sweep_tell_of_each_user_once(server: Server) -> None:
    """Both find what either has noted, and emit it at the same time; each user is told of once."""
    emails = [f"user{number}@example.com" for number in range(12)]
    other = type(server)(server.folder, server.receiver)
    with server.start() as here:
        try:
            with other.start() as there, ThreadPoolExecutor(4) as pool:
                list(pool.map(sign_up, [here, there] * 6, emails))
        finally:
            other.end()
    assert sorted(data["email"] for _, data in server.told()) == sorted(emails)


def test_what_is_rolled_back_is_told_to_nobody(server: Server) -> None:
    """If the commit of a user fails, the note of it goes with it."""
    with server.start() as client:
        server.users(
            "CREATE TRIGGER refuse BEFORE INSERT ON user WHEN NEW.email = 'no@example.com' "
            "BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
        refused = {"email": "no@example.com", "password": PASSWORD}
        # uvicorn hangs up after an error of this kind, so no further request may go to this connection.
        answer = client.post("/auth/register", json=refused, headers={"connection": "close"})
        assert answer.status_code == 500
        sign_up(client)
    assert [(name, data["email"]) for name, data in server.told()] == [("user.created", ADA)]


def test_a_login_waits_for_no_locked_database(server: Server) -> None:
    """While somebody else holds the lock of hookkit's database, users sign in; it is told when the lock is gone."""
    with server.start() as client:
        sign_up(client)
        server.receiver.wait(1)
        with closing(sqlite3.connect(server.folder / "hooks.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            tokens = {sign_in(client) for _ in range(5)}
            client.post("/auth/forgot-password", json={"email": ADA}).raise_for_status()
            assert len(server.receiver.requests) == 1
            other.rollback()
        server.receiver.wait(7)
    assert len(tokens) == 5
    assert sorted(name for name, _ in server.told()) == [
        *["session.created"] * 5,
        "user.created",
        "user.password.forgotten",
    ]


def test_a_login_waits_for_no_endpoint(server: Server) -> None:
    """While every request to the webhook hangs, users sign in."""
    answered = threading.Event()
    server.receiver.answer(lambda _: 204 if answered.wait(60) else 500)
    try:
        with server.start() as client:
            sign_up(client)
            server.receiver.wait(1)
            tokens = {sign_in(client) for _ in range(5)}
            server.receiver.wait(4)  # as many as this webhook may have at once: they hang, too
            assert client.get("/users/me").status_code == 200
            assert len(tokens) == 5
    finally:
        answered.set()
    assert sorted(name for name, _ in server.told()) == [*["session.created"] * 5, "user.created"]


def test_a_hash_that_is_made_anew_is_no_change_of_a_password(server: Server) -> None:
    """fastapi-users stores an old hash anew at a sign-in; that is nobody's business."""
    old = PasswordHash((Argon2Hasher(time_cost=1),)).hash(PASSWORD)
    assert PasswordHelper().verify_and_update(PASSWORD, old)[1] is not None
    with server.start() as client:
        sign_up(client)
        server.users("UPDATE user SET hashed_password = ?", old)
        sign_in(client)
        assert server.users("SELECT hashed_password FROM user") != [(old,)]
    assert [name for name, _ in server.told()] == ["user.created", "session.created"]

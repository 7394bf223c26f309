"""A user lets a client in over HTTP; what webhooks are told of its tokens, and what they are not."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Server

pytestmark = pytest.mark.examples

ADA = "ada@example.com"
PASSWORD = "canary-password-1"  # noqa: S105 - made up, to be looked for
NEW = "canary-password-2"
VERIFIER = "canary-verifier-" + "v" * 40
CLIENT = ("demo", "canary-client-secret")
CALLBACK = "http://127.0.0.1:9/callback"


def sign_up(client: httpx.Client, email: str = ADA) -> httpx.Response:
    """Sign up."""
    return client.post("/users", data={"email": email, "password": PASSWORD})


def sign_in(client: httpx.Client, password: str = PASSWORD) -> str:
    """Sign in; return the cookie, which the client sends from now on."""
    assert client.post("/login", data={"email": ADA, "password": password}).status_code == 204
    return client.cookies["session"]


def consent(client: httpx.Client) -> str:
    """Let the client in, as a browser does; return the code that it is sent back with."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
    asked = {"response_type": "code", "client_id": CLIENT[0], "redirect_uri": CALLBACK, "scope": "profile"}
    asked |= {"state": "canary-state", "code_challenge": challenge, "code_challenge_method": "S256"}
    assert client.get("/oauth/authorize", params=asked).json() == {"client": "Demo", "scope": "profile"}
    answer = client.post("/oauth/authorize", params=asked, data={"consent": "yes"})
    assert answer.status_code == 302
    return parse_qs(urlsplit(answer.headers["location"]).query)["code"][0]


def token(client: httpx.Client, **form: str) -> httpx.Response:
    """Ask for a token, as a client does."""
    return client.post("/oauth/token", data=form, auth=CLIENT)


def exchange(client: httpx.Client, code: str) -> httpx.Response:
    """Exchange a code."""
    return token(client, grant_type="authorization_code", code=code, redirect_uri=CALLBACK, code_verifier=VERIFIER)


def me(client: httpx.Client, access: str) -> int:
    """Ask whose token it is; return the status."""
    return client.get("/api/me", headers={"authorization": f"Bearer {access}"}).status_code


def live(client: httpx.Client) -> tuple[str, list[str]]:
    """Do everything once; return the user's id, and the secrets that were about."""
    user = sign_up(client).json()["id"]
    secrets = [PASSWORD, NEW, VERIFIER, CLIENT[1], "canary-state", sign_in(client), consent(client)]
    first = exchange(client, secrets[-1]).json()
    assert me(client, first["access_token"]) == 200
    renewed = token(client, grant_type="refresh_token", refresh_token=first["refresh_token"]).json()
    assert (me(client, first["access_token"]), me(client, renewed["access_token"])) == (401, 200)
    back = {"token": renewed["refresh_token"], "token_type_hint": "refresh_token"}
    for _ in range(2):  # the second time there is nothing left to revoke
        assert client.post("/oauth/revoke", data=back, auth=CLIENT).status_code == 200
    assert me(client, renewed["access_token"]) == 401
    own = token(client, grant_type="client_credentials", scope="profile").json()
    secrets.append(consent(client))
    last = exchange(client, secrets[-1]).json()
    assert client.post("/me/password", data={"old": PASSWORD, "new": NEW}).status_code == 204
    assert me(client, last["access_token"]) == 401
    secrets.append(client.cookies["session"])
    tokens = [
        one[name] for one in (first, renewed, own, last) for name in ("access_token", "refresh_token") if name in one
    ]
    return user, secrets + tokens


def tables(server: Server) -> list[str]:
    """Return the names of hookkit's tables."""
    found = server.query("SELECT name FROM sqlite_master WHERE name LIKE 'hookkit%' AND type = 'table'")
    return [name for (name,) in found]


def hashes(server: Server) -> list[str]:
    """Return what the server keeps of secrets."""
    rows = server.query("SELECT password FROM users") + server.query("SELECT client_secret FROM clients")
    rows += server.query("SELECT access_token FROM tokens")
    rows += server.query("SELECT refresh_token FROM tokens WHERE refresh_token IS NOT NULL")
    return [value for (value,) in rows]


def test_tokens_are_told_of(server: Server) -> None:
    """Each token that is issued, renewed or revoked arrives as an event, verified, in the order of their times."""
    with server.start() as client:
        user, _ = live(client)
    rows = server.query("SELECT id, user_id, issued_at + expires_in FROM tokens ORDER BY rowid")
    ids = [row[0] for row in rows]
    assert [row[1] for row in rows] == [user, user, None, user]
    granted: tuple[str, Any] = ("consent.granted", {"user_id": user, "client_id": "demo", "scope": "profile"})

    def revoked(number: int, reason: str) -> tuple[str, Any]:
        return "token.revoked", {"id": ids[number], "client_id": "demo", "user_id": user, "reason": reason}

    told = server.told()
    issued = [data for name, data in told if name == "token.issued"]
    assert all("T" in data.pop("expires_at") for data in issued)
    of = [
        ("authorization_code", user),
        ("refresh_token", user),
        ("client_credentials", None),
        ("authorization_code", user),
    ]
    assert issued == [
        {"id": one, "client_id": "demo", "user_id": whose, "grant_type": kind, "scope": "profile"}
        for one, (kind, whose) in zip(ids, of, strict=True)
    ]
    assert [event for event in told if event[0] != "token.issued"] == [
        ("user.created", {"id": user, "email": ADA}),
        ("user.signed_in", {"id": user}),
        granted,
        revoked(0, "renewed"),
        revoked(1, "client"),
        granted,
        ("user.password.changed", {"id": user}),
        revoked(3, "password"),
    ]


def test_no_secret_reaches_a_webhook(server: Server) -> None:
    """No password, hash, token, code, cookie or client's secret is in what was sent, in hookkit's tables, or logged."""
    with server.start() as client:
        _, secrets = live(client)
    kept_of_secrets = hashes(server)
    assert len({*secrets, *kept_of_secrets}) == 25
    assert len(server.told()) == 12
    sent = b"".join(repr((one.target, one.headers)).encode() + one.body for one in server.receiver.requests)
    stored = "\n".join(repr(server.query(f"SELECT * FROM {table}")) for table in tables(server))  # noqa: S608 - our own
    logged = "\n".join(line for line in server.lines if "/oauth/authorize?" not in line)  # the server's access log
    for text in (sent.decode(), stored, logged):
        assert [secret for secret in (*secrets, *kept_of_secrets) if secret in text] == []
    assert "user.password.changed" in stored, "these are the tables that events are stored in"
    # Digests are at home in this file, which is the users' own. What they are made of is not.
    file = b"".join(path.read_bytes() for path in server.folder.glob("auth.db*"))
    assert [secret for secret in secrets if secret.encode() in file] == []


def test_what_is_rolled_back_is_told_to_nobody(server: Server) -> None:
    """A sign-up, or a token, whose transaction fails after its event was emitted is told to nobody."""
    with server.start() as client:
        assert sign_up(client).status_code == 201
        assert sign_up(client).json() == {"error": "this address is taken"}
        sign_in(client)
        code = consent(client)
        server.query("CREATE TRIGGER no BEFORE DELETE ON codes BEGIN SELECT RAISE(ABORT, 'no'); END")
        assert exchange(client, code).status_code == 500
        server.query("DROP TRIGGER no")
        assert server.query("SELECT id FROM tokens") == []
        assert exchange(client, code).status_code == 200
    names = [name for name, _ in server.told()]
    assert names == ["user.created", "user.signed_in", "consent.granted", "token.issued"]


def test_a_code_is_good_for_one_token(server: Server) -> None:
    """Of many who exchange one code at once, one gets a token, and one token is told of."""
    with server.start() as client, ThreadPoolExecutor(8) as pool:
        sign_up(client)
        sign_in(client)
        code = consent(client)
        statuses = Counter(answer.status_code for answer in pool.map(lambda _: exchange(client, code), range(8)))
    assert statuses == {200: 1, 400: 7}
    assert [name for name, _ in server.told()].count("token.issued") == len(server.query("SELECT * FROM tokens")) == 1


def test_a_token_whose_event_cannot_be_stored_is_not_issued(server: Server) -> None:
    """If hookkit's tables cannot be written, there is no token that webhooks would never hear of; logins go on."""
    with server.start() as client:
        sign_up(client)
        sign_in(client)
        server.receiver.wait(2)
        for table in tables(server):
            server.query(f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")
        assert token(client, grant_type="client_credentials").status_code == 500
        assert server.query("SELECT * FROM tokens") == []
        sign_in(client)
        server.written("(a user.signed_in is not told yet)")
    server.end()


def test_a_login_waits_for_no_locked_database(server: Server) -> None:
    """While somebody else holds the database's lock, users sign in and tokens are good; it is told afterwards."""
    with server.start() as client:
        sign_up(client)
        access = token(client, grant_type="client_credentials", scope="profile").json()["access_token"]
        server.receiver.wait(2)
        with closing(sqlite3.connect(server.folder / "auth.db")) as other:
            other.execute("BEGIN IMMEDIATE")
            for _ in range(5):
                sign_in(client)
            assert me(client, access) == 404  # the client's own token: good, and nobody's
            assert len(server.receiver.requests) == 2
            other.rollback()
        server.receiver.wait(7)
    assert Counter(name for name, _ in server.told()) == {"user.created": 1, "token.issued": 1, "user.signed_in": 5}


def test_a_login_waits_for_no_endpoint(server: Server) -> None:
    """While every request to the webhook hangs, users sign in, and clients get tokens."""
    answered = threading.Event()
    server.receiver.answer(lambda _: 204 if answered.wait(60) else 500)
    try:
        with server.start() as client:
            sign_up(client)
            server.receiver.wait(1)
            for _ in range(5):
                sign_in(client)
            server.receiver.wait(4)  # as many as this webhook may have at once: they hang, too
            assert exchange(client, consent(client)).status_code == 200
    finally:
        answered.set()
    names = Counter(name for name, _ in server.told())
    assert names == {"user.created": 1, "user.signed_in": 5, "consent.granted": 1, "token.issued": 1}

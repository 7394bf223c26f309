"""A user lets a client act for them, and thinks better of it; what webhooks are told, and what they are not."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from actors import CLIENT, MACHINE, Client, User

if TYPE_CHECKING:
    from conftest import Site

pytestmark = pytest.mark.examples

OURS = {"client_id": CLIENT, "user_id": "1"}
AUTHORIZED = ("oauth.client.authorized", OURS | {"scopes": ["read", "write"]})
IN = ("user.signed_in", {"id": "1"})


def issued(id: int) -> tuple[str, Any]:
    """Return the event of a token that is issued."""
    return "oauth.token.issued", {"id": str(id), **OURS, "scopes": ["read", "write"]}


def revoked(kind: str, id: int) -> tuple[str, Any]:
    """Return the event of a token that is revoked."""
    return "oauth.token.revoked", {"id": str(id), "kind": kind, **OURS}


def begun(site: Site) -> tuple[User, Client, dict[str, Any]]:
    """Return a user who has let a client act for them, the client, and its tokens."""
    user, client = User(site), Client(site)
    user.sign_in()
    return user, client, client.begin(user)


def live(site: Site) -> list[str]:
    """Have tokens issued, refreshed, and revoked in each way that there is; return the secrets that were about."""
    user, client, first = begun(site)
    second = client.refresh(first)
    assert (client.is_let_in(first), client.is_let_in(second)) == (False, True)
    client.revoke(second["refresh_token"])
    assert not client.is_let_in(second)
    third = client.begin(user)
    client.revoke(third["access_token"])
    assert not client.is_let_in(third)
    fourth = client.begin(user)
    [(id,)] = site.query("SELECT id FROM oauth2_provider_accesstoken")
    user.submit(f"/o/authorized_tokens/{id}/delete/")
    assert not client.is_let_in(fourth)
    user.browser.post("/logout/", data={"csrfmiddlewaretoken": user.browser.cookies["csrftoken"]})
    return [*user.secrets, *client.secrets]


def test_each_change_is_told(site: Site) -> None:
    """What happens to tokens arrives as events: verified, once each, and in order; a refresh is no revocation."""
    site.start()
    live(site)
    assert site.told() == [
        IN,
        AUTHORIZED,
        issued(1),
        issued(2),
        revoked("access_token", 2),
        revoked("refresh_token", 2),
        AUTHORIZED,
        issued(3),
        revoked("access_token", 3),
        revoked("refresh_token", 3),
        AUTHORIZED,
        issued(4),
        revoked("access_token", 4),
        revoked("refresh_token", 4),
        ("user.signed_out", {"id": "1"}),
    ]


def test_a_stolen_refresh_token_is_told(site: Site) -> None:
    """A refresh token that is used again has its whole family revoked, and the access token that falls is told of."""
    site.start()
    _, client, first = begun(site)
    second = client.refresh(first)
    client.refresh(first, status=400)
    assert not client.is_let_in(second)
    assert site.told() == [IN, AUTHORIZED, issued(1), issued(2), revoked("access_token", 2)]


def test_the_tokens_of_a_client_that_is_deleted_are_told(site: Site) -> None:
    """They go with it."""
    site.start()
    user, client, tokens = begun(site)
    [(id,)] = site.query("SELECT id FROM oauth2_provider_application WHERE client_id = ?", CLIENT)
    user.submit(f"/o/applications/{id}/delete/")
    assert not client.is_let_in(tokens)
    assert site.told() == [IN, AUTHORIZED, issued(1), revoked("access_token", 1)]


def test_a_client_may_act_for_itself(site: Site) -> None:
    """A token that belongs to no user is told of."""
    site.start()
    machine = Client(site, MACHINE)
    machine.revoke(machine.token(grant_type="client_credentials", scope="read")["access_token"])
    its = {"client_id": MACHINE, "user_id": None}
    assert site.told() == [
        ("oauth.token.issued", {"id": "1", **its, "scopes": ["read"]}),
        ("oauth.token.revoked", {"id": "1", "kind": "access_token", **its}),
    ]


def test_no_secret_reaches_a_webhook(site: Site) -> None:
    """No password, secret, token, checksum, code or cookie is in what was sent, in hookkit's tables, or in the log."""
    server = site.start()
    user, client, tokens = begun(site)
    hashes = [row[0] for row in site.query("SELECT password FROM auth_user")]
    for table, column in (
        ("accesstoken", "token_checksum"),
        ("refreshtoken", "token_checksum"),
        ("refreshtoken", "token_family"),
        ("application", "client_secret"),
    ):
        hashes += [row[0] for row in site.query(f"SELECT {column} FROM oauth2_provider_{table}")]  # noqa: S608 - ours
    client.revoke(tokens["access_token"])
    secrets = {*live(site), *user.secrets, *client.secrets}
    assert {"oauth.token.revoked", "user.signed_out"} <= {name for name, _ in site.told()}
    sent = b"".join(repr((one.target, one.headers)).encode() + one.body for one in site.receiver.requests)
    kept = "\n".join(repr(site.query(f"SELECT * FROM {table}")) for table in site.tables())  # noqa: S608 - our own
    assert "oauth.token.revoked" in kept, "these are the tables that events are stored in"
    for text in (sent.decode(), kept, "\n".join(server.lines)):
        assert [secret for secret in (*secrets, *hashes) if secret in text] == []
    # Tokens and hashes are at home in this file, which is the server's own. A password and a client's secret are not.
    stored = b"".join(path.read_bytes() for path in site.folder.glob("db.sqlite3*"))
    assert [secret for secret in secrets if secret.startswith("canary") and secret.encode() in stored] == []


def test_what_is_rolled_back_is_told_to_nobody(site: Site) -> None:
    """A revocation that fails half-way, when its first event has been emitted already, is told to nobody."""
    site.start()
    _, client, tokens = begun(site)
    site.query("CREATE TRIGGER no BEFORE UPDATE ON oauth2_provider_refreshtoken BEGIN SELECT RAISE(ABORT, 'no'); END")
    client.revoke(tokens["refresh_token"], status=500)
    assert client.is_let_in(tokens)
    site.query("DROP TRIGGER no")
    assert site.told() == [IN, AUTHORIZED, issued(1)]


def test_a_change_whose_event_cannot_be_stored_is_not_made(site: Site) -> None:
    """If hookkit's tables cannot be written, no client is let in that webhooks would never hear of; logins go on."""
    server = site.start()
    _, client, tokens = begun(site)
    site.refuse_events()
    client.token(500, grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert client.is_let_in(tokens)
    User(site).sign_in()
    server.written("(a user.signed_in is not told yet)")
    site.stop()
    site.accept_events()
    assert site.told() == [IN, AUTHORIZED, issued(1)]


def test_a_login_waits_for_no_locked_database(site: Site) -> None:
    """While somebody else holds the database's lock, logins that write nothing go on, and so does the API."""
    site.start("lean")
    _, client, tokens = begun(site)
    with closing(sqlite3.connect(site.folder / "db.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            User(site).sign_in()
        assert client.is_let_in(tokens)
        other.rollback()
    assert site.told() == [IN, AUTHORIZED, issued(1), *5 * [IN]]


def test_a_login_that_writes_waits_for_itself_alone(site: Site) -> None:
    """A login that stores a session waits for the lock, and goes on when it is gone: events add no failure to it."""
    site.start()
    User(site).sign_in()
    with closing(sqlite3.connect(site.folder / "db.sqlite3", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(2, other.rollback)
        release.start()
        User(site).sign_in()
        release.join()
    assert site.told() == [IN, IN]


def test_a_login_waits_for_no_endpoint(site: Site) -> None:
    """While every request to the webhook hangs, users sign in, let clients in, and revoke that."""
    answered = threading.Event()
    site.receiver.answer(lambda _: 204 if answered.wait(60) else 500)
    try:
        site.start()
        site.work()
        user, client, tokens = begun(site)
        for _ in range(3):
            User(site).sign_in()
        site.receiver.wait(4)  # as many as this webhook may have at once: they hang, too
        client.revoke(tokens["access_token"])
        client.begin(user)
    finally:
        answered.set()
    names = Counter(name for name, _ in site.told())
    expected = {"user.signed_in": 4, "oauth.client.authorized": 2, "oauth.token.issued": 2, "oauth.token.revoked": 2}
    assert names == expected

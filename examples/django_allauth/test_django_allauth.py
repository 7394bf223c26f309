"""A user signs up, signs in and so on over HTTP; what webhooks are told of it, and what they are not."""

from __future__ import annotations

import signal
import sqlite3
import threading
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from user import User

if TYPE_CHECKING:
    from provider import Provider

    from conftest import Site

pytestmark = pytest.mark.examples

ADA = "ada@example.com"
OTHER = "ada@example.org"
PASSWORD = "canary-password-1"  # noqa: S105 - made up, to be looked for


def member(site: Site, email: str = ADA) -> tuple[User, str]:
    """Return somebody who has signed up, and may sign in; and their id."""
    user = User(site, email, PASSWORD)
    id = user.sign_up()
    user.confirm()
    return user, id


def live(site: Site) -> tuple[User, str]:
    """Do everything that a user can do with an address and a password; return who it was."""
    user, id = member(site)
    user.sign_in()
    user.change_password("canary-password-2")
    user.submit("/accounts/email/", email=OTHER, action_add="")
    user.confirm()
    user.submit("/accounts/email/", email=OTHER, action_primary="")
    user.submit("/accounts/email/", email=ADA, action_remove="")
    user.email = OTHER
    user.reauthenticate()
    codes = user.activate_totp()
    user.browser.headers["user-agent"] = "another browser"
    user.sign_out()
    user.reset_password("canary-password-3")
    assert user.sign_in().headers["location"] == "/accounts/2fa/authenticate/"
    user.submit("/accounts/2fa/authenticate/", status=200, code="no-code")
    user.submit("/accounts/2fa/authenticate/", code=codes[0])
    user.reauthenticate()
    user.submit("/accounts/2fa/recovery-codes/generate/")
    user.submit("/accounts/2fa/totp/deactivate/")
    elsewhere = User(site, user.email, user.password)
    elsewhere.sign_in()
    user.secrets += elsewhere.secrets
    elsewhere.submit("/accounts/sessions/")
    assert (user.who(), elsewhere.who()) == ({}, {"id": id, "email": OTHER})
    return user, id


def test_each_change_is_told(site: Site) -> None:
    """A whole life of a user arrives as events: verified, once each, complete, and in the order of their times."""
    site.start()
    _, id = live(site)
    assert site.told() == [
        ("user.created", {"id": id, "email": ADA, "provider": None}),
        ("user.email.verified", {"id": id, "email": ADA}),
        ("user.signed_in", {"id": id}),
        ("user.password.changed", {"id": id}),
        ("user.email.added", {"id": id, "email": OTHER}),
        ("user.email.verified", {"id": id, "email": OTHER}),
        ("user.email.changed", {"id": id, "email": OTHER, "before": ADA}),
        ("user.email.removed", {"id": id, "email": ADA}),
        ("user.mfa.added", {"id": id, "authenticator": "totp"}),
        ("user.mfa.added", {"id": id, "authenticator": "recovery_codes"}),
        (
            "session.client_changed",
            {"id": id, "session": "2", "ip": "127.0.0.1", "user_agent": "another browser"},
        ),
        ("user.signed_out", {"id": id}),
        ("user.password.reset", {"id": id}),
        ("user.mfa.failed", {"id": id, "authenticator": "totp"}),
        ("user.mfa.used", {"id": id, "authenticator": "recovery_codes"}),
        # A sign-in clears away what is left of sessions that are over: the one from before the password was changed,
        # and the one that was signed out.
        ("session.ended", {"id": id, "session": "1"}),
        ("session.ended", {"id": id, "session": "2"}),
        ("user.signed_in", {"id": id}),
        ("user.mfa.reset", {"id": id, "authenticator": "recovery_codes"}),
        ("user.mfa.removed", {"id": id, "authenticator": "totp"}),
        ("user.mfa.removed", {"id": id, "authenticator": "recovery_codes"}),
        ("user.signed_in", {"id": id}),
        ("session.ended", {"id": id, "session": "3"}),
    ]


def test_social_accounts_are_told(site: Site, provider: Provider) -> None:
    """Who comes by a provider is told of, and so is a provider that somebody connects, and lets go."""
    site.start()
    grace = User(site, "grace@example.com", "")
    assert grace.through_provider() == "/"
    ada, id = member(site)
    ada.sign_in()
    provider.who = {"sub": "ada-1", "email": ADA}
    ada.through_provider("connect")
    [(account,)] = site.query("SELECT id FROM socialaccount_socialaccount WHERE uid = 'ada-1'")
    ada.submit("/accounts/3rdparty/", account=str(account))
    connected = {"id": id, "provider": "company", "uid": "ada-1"}
    assert site.told() == [
        ("user.created", {"id": "1", "email": "grace@example.com", "provider": "company"}),
        ("user.signed_in", {"id": "1"}),
        ("user.created", {"id": id, "email": ADA, "provider": None}),
        ("user.email.verified", {"id": id, "email": ADA}),
        ("user.signed_in", {"id": id}),
        ("user.social_account.added", connected),
        ("user.social_account.removed", connected),
    ]


def test_no_secret_reaches_a_webhook(site: Site, provider: Provider) -> None:
    """No password, hash, token, code, cookie or session key is in what was sent, in hookkit's tables, or in the log."""
    server = site.start()
    user, _ = live(site)
    hashes = [row[0] for row in site.query("SELECT password FROM auth_user")]
    grace = User(site, "grace@example.com", "canary-no-password")
    grace.through_provider()
    ended = {"session.ended", "session.client_changed", "user.mfa.added", "user.password.reset", "user.signed_in"}
    assert ended <= {name for name, _ in site.told()}
    secrets = {*user.secrets, *grace.secrets, *provider.secrets}
    sent = b"".join(repr((one.target, one.headers)).encode() + one.body for one in site.receiver.requests)
    kept = "\n".join(repr(site.query(f"SELECT * FROM {table}")) for table in site.tables())  # noqa: S608 - our own
    assert "user.password.reset" in kept, "these are the tables that events are stored in"
    for text in (sent.decode(), kept):
        assert [secret for secret in (*secrets, *hashes) if secret in text] == []
    # Links of mails, and the provider's codes, are in the server's log of its requests, which is Django's own.
    logged = "\n".join(line for line in server.lines if not line.startswith("["))
    assert [secret for secret in (*secrets, *hashes) if secret in logged] == []
    # Hashes and keys are at home in this file, which is the users' own. What they are made of is not.
    stored = b"".join(path.read_bytes() for path in site.folder.glob("db.sqlite3*"))
    assert [secret for secret in secrets if secret.startswith("canary") and secret.encode() in stored] == []


def test_what_is_rolled_back_is_told_to_nobody(site: Site) -> None:
    """A sign-up that fails after its event was emitted, as no mail can be sent, is told to nobody."""
    site.start()
    blocked = site.folder / "mail"
    blocked.write_text("no folder")
    user = User(site, ADA, PASSWORD)
    user.submit("/accounts/signup/", status=500, email=ADA, password1=PASSWORD)
    assert site.query("SELECT count(*) FROM auth_user") == [(0,)]
    blocked.unlink()
    member(site, OTHER)
    assert [data["email"] for name, data in site.told() if name == "user.created"] == [OTHER]


def test_a_change_whose_event_cannot_be_stored_is_not_made(site: Site) -> None:
    """If hookkit's tables cannot be written, no password changes that webhooks would never hear of; logins go on."""
    server = site.start()
    user, id = member(site)
    site.refuse_events()
    user.sign_in()
    assert user.who() == {"id": id, "email": ADA}
    form = {"oldpassword": PASSWORD, "password1": "canary-password-2", "password2": "canary-password-2"}
    user.submit("/accounts/password/change/", status=500, **form)
    elsewhere = User(site, ADA, PASSWORD)
    elsewhere.sign_in()
    assert elsewhere.who() == {"id": id, "email": ADA}
    server.written("(a user.signed_in is not told yet)")
    site.stop()
    site.accept_events()
    assert [name for name, _ in site.told()] == ["user.created", "user.email.verified"]


def test_a_login_waits_for_no_locked_database(site: Site) -> None:
    """While somebody else holds the database's lock, a login that writes nothing goes on; it is told afterwards."""
    site.start("lean")
    user, id = member(site)
    with closing(sqlite3.connect(site.folder / "db.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(5):
            user = User(site, ADA, PASSWORD)
            user.sign_in()
            assert user.who() == {"id": id, "email": ADA}
        other.rollback()
    assert [name for name, _ in site.told()] == ["user.created", "user.email.verified", *5 * ["user.signed_in"]]


def test_a_login_that_writes_waits_for_itself_alone(site: Site) -> None:
    """A login that stores a session waits for the lock, and goes on when it is gone: events add no failure to it."""
    site.start()
    user, id = member(site)
    with closing(sqlite3.connect(site.folder / "db.sqlite3", check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(2, other.rollback)
        release.start()
        user.sign_in()
        release.join()
    assert user.who() == {"id": id, "email": ADA}
    assert [name for name, _ in site.told()] == ["user.created", "user.email.verified", "user.signed_in"]


def test_a_login_waits_for_no_endpoint(site: Site) -> None:
    """While every request to the webhook hangs, users sign up, sign in and change their passwords."""
    answered = threading.Event()
    site.receiver.answer(lambda _: 204 if answered.wait(60) else 500)
    try:
        site.start()
        site.work()
        user, _ = member(site)
        site.receiver.wait(1)
        for _ in range(5):
            User(site, ADA, PASSWORD).sign_in()
        site.receiver.wait(4)  # as many as this webhook may have at once: they hang, too
        user.sign_in()
        user.change_password("canary-password-2")
    finally:
        answered.set()
    names = Counter(name for name, _ in site.told())
    expected = {"user.created": 1, "user.email.verified": 1, "user.signed_in": 6, "user.password.changed": 1}
    assert names == expected


def test_a_server_that_ends_tells_first_what_waits(site: Site) -> None:
    """A sign-in that could not be stored yet, as the database was locked, is stored before the process ends."""
    server = site.start("lean")
    user, _ = member(site)
    with closing(sqlite3.connect(site.folder / "db.sqlite3")) as other:
        other.execute("BEGIN IMMEDIATE")
        user.sign_in()
        server.tell(signal.SIGINT)
        other.rollback()
    assert server.end(0) == 0
    assert [name for name, _ in site.told()] == ["user.created", "user.email.verified", "user.signed_in"]

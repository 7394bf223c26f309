"""A receiver for Logto's webhooks, on Flask. One file, to start from.

    LOGTO_SIGNING_KEY=... python examples/logto_receiver/app.py --port 8001

The key is the one that Logto's Console shows under Webhooks; a webhook there points to ``https://…/webhooks/logto``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask, abort
from flask.typing import ResponseReturnValue

from hookkit import PayloadError, Verified, schemes
from hookkit.contrib.flask import webhook
from hookkit.inbox import SQLiteInbox

DATABASE = Path(os.environ.get("DATA", ".")) / "receiver.db"
KEYS = os.environ.get("LOGTO_SIGNING_KEY", "").split()  # Logto replaces a key at once: around that, have both here
MAX_AGE = timedelta(days=float(os.environ.get("MAX_AGE_DAYS", "1")))

app = Flask(__name__)


class Projection:
    """What this service wants to know of Logto's users and organisations, kept up to date by webhooks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with closing(self.connect()) as database:
            database.execute("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, email TEXT, off INT, at INT)")
            database.execute("CREATE TABLE IF NOT EXISTS members (org TEXT, id TEXT, PRIMARY KEY (org, id))")
            database.execute("CREATE TABLE IF NOT EXISTS audit (at TEXT, event TEXT, who TEXT)")
        self.inbox = SQLiteInbox(path, keep=timedelta(days=30))

    def connect(self) -> sqlite3.Connection:
        """Return a connection."""
        return sqlite3.connect(self.path)

    def take(self, verified: Verified, event: dict[str, Any]) -> ResponseReturnValue:
        """Handle an event once, in one transaction with the note that it was handled."""
        with (
            closing(self.connect()) as database,
            database,  # commits, or rolls back
            self.inbox.receive(verified, source="logto", tx=database) as receipt,
        ):
            if receipt.first:
                HANDLERS.get(event["event"], note)(database, event)
        # Any 2xx is success to Logto. It gives up after ten seconds: do what takes longer elsewhere.
        return "", receipt.status, dict(receipt.headers)


# --- What is done with events -----------------------------------------------------------------------------------------
# Logto has 31 events. Those that this service acts on have a function here, all others are noted.


def user_changed(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Keep a user's address, and whether they are suspended. An older event that comes later changes nothing."""
    user = event.get("user") or event.get("data") or {}
    if "isSuspended" not in user:
        return  # a part of a user: a change of the profile or of custom data sends that alone
    database.execute(
        "INSERT INTO users VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
        " SET email = excluded.email, off = excluded.off, at = excluded.at WHERE excluded.at >= users.at",
        (user["id"], user["primaryEmail"], user["isSuspended"], user["updatedAt"]),
    )


def user_deleted(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Forget a user. Where ``data`` says nothing, the path of Logto's API does."""
    user = (event.get("data") or {}).get("id") or event["params"]["userId"]
    database.execute("DELETE FROM users WHERE id = ?", (user,))
    database.execute("DELETE FROM members WHERE id = ?", (user,))


def membership_changed(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Keep who is in an organisation. The event has no ``data``; what is empty is not in it."""
    organisation = event["organizationId"]
    for user in event.get("addedUserIds", ()):
        database.execute("INSERT OR IGNORE INTO members VALUES (?, ?)", (organisation, user))
    for user in event.get("removedUserIds", ()):
        database.execute("DELETE FROM members WHERE org = ? AND id = ?", (organisation, user))


def note(database: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Note that something happened. An event that Logto adds tomorrow comes here, too, and is no error."""
    who = event.get("userId") or event.get("value") or event.get("recipient") or ""
    database.execute("INSERT INTO audit VALUES (?, ?, ?)", (event["createdAt"], event["event"], who))


HANDLERS: dict[str, Callable[[sqlite3.Connection, dict[str, Any]], None]] = {
    "PostRegister": user_changed,
    "PostSignIn": user_changed,
    "User.Created": user_changed,
    "User.Data.Updated": user_changed,
    "User.SuspensionStatus.Updated": user_changed,
    "User.Deleted": user_deleted,
    "Organization.Membership.Updated": membership_changed,
}

projection = Projection(DATABASE)

# --- HTTP -------------------------------------------------------------------------------------------------------------


@app.post("/webhooks/logto")
@webhook(KEYS, scheme=schemes.LOGTO)  # the header logto-signature-sha-256, over the raw body
def receive(verified: Verified) -> ResponseReturnValue:
    """Receive a webhook. Whatever does not verify has been answered with 401 before this."""
    try:
        event = verified.json()
        age = datetime.now(UTC) - datetime.fromisoformat(event["createdAt"])
    except (PayloadError, LookupError, TypeError, ValueError):
        abort(400)
    # Logto signs no time of sending, so what somebody recorded verifies for ever. The inbox knows a repeat by a digest
    # of the body for 30 days; what is older than a day is not taken at all: createdAt is in the body, and so is signed.
    if not isinstance(event.get("event"), str) or abs(age) > MAX_AGE:
        abort(400)
    return projection.take(verified, event)


def interrupt(*_: object) -> None:
    """End as at Ctrl-C."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Receive Logto's webhooks, signed with LOGTO_SIGNING_KEY.")
    parser.add_argument("--port", type=int, default=8001, help="default: 8001; 0: any free one")
    signal.signal(signal.SIGTERM, interrupt)
    app.run(port=parser.parse_args().port)  # in earnest, a server such as gunicorn's

"""A sender: an auth server with threads that emits in its own SQLite transaction. One file, to start from.

    python examples/sync_sender.py                  # to a receiver that it serves itself, on this machine
    WEBHOOK_KEY=whsec_... python examples/sync_sender.py --url http://127.0.0.1:8000/hooks       # to one that runs

Where your tables are not in SQLite, emit after your commit, without ``tx=``.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from receiver import receiver_at  # only to try this out: a sender needs no receiver beside it

from hookkit import Endpoint, LogEntry, OutboxDispatcher, Registry, Worker
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK


class AuthServer:
    """Your application: it has a database, and tells webhooks what happens in it."""

    def __init__(self, database: sqlite3.Connection, dispatcher: OutboxDispatcher) -> None:
        self.database = database
        self.dispatcher = dispatcher
        database.execute("CREATE TABLE IF NOT EXISTS users (id TEXT PRIMARY KEY, name TEXT NOT NULL)")

    def sign_up(self, user_id: str, name: str) -> None:
        """Create a user. The user and the event are stored together, or neither is."""
        with self.database:  # commits at its end; rolls back if something is raised
            self.database.execute("INSERT INTO users VALUES (?, ?)", (user_id, name))
            self.dispatcher.emit("user.created", {"id": user_id, "name": name}, tx=self.database)
            if not name:
                raise ValueError("a user needs a name")
        self.dispatcher.wake()  # so that it is sent at once; without this, within half a second


def run(url: str, keys: list[str], folder: Path) -> bool:
    """Register a webhook, emit, deliver, and look at what became of it; return whether all went well."""
    path = folder / "auth.db"
    with SQLiteStore(path) as store, closing(sqlite3.connect(path)) as database:
        # LOOPBACK is for trying this out. Without targets=, here and in the worker, only public HTTPS URLs are called.
        registry = Registry(store, targets=LOOPBACK)
        webhook = registry.create(Endpoint(url, "user.*", name="Example", keys=keys))
        if not keys:
            keys.append(webhook.keys[0].value)  # it was made: show it to your customer, for the receiver's settings

        server = AuthServer(database, OutboxDispatcher(store))
        with Worker(store, targets=LOOPBACK):  # as long as the server runs; or Worker.run() in a process of its own
            server.sign_up("u_1", "Ada")
            try:
                server.sign_up("u_2", "")
            except ValueError as error:
                print(f"sender: u_2 was rolled back, and nothing is sent: {error}", flush=True)
            server.sign_up("u_3", "Grace")
            entries = attempted(registry, webhook.id, 2)

        for entry in sorted(entries, key=lambda entry: entry.event_id):
            last = entry.attempts[-1]
            print(f"sender: {entry.event_id} {entry.state}, attempt {last.number}: {last.status or last.reason}")
        health = registry.health(webhook.id)[webhook.id]
        print(f"sender: in the last 24 hours {health.requests} requests, {health.succeeded} succeeded")
        return health.requests == health.succeeded == 2


def attempted(registry: Registry, webhook_id: str, count: int) -> Sequence[LogEntry]:
    """Wait a while until so many deliveries have been tried, and return them. A server need not: its worker goes on."""
    entries: Sequence[LogEntry] = []
    for _ in range(200):
        entries = registry.recent(webhook_id)
        if len(entries) == count:
            break
        time.sleep(0.05)
    return entries


def main() -> int:
    """Read the arguments, and send."""
    parser = argparse.ArgumentParser(description="Send webhooks, with the signing key in WEBHOOK_KEY, or a new one.")
    parser.add_argument("--url", help="a receiver on this machine; without it, one is served for the occasion")
    arguments = parser.parse_args()
    with receiver_at(arguments.url) as (url, keys), tempfile.TemporaryDirectory() as folder:
        return 0 if run(url, keys, Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())

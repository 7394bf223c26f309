"""What is done with events, in whatever framework they arrive: stored at once, worked off afterwards. Copy it.

A sender waits for fifteen seconds or so, and takes no answer for a failure. So the answer is sent once the event is in
the database, together with the note that it has arrived; what takes longer is done by a thread, or by your task queue.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import threading
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from hookkit import Verified
from hookkit.inbox import Receipt, SQLiteInbox

SOURCE = "auth"  # the sender's name: two senders may use the same ids
LATER = 60  # seconds until what could not be done is tried again

log = logging.getLogger(__name__)


class Work:
    """Events that have arrived, and what becomes of them.

    Args:
        path: The database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(self._connect()) as database:
            database.execute("CREATE TABLE IF NOT EXISTS todo (id INTEGER PRIMARY KEY, type TEXT, data TEXT)")
            database.execute("CREATE TABLE IF NOT EXISTS done (type TEXT, data TEXT)")
        # A request verifies for five minutes, and a sender tries again for days: so long are repeats known.
        self._inbox = SQLiteInbox(path, keep=timedelta(days=7))
        self._ended = False
        self._arrived = threading.Event()
        self._thread = threading.Thread(target=self._run, name="work")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=10)  # seconds; below what the sender waits

    def take(self, verified: Verified) -> Receipt:
        """Store an event, unless it is here already, and return what to answer. It raises if it cannot: a 500."""
        event = verified.event()
        # One transaction: the event and the note that it has arrived are stored together, or neither is.
        with (
            closing(self._connect()) as database,
            database,  # commits, or rolls back
            self._inbox.receive(verified, source=SOURCE, tx=database) as receipt,
        ):
            if receipt.first:
                row = (event.type, json.dumps(event.data))
                database.execute("INSERT INTO todo (type, data) VALUES (?, ?)", row)
        self._arrived.set()
        return receipt

    def _run(self) -> None:
        while True:
            self._arrived.clear()
            if self._ended:
                return
            with closing(self._connect()) as database:
                for number, type_, data in database.execute("SELECT id, type, data FROM todo ORDER BY id").fetchall():
                    try:
                        self._handle(database, number, type_, json.loads(data))
                    except Exception:  # one that cannot be handled keeps no other waiting
                        log.exception("a %s is left for later", type_)
            self._arrived.wait(LATER)

    def _handle(self, database: sqlite3.Connection, number: int, type_: str, data: Any) -> None:
        """Do what is to be done, and take it off the list: what a crash interrupts is begun anew."""
        with database:
            database.execute("INSERT INTO done VALUES (?, ?)", (type_, json.dumps(data)))  # your own work
            database.execute("DELETE FROM todo WHERE id = ?", (number,))
        print(f"done: {type_} {data}", flush=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = True
        self._arrived.set()
        self._thread.join()
        self._inbox.close()


def settings() -> tuple[Path, list[str]]:
    """Return where the database is, and the signing keys: several, with spaces between, while they are rotated."""
    return Path(os.environ.get("DATA", ".")) / "receiver.db", os.environ.get("WEBHOOK_KEY", "").split()

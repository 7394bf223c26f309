"""Runs the application in a process of its own, which can be killed."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from hookkit import Worker
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK
from hookkit.testing import ScriptedReceiver


class Server:
    """The application over one folder, and what its webhook gets."""

    def __init__(self, folder: Path, receiver: ScriptedReceiver) -> None:
        self.folder = folder
        self.receiver = receiver
        self.lines: list[str] = []
        self.keys: list[str] = []
        self._changed = threading.Condition()

    def start(self) -> httpx.Client:
        """Start it, and return a client of it."""
        begun = len(self.lines)
        self.process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, str(Path(__file__).with_name("app.py")), "--port", "0"],
            env={**os.environ, "DATA": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,))
        self._reader.start()
        return httpx.Client(base_url=self.written(r"Running on (http://\S+)", begun), timeout=60)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                with self._changed:
                    self.lines.append(line.rstrip())
                    self._changed.notify_all()

    def written(self, pattern: str, begun: int = 0) -> str:
        """Wait until it has written a line with `pattern`, and return what its group holds."""

        def found() -> list[str]:
            return [match[1] for line in self.lines[begun:] if (match := re.search(pattern, line))]

        with self._changed:
            assert self._changed.wait_for(found, 30), self.lines
            return found()[-1]

    def subscribe(self, client: httpx.Client, *topics: str) -> str:
        """Add a webhook that leads to the receiver, and return its id."""
        answer = client.post("/subscriptions", data={"url": self.receiver.url, "topic": list(topics)})
        assert answer.status_code == 201
        self.keys.append(answer.json()["secret"])
        return str(answer.json()["id"])

    def end(self, how: int = signal.SIGTERM) -> None:
        """End it, and wait for that."""
        self.process.send_signal(how)
        self.process.wait(60)
        self._reader.join()

    def query(self, sql: str, *parameters: Any) -> list[Any]:
        """Do something to the database, as an operator might."""
        with closing(sqlite3.connect(self.folder / "app.db")) as database, database:
            return database.execute(sql, parameters).fetchall()

    def told(self) -> list[tuple[str, Any]]:
        """End it, deliver what is due, and return every event that has arrived and verifies, in their order."""
        self.end()
        with SQLiteStore(self.folder / "app.db") as store, Worker(store, targets=LOOPBACK) as worker:
            worker.drain()
        bodies = {one.dedupe_key: one.json() for one in self.receiver.verified(self.keys)}
        return [(body["type"], body["data"]) for body in sorted(bodies.values(), key=lambda body: body["timestamp"])]


@pytest.fixture
def server(tmp_path: Path, hookkit_receiver: ScriptedReceiver) -> Iterator[Server]:
    """Return the application, not started yet."""
    server = Server(tmp_path, hookkit_receiver)
    yield server
    if server.process.poll() is None:
        server.end(signal.SIGKILL)

"""Runs the receiver in a process of its own."""

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

import pytest

KEY = "canary-signing-key"


class Receiver:
    """The receiver over one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self._changed = threading.Condition()

    def start(self, keys: str = KEY, **settings: str) -> str:
        """Start it, and return where it listens."""
        begun = len(self.lines)
        self.process = subprocess.Popen(  # noqa: S603 - our own file
            [sys.executable, str(Path(__file__).with_name("app.py")), "--port", "0"],
            env={**os.environ, "DATA": str(self.folder), "LOGTO_SIGNING_KEY": keys, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, args=(self.process,))
        self._reader.start()
        return f"{self.written(r'Running on (http://[^ ]+)', begun)}/webhooks/logto"

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

    def end(self, how: int = signal.SIGTERM) -> None:
        """End it, and wait for that."""
        self.process.send_signal(how)
        self.process.wait(60)
        self._reader.join()

    def query(self, sql: str) -> list[Any]:
        """Look into its database."""
        with closing(sqlite3.connect(self.folder / "receiver.db")) as database, database:
            return database.execute(sql).fetchall()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """Return the receiver, not started yet."""
    receiver = Receiver(tmp_path)
    yield receiver
    if receiver.process.poll() is None:
        receiver.end(signal.SIGKILL)

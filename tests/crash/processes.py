"""The processes of these tests: started, killed, stopped for a while, ended."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from notes import read_notes
from places import Place

__all__ = ["Emitter", "Process", "Receiver", "Worker", "receiving", "unexpected"]

HERE = Path(__file__).resolve().parent
PATIENCE_S = 60.0


class Process:
    """A script of this folder, which says a line when it is ready and ends when its standard input is closed.

    Args:
        folder: Where it leaves what it says of errors.
        name: Its name.
        script: The script.
        arguments: What it is given.
    """

    def __init__(self, folder: Path, name: str, script: str, *arguments: object) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", str(HERE / script), *map(str, arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])),
                },
            )
        self.said = ""

    def ready(self) -> None:
        """Wait until it is ready."""
        self.said = self._process.stdout.readline().strip()
        assert self.said, f"{self.name} did not get ready: {self.log.read_text('utf-8')}"

    def kill(self) -> None:
        """Kill it, wherever it is: it notices nothing."""
        assert self._process.poll() is None, f"{self.name} had ended by itself: {self.log.read_text('utf-8')}"
        self._process.kill()
        self._process.wait(PATIENCE_S)
        self._close()

    def halt(self) -> None:
        """Stop it where it is, as a machine that sleeps does."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it go on, none the wiser."""
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        """Have it finish what it does, and wait for that."""
        if self._process.poll() is None:
            self._process.stdin.close()
        self.wait()

    def wait(self) -> None:
        """Wait until it has ended by itself, which is no failure."""
        status = self._process.wait(PATIENCE_S)
        self._close()
        assert status == 0, f"{self.name} failed: {self.log.read_text('utf-8')}"

    def discard(self) -> None:
        """Leave nothing of it behind, whatever became of it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(PATIENCE_S)
        self._close()

    def _close(self) -> None:
        self._process.stdin.close()
        self._process.stdout.close()


class Emitter(Process):
    """Emits; :attr:`notes` is the file that says what it was told."""

    def __init__(self, folder: Path, place: Place, name: str, kind: str, *, seed: int, count: int = 0) -> None:
        self.notes = folder / f"{name}.notes"
        super().__init__(folder, name, "emitting_process.py", place.name, name, seed, self.notes, kind, count)


class Worker(Process):
    """Delivers."""

    CONCURRENCY = 8
    LEASE_S = 3.0
    TIMEOUT_S = 1.5

    def __init__(self, folder: Path, place: Place, name: str, kind: str, **settings: Any) -> None:
        defaults = {"lease": self.LEASE_S, "timeout": self.TIMEOUT_S, "concurrency": self.CONCURRENCY}
        whole = {"place": place.name, "kind": kind, **defaults, **settings}
        super().__init__(folder, name, "working_process.py", json.dumps(whole))


class Receiver(Process):
    """Receives; :attr:`url` is where."""

    def __init__(self, folder: Path, *, slowness_ms: float = 15, clock: Path | None = None) -> None:
        self.notes = folder / "receiver.notes"
        super().__init__(folder, "receiver", "receiving_process.py", self.notes, slowness_ms, clock or "")
        self.ready()
        self.url = self.said

    def verdicts(self) -> list[tuple[str, str, str]]:
        """Return what it has to say of each request: a word, the event, and the webhook's path."""
        return [(found, event, path) for found, event, path in read_notes(self.notes)]


@contextmanager
def receiving(folder: Path, **settings: Any) -> Iterator[Receiver]:
    """Run a receiver."""
    made = Receiver(folder, **settings)
    try:
        yield made
    finally:
        made.discard()


def unexpected(log: str) -> list[str]:
    """Return the errors that a log shows with tracebacks, but for StoreErrors, whatever those were raised from."""
    found = []
    for block in log.split("Traceback (most recent call last):")[1:]:
        raised = re.search(r"^\w[\w.]*", block, re.MULTILINE)
        name = raised.group() if raised else "?"
        goes_on = "The above exception was the direct cause" in block or "During handling of the above" in block
        if not goes_on and name != "hookkit.errors.StoreError":
            found.append(name)
    return found

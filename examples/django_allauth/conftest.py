"""Runs the project in processes of its own, and an OpenID provider for it to ask."""

from __future__ import annotations

import os
import re
import shutil
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
from provider import Provider

from hookkit.testing import ScriptedReceiver

KEY = "whsec_" + "A" * 43 + "="
MANAGE = [sys.executable, str(Path(__file__).with_name("manage.py"))]


class Process:
    """A command of the project, and the lines that it writes."""

    def __init__(self, environment: dict[str, str], *arguments: str) -> None:
        self.lines: list[str] = []
        self._changed = threading.Condition()
        # A shell may have its background jobs ignore SIGINT, which is inherited; a handler is not.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._process = subprocess.Popen(  # noqa: S603 - our own file
            [*MANAGE, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8"
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as output:
            for line in output:
                with self._changed:
                    self.lines.append(line.rstrip())
                    self._changed.notify_all()

    def written(self, pattern: str) -> str:
        """Wait until it has written a line with `pattern`, and return what its group holds."""

        def found() -> list[str]:
            return [match[1] for line in self.lines if (match := re.search(pattern, line))]

        with self._changed:
            assert self._changed.wait_for(found, 30), self.lines
            return found()[-1]

    def tell(self, how: int) -> None:
        """Send it a signal."""
        self._process.send_signal(how)

    def end(self, how: int = signal.SIGINT) -> int:
        """End it, and wait for that; return its status."""
        if self._process.poll() is None:
            self.tell(how)
        status = self._process.wait(60)
        self._reader.join()
        return status


class Site:
    """The project over one folder, the users' mail, and what its webhook gets."""

    def __init__(self, folder: Path, receiver: ScriptedReceiver, provider: Provider) -> None:
        self.folder = folder
        self.receiver = receiver
        self.processes: list[Process] = []
        self.browsers: list[httpx.Client] = []
        self._environment = {
            **os.environ,
            "DATA": str(folder),
            "PYTHONUNBUFFERED": "1",
            "WEBHOOK_KEY": KEY,
            "OIDC_URL": provider.url,
            "OIDC_CLIENT_ID": provider.client,
            "OIDC_SECRET": provider.secret,
        }
        self._run("add_webhook", receiver.url)

    def _run(self, *arguments: str) -> Process:
        process = Process(self._environment, *arguments)
        self.processes.append(process)
        assert process.end(0) == 0, process.lines  # 0 is no signal: it ends by itself
        return process

    def start(self, settings: str = "settings") -> Process:
        """Start the server, and return it."""
        self.server = Process(
            self._environment | {"DJANGO_SETTINGS_MODULE": settings}, "runserver", "--noreload", "127.0.0.1:0"
        )
        self.processes.append(self.server)
        self.url = self.server.written(r"server at (http://\S+)/")
        return self.server

    def work(self) -> None:
        """Start a worker."""
        self.processes.append(Process(self._environment, "hookkit_worker"))

    def browser(self, agent: str = "a browser") -> httpx.Client:
        """Return somebody who has not signed in."""
        browser = httpx.Client(base_url=self.url, headers={"user-agent": agent}, timeout=60)
        self.browsers.append(browser)
        return browser

    def mail(self) -> str:
        """Return the newest mail's link."""
        written = max((self.folder / "mail").iterdir(), key=lambda path: path.stat().st_mtime_ns)
        links: list[str] = re.findall(r"https?://[^/\s]+(/accounts/\S+)", written.read_text(encoding="utf-8"))
        return links[-1]

    def query(self, sql: str, *parameters: Any) -> list[Any]:
        """Do something to the database, as an operator might."""
        with closing(sqlite3.connect(self.folder / "db.sqlite3", timeout=30)) as database, database:
            return database.execute(sql, parameters).fetchall()

    def tables(self) -> list[str]:
        """Return the names of hookkit's tables."""
        found = self.query("SELECT name FROM sqlite_master WHERE name LIKE 'hookkit%' AND type = 'table'")
        return [name for (name,) in found]

    def refuse_events(self) -> None:
        """Have the database refuse whatever hookkit stores."""
        for table in self.tables():
            self.query(f"CREATE TRIGGER no_{table} BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END")

    def accept_events(self) -> None:
        """Have it accept that again."""
        for table in self.tables():
            self.query(f"DROP TRIGGER no_{table}")

    def stop(self) -> None:
        """End all processes; the server first tells what waits in it."""
        for process in self.processes:
            process.end()

    def told(self) -> list[tuple[str, Any]]:
        """End it, deliver what is due, and return every event that has arrived and verifies, in their order."""
        self.stop()
        self._run("hookkit_worker", "--drain")
        bodies = {one.dedupe_key: one.json() for one in self.receiver.verified(KEY)}
        return [(body["type"], body["data"]) for body in sorted(bodies.values(), key=lambda body: body["timestamp"])]


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a database with tables and nothing in them."""
    folder = tmp_path_factory.mktemp("migrated")
    subprocess.run([*MANAGE, "migrate", "-v0"], env={**os.environ, "DATA": str(folder)}, check=True)  # noqa: S603
    return folder / "db.sqlite3"


@pytest.fixture
def provider() -> Iterator[Provider]:
    """Return an OpenID provider."""
    with Provider() as provider:
        yield provider


@pytest.fixture
def site(tmp_path: Path, migrated: Path, hookkit_receiver: ScriptedReceiver, provider: Provider) -> Iterator[Site]:
    """Return the project, not started yet."""
    shutil.copy(migrated, tmp_path)
    site = Site(tmp_path, hookkit_receiver, provider)
    yield site
    for browser in site.browsers:
        browser.close()
    for process in site.processes:
        process.end(signal.SIGKILL)
        print(*process.lines, sep="\n")  # pytest shows it where a test fails

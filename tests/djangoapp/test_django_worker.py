"""``manage.py hookkit_worker`` delivers what a project has committed, as a process of its own, to a real receiver."""

from __future__ import annotations

import json
import signal
import threading
import time
from typing import Any, Self

import pytest
from projects import Project, project
from test_django_app import STORED

from hookkit.testing import ScriptedReceiver

PATIENCE_S = 30.0


def live(site: Project, *step: str) -> dict[str, Any]:
    """Have a process of the project do something; return what it says."""
    return json.loads(site.run("live.py", *step).splitlines()[-1])


class Working:
    """A worker's process, and what it has written so far."""

    def __init__(self, site: Project, *options: str) -> None:
        self.process = site.start("-m", "django", "hookkit_worker", *options)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, text: str) -> None:
        """Wait until a line has it."""
        ends = time.monotonic() + PATIENCE_S
        while not any(text in line for line in self.lines):
            assert time.monotonic() < ends, self.lines
            assert self.process.poll() is None, self.lines
            time.sleep(0.02)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        self.process.stdout.close()


@pytest.fixture(params=STORED)
def site(request, tmp_path):
    """Yield the project on a database that others can open, migrated."""
    with project(request.param, tmp_path) as found:
        found.manage("migrate", "-v0")
        yield found


def test_what_is_committed_is_delivered(site: Project) -> None:
    """The view that fails has sent nothing, the one that works has; on SIGTERM the worker ends with 0."""
    with ScriptedReceiver(204) as receiver:
        key = live(site, "register", receiver.url)["key"]
        with Working(site, "--concurrency", "4", "--lease", "20") as worker:
            worker.wait_for("works")
            found = live(site, "visit", "/sign-up-failing/bob", "/sign-up/ada", "/sign-up-awaited/eve")
            assert found == {"statuses": [500, 204, 204]}
            receiver.wait(2)
            assert worker.end() == 0, worker.lines
        verified = receiver.verified(key)
        assert sorted(one.event().data["name"] for one in verified) == ["ada", "eve"]
    assert live(site, "tell") == {"users": ["ada", "eve"], "states": ["succeeded"] * 2, "waiting": 0}
    assert not any(word in "".join(worker.lines) for word in (key, "ada", "canary")), worker.lines


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_it_finish(site: Project, number: int) -> None:
    """What is being sent is finished and stored; the rest stays due, and no lease is left behind."""
    gate = threading.Event()

    def slowly(_: object) -> int:
        gate.wait(PATIENCE_S)
        return 204

    with ScriptedReceiver(slowly) as receiver:
        live(site, "register", receiver.url)
        live(site, "emit", "5")
        with Working(site, "--concurrency", "2") as worker:
            receiver.wait(2)
            worker.process.send_signal(number)
            worker.wait_for("claims nothing more")
            gate.set()
            assert worker.process.wait(PATIENCE_S) == 0, worker.lines
        count = len(receiver.requests)
    found = live(site, "tell")
    assert (found["states"], found["waiting"]) == (["succeeded"] * count, 5 - count)
    assert 2 <= count < 5


def test_drain_ends_by_itself(site: Project) -> None:
    """``--drain`` delivers what is due, and ends with 0."""
    with ScriptedReceiver(204) as receiver:
        live(site, "register", receiver.url)
        live(site, "emit", "20")
        site.manage("hookkit_worker", "--drain", "--database", "default")
        assert len(receiver.requests) == 20
    assert live(site, "tell")["waiting"] == 0


def test_wrong_options_are_refused(site: Project) -> None:
    """With a sentence, and no traceback."""
    for options, said in (
        (("--lease", "1"), "lease"),
        (("--allow-http",), 'HOOKKIT["TARGETS"]'),
        (("--concurrency", "0"), "not a number"),
    ):
        output = site.manage("hookkit_worker", "--drain", *options, fails=True)
        assert said in output
        assert "Traceback" not in output


@pytest.mark.frameworks
def test_a_database_in_memory_is_refused(tmp_path) -> None:
    """There is nothing to be found in it."""
    with project("memory", tmp_path) as site:
        assert "in memory" in site.manage("hookkit_worker", "--drain", fails=True)


@pytest.mark.parametrize("kind", STORED)
def test_missing_tables_are_said(kind: str, tmp_path) -> None:
    """Before ``migrate`` a worker does not start, and makes no tables in a database that has only those of others."""
    with project(kind, tmp_path) as site:
        site.manage("migrate", "auth", "-v0")
        for _ in range(2):
            output = site.manage("hookkit_worker", "--drain", "--start-timeout", "1", fails=True)
            assert "manage.py migrate" in output or "there are no tables" in output
    assert "Traceback" not in output

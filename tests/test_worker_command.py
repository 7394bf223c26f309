"""``hookkit worker``: a process that delivers, shows that it lives, and stops when it is told to."""

from __future__ import annotations

import json
import logging
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta

import pytest

from hookkit import Attempt, LogEntry, OutboxDispatcher, StoreError
from hookkit.__main__ import main
from hookkit._places import name_of, place_of
from hookkit._work.lines import JsonLines, News, TextLines
from hookkit._work.running import Options, run_worker
from hookkit._work.signs import Signs
from hookkit._work.watched import Counts, Watched, failure_line, summary_line
from hookkit.stores.memory import MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing import FakeTransport
from hookkit.testing.bench import Bench
from hookkit.testing.builders import endpoint, settlement
from hookkit.testing.loopback import LoopbackServer
from hookkit.working import Faults
from transcripts import environment
from worlds import eventually

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals")


class Place:
    """A database in a folder, a receiver, and worker processes."""

    def __init__(self, folder, empty, receiver) -> None:
        self.folder, self.receiver = folder, receiver
        self.path, self.health, self.log = folder / "hooks.db", folder / "health", folder / "log"
        shutil.copyfile(empty, self.path)
        self.store = SQLiteStore(self.path)
        self.dispatcher = OutboxDispatcher(self.store)

    def hook(self, path: str) -> str:
        """Register a webhook for an event type of its own, and return that."""
        name = f"to.{path.strip('/').replace('/', '_').replace('-', '_')}"
        self.store.add_webhook(endpoint(url=self.receiver.url(f"{path}?token=planted"), events=[name]))
        return name

    def command(self, *options: str) -> list[str]:
        port = self.receiver.url("").rpartition(":")[2]
        return [
            *[sys.executable, "-W", "error", "-m", "hookkit", "worker", "--allow-http", "--allow-port", port],
            *["--allow-network", "127.0.0.0/8", "--health-file", str(self.health), *options],
        ]

    @contextmanager
    def working(self, *options: str, **variables: str):
        """Run a worker, and yield its process."""
        given = environment(HOOKKIT_DSN=f"sqlite:///{self.path}", **variables)
        with (
            self.log.open("wb") as log,
            subprocess.Popen(self.command(*options), env=given, stdout=log, stderr=log) as process,
        ):
            try:
                eventually(self.is_ready)
                yield process
            finally:
                process.kill()

    def is_ready(self) -> bool:
        return self.health.exists() and self.health.read_text("utf-8") == "ready\n"

    def said(self) -> str:
        return self.log.read_text("utf-8")

    def rows(self, sql: str) -> list:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture
def place(tmp_path, empty_file):
    with LoopbackServer() as receiver:
        made = Place(tmp_path, empty_file, receiver)
        with made.store:
            yield made


@posix
def test_it_delivers_until_it_is_told_to_stop(place) -> None:
    """Exit status 0; a line at the start, for each failure, and at the end; no URL, payload or answer in any."""
    good, bad, gone = place.hook("/status/204"), place.hook("/status/500"), place.hook("/status/410")
    with place.working() as process:
        for name in (good, bad, gone):
            place.dispatcher.emit(name, {"secret": "planted"})
        eventually(lambda: place.rows("SELECT count(*) FROM hookkit_attempts") == [(3,)])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert not place.health.exists()
    said = place.said()
    assert re.search(
        rf"INFO hookkit\.worker: hookkit \S+ works on sqlite:///{place.path}, process {process.pid}, 32", said
    )
    assert re.search(
        r"INFO hookkit\.worker: delivery dlv_\w+ to whk_\w+, attempt 1 failed: status 500; again at 20", said
    )
    assert re.search(
        r"WARNING hookkit\.worker: delivery dlv_\w+ to whk_\w+, attempt 1 failed: status 410; for good", said
    )
    assert re.search(r"WARNING hookkit\.worker: webhook whk_\w+: disabled", said)
    assert "3 attempted, 1 succeeded, 1 to be tried again, 1 failed for good; nothing is due" in said
    assert said.endswith("stopped; 0 given back\n")
    assert "planted" not in said
    assert "status/" not in said


@posix
def test_the_first_signal_waits_the_second_does_not(place) -> None:
    """While it waits the probe sees ``stopping``, and nothing new is claimed; then leases are given back, uncounted."""
    hanging, good = place.hook("/silent"), place.hook("/status/204")
    with place.working() as process:
        place.dispatcher.emit(hanging)
        eventually(lambda: place.receiver.received)
        process.send_signal(signal.SIGTERM)
        eventually(lambda: place.health.read_text("utf-8") == "stopping\n")
        place.dispatcher.emit(good)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10, "it waited for the attempt's deadline"
    assert place.rows("SELECT state, counted, lease_until FROM hookkit_deliveries") == [("pending", 0, None)] * 2
    assert "SIGTERM: claims nothing more" in place.said()
    assert place.said().endswith("stopped; 1 given back\n")


@posix
def test_a_stop_waits_no_longer_than_it_may(place) -> None:
    """``--stop-timeout``: what does not finish by then is given back, and the process is gone."""
    hanging = place.hook("/silent")
    with place.working("--stop-timeout", "0.2") as process:
        place.dispatcher.emit(hanging)
        eventually(lambda: place.receiver.received)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert time.monotonic() - began < 10
    assert place.rows("SELECT state, counted FROM hookkit_deliveries") == [("pending", 0)]


@posix
def test_what_is_being_sent_is_finished(place) -> None:
    """A stop loses nothing that is under way: the answer that comes in meanwhile is stored."""
    name = place.hook("/status/204")
    with place.working() as process:
        for _ in range(50):
            place.dispatcher.emit(name)
        eventually(lambda: place.receiver.received)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    arrived, states = (
        len(place.receiver.received),
        dict(place.rows("SELECT state, count(*) FROM hookkit_deliveries GROUP BY 1")),
    )
    assert states.get("succeeded") == arrived
    assert set(states) <= {"succeeded", "pending"}
    assert sum(states.values()) == 50


def test_drain_ends_when_nothing_is_due(place) -> None:
    """All of it, however many rounds; what is to be tried again later is left. Exit status 0."""
    good, bad = place.hook("/status/204"), place.hook("/status/500")
    for _ in range(9):
        place.dispatcher.emit(good)
    place.dispatcher.emit(bad)
    done = subprocess.run(
        [*place.command("--drain", "--concurrency", "2", "--log-format", "json"), str(place.path)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
    assert dict(place.rows("SELECT state, count(*) FROM hookkit_deliveries GROUP BY 1")) == {
        "succeeded": 9,
        "pending": 1,
    }
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(list(line)[:4] == ["time", "level", "logger", "message"] for line in lines)
    (summary,) = [line for line in lines if "attempted" in line]
    wanted = {"attempted": 10, "succeeded": 9, "again": 1, "failed": 0, "given_back": 0, "due_for_s": None}
    assert {name: summary[name] for name in wanted} == wanted


def test_an_empty_database_is_drained_at_once(tmp_path) -> None:
    """``--migrate`` makes the file, or upgrades it."""
    command = [sys.executable, "-m", "hookkit", "worker", "--drain", "--migrate", str(tmp_path / "new.db")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    SQLiteStore(tmp_path / "new.db").close()


@posix
def test_systemd_is_told(place) -> None:
    """``Type=notify``: ready when the store has answered, alive each second, stopping."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(place.folder / "notify"))
        listener.settimeout(30)
        with place.working(NOTIFY_SOCKET=str(place.folder / "notify")) as process:
            told = [listener.recv(4096).decode() for _ in range(3)]
            process.send_signal(signal.SIGTERM)
            while "STOPPING=1" not in told[-1]:
                told.append(listener.recv(4096).decode())
    assert told[:3] == ["WATCHDOG=1\nSTATUS=starting", "WATCHDOG=1\nSTATUS=ready\nREADY=1", "WATCHDOG=1"]
    assert told[-1] == "WATCHDOG=1\nSTATUS=stopping\nSTOPPING=1"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give a DSN, or set HOOKKIT_DSN"),
        ([""], "give a DSN, or set HOOKKIT_DSN"),
        (["host=db password=planted dbname=x"], "is written as postgresql://"),
        (["dbname=x password = 'planted'"], "is written as postgresql://"),
        (["postgresql:/app:planted@db/x"], "is written as postgresql://"),
        (["postgresql://app@host/db?sslpassword=planted"], "a password on the command line"),
        (["missing.db"], "no such file: missing.db"),
        (["mysql://root:planted@host/db"], "no store is known for mysql://"),
        (["postgresql://app:planted@host/db"], "a password on the command line can be read by anybody"),
        (["postgresql://app@host/db?sslmode=require&password=planted"], "a password on the command line"),
        (["postgresql://[app:planted@host/db"], "a password on the command line"),
        (["hooks.db", "--allow-network", "everywhere"], "--allow-network"),
        (["hooks.db", "--health-file", "missing/health"], "--health-file: no such folder: missing"),
        (["hooks.db", "--health-file", "."], "--health-file: it is a folder: ."),
        (["hooks.db", "--lease", "10"], "lease"),
        (["hooks.db", "--keys-file", "missing"], "--keys-file: No such file"),
    ],
)
def test_what_it_cannot_start_with(tmp_path, empty_file, monkeypatch, capsys, arguments, says) -> None:
    """Exit status 2, in a sentence, with nothing secret in it."""
    shutil.copyfile(empty_file, tmp_path / "hooks.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOOKKIT_DSN", raising=False)
    monkeypatch.setattr("hookkit._work.lines.write_log", lambda *_, **__: None)
    assert main(["worker", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hookkit worker: ")
    assert says in err
    assert "planted" not in err


@pytest.mark.parametrize(
    "options",
    [["--concurrency", "0"], ["--concurrency", "x"], ["--lease", "nan"], ["--allow-port", "0"], ["--keep-log", "-1"]],
)
def test_numbers_out_of_range(options, capsys) -> None:
    """Exit status 2."""
    with pytest.raises(SystemExit, match="2"):
        main(["worker", "hooks.db", *options])
    assert "usage: hookkit worker" in capsys.readouterr().err


def test_a_password_may_stand_in_the_environment(monkeypatch) -> None:
    """Others cannot read it there; and it is not among what is shown."""
    monkeypatch.setenv("HOOKKIT_DSN", "postgres://app:planted@db:5433/auth?password=planted")
    place = place_of(None)
    assert place == ("postgresql", "app:planted@db:5433/auth?password=planted")
    assert name_of(place, "hooks") == "postgresql://db:5433/auth, schema hooks"
    assert name_of(("sqlite", "//var/hooks.db"), "hooks") == "sqlite:////var/hooks.db"
    assert name_of(("postgresql", "[app:planted@db"), "hooks") == "postgresql"


# --- A store that fails -----------------------------------------------------------------------------------------------


class Away(MemoryStore):
    """A store that does not answer for so many calls."""

    def __init__(self, calls: int) -> None:
        super().__init__()
        self.left = calls

    def next_due(self, *, now):
        self.left -= 1
        if self.left >= 0:
            raise StoreError("it is away")
        return super().next_due(now=now)


def run_quietly(store, caplog, **options) -> tuple[int, list[str]]:
    """Run a worker that drains, on another thread than the main one, and return its status and what it said."""
    statuses: list[int] = []
    with caplog.at_level(logging.INFO, "hookkit.worker"):
        made = Options(drain=True, further={"transport": FakeTransport()}, **options)
        thread = threading.Thread(target=lambda: statuses.append(run_worker(store, made)))
        thread.start()
        thread.join(60)
    return statuses[0], [record.getMessage() for record in caplog.records]


def test_a_store_that_is_away_at_the_start_is_waited_for(caplog) -> None:
    """It is said once, however often it is tried."""
    status, said = run_quietly(Away(2), caplog)
    assert status == 0
    assert [line for line in said if "away" in line] == [
        "the store cannot be used yet, and is tried for 30 s more: it is away"
    ]


def test_but_not_for_ever(caplog) -> None:
    """Exit status 1, and the reason."""
    status, said = run_quietly(Away(10**9), caplog, start_timeout=0.6)
    assert status == 1
    assert said[-1] == "the store cannot be used: it is away"
    assert len(said) == 2


def test_a_drain_does_not_wait_for_ever_for_a_store_that_has_gone(caplog) -> None:
    """Exit status 1, once it has not answered for as long as it may take at the start; a worker that serves goes on."""

    class Gone(MemoryStore):
        def claim(self, **_):
            raise StoreError("it has gone")

    store = Gone()
    bench = Bench(store, store, store)
    bench.emit(bench.register())
    status, said = run_quietly(store, caplog, start_timeout=0.3)
    assert status == 1
    assert len([line for line in said if "it has gone" in line]) == 1
    assert said[-1] == "the worker has ended: the store does not answer any more"


def test_what_prepares_the_store_is_repeated_with_it(caplog) -> None:
    """As is ``--migrate`` while the database starts."""
    tries: list[int] = []

    def prepare() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise StoreError("it is away")

    options = Options(drain=True, further={"transport": FakeTransport()})
    assert run_worker(MemoryStore(), options, prepare=prepare) == 0
    assert len(tries) == 3


def test_failures_are_said_once(caplog) -> None:
    """One line when it goes, one for another reason, one when it is back; each pause is longer, up to half a minute."""
    faults = Faults()
    with caplog.at_level(logging.INFO, "hookkit.worker"):
        pauses = [faults.met(StoreError("away"), lambda: 1.0) for _ in range(9)]
        faults.met(StoreError("still away"), lambda: 0.0)
        faults.over()
        faults.over()
        faults.met(ValueError("away"), lambda: 0.0)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert [record.getMessage() for record in caplog.records] == [
        "the worker goes on in 0.5 s: away",
        "the worker goes on in 15.0 s: still away",
        "the worker goes on as before, after 10 failures",
        "the worker goes on in 0.2 s",
    ]
    assert caplog.records[-1].exc_info is not None


# --- What is counted and said -----------------------------------------------------------------------------------------

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "reason", "due", "entry_reason", "line"),
    [
        (500, "status", 5, "", "attempt 2 failed: status 500; again at 2026-01-31T09:30:05Z"),
        (None, "dns", 5, "", "attempt 2 failed: dns; again at 2026-01-31T09:30:05Z"),
        (503, "status", None, "exhausted", "attempt 2 failed: status 503; for good (exhausted)"),
        (None, "target_refused", None, "target_refused", "attempt 2 failed: target_refused; for good"),
    ],
)
def test_a_failure_is_a_line(status, reason, due, entry_reason, line) -> None:
    """With ids, what came of it, and what comes next; nothing that came from outside."""
    attempt = Attempt(2, AT, timedelta(seconds=1), status, reason, (("x-evil", "planted"),), b"planted")
    state = "failed" if due is None else "pending"
    entry = LogEntry("dlv_1", "evt_1", "a.b", "whk_1", "", state, (attempt,), AT, None, None, b"planted", entry_reason)
    from hookkit.work import Settlement

    done = Settlement("clm_1", attempt, state, None if due is None else AT + timedelta(seconds=due), entry)
    assert failure_line(done) == f"delivery dlv_1 to whk_1, {line}"


def test_summaries() -> None:
    """What was done since the last, and how long the longest due has waited."""
    counts = Counts(10, 6, 3, 1, 0).since(Counts(1, 1, 0, 0, 0))
    assert (counts.claimed, counts.attempted) == (9, 9)
    said = "in 60 s: 9 attempted, 5 succeeded, 3 to be tried again, 1 failed for good; "
    assert summary_line(counts, 60, None) == said + "nothing is due"
    assert summary_line(counts, 60, 2.25) == said + "the longest due waits for 2.2 s"


def test_idle_is_when_nothing_is_due_nor_under_way() -> None:
    """A delivery that is being sent keeps it busy, and so does one that is due; what cannot be claimed does not."""
    store = MemoryStore()
    watched = Watched(store, 60.0)
    bench = Bench(store, store, watched)
    watched.next_due(now=bench.now)
    assert watched.is_idle
    delivery = bench.emit(bench.register())
    bench.advance(3)
    assert watched.next_due(now=bench.now) == bench.now - timedelta(seconds=3)
    assert (watched.is_idle, watched.lag_s) == (False, 3.0)
    assert bench.claim(limit=0) == []
    watched.next_due(now=bench.now)
    assert watched.is_idle
    (claim,) = bench.claim()
    watched.next_due(now=bench.now)
    assert not watched.is_idle
    watched.settle(
        [settlement(claim, at=bench.now, status=200, due_at=None)], now=bench.now, step=lambda s, *_: (s, ())
    )
    watched.next_due(now=bench.now)
    assert (watched.is_idle, watched.lag_s) == (True, None)
    assert (watched.counts, delivery) == (Counts(claimed=1, succeeded=1), claim.delivery_id)


@pytest.mark.parametrize("formatter", [TextLines(), JsonLines()])
def test_lines_of_the_log(formatter) -> None:
    """Each begins with the time, in UTC; JSON is one line, whatever is in it."""
    record = logging.LogRecord("hookkit.worker", logging.INFO, "", 0, "%s", ("a\x1b\nb",), None)
    record.created = 1769851800.1239
    text = formatter.format(record)
    if isinstance(formatter, JsonLines):
        assert text.isprintable()
        assert json.loads(text) == {
            "time": "2026-01-31T09:30:00.123Z",
            "level": "info",
            "logger": "hookkit.worker",
            "message": "a\x1b\nb",
        }
    else:
        assert text == "2026-01-31T09:30:00.123Z INFO hookkit.worker: a\\x1b\\nb"


def test_why_a_pool_cannot_connect_is_said_once_in_a_while() -> None:
    """Not at every try; and nothing else of what it says."""
    news = News()

    def passes(text: str, at: float, name: str = "psycopg.pool") -> bool:
        record = logging.LogRecord(name, logging.WARNING, "", 0, text, (), None)
        record.created = at
        return news.filter(record)

    assert [passes("error connecting: refused", at) for at in (0.0, 1.0, 599.0, 600.0, 601.0)] == [1, 0, 0, 1, 0]
    assert passes("error connecting: no password", 601.0)
    assert not passes("discarding closed connection", 700.0)
    assert [passes("anything", 700.0, "hookkit.worker") for _ in range(2)] == [1, 1]


def test_a_health_file_that_cannot_be_written_stops_nothing(tmp_path, caplog) -> None:
    """It is said once."""
    signs = Signs(tmp_path / "missing" / "health")
    for state in ("starting", "ready", "ready"):
        signs.show(state)
    signs.end()
    assert [record.getMessage() for record in caplog.records] == [
        "the health file cannot be written: No such file or directory"
    ]

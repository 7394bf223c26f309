"""Both inboxes keep the contract, sync and async; random histories, a race of processes, and a crash."""

from __future__ import annotations

import asyncio
import inspect
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

import hookkit.inbox
from hookkit import StoreError, Verified
from hookkit.inbox import (
    AsyncMemoryInbox,
    AsyncSQLiteInbox,
    Inbox,
    MemoryInbox,
    Receipt,
    SQLiteInbox,
    ThreadedInbox,
)
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing import InboxContract, as_sync
from hookkit.testing.clock import START
from sourcetree import PACKAGE

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
EVENT = Verified("evt_1", START, b"{}", "evt_1")


def open_inbox(path, **options) -> SQLiteInbox:
    """Return an inbox that does not wait for the disk: power losses are none of these tests' business."""
    return SQLiteInbox(path, synchronous="NORMAL", **options)


class HostTransaction:
    """A host's own connection, which has begun a transaction."""

    def __init__(self, connection):
        self.tx = connection
        connection.execute("BEGIN")

    def commit(self):
        self.tx.execute("COMMIT")

    def rollback(self):
        self.tx.execute("ROLLBACK")


class SQLiteFixtures:
    """A file, and the host's connections to it."""

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "inbox.db"

    @pytest.fixture
    def transaction(self, inbox, path):
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
            yield HostTransaction(connection)

    @pytest.fixture
    def autocommit_tx(self, inbox, path):
        with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as connection:
            yield connection

    @pytest.fixture
    def foreign_tx(self, tmp_path):
        other = tmp_path / "other.db"
        open_inbox(other).close()
        with closing(sqlite3.connect(other, isolation_level=None, check_same_thread=False)) as connection:
            connection.execute("BEGIN")
            yield connection


class TestMemoryInbox(InboxContract):
    """In memory."""

    @pytest.fixture
    def inbox(self):
        return MemoryInbox()


class TestAsyncMemoryInbox(InboxContract):
    """Its async twin, which shares nothing between threads: all of it runs on one loop."""

    @pytest.fixture
    def inbox(self):
        with as_sync(AsyncMemoryInbox()) as inbox:
            yield inbox


class TestSQLiteInbox(SQLiteFixtures, InboxContract):
    """In a file."""

    @pytest.fixture
    def inbox(self, path):
        with open_inbox(path) as inbox:
            yield inbox


class TestAsyncSQLiteInbox(SQLiteFixtures, InboxContract):
    """Its async twin."""

    @pytest.fixture
    def inbox(self, path):
        with as_sync(AsyncSQLiteInbox(path, synchronous="NORMAL")) as inbox:
            yield inbox


class TestInboxBesideAStore(SQLiteFixtures, InboxContract):
    """In the file of a store that emits, too."""

    @pytest.fixture
    def inbox(self, path):
        with closing(SQLiteStore(path, synchronous="NORMAL")), open_inbox(path) as inbox:
            yield inbox


class Stranger(Inbox[None]):
    """The least that an inbox needs, as somebody writes it who has read the protocol."""

    keep = timedelta(hours=1)

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[tuple[str, str], list] = {}

    def claim(self, source, key, *, now, lease=60, tx=None) -> Receipt:
        if tx is not None:
            raise TypeError("tx: this inbox joins nothing")
        lease = lease if isinstance(lease, timedelta) else timedelta(seconds=lease)
        for name, text in (("source", source), ("key", key)):
            if not 1 <= len(text) <= 256 or "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
                raise ValueError(name)
        if not timedelta(0) < lease <= self.keep:
            raise ValueError("lease")
        self.prune(now=now)
        with self.lock:
            _, until, state, _ = self.rows.get((source, key), (None, now, "claimed", None))
            if state == "finished":
                return Receipt(source, key, "finished")
            if now < until:
                return Receipt(source, key, "busy", retry_after_s=max(1, -(-(until - now) // SECOND)))
            claim_id = f"{len(self.rows)} {now} {id(threading.current_thread())}"
            self.rows[source, key] = [claim_id, now + lease, "claimed", now]
        return Receipt(source, key, "first", claim_id)

    def finish(self, receipt) -> bool:
        row = self.rows.get((receipt.source, receipt.key), [None])
        if row[0] != receipt.claim_id:
            return False
        row[2] = "finished"
        return True

    def release(self, receipt, *, tx=None) -> bool:
        row = self.rows.get((receipt.source, receipt.key), [None, None, None])
        return row[0] == receipt.claim_id and row[2] == "claimed" and bool(self.rows.pop((receipt.source, receipt.key)))

    def prune(self, *, now, limit=1000) -> int:
        if now.tzinfo is None:
            raise ValueError("now: naive")
        with self.lock:
            old = [key for key, row in self.rows.items() if now - row[3] > self.keep + SECOND][:limit]
            for key in old:
                del self.rows[key]
        return len(old)


class TestStranger(InboxContract):
    """The protocol's docstrings say enough to write an inbox: four steps, and ``receive`` comes with them."""

    @pytest.fixture
    def inbox(self):
        return Stranger()


class AlwaysFirst(Stranger):
    """Lets everybody handle it."""

    def claim(self, source, key, *, now, lease=60, tx=None):
        self.rows.clear()
        return super().claim(source, key, now=now, lease=lease, tx=tx)


class Hasty(Stranger):
    """Takes what is claimed for handled."""

    def claim(self, source, key, *, now, lease=60, tx=None):
        receipt = super().claim(source, key, now=now, lease=lease, tx=tx)
        return Receipt(source, key, "finished") if receipt.state == "busy" else receipt


class Immortal(Stranger):
    """Never takes anybody for dead."""

    def claim(self, source, key, *, now, lease=60, tx=None):
        super().claim("check", "arguments", now=now, lease=lease, tx=tx)
        return super().claim(source, key, now=now, lease=self.keep, tx=tx)


class Trusting(Stranger):
    """Lets anybody finish or release a claim, whoever's it is."""

    def finish(self, receipt):
        row = self.rows.get((receipt.source, receipt.key))
        return row is not None and super().finish(Receipt(receipt.source, receipt.key, "first", row[0]))


class Confused(Stranger):
    """Takes the events of all sources for one another's."""

    def claim(self, source, key, *, now, lease=60, tx=None):
        return super().claim(source[:0] + "all", key, now=now, lease=lease, tx=tx)


class Forgetful(Stranger):
    """Forgets a little too soon."""

    def prune(self, *, now, limit=1000):
        return super().prune(now=now + 2 * SECOND, limit=limit)


class Hoarding(Stranger):
    """Never forgets."""

    def prune(self, *, now, limit=1000):
        return 0


class Stubborn(Stranger):
    """Gives nothing back."""

    def release(self, receipt, *, tx=None):
        return True


RULES = [
    name
    for name, rule in inspect.getmembers(InboxContract, inspect.isfunction)
    if name.startswith("test_") and [*inspect.signature(rule).parameters] == ["self", "inbox"]
]


def broken_rules(make) -> list[str]:
    """Return which rules of the kit an inbox breaks."""
    broken = []
    for name in RULES:
        try:
            getattr(InboxContract(), name)(make())
        except (AssertionError, pytest.fail.Exception):
            broken.append(name)
    return broken


@pytest.mark.parametrize(
    "make",
    [AlwaysFirst, Hasty, Immortal, Trusting, Confused, Forgetful, Hoarding, Stubborn],
    ids=lambda make: make.__name__,
)
def test_the_kit_notices_what_is_wrong(make) -> None:
    """An inbox that breaks its word in one point breaks a rule of the kit; one that keeps it breaks none."""
    assert len(RULES) > 20
    assert broken_rules(make) != []
    assert broken_rules(Stranger) == []


# --- A model ----------------------------------------------------------------------------------------------------------

KEEP = timedelta(minutes=20)
NAMES = [("auth", "evt_1"), ("auth", "evt_2"), ("pay", "evt_1")]


class InboxMachine(RuleBasedStateMachine):
    """Random histories of claiming, finishing, releasing and waiting; the model is a dictionary."""

    def __init__(self, opened) -> None:
        super().__init__()
        self._opened = opened
        self.inbox = opened.__enter__()
        self.now = START
        self.entries: dict[tuple[str, str], tuple] = {}  # claim id, claimed at, lease until, finished
        self.receipts: list[Receipt] = []

    def teardown(self) -> None:
        self._opened.__exit__(None, None, None)

    def held(self, receipt: Receipt):
        entry = self.entries.get((receipt.source, receipt.key))
        return entry if entry is not None and entry[0] == receipt.claim_id else None

    @rule(name=st.sampled_from(NAMES), lease=st.sampled_from([SECOND, MINUTE, KEEP]))
    def claim(self, name, lease):
        claim_id, at, until, finished = self.entries.get(name, ("", self.now - 2 * KEEP, self.now, False))
        if self.now - at > KEEP + SECOND:
            expected = "first"
        elif finished:
            expected = "finished"
        else:
            expected = "busy" if self.now < until else "first"
        receipt = self.inbox.claim(*name, now=self.now, lease=lease)
        assert receipt.state == expected
        assert (receipt.retry_after_s is not None) == (expected == "busy")
        if receipt.first:
            assert receipt.claim_id != claim_id
            self.entries[name] = (receipt.claim_id, self.now, self.now + lease, False)
            self.receipts.append(receipt)

    @rule(data=st.data())
    def finish(self, data):
        if self.receipts:
            receipt = data.draw(st.sampled_from(self.receipts))
            entry = self.held(receipt)
            if entry is not None and self.now - entry[1] > KEEP + SECOND:
                return  # whether an old entry is still there is nobody's business
            assert self.inbox.finish(receipt) == (entry is not None)
            if entry is not None:
                self.entries[receipt.source, receipt.key] = (*entry[:3], True)

    @rule(data=st.data())
    def release(self, data):
        if self.receipts:
            receipt = data.draw(st.sampled_from(self.receipts))
            entry = self.held(receipt)
            if entry is not None and self.now - entry[1] > KEEP + SECOND:
                return
            free = entry is not None and not entry[3]
            assert self.inbox.release(receipt) == free
            if free:
                del self.entries[receipt.source, receipt.key]

    @rule(step=st.sampled_from([SECOND, MINUTE, KEEP / 2, KEEP]))
    def wait(self, step):
        self.now += step

    @rule()
    def prune(self):
        self.inbox.prune(now=self.now)
        assert self.inbox.prune(now=self.now) == 0

    @invariant()
    def a_repeat_is_never_told_that_all_is_well(self):
        for name, (_, at, until, finished) in self.entries.items():
            if not finished and self.now < until and self.now - at <= KEEP:
                assert self.inbox.claim(*name, now=self.now).status == 503


def machine(opened):
    """Return a test case that runs the machine over an inbox of its own each time."""

    class Machine(InboxMachine):
        def __init__(self):
            super().__init__(opened())

    return Machine.TestCase


@contextmanager
def temporary_inbox():
    with tempfile.TemporaryDirectory() as folder, open_inbox(Path(folder) / "inbox.db", keep=KEEP) as inbox:
        yield inbox


@contextmanager
def memory_inbox():
    yield MemoryInbox(keep=KEEP)


TestMemoryInboxAgainstAModel = machine(memory_inbox)
TestSQLiteInboxAgainstAModel = machine(temporary_inbox)
TestMemoryInboxAgainstAModel.settings = settings(max_examples=100, stateful_step_count=40)
TestSQLiteInboxAgainstAModel.settings = settings(
    max_examples=15, stateful_step_count=40, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)


# --- Settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [MemoryInbox, AsyncMemoryInbox, "sqlite", "async sqlite"])
@pytest.mark.parametrize(
    ("keep", "tolerance", "good"),
    [
        (timedelta(minutes=10), timedelta(minutes=5), True),
        (599, 300, False),
        (600, 300, True),
        (timedelta(hours=47), timedelta(hours=24), False),
        (timedelta(days=7), timedelta(hours=24), True),
        (timedelta(days=7), timedelta(hours=25), False),
        (timedelta(days=7), -1, False),
        (timedelta(0), timedelta(0), False),
        (1, 0, True),
    ],
)
def test_entries_outlive_twice_the_tolerance(make, keep, tolerance, good, tmp_path) -> None:
    """That long a request verifies whose sender's clock was ahead; a shorter memory is a ValueError, and no file."""
    path = tmp_path / "inbox.db"
    if isinstance(make, str):
        kind = AsyncSQLiteInbox if make.startswith("async") else SQLiteInbox

        def make(**options):
            return kind(path, **options)

    if not good:
        with pytest.raises(ValueError):
            make(keep=keep, tolerance=tolerance)
        assert not path.exists()
        return
    inbox = make(keep=keep, tolerance=tolerance)
    assert inbox.keep == (keep if isinstance(keep, timedelta) else timedelta(seconds=keep))
    if isinstance(inbox, SQLiteInbox):
        inbox.close()
    elif not isinstance(inbox, MemoryInbox):
        asyncio.run(inbox.aclose())


def test_a_request_is_never_fresh_again() -> None:
    """Even with the shortest memory allowed, an entry is there for as long as its request verifies."""
    from hookkit import VerificationError, verify_signature
    from hookkit.testing import sign_request

    key, tolerance = "whsec_" + 32 * "MfKQ", timedelta(minutes=5)
    inbox = MemoryInbox(keep=2 * tolerance, tolerance=tolerance)
    headers = sign_request(b"{}", key, at=START + tolerance)  # as far ahead as it may be
    received = 0
    for seconds in range(-1, 700):
        for now in (START + timedelta(seconds=seconds), START + timedelta(seconds=seconds, microseconds=999_999)):
            try:
                verified = verify_signature(b"{}", headers, key, now=now, tolerance=tolerance)
            except VerificationError:
                continue
            with inbox.receive(verified, source="auth", now=now) as receipt:
                received += receipt.first
    assert received == 1


def test_now_is_read_when_it_is_not_given(tmp_path) -> None:
    """``receive`` takes the clock's time, so that a receiver need not."""
    with open_inbox(tmp_path / "inbox.db") as inbox:
        with inbox.receive(EVENT, source="auth") as receipt:
            assert receipt.first
        assert not inbox.claim("auth", "evt_1", now=hookkit.inbox._inbox.SYSTEM_CLOCK.now()).first

    async def main():
        inbox = AsyncMemoryInbox()
        async with inbox.receive(EVENT, source="auth") as receipt:
            assert receipt.first
        async with inbox.receive(EVENT, source="auth") as receipt:
            assert not receipt.first

    asyncio.run(main())


# --- Memory -----------------------------------------------------------------------------------------------------------


def fill(inbox, count, *, at=START, finish=True, lease=SECOND):
    for number in range(count):
        receipt = inbox.claim("auth", f"{at} {number}", now=at, lease=lease)
        assert receipt.first
        if finish:
            inbox.finish(receipt)


def test_memory_is_bounded() -> None:
    """Full of events that can still be replayed, it takes no more: better a 503 than a replay."""
    inbox = MemoryInbox(max_entries=10)
    fill(inbox, 10)
    with pytest.raises(StoreError, match="max_entries"):
        inbox.claim("auth", "one more", now=START + 10 * MINUTE)
    assert inbox.claim("auth", f"{START} 3", now=START + 10 * MINUTE).state == "finished"


def test_what_nobody_can_replay_makes_room() -> None:
    """Before its time, but after twice the tolerance, the oldest one goes, one for each that comes."""
    inbox = MemoryInbox(max_entries=10)
    fill(inbox, 10)
    later = START + 10 * MINUTE + 2 * SECOND
    assert inbox.claim("auth", "one more", now=later).first
    states = [inbox.claim("auth", f"{START} {number}", now=later).state for number in range(1, 10)]
    assert states == ["finished"] * 9


def test_what_somebody_is_at_makes_no_room() -> None:
    """A claimed event stays until its lease has run out, however old it is."""
    inbox = MemoryInbox(max_entries=3)
    fill(inbox, 2, finish=False, lease=timedelta(hours=1))
    fill(inbox, 1, at=START + SECOND)
    later = START + 11 * MINUTE
    assert inbox.claim("auth", "new", now=later, lease=SECOND).first
    with pytest.raises(StoreError):
        inbox.claim("auth", "newer", now=later)
    assert inbox.claim("auth", f"{START} 0", now=later).state == "busy"
    assert inbox.claim("auth", "newer", now=START + timedelta(hours=1)).first


def test_an_event_that_is_there_needs_no_room() -> None:
    """A full inbox still knows what it has, and lets a dead claimer's event be claimed again."""
    inbox = MemoryInbox(max_entries=1)
    fill(inbox, 1, finish=False)
    assert inbox.claim("auth", f"{START} 0", now=START).state == "busy"
    assert inbox.claim("auth", f"{START} 0", now=START + SECOND).first


def test_an_inbox_for_nothing_is_refused() -> None:
    """There is room for one entry at least."""
    with pytest.raises(ValueError, match="max_entries"):
        MemoryInbox(max_entries=0)


# --- SQLite -----------------------------------------------------------------------------------------------------------


def test_it_survives_a_restart(tmp_path) -> None:
    """What was finished yesterday is finished today, and what was claimed is still claimed."""
    with open_inbox(tmp_path / "inbox.db") as inbox:
        inbox.finish(inbox.claim("auth", "evt_1", now=START))
        inbox.claim("auth", "evt_2", now=START)
    with open_inbox(tmp_path / "inbox.db") as inbox:
        assert inbox.claim("auth", "evt_1", now=START).state == "finished"
        assert inbox.claim("auth", "evt_2", now=START).state == "busy"


def test_it_makes_its_own_tables_only(tmp_path) -> None:
    """In a host's database, and beside a store; both can be opened again."""
    path = tmp_path / "host.db"
    open_inbox(path).close()
    with closing(sqlite3.connect(path)) as host:
        names = {name for (name,) in host.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}
        assert names == {"hookkit_inbox", "hookkit_inbox_by_age", "hookkit_inbox_schema"}
        assert host.execute("SELECT version FROM hookkit_inbox_schema").fetchall() == [(1,)]
    SQLiteStore(path).close()
    open_inbox(path).close()
    SQLiteStore(path).close()


def test_the_schema_for_postgres_is_the_same() -> None:
    """The same tables with the same columns and indexes, so that one statement serves both."""
    shapes = []
    for dialect, prefix in (("sqlite", "hookkit_"), ("postgres", "hookkit.")):
        text = (PACKAGE / "inbox" / "schema" / dialect / "0001.sql").read_text("utf-8")
        tables = re.findall(rf"CREATE TABLE {re.escape(prefix)}(\w+) \((.*?)\n\)", text, re.DOTALL)
        indexes = re.findall(r"CREATE INDEX (\w+) ON (\S+) \((.*)\)", text)
        shapes.append(
            (
                {name: re.findall(r"(?m)^    (\w+)", body) for name, body in tables},
                [(name.removeprefix(prefix), table.removeprefix(prefix), columns) for name, table, columns in indexes],
            )
        )
    shapes[1][0]["inbox_schema"].remove("store")  # a connection has to be recognised; a file is, by its name
    assert shapes[0] == shapes[1]
    assert set(shapes[0][0]) == {"inbox", "inbox_schema"}


def test_a_newer_schema_is_refused(tmp_path) -> None:
    """An older hookkit does not write to tables that it does not know."""
    path = tmp_path / "inbox.db"
    open_inbox(path).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as host:
        host.execute("INSERT INTO hookkit_inbox_schema VALUES (2, 0, 2)")
    with pytest.raises(StoreError, match="upgrade hookkit"):
        open_inbox(path)


@pytest.mark.parametrize("path", ["", ":memory:"])
def test_a_file_is_needed(path) -> None:
    """A database in memory would be another one for each thread."""
    with pytest.raises(ValueError, match="MemoryInbox"):
        SQLiteInbox(path)


def test_a_closed_inbox_says_so(tmp_path) -> None:
    """Closing twice is harmless; using it afterwards is a StoreError, sync and async."""
    inbox = open_inbox(tmp_path / "inbox.db")
    inbox.close()
    inbox.close()
    with pytest.raises(StoreError, match="SQLiteInbox is closed"):
        inbox.claim("auth", "evt_1", now=START)

    async def main():
        async with AsyncSQLiteInbox(tmp_path / "inbox.db") as inbox:
            await inbox.aclose()
            with pytest.raises(StoreError, match="the inbox is closed"):
                await inbox.claim("auth", "evt_1", now=START)

    asyncio.run(main())


def test_a_broken_database_is_a_store_error(tmp_path) -> None:
    """Not an exception of the driver's."""
    path = tmp_path / "inbox.db"
    with open_inbox(path) as inbox:
        with closing(sqlite3.connect(path, isolation_level=None)) as host:
            host.execute("DROP TABLE hookkit_inbox")
        with pytest.raises(StoreError, match="no such table"):
            inbox.claim("auth", "evt_1", now=START)


WAYS = [{"isolation_level": "DEFERRED"}, {"isolation_level": "IMMEDIATE"}]
WAYS += [{"autocommit": False}] if sys.version_info >= (3, 12) else []


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_a_connection_begins_by_itself(tmp_path, way) -> None:
    """With Python's own ways of transactions nobody has to begin one: ``with db:`` is enough."""
    path = tmp_path / "app.db"
    with open_inbox(path) as inbox, closing(sqlite3.connect(path, **way)) as db:
        with db:
            db.execute("CREATE TABLE users (name TEXT)")
        for fails in (True, False, False):
            with suppress(OSError), db, inbox.receive(EVENT, source="auth", now=START, tx=db) as receipt:
                if receipt.first:
                    db.execute("INSERT INTO users VALUES ('ada')")
                if fails:
                    raise OSError
        assert db.execute("SELECT name FROM users").fetchall() == [("ada",)]
        assert db.in_transaction == ("autocommit" in way)


def test_a_connection_that_is_closed_meanwhile(tmp_path, caplog) -> None:
    """What broke the handler is what is raised; that the entry could not be taken back is logged."""
    path = tmp_path / "app.db"
    with open_inbox(path) as inbox:
        db = sqlite3.connect(path)

        def handle():
            with inbox.receive(EVENT, source="auth", now=START, tx=db):
                db.close()
                raise OSError

        with pytest.raises(OSError):
            handle()
        assert "not given back" in caplog.text
        assert inbox.claim("auth", "evt_1", now=START).first


def test_an_inbox_that_breaks_does_not_hide_the_handlers_error(tmp_path, caplog) -> None:
    """The same without a transaction, sync and async."""
    path = tmp_path / "inbox.db"

    def handle():
        with open_inbox(path) as inbox, inbox.receive(EVENT, source="auth", now=START):
            inbox.close()
            raise OSError

    async def handle_async():
        inbox = AsyncSQLiteInbox(path)
        async with inbox.receive(EVENT, source="pay", now=START):
            await inbox.aclose()
            raise OSError

    with pytest.raises(OSError):
        handle()
    with pytest.raises(OSError):
        asyncio.run(handle_async())
    assert caplog.text.count("not given back") == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_is_told(tmp_path) -> None:
    """A connection that two processes share would corrupt the file: the child gets a sentence instead."""
    code = """
import os, sys
from datetime import UTC, datetime
from hookkit import StoreError
from hookkit.inbox import SQLiteInbox
inbox = SQLiteInbox(sys.argv[1])
child = os.fork()
if child == 0:
    try:
        inbox.claim("auth", "evt_1", now=datetime.now(UTC))
    except StoreError as error:
        os._exit(0 if "SQLiteInbox was opened before a fork" in str(error) else 2)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert inbox.claim("auth", "evt_1", now=datetime.now(UTC)).first
inbox.close()
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "inbox.db")], check=True, timeout=60)


# --- Processes --------------------------------------------------------------------------------------------------------

RACER = """
import sqlite3, sys
from contextlib import closing
from datetime import UTC, datetime
from hookkit import Verified
from hookkit.inbox import SQLiteInbox

path, how = sys.argv[1:]
with SQLiteInbox(path, synchronous="NORMAL") as inbox, closing(sqlite3.connect(path, timeout=30)) as db:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(60):
        verified = Verified(f"evt_{number}", None, b"", f"evt_{number}")
        now = datetime.now(UTC)
        if how == "tx":
            with db, inbox.receive(verified, source="auth", now=now, tx=db) as receipt:
                if receipt.first:
                    db.execute("UPDATE effects SET times = times + 1 WHERE number = ?", (number,))
        else:
            with inbox.receive(verified, source="auth", now=now) as receipt:
                if receipt.first:
                    with db:
                        db.execute("UPDATE effects SET times = times + 1 WHERE number = ?", (number,))
        print(receipt.state, flush=True)
"""


@pytest.mark.parametrize("how", ["tx", "lease"])
def test_processes_that_race_handle_each_event_once(tmp_path, how) -> None:
    """Three processes receive the same sixty events at the same time: each has its effect once."""
    path = tmp_path / "app.db"
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE effects (number INTEGER PRIMARY KEY, times INTEGER NOT NULL DEFAULT 0)")
        db.executemany("INSERT INTO effects (number) VALUES (?)", [(number,) for number in range(60)])
    command = [sys.executable, "-W", "error", "-c", RACER, str(path), how]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8") for _ in range(3)
    ]
    try:
        for racer in racers:
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            racer.stdin.write("\n")
            racer.stdin.flush()
        states = [racer.communicate(timeout=120)[0].split() for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()
    assert [racer.returncode for racer in racers] == [0, 0, 0]
    assert sum(state == "first" for each in states for state in each) == 60
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("SELECT count(*), min(times), max(times) FROM effects").fetchone() == (60, 1, 1)


DYING = """
import os, sqlite3, sys
from hookkit import Verified
from hookkit.inbox import SQLiteInbox
from hookkit.testing.clock import START

inbox = SQLiteInbox(sys.argv[1])
db = sqlite3.connect(sys.argv[1])
event, tx = Verified(None, None, b"", "evt_1"), db if sys.argv[2] == "tx" else None
with inbox.receive(event, source="auth", now=START, tx=tx):
    db.execute("CREATE TABLE IF NOT EXISTS effects (number INTEGER)")
    db.execute("INSERT INTO effects VALUES (1)")
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_an_event_whose_process_died_is_not_lost(tmp_path) -> None:
    """Killed while it handles one: with a transaction it is free at once, without one when the lease has run out."""
    path = tmp_path / "app.db"
    for how, states in (("tx", ["first"]), ("lease", ["busy", "first"])):
        done = subprocess.run([sys.executable, "-c", DYING, str(path), how], timeout=60, check=False)
        assert done.returncode == -9
        with open_inbox(path) as inbox:
            found = [inbox.claim("auth", "evt_1", now=START + wait) for wait in (timedelta(0), MINUTE)]
            assert [receipt.state for receipt in found][: len(states)] == states
            for receipt in found:
                inbox.release(receipt)


# --- asyncio ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
def test_a_cancelled_handler_gives_its_event_back(kind, tmp_path) -> None:
    """Even one that is cancelled again while it does so."""

    async def main(inbox):
        inside = asyncio.Event()

        async def handle():
            async with inbox.receive(EVENT, source="auth", now=START):
                inside.set()
                await asyncio.sleep(60)

        task = asyncio.create_task(handle())
        await inside.wait()
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(0)
        assert (await inbox.claim("auth", "evt_1", now=START)).first

    async def memory():
        await main(AsyncMemoryInbox())

    async def sqlite():
        async with AsyncSQLiteInbox(tmp_path / "inbox.db") as inbox:
            await main(inbox)

    asyncio.run({"memory": memory, "sqlite": sqlite}[kind]())


def test_a_handler_that_is_cancelled_while_it_finishes_has_finished(tmp_path) -> None:
    """What was handled is noted, whoever waits for that."""
    blocked, go = threading.Event(), threading.Event()

    class Slow(Stranger):
        def finish(self, receipt) -> bool:
            blocked.set()
            assert go.wait(30)
            return super().finish(receipt)

    async def main():
        async with ThreadedInbox(Slow()) as inbox:

            async def handle():
                async with inbox.receive(EVENT, source="auth", now=START):
                    pass

            task = asyncio.create_task(handle())
            await asyncio.to_thread(blocked.wait, 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            go.set()
            assert (await inbox.claim("auth", "evt_1", now=START)).state == "finished"

    asyncio.run(main())


def test_the_loop_is_not_blocked(tmp_path) -> None:
    """While another process writes to the file, the claim waits on its thread and the loop goes on."""
    path = tmp_path / "inbox.db"

    async def main():
        async with AsyncSQLiteInbox(path) as inbox:
            with closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                claiming = asyncio.create_task(inbox.claim("auth", "evt_1", now=START))
                turns = 0
                while turns < 20:
                    await asyncio.sleep(0.001)
                    turns += 1
                assert not claiming.done()
                other.execute("ROLLBACK")
            assert (await claiming).first

    asyncio.run(main())


# --- The module -------------------------------------------------------------------------------------------------------


def test_the_module_loads_what_is_asked_for() -> None:
    """An inbox in memory loads neither SQLite nor asyncio, and no inbox an HTTP client."""
    heavy = "{'asyncio', 'httpx', 'sqlite3'}"
    for name, loaded in (("MemoryInbox", ""), ("Receipt", ""), ("AsyncSQLiteInbox", "asyncio sqlite3")):
        code = f"import sys; from hookkit.inbox import {name}; print(*sorted({heavy} & {{*sys.modules}}))"
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60)
        assert done.stdout.strip() == loaded, name


def test_the_module_offers_what_it_lists() -> None:
    """Each name loads, and is listed; another one is an AttributeError."""
    assert hookkit.inbox.__all__ == sorted(hookkit.inbox._HOMES)
    here = [name for name in hookkit.inbox.__all__ if "Postgres" not in name or find_spec("psycopg_pool")]
    assert [getattr(hookkit.inbox, name).__name__ for name in here] == here
    assert set(hookkit.inbox.__all__) <= set(dir(hookkit.inbox))
    with pytest.raises(AttributeError, match="nonsense"):
        hookkit.inbox.nonsense  # noqa: B018

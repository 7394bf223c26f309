"""The SQLite file: connections, threads and processes, its schema, what lies in it, and what survives."""

from __future__ import annotations

import logging
import os
import sqlite3
import subprocess
import sys
import threading
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from hookkit import Endpoint, InvalidEndpoint, OutboxDispatcher, Registry, RetryPolicy, StoreError, Worker
from hookkit.health import step
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.stores.sqlite import _database as database_module
from hookkit.stores.sqlite import _store as store_module
from hookkit.testing import FakeTransport, ManualClock
from hookkit.testing.builders import endpoint, planned, settlement
from hookkit.testing.clock import START
from hookkit.vault import Vault
from worlds import PATIENCE_S, URL, World, eventually, leftovers

LEASE = timedelta(seconds=60)
KEYS = {"k1": b"1" * 32, "k2": b"2" * 32}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hooks.db"


def run(script: str, *arguments: object) -> str:
    """Run a script in a process of its own, with warnings as errors, and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def in_thread(call: Any) -> Any:
    """Return what `call` returns, or raises, on a thread of its own."""
    outcome: list[Any] = []

    def target() -> None:
        try:
            outcome.append(call())
        except Exception as error:  # noqa: BLE001 - raised again below
            outcome.append(error)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(PATIENCE_S)
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]


def claim(store: SQLiteStore, lane: str = "first", now: Any = START) -> list[Any]:
    return store.claim(
        now=now, lane=lane, limit=9, limit_busy=9, limit_failing=9, lease=LEASE, owner="me", profiles=["standard"]
    )


# --- Opening ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", ":memory:", Path(":memory:")])
@pytest.mark.parametrize("kind", [SQLiteStore, AsyncSQLiteStore])
def test_it_is_a_file(kind: Any, path: Any) -> None:
    """A database in memory would be another one for each thread; there is a store for that."""
    with pytest.raises(ValueError, match="MemoryStore"):
        kind(path)


def test_the_commits_are_as_durable_as_was_asked_for(path: Path) -> None:
    """WAL, and fsync at every commit unless less is enough; on the connection of every thread."""
    for synchronous, level in (("FULL", 2), ("NORMAL", 1)):
        with SQLiteStore(path, synchronous=synchronous) as store:

            def settings(store: SQLiteStore = store) -> list[Any]:
                names = ("journal_mode", "synchronous")
                return [store._database.execute(f"PRAGMA {name}")[0][0] for name in names]

            assert settings() == in_thread(settings) == ["wal", level]
    with pytest.raises(ValueError, match="FULL"):
        SQLiteStore(path, synchronous="OFF")


def test_a_path_may_be_text_and_relative(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays the same file when the process goes elsewhere."""
    monkeypatch.chdir(path.parent)
    with SQLiteStore("hooks.db") as store:
        monkeypatch.chdir("/")
        in_thread(lambda: store.add_webhook(endpoint(id="whk_1")))
        assert store.get_webhook("whk_1")
    assert path.exists()


@pytest.mark.parametrize("what", ["no folder", "a folder", "no database", "read-only"])
def test_what_cannot_be_opened_is_a_store_error(path: Path, what: str) -> None:
    """With SQLite's own words; nothing stays open."""
    if what == "no folder":
        path = path.parent / "missing" / "hooks.db"
    elif what == "a folder":
        path.mkdir()
    elif what == "no database":
        path.write_bytes(b"this is a text, and a longer one than a header is. " * 100)
    else:
        if os.geteuid() == 0:
            pytest.skip("the superuser may write everywhere")
        path.parent.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="SQLite"):
            SQLiteStore(path)
    finally:
        path.parent.is_dir() and path.parent.chmod(0o700)
    assert leftovers(path.parent) == []


def test_a_file_system_without_wal_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network share, say: there the locks would not hold."""

    class Stubborn(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> Any:
            return super().execute(sql.replace("journal_mode = WAL", "journal_mode"), *arguments)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *args, **options: connect(*args, factory=Stubborn, **options))
    with pytest.raises(StoreError, match="WAL"):
        SQLiteStore(path)
    assert leftovers(path.parent) == []


def test_an_old_sqlite_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is needed, instead of a syntax error later on."""
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 37, 2))
    with pytest.raises(StoreError, match=r"SQLite 3\.38 or newer"):
        SQLiteStore(path)
    assert not path.exists()


# --- Schema -----------------------------------------------------------------------------------------------------------


def test_a_newer_schema_is_refused_and_left_alone(path: Path) -> None:
    """An old version of hookkit must not write into tables that say they are none of its any more."""
    SQLiteStore(path).close()
    with closing(sqlite3.connect(path)) as newer:
        newer.execute("INSERT INTO hookkit_schema (version, applied_at, usable_from) VALUES (999, 0, 999)")
        newer.commit()
    with pytest.raises(StoreError, match=r"schema version 999.*upgrade hookkit"):
        SQLiteStore(path)
    assert leftovers(path.parent) == []
    with closing(sqlite3.connect(path)) as newer:
        assert newer.execute("SELECT max(version) FROM hookkit_schema").fetchone() == (999,)


@pytest.mark.parametrize("damage", ["DELETE FROM hookkit_schema", "DROP TABLE hookkit_schema"])
def test_a_damaged_schema_is_refused(path: Path, damage: str) -> None:
    """Tables without a version are nobody's to guess at; nothing is half made."""
    SQLiteStore(path).close()
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(damage)
        vandal.commit()
        before = vandal.execute("SELECT name, sql FROM sqlite_master").fetchall()
    with pytest.raises(StoreError, match="already exists"):
        SQLiteStore(path)
    assert leftovers(path.parent) == []
    with closing(sqlite3.connect(path)) as vandal:
        assert vandal.execute("SELECT name, sql FROM sqlite_master").fetchall() == before


OPEN = """
import sys, time
from hookkit.stores.sqlite import SQLiteStore
print(flush=True)
sys.stdin.readline()
SQLiteStore(sys.argv[1]).close()
"""


def test_processes_that_start_at_once_make_the_schema_once(path: Path) -> None:
    """Each of them gets to work."""
    command = [sys.executable, "-W", "error", "-c", OPEN, str(path)]
    with ExitStack() as stack:  # which waits for all of them, whatever becomes of one
        processes = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
            for _ in range(3)
        ]
        for process in processes:
            process.stdout.readline()
        for process in processes:
            process.stdin.write(b"\n")
            process.stdin.flush()
        for process in processes:
            process.communicate(timeout=PATIENCE_S)
    assert [process.returncode for process in processes] == [0, 0, 0]
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT version FROM hookkit_schema").fetchall() == [(1,)]


def test_a_new_file_that_another_is_writing_to_is_waited_for(path: Path) -> None:
    """Another process may be making its tables in it: changing the mode waits, which SQLite by itself does not."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("CREATE TABLE theirs (id)")
        committing = threading.Timer(0.1, other.execute, ["COMMIT"])
        committing.start()
        SQLiteStore(path).close()
        committing.join()


def test_a_new_file_that_stays_locked_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the time that every statement waits for a lock."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.05)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            SQLiteStore(path)


def test_threads_that_start_at_once_make_the_schema_once(path: Path) -> None:
    """Likewise."""
    barrier, outcomes = threading.Barrier(8), []

    def begin() -> None:
        barrier.wait(PATIENCE_S)
        with SQLiteStore(path) as store:
            store.add_webhook(endpoint())
            outcomes.append(True)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert outcomes == [True] * 8
    with SQLiteStore(path) as store:
        assert len(store.list_webhooks()) == 8


def test_it_may_be_the_hosts_own_database(path: Path) -> None:
    """Every table and index of ours has our prefix; the host's stay as they were."""
    with closing(sqlite3.connect(path)) as host:
        host.execute("CREATE TABLE users (name TEXT)")
        host.execute("INSERT INTO users VALUES ('ada')")
        host.commit()
        with SQLiteStore(path) as store:
            store.add_webhook(endpoint(id="whk_1"))
            store.enqueue([planned("whk_1")], now=START)
        names = {row[0] for row in host.execute("SELECT name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")}
        assert {name for name in names if not name.startswith("hookkit_")} == {"users"}
        assert host.execute("SELECT name FROM users").fetchall() == [("ada",)]


# --- Connections ------------------------------------------------------------------------------------------------------


def test_each_thread_has_a_connection_of_its_own(path: Path) -> None:
    """The same one every time; those of threads that have ended are closed when the next one is made."""
    with SQLiteStore(path) as store:
        here = store._database._connection()
        assert store._database._connection() is here
        others = [in_thread(store._database._connection) for _ in range(5)]
        assert here not in others
        assert len(store._database._open) <= 2
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            others[0].execute("SELECT 1")
        assert store.list_webhooks() == []


def test_closing_closes_the_connections_of_all_threads(path: Path) -> None:
    """Afterwards every call says so, on whatever thread; closing again is harmless."""
    store = SQLiteStore(path)
    in_thread(store.list_webhooks)
    store.close()
    store.close()
    assert leftovers(path.parent) == []
    calls = [
        lambda: store.get_webhook("whk_1"),
        lambda: store.add_webhook(endpoint()),
        lambda: store.enqueue([], now=START),
        lambda: claim(store),
        lambda: store.next_due(now=START),
    ]
    for call in calls:
        with pytest.raises(StoreError, match="closed"):
            call()
        with pytest.raises(StoreError, match="closed"):
            in_thread(call)
    assert leftovers(path.parent) == []


def test_a_thread_that_comes_while_it_is_closed_leaves_nothing_open(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It had looked before, and was about to connect."""
    store = SQLiteStore(path)
    connect = sqlite3.connect

    def late(*arguments: Any, **options: Any) -> sqlite3.Connection:
        store.close()
        return connect(*arguments, **options)

    monkeypatch.setattr(sqlite3, "connect", late)
    with pytest.raises(StoreError, match="closed"):
        in_thread(store.list_webhooks)
    assert leftovers(path.parent) == []


FORK = """
import os, sys
from hookkit import StoreError
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing.builders import endpoint
store = SQLiteStore(sys.argv[1])
store.add_webhook(endpoint(id="whk_1"))
child = os.fork()
if child == 0:
    try:
        store.get_webhook("whk_1")
    except StoreError as error:
        assert "fork" in str(error), error
    else:
        os._exit(1)
    store.close()  # which closes nothing of the parent's
    with SQLiteStore(sys.argv[1]) as own:
        own.add_webhook(endpoint(id="whk_2"))
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
print([webhook.id for webhook in store.list_webhooks()])
store.close()
"""


def test_a_forked_child_is_told_to_open_its_own(path: Path) -> None:
    """A connection that crosses a fork corrupts databases; the child's own store works, and the parent's goes on."""
    assert run(FORK, path) == "['whk_1', 'whk_2']\n"


def test_a_transaction_that_fails_leaves_nothing(path: Path) -> None:
    """Whether SQLite has rolled back by itself, as on a full disk, or not."""
    with SQLiteStore(path) as store, closing(sqlite3.connect(path)) as vandal:
        store.add_webhook(endpoint(id="whk_1"))
        for kind in ("ROLLBACK", "ABORT"):
            vandal.execute(
                f"CREATE TRIGGER full BEFORE INSERT ON hookkit_bodies BEGIN SELECT RAISE({kind}, 'disk full'); END"
            )
            vandal.commit()
            with pytest.raises(StoreError, match="disk full"):
                store.enqueue([planned("whk_1", id="evt_1", key="k")], now=START)
            with closing(sqlite3.connect(path)) as host:
                host.execute(
                    "INSERT INTO hookkit_events (tenant, id, delivery_ids, created_at) VALUES ('', 'a', '[]', 0)"
                )
                with pytest.raises(StoreError, match="disk full"):
                    store.enqueue([planned("whk_1", id="evt_1", key="k")], now=START, tx=host)
                assert host.in_transaction == (kind == "ABORT")
                host.rollback()
            vandal.execute("DROP TRIGGER full")
            vandal.commit()
        assert vandal.execute("SELECT count(*) FROM hookkit_events").fetchone() == (0,)
        assert not store.enqueue([planned("whk_1", id="evt_1", key="k")], now=START)[0].duplicate


def test_a_database_that_stays_locked_is_a_store_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while; the next call is tried again."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT_S", 0.01)
    with SQLiteStore(path) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            store.add_webhook(endpoint())
        assert store.list_webhooks() == []
        other.execute("COMMIT")
        store.add_webhook(endpoint())


@pytest.mark.parametrize(
    "call",
    [
        lambda store: store.get_webhook("\ud800"),
        lambda store: store.list_webhooks(tenant="\udfff"),
        lambda store: store.add_webhook(endpoint(name="\ud800")),
        lambda store: store.subscribers("\ud800", "a"),
        lambda store: store.entry("\ud800"),
    ],
)
def test_a_lone_surrogate_is_a_store_error(path: Path, call: Any) -> None:
    """UTF-8 has none, so no such text is there; the message does not quote it."""
    with SQLiteStore(path) as store:
        with pytest.raises(StoreError, match="surrogate"):
            call(store)
        assert store.list_webhooks() == []


def test_a_number_that_is_too_large_is_a_store_error(path: Path) -> None:
    """SQLite's have 64 bits."""
    with SQLiteStore(path) as store, pytest.raises(StoreError, match="64 bits"):
        store.list_webhooks(limit=2**63)


def test_an_update_that_raises_changes_nothing(path: Path) -> None:
    """What the change raises reaches the caller, and the next call finds no transaction open."""
    with SQLiteStore(path) as store:
        store.add_webhook(endpoint(id="whk_1", name="old"))

        def change(_: Endpoint) -> Endpoint:
            raise InvalidEndpoint("no", "name")

        with pytest.raises(InvalidEndpoint):
            store.update_webhook("whk_1", change, now=START)
        assert store.update_webhook("whk_1", lambda one: attrs.evolve(one, name="new"), now=START).name == "new"


# --- What survives ----------------------------------------------------------------------------------------------------


def test_everything_is_there_when_it_is_opened_again(path: Path) -> None:
    """Webhooks, what waits, leases, health, the log and its counters."""
    with SQLiteStore(path) as store:
        store.add_webhook(endpoint(id="whk_1", retry=RetryPolicy([60]), rate_limit=(5, 1.5), headers={"X-A": "1"}))
        before = store.get_webhook("whk_1")
        store.enqueue([planned("whk_1", id="evt_1"), planned("whk_1", id="evt_2")], now=START)
        first, second = claim(store)
        store.settle([settlement(first, at=START, status=500, due_at=START + LEASE / 2)], now=START, step=step)
        health, entry = store.health(["whk_1"], now=START), store.entry(first.delivery_id)
    with SQLiteStore(path) as store:
        assert store.get_webhook("whk_1") == before
        assert store.health(["whk_1"], now=START) == health
        assert store.entry(first.delivery_id) == entry
        assert store.extend([first.claim_id, second.claim_id], now=START, lease=LEASE) == {second.claim_id}
        assert claim(store, "retry", START + LEASE / 3) == []
        (again,) = claim(store, "retry", START + LEASE / 2)
        assert (again.delivery_id, again.attempts) == (first.delivery_id, entry.attempts)
        assert store.enqueue([planned("whk_1", id="evt_1")], now=START)[0].duplicate


EMIT = """
import sys
from hookkit import OutboxDispatcher
from hookkit.stores.sqlite import SQLiteStore
emit = OutboxDispatcher(SQLiteStore(sys.argv[1])).emit
while True:
    print(emit("user.created", {"n": 1}).delivery_ids[0], flush=True)
"""


def test_a_killed_process_has_lost_nothing_that_it_emitted(path: Path) -> None:
    """Whatever the moment: what ``emit`` returned for is there, and is delivered once."""
    with SQLiteStore(path) as store:
        store.add_webhook(endpoint(id="whk_1", max_in_flight=100))
    acknowledged: list[str] = []
    for count in (1, 7, 20):
        with subprocess.Popen([sys.executable, "-c", EMIT, str(path)], stdout=subprocess.PIPE, text=True) as process:
            acknowledged += [process.stdout.readline().strip() for _ in range(count)]
            process.kill()
            rest = process.stdout.read().splitlines(keepends=True)
            acknowledged += [line.strip() for line in rest if line.endswith("\n")]
    transport = FakeTransport()
    with SQLiteStore(path) as store:
        worker = Worker(store, transport=transport)
        sent = worker.drain()
        worker.stop()
        assert {store.entry(delivery).state for delivery in acknowledged} == {"succeeded"}
    assert len(acknowledged) <= sent <= len(acknowledged) + 3  # one that was stored, and not said, for each kill
    assert len({dict(request.headers)["webhook-id"] for request in transport.requests}) == sent


def test_a_killed_worker_has_lost_nothing_that_it_claimed(path: Path) -> None:
    """Its leases run out: the deliveries are attempted again, and the lost attempts are in the log."""
    clock = ManualClock()
    with SQLiteStore(path) as store:
        store.add_webhook(endpoint(id="whk_1", max_in_flight=100))
        store.enqueue([planned("whk_1") for _ in range(3)], now=clock.now())
    script = (
        "import os, signal, sys\n"
        "from hookkit import Worker\n"
        "from hookkit.stores.sqlite import SQLiteStore\n"
        "from hookkit.testing import FakeTransport, ManualClock\n"
        "die = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "Worker(SQLiteStore(sys.argv[1]), transport=FakeTransport(die), clock=ManualClock()).drain()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], timeout=PATIENCE_S, check=False)
    assert done.returncode < 0
    with SQLiteStore(path) as store:
        worker = Worker(store, transport=FakeTransport(), clock=clock)
        assert worker.drain() == 0
        clock.advance(LEASE)
        assert worker.drain() == 3
        worker.stop()
        for entry in store.recent("whk_1", now=clock.now()):
            assert (entry.state, [one.reason for one in entry.attempts]) == ("succeeded", ["lost", ""])


# --- Secrets ----------------------------------------------------------------------------------------------------------


def everything(folder: Path) -> bytes:
    """Return the bytes of every file that SQLite keeps. The store is closed: reading them would drop its locks."""
    return b"".join(one.read_bytes() for one in folder.iterdir() if one.is_file())


def columns(path: Path, names: str) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as connection:
        return {row[0]: row[1:] for row in connection.execute(f"SELECT id, {names} FROM hookkit_webhooks")}


@pytest.mark.parametrize("sealed", [True, False])
def test_a_vault_keeps_secrets_out_of_the_file(path: Path, sealed: bool) -> None:
    """Keys and custom headers, old and new ones; without a vault they are there to be read."""
    with SQLiteStore(path, vault=Vault(KEYS) if sealed else None) as store:
        registry = Registry(store, transport=FakeTransport())
        made = registry.create(Endpoint(URL, "*", headers={"Authorization": "Bearer of-my-secret"}))
        secrets = [made.keys[0].value, registry.rotate_key(made.id).value]
        OutboxDispatcher(store).emit("a", {"id": 1})
        Worker(store, transport=FakeTransport()).drain()
        assert registry.get(made.id).headers["Authorization"] == "Bearer of-my-secret"
        assert [key.value for key in registry.get(made.id).keys] == secrets[::-1]
    content = everything(path.parent)
    assert b'"type":"a"' in content
    texts = [secrets[0].removeprefix("whsec_"), secrets[1].removeprefix("whsec_"), "of-my-secret"]
    assert [text.encode() in content for text in texts] == [not sealed] * 3


@pytest.mark.parametrize(
    ("vault", "says"),
    [
        (None, "vault="),
        (Vault({"other": b"1" * 32}), "'k1', which this vault does not have"),
        (Vault({"k1": b"2" * 32}), "does not open"),
    ],
)
def test_the_wrong_vault_says_so(path: Path, vault: Vault | None, says: str) -> None:
    """Which key is missing, and nothing of what is sealed."""
    with SQLiteStore(path, vault=Vault(KEYS)) as store:
        store.add_webhook(endpoint(id="whk_1"))
    with SQLiteStore(path, vault=vault) as store:
        with pytest.raises(StoreError, match=r"^webhook whk_1: ") as refused:
            store.get_webhook("whk_1")
        assert says in str(refused.value)
        for found in (store.list_webhooks(), store.subscribers("", "a")):
            assert [(one.id, one.keys) for one in found] == [("whk_1", ())]


def test_the_vaults_key_can_be_changed(path: Path) -> None:
    """A new one in front seals from now on; the old one still opens what it sealed."""
    with SQLiteStore(path, vault=Vault({"k1": KEYS["k1"]})) as store:
        store.add_webhook(endpoint(id="whk_old"))
    with SQLiteStore(path, vault=Vault({"k2": KEYS["k2"], "k1": KEYS["k1"]})) as store:
        old = store.get_webhook("whk_old")
        store.add_webhook(endpoint(id="whk_new"))
        assert columns(path, "key_id") == {"whk_old": ("k1",), "whk_new": ("k2",)}
        store.update_webhook("whk_old", lambda one: attrs.evolve(one, name="touched"), now=START)
    with SQLiteStore(path, vault=Vault({"k2": KEYS["k2"]})) as store:
        assert [one.value for one in store.get_webhook("whk_old").keys] == [one.value for one in old.keys]


def test_a_vault_may_come_later(path: Path) -> None:
    """What was stored before is read as it is, and sealed when it is next written."""
    with SQLiteStore(path) as store:
        store.add_webhook(endpoint(id="whk_1"))
    with SQLiteStore(path, vault=Vault(KEYS)) as store:
        key = store.get_webhook("whk_1").keys[0].value
        store.update_webhook("whk_1", lambda one: one, now=START)
        assert columns(path, "key_id") == {"whk_1": ("k1",)}
        assert store.get_webhook("whk_1").keys[0].value == key


@pytest.mark.parametrize(
    "swap",
    [
        "UPDATE hookkit_webhooks SET sealed_keys = (SELECT sealed_keys FROM hookkit_webhooks WHERE id = 'whk_2')",
        "UPDATE hookkit_webhooks SET sealed_headers = (SELECT sealed_headers FROM hookkit_webhooks WHERE id = 'whk_2')",
        "UPDATE hookkit_webhooks SET sealed_keys = sealed_headers, sealed_headers = sealed_keys",
        "UPDATE hookkit_webhooks SET sealed_keys = x'00'",
    ],
)
def test_secrets_that_were_moved_do_not_open(path: Path, swap: str) -> None:
    """Whoever can write to the file cannot give one customer's webhook another one's key."""
    with SQLiteStore(path, vault=Vault(KEYS)) as store:
        store.add_webhook(endpoint(id="whk_1", headers={"X-A": "1"}))
        store.add_webhook(endpoint(id="whk_2", headers={"X-A": "2"}))
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(f"{swap} WHERE id = 'whk_1'")
        vandal.commit()
    with SQLiteStore(path, vault=Vault(KEYS)) as store:
        with pytest.raises(StoreError, match="changed or moved"):
            store.get_webhook("whk_1")
        assert store.get_webhook("whk_2").headers == {"X-A": "2"}


def test_unsealed_keys_are_said_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """For each file in a process, however often and by whatever name it is opened; with a vault nothing is said."""
    caplog.set_level(logging.INFO, "hookkit.stores.sqlite")
    other = path.with_name("other.db")
    link = path.with_name("link.db")
    link.symlink_to(path)
    SQLiteStore(path.with_name("sealed.db"), vault=Vault(KEYS)).close()
    for each in (path, path, other, link, path):
        SQLiteStore(each).close()
    said = [record.getMessage() for record in caplog.records if "unsealed" in record.getMessage()]
    assert len(said) == 2
    assert str(path) in said[0]
    assert "vault=" in said[0]
    assert str(other) in said[1]
    assert len(store_module._told) >= 2


# --- Wake-ups ---------------------------------------------------------------------------------------------------------


def test_stores_of_one_file_share_their_wake_ups(path: Path) -> None:
    """By whatever name it was opened."""
    link = path.with_name("link.db")
    with SQLiteStore(path) as store:
        link.symlink_to(path)
        with SQLiteStore(link) as same, SQLiteStore(path.with_name("other.db")) as other:
            assert store.wake_key == same.wake_key != other.wake_key


@pytest.mark.parametrize("world", ["threads-sqlite", "asyncio-sqlite"], indirect=True)
def test_a_worker_in_another_process_finds_what_is_emitted_here(world: World) -> None:
    """Nobody can wake it: it looks."""
    made = world.register()
    script = (
        "import sys\n"
        "from hookkit import Worker\n"
        "from hookkit.stores.sqlite import SQLiteStore\n"
        "from hookkit.testing import FakeTransport, ManualClock\n"
        "with SQLiteStore(sys.argv[1]) as store, Worker(store, transport=FakeTransport(), clock=ManualClock()):\n"
        "    print(flush=True)\n"
        "    sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", script, str(world.folder / "hooks.db")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        process.stdout.readline()
        delivery = world.emit()
        eventually(lambda: world.entry(delivery).state == "succeeded")
        process.communicate(b"\n", timeout=PATIENCE_S)
    assert process.returncode == 0
    assert world.registry().health(made.id)[made.id].succeeded == 1


@pytest.mark.parametrize("table", ["webhooks", "deliveries", "attempts", "endpoints", "heads", "counters", "events"])
def test_a_number_stays_a_number(path: Path, table: str) -> None:
    """Whoever writes into the file, by whatever means: what the store reckons with cannot become text."""
    SQLiteStore(path).close()
    with closing(sqlite3.connect(path)) as vandal:
        columns = vandal.execute(f"PRAGMA table_info(hookkit_{table})").fetchall()
        numbers = [name for _, name, kind, *_ in columns if kind in ("INTEGER", "REAL")]
        assert numbers
        values = {"TEXT": "'t'", "BLOB": "x'00'", "INTEGER": "1", "REAL": "1.0"}
        for column in numbers:
            row = ", ".join("'text'" if name == column else values[kind] for _, name, kind, *_ in columns)
            with pytest.raises(sqlite3.IntegrityError, match=r"cannot store TEXT|datatype mismatch"):
                vandal.execute(f"INSERT INTO hookkit_{table} VALUES ({row})")

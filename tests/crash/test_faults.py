"""Databases that are locked, read-only or away: emits say so, workers try now and then, and everything is delivered.

Forks with an open store, logs that fail (``logs=``), webhooks that do not open, unknown profiles and full disks have
tests of their own: ``test_sqlite_file.py``, ``test_postgres_database.py``, ``test_worker.py``, ``test_unreadable.py``,
``test_full_disk.py``.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from inside import URL, working
from places import Place
from rounds import serve

from hookkit import OutboxDispatcher, Reply, RetryPolicy, StoreError, Worker
from hookkit._sync import loop
from hookkit.clock import SYSTEM_CLOCK
from hookkit.stores.memory import MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.stores.sqlite import _database as sqlite_database
from hookkit.testing import FakeTransport
from hookkit.testing.builders import endpoint
from hookkit.working import pause_s
from worlds import Flaky, eventually

WATCHED_S = 3.0
MOST_TRIES = 8
"""Tries of a worker in that time: 0.25 to 0.5 s after the first, and twice as long each time; and some to spare."""

AWAY = "it went away"


@attrs.frozen
class Fault:
    """What is done to a database.

    Args:
        says: What an emit says of it, as a pattern.
        doing: Does it, for as long as a block lasts.
    """

    says: str
    doing: Callable[[Place, Any], Any]


@contextmanager
def locked(place: Place, _: Any) -> Iterator[None]:
    """Somebody holds the lock, for long."""
    with closing(place.connect()) as other:
        if place.path is not None:
            other.execute("BEGIN IMMEDIATE")
        else:
            other.execute("BEGIN")
            other.execute("LOCK TABLE hookkit.deliveries, hookkit.events, hookkit.heads IN ACCESS EXCLUSIVE MODE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def forbidden(place: Place, _: Any) -> Iterator[None]:
    """Its user may only read."""
    with closing(place.connect()) as owner:
        owner.execute("REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA hookkit FROM hooks")
        yield
        owner.execute("GRANT ALL ON ALL TABLES IN SCHEMA hookkit TO hooks")


@contextmanager
def away(_: Place, cluster: Any) -> Iterator[None]:
    """The server is stopped."""
    cluster.stop("fast")
    try:
        yield
    finally:
        cluster.start()


FAULTS = {
    ("sqlite", "locked"): Fault("locked", locked),
    ("postgres", "locked"): Fault("lock timeout", locked),
    ("postgres", "read-only"): Fault("permission denied", forbidden),
    ("postgres", "away"): Fault("cannot be reached|connection|shutting down|terminating", away),
}


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have stores give up soon, so that what is counted is the worker's patience, not theirs."""
    monkeypatch.setattr(sqlite_database, "BUSY_TIMEOUT_S", 0.05)
    try:
        from hookkit.stores.postgres import _source
    except ImportError:
        return
    monkeypatch.setitem(_source.POOL, "timeout", 0.2)


@pytest.mark.parametrize("mode", ["sync", "async"])
@pytest.mark.parametrize("fault", [name for _, name in FAULTS if name != "locked"] + ["locked"])
def test_a_database_that_fails_for_long_loses_nothing(
    tmp_path: Path, kind: str, fault: str, mode: str, quick: None
) -> None:
    """Emits raise StoreError and store nothing, the worker tries less and less often, and then delivers everything."""
    if (kind, fault) not in FAULTS:
        pytest.skip("this kind of database has no such fault; a read-only file is below")
    what = FAULTS[kind, fault]
    with serve(tmp_path, kind) as (whole, cluster):
        whole.prepare(URL)
        place = whole if cluster is None else hooks(whole, cluster)
        with ExitStack() as stack:
            store = stack.enter_context(closing(place.store()))
            dispatcher = OutboxDispatcher(store)
            dispatcher.emit("to.n0", {"of": "evt_before"}, id="evt_before")
            with what.doing(whole, cluster):
                worker = stack.enter_context(working(place, mode))
                ends = time.monotonic() + WATCHED_S
                while time.monotonic() < ends:
                    with pytest.raises(StoreError, match=what.says):
                        dispatcher.emit("to.n0", {"of": "evt_refused"}, id="evt_refused")
                    time.sleep(0.3)
                tries = dict(worker.calls)
            insist(lambda: dispatcher.emit("to.n0", {"of": "evt_after"}, id="evt_after"))
            eventually(lambda: whole.states() == {"succeeded": 4})
            sent = worker.sent()
        assert sent == {(event, path): 1 for event in ("evt_before", "evt_after") for path in ("all", "n0")}
        assert tries["claim"] > 1, tries
        assert max(tries.values()) <= MOST_TRIES, tries


def hooks(place: Place, cluster: Any) -> Place:
    """Return the same database for a user who owns nothing, and waits for no lock for long."""
    with closing(place.connect()) as owner:
        owner.execute("CREATE ROLE hooks LOGIN")
        owner.execute("GRANT ALL ON SCHEMA hookkit TO hooks")
        owner.execute("GRANT ALL ON ALL TABLES IN SCHEMA hookkit TO hooks")
        owner.execute("GRANT ALL ON ALL SEQUENCES IN SCHEMA hookkit TO hooks")
        owner.execute("ALTER ROLE hooks SET lock_timeout = '100ms'")
    return Place(cluster.dsn().replace("postgres@", "hooks@", 1))


def insist(emit: Callable[[], Any]) -> None:
    """Emit until it works: the pool has to find its connections again."""

    def done() -> bool:
        try:
            emit()
        except StoreError:
            return False
        return True

    eventually(done)


# --- Files that may not be written ------------------------------------------------------------------------------------


def as_nobody(call: Callable[[], None]) -> str:
    """Call in a forked child that may do nothing special; return what it raised, "" if nothing."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setegid(65534)
                os.seteuid(65534)
            call()
            said = ""
        except BaseException as error:  # noqa: BLE001 - the parent looks at it
            said = f"{type(error).__name__}: {error}" if isinstance(error, StoreError) else traceback.format_exc()
        os.write(writing, said.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


@pytest.fixture
def readable(tmp_path: Path) -> Iterator[Path]:
    """Yield a store's file that everybody may read."""
    import tempfile

    with tempfile.TemporaryDirectory() as name:  # tmp_path's parents are nobody else's to enter
        folder = Path(name)
        folder.chmod(0o777)
        path = folder / "hooks.db"
        with SQLiteStore(path) as store:
            store.add_webhook(endpoint(id="whk_1"))
        path.chmod(0o666)
        try:
            yield path
        finally:
            folder.chmod(0o777)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("what", ["file", "folder", "both"])
def test_a_file_that_may_not_be_written_is_a_store_error(readable: Path, what: str) -> None:
    """From opening it, or at the latest from the first emit; and nothing but a StoreError."""
    if what != "folder":
        readable.chmod(0o444)
    if what != "file":
        readable.parent.chmod(0o555)

    def use() -> None:
        with SQLiteStore(readable) as store:
            OutboxDispatcher(store).emit("user.created")

    said = as_nobody(use)
    assert said.startswith("StoreError: SQLite: "), said
    assert any(word in said for word in ("readonly", "unable to open")), said
    readable.parent.chmod(0o777)
    with closing(sqlite3.connect(readable)) as connection:
        assert connection.execute("SELECT count(*) FROM hookkit_events").fetchone() == (0,)


def test_whoever_may_write_may_emit(readable: Path) -> None:
    """Else the test above would show nothing."""

    def use() -> None:
        with SQLiteStore(readable) as store:
            OutboxDispatcher(store).emit("user.created")

    assert as_nobody(use) == ""


# --- Ten minutes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chance", [0.0, 0.5, 0.999], ids=["least jitter", "some", "most"])
def test_ten_minutes_without_a_database_are_a_few_dozen_tries(monkeypatch: pytest.MonkeyPatch, chance: float) -> None:
    """Waits double up to half a minute, and are spread at random; then the worker goes on, with nothing lost."""
    waited = [0.0]
    store = MemoryStore()
    store.add_webhook(endpoint(id="whk_1", url=f"{URL}/"))
    delivery = OutboxDispatcher(store).emit("user.created").delivery_ids[0]
    flaky = Flaky(store, asynchronous=False)
    for method in ("claim", "next_due", "prune", "extend"):
        flaky.fail(method, *[StoreError(AWAY)] * 10_000)
    worker = Worker(flaky, transport=FakeTransport(204))

    def wait(_: Any, seconds: float) -> None:
        waited[0] += seconds
        if waited[0] > 600:
            flaky._errors.clear()
        if store.entry(delivery).state == "succeeded":
            worker._flags.stopping = True
        time.sleep(0.0005)

    monkeypatch.setattr(loop.Flags, "wait", wait)
    monkeypatch.setattr(random, "random", lambda: chance)
    worker.run()
    assert store.entry(delivery).state == "succeeded"
    assert 20 <= flaky.calls["claim"] <= 60
    waits = [pause_s(n, lambda: chance) for n in range(1, 40)]
    assert waits == sorted(waits)
    assert 15 <= waits[-1] <= 30


# --- Poisonous rows ---------------------------------------------------------------------------------------------------

POISONED_S = 2.0
LANES, ATTEMPTS = 3, 4 * 3
VICTIM = "(SELECT seq FROM {}deliveries WHERE event_id = 'evt_1' AND endpoint_id = 'whk_bad')"
POISON = {
    "no payload": (f"UPDATE {{}}deliveries SET body = NULL WHERE seq = {VICTIM}", ""),
    "headers that are no JSON": (f"UPDATE {{}}attempts SET response_headers = '{{' WHERE delivery = {VICTIM}", ""),
    "headers of another shape": (f"UPDATE {{}}attempts SET response_headers = '[7]' WHERE delivery = {VICTIM}", ""),
    "an unknown profile": (
        f"UPDATE {{}}deliveries SET profile = 'unknown' WHERE seq = {VICTIM}",
        f"UPDATE {{}}deliveries SET profile = 'standard' WHERE seq = {VICTIM}",
    ),
    "a webhook that cannot be read": (
        "UPDATE {}webhooks SET metadata = '{' WHERE id = 'whk_bad'",
        "UPDATE {}webhooks SET metadata = '{\"a\": 1}' WHERE id = 'whk_bad'",
    ),
}
"""What was done to a delivery that waits for its retry; and how it is mended, where it has to be."""


@pytest.mark.parametrize("poison", POISON)
def test_a_poisonous_row_keeps_nobody_else_waiting(tmp_path: Path, kind: str, poison: str) -> None:
    """Others are served, the worker does not spin, nothing wrong is sent; once mended, the victim is served, too."""
    harm, mend = POISON[poison]
    mode = ("sync", "async")[(list(POISON).index(poison) + (kind == "postgres")) % 2]  # each poison meets both
    soon = RetryPolicy([timedelta(seconds=0.2)] * 2, jitter=0)
    with serve(tmp_path, kind) as (place, _), closing(place.store()) as store:
        if place.path is None:
            store.migrate()
        for name in ("bad", "good"):
            store.add_webhook(endpoint(id=f"whk_{name}", url=f"{URL}/{name}", retry=soon))
        dispatcher = OutboxDispatcher(store)
        dispatcher.emit("user.created", {"of": "evt_1"}, id="evt_1")
        failing = Reply(503, headers=(("x", "y"),))
        Worker(store, transport=FakeTransport(lambda one: failing if "bad" in one.url else 204)).run_once()
        assert place.states() == {"succeeded": 1, "pending": 1}
        do(place, harm)
        with working(place, mode) as worker:
            dispatcher.emit("user.created", {"of": "evt_2"}, id="evt_2")
            eventually(lambda: worker.sent()["evt_2", "good"] == 1)
            worker.calls.clear()
            time.sleep(POISONED_S)
            # It looks twice a second, and twice more after each outcome (then, and once it has sent): in three lanes.
            assert worker.calls["settle"] <= ATTEMPTS, worker.calls
            assert worker.calls["claim"] <= LANES * (2 * POISONED_S + 2 + 2 * worker.calls["settle"]), worker.calls
            if mend:
                assert ("evt_1", "bad") not in worker.sent()
                do(place, mend)
                # It is looked at again after a while, or when the webhook is changed.
                store.update_webhook("whk_bad", lambda one: one, now=SYSTEM_CLOCK.now())
            gone = poison == "no payload"
            wanted = {"succeeded": 3, "failed": 1} if gone else {"succeeded": 4}
            eventually(lambda: place.states() == wanted)
            others = {("evt_2", "good"): 1, ("evt_2", "bad"): 1}
            assert worker.sent() == (others if gone else {**others, ("evt_1", "bad"): 1})
        if gone:
            ((last,),) = place.ask(f"SELECT max(reason) FROM {{}}attempts WHERE delivery = {VICTIM} AND number > 1")
            assert last == "unsendable"


def do(place: Place, sql: str) -> None:
    with closing(place.connect()) as connection:
        connection.execute(sql.replace("{}", "hookkit_" if place.path is not None else "hookkit."))

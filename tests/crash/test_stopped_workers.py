"""A worker that stands still for longer than its lease, as on a machine that sleeps: another one takes over.

============================== =========================================================================================
what happens                   what comes of it
============================== =========================================================================================
SIGSTOP beyond the lease       the other worker delivers; when the first goes on, its outcome changes nothing
a suspend: SIGSTOP, and the    the same, by itself: its leases have run out, what it had in hand is sent once more
wall clock has gone on by 2 h
============================== =========================================================================================
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from places import PATHS, Place
from processes import Receiver, Worker, receiving, unexpected
from rounds import delivered, serve

from hookkit import OutboxDispatcher
from worlds import eventually

SHORT = {"timeout": 1.0, "lease": 2.0}
EVENTS = 8
ATTEMPTS = "SELECT a.delivery, a.number, a.started_at, a.reason, a.status FROM {}attempts a ORDER BY 1, 2"


def emit(place: Place, count: int = EVENTS) -> None:
    with closing(place.store()) as store:
        dispatcher = OutboxDispatcher(store)
        for n in range(count):
            id = f"evt_ax{n}"
            data = {"of": id, "pad": "", "digest": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}
            dispatcher.emit(f"to.n{n % 3}", data, id=id)


def leased(place: Place) -> int:
    return place.states().get("leased", 0)


def halt_while_sending(place: Place, worker: Worker) -> None:
    """Stop it while it has leases, and no transaction: a process that is stopped within one holds up a SQLite file."""
    while True:
        eventually(lambda: leased(place) > 0)
        worker.halt()
        time.sleep(0.02)
        if leased(place) > 0 and not holds_the_lock(place):
            return
        worker.go_on()


def holds_the_lock(place: Place) -> bool:
    if place.path is None:
        return False
    with closing(sqlite3.connect(place.path, isolation_level=None, timeout=0)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.OperationalError:
            return True
        return False


def set_to(clock: Path, seconds: int) -> None:
    """Set the clock that the processes read, at once."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


def arrivals(receiver: Receiver, *, old: int = 0) -> Counter[tuple[str, str]]:
    verdicts = receiver.verdicts()
    assert len([found for found, _, _ in verdicts if found not in ("accepted", "refused")]) <= old
    return Counter((event, path) for found, event, path in verdicts if found == "accepted")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_worker_that_was_stopped_beyond_its_lease_changes_nothing(tmp_path: Path, kind: str, mode: str) -> None:
    """What it had in hand is counted as lost, and delivered by another; its own word on it comes too late."""
    with serve(tmp_path, kind) as (place, _), receiving(tmp_path, slowness_ms=600) as receiver:
        place.prepare(receiver.url)
        emit(place)
        with ExitStack() as stack:
            first = Worker(tmp_path, place, "first", mode, **SHORT)
            stack.callback(first.discard)
            first.ready()
            halt_while_sending(place, first)
            held = leased(place)
            second = Worker(tmp_path, place, "second", mode, **SHORT)
            stack.callback(second.discard)
            delivered(place)
            before = place.ask(ATTEMPTS)
            first.go_on()
            time.sleep(1.5)  # time enough for it to settle, if it could
            assert place.ask(ATTEMPTS) == before
            assert place.states() == {"succeeded": 2 * EVENTS}
            first.end()
            second.end()
        assert sum(row[3] == "lost" for row in before) == held
        assert unexpected(first.log.read_text() + second.log.read_text()) == []
        found = arrivals(receiver)
        assert len(found) == 2 * EVENTS
        assert found.total() - len(found) <= held <= Worker.CONCURRENCY


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_suspended_machine_goes_on_where_it_was(tmp_path: Path, kind: str, mode: str) -> None:
    """It wakes two hours later, by the wall clock alone: everything is delivered, what was in hand perhaps twice."""
    clock = tmp_path / "clock"
    set_to(clock, 0)
    with serve(tmp_path, kind) as (place, _), receiving(tmp_path, slowness_ms=600, clock=clock) as receiver:
        place.prepare(receiver.url)
        emit(place)
        worker = Worker(tmp_path, place, "only", mode, clock=str(clock), **SHORT)
        try:
            worker.ready()
            halt_while_sending(place, worker)
            held = leased(place)
            set_to(clock, 7200)
            worker.go_on()
            delivered(place)
            worker.end()
        finally:
            worker.discard()
        assert unexpected(worker.log.read_text()) == []
        # A request that was signed before, and arrived after, is two hours old: it is refused, and sent once more.
        found = arrivals(receiver, old=held)
        assert set(found) == {(f"evt_ax{n}", path) for n in range(EVENTS) for path in (PATHS[0], f"n{n % 3}")}
        assert found.total() - len(found) <= held <= Worker.CONCURRENCY

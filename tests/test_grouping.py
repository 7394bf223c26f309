"""Group commit for threads: who comes while a transaction is under way shares the next one, and nobody spoils it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import attrs
import pytest

from hookkit import Endpoint, OutboxDispatcher, Registry, StoreError
from hookkit.clock import SYSTEM_CLOCK
from hookkit.stores import grouping
from hookkit.stores.grouping import GroupCommit
from hookkit.stores.sqlite import SQLiteStore
from hookkit.stores.sqlite._database import is_common
from hookkit.testing.builders import planned
from worlds import eventually


class Ledger:
    """Stores batches; the first waits until it may go on."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.group = GroupCommit[str, str](self.commit, lambda error: isinstance(error, OSError))

    def commit(self, items: Sequence[str]) -> list[str]:
        self.batches.append(list(items))
        if items[0] == "first":
            self.begun.set()
            self.go_on.wait(10)
        if "full" in items:
            raise OSError("no space left")
        if "bad" in items:
            raise ValueError("bad")
        if "interrupted" in items:
            raise KeyboardInterrupt
        return [item.upper() for item in items]

    def together(self, items: Sequence[str]) -> list[object]:
        """Return what each is told, when all come while one is under way."""

        def told(item: str) -> object:
            try:
                return self.group(item)
            except BaseException as error:  # noqa: BLE001 - returned
                return error

        with ThreadPoolExecutor(len(items) + 1) as pool:
            first = pool.submit(told, "first")
            self.begun.wait(10)
            others = []
            for count, item in enumerate(items, 1):
                others.append(pool.submit(told, item))
                eventually(lambda count=count: len(self.group._waiting) == count)
            self.go_on.set()
            assert first.result(10) == "FIRST"
            return [other.result(10) for other in others]


def test_who_comes_meanwhile_shares_the_next_one() -> None:
    """In the order in which they came; each gets its own result."""
    ledger = Ledger()
    assert ledger.together(["a", "b", "c"]) == ["A", "B", "C"]
    assert ledger.batches == [["first"], ["a", "b", "c"]]
    assert ledger.group("later") == "LATER"


def test_one_cannot_spoil_the_rest() -> None:
    """It is told why; the others are stored each on its own."""
    ledger = Ledger()
    a, bad, c = ledger.together(["a", "bad", "c"])
    assert (a, c) == ("A", "C")
    assert isinstance(bad, ValueError)
    assert ledger.batches == [["first"], ["a", "bad", "c"], ["a"], ["bad"], ["c"]]


def test_what_concerns_all_is_told_to_all() -> None:
    """A full disk is not tried once for each of them; each gets an error of its own."""
    ledger = Ledger()
    told = ledger.together(["a", "full", "c"])
    assert [str(error) for error in told] == ["no space left"] * 3
    assert len({id(error) for error in told}) == 3
    assert ledger.batches == [["first"], ["a", "full", "c"]]
    assert ledger.group("later") == "LATER"


def test_a_thread_that_is_interrupted_leaves_nobody_waiting() -> None:
    """Ctrl-C may come while it stores for others: they are told that the outcome is unknown, and the next one leads."""
    ledger = Ledger()
    interrupted, other = ledger.together(["interrupted", "b"])
    assert isinstance(interrupted, KeyboardInterrupt)
    assert isinstance(other, StoreError)
    assert "not known" in str(other)
    assert ledger.group("later") == "LATER"


def test_one_that_was_to_lead_and_is_interrupted_has_another_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    """It withdraws, and is not stored."""

    class Interrupting(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            super().wait(timeout)
            if threading.current_thread().name == "to-be-interrupted":
                raise KeyboardInterrupt
            return True

    ledger = Ledger()
    monkeypatch.setattr(grouping.threading, "Event", Interrupting)
    told = []

    def call(item: str) -> None:
        try:
            told.append(ledger.group(item))
        except KeyboardInterrupt:
            told.append("interrupted")

    threads = [
        threading.Thread(target=call, args=(item,), name=name)
        for item, name in [("first", "leader"), ("a", "to-be-interrupted"), ("b", "other")]
    ]
    for count, thread in enumerate(threads):
        thread.start()
        eventually(ledger.begun.is_set if count == 0 else lambda count=count: len(ledger.group._waiting) == count)
    ledger.go_on.set()
    for thread in threads:
        thread.join(10)
    assert sorted(told) == ["B", "FIRST", "interrupted"]
    assert ledger.batches == [["first"], ["b"]]


def test_threads_that_emit_share_commits(tmp_path) -> None:
    """Many threads, fewer transactions; every event is stored, and one that cannot be stored fails alone."""
    with closing(SQLiteStore(tmp_path / "hooks.db")) as store:
        to = Registry(store).create(Endpoint("https://example.com/hooks", "*")).id
        sizes: list[int] = []
        store._group._commit = lambda parts: sizes.append(len(parts)) or store._enqueue(parts)
        dispatcher = OutboxDispatcher(store)
        start = threading.Barrier(16)

        def emit(n: int) -> int:
            start.wait(10)
            with pytest.raises(StoreError, match="surrogate"):
                store.enqueue([attrs.evolve(planned(to), event_id="\udc00")], now=SYSTEM_CLOCK.now())
            return sum(len(dispatcher.emit("user.created", {"n": n}).delivery_ids) for _ in range(20))

        with ThreadPoolExecutor(16) as pool:
            assert list(pool.map(emit, range(16))) == [20] * 16
        assert max(sizes) > 1
        with closing(sqlite3.connect(tmp_path / "hooks.db")) as connection:
            (count,) = connection.execute("SELECT count(*) FROM hookkit_deliveries").fetchone()
        assert count == 16 * 20


@pytest.mark.parametrize(
    ("cause", "common"),
    [
        (sqlite3.OperationalError("database is locked"), True),
        (sqlite3.DatabaseError("database disk image is malformed"), True),
        (sqlite3.IntegrityError("NOT NULL constraint failed"), False),
        (None, False),
    ],
)
def test_which_errors_concern_all(cause: Exception | None, common: bool) -> None:
    """Those of the file and of the disk; not those of a value."""
    error = StoreError("SQLite: …")
    error.__cause__ = cause
    assert is_common(error) is common

"""What type checkers see of the sender's side. Checked by mypy and pyright, never run."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_type

from hookkit import (
    AsyncOutboxDispatcher,
    AsyncRegistry,
    AsyncWorker,
    Attempt,
    Emission,
    Endpoint,
    Event,
    Health,
    LogEntry,
    Notice,
    OutboxDispatcher,
    Registry,
    RetryPolicy,
    SigningKey,
    TestResult,
    Worker,
)
from hookkit.catalogs.logto import CATALOG
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.targets import LOOPBACK, PUBLIC_HTTPS, Target
from hookkit.transports.httpx import AsyncHttpxTransport, HttpxTransport


class Events(StrEnum):
    """A host's own event types."""

    CREATED = "user.created"


def emitting(connection: sqlite3.Connection) -> None:
    """An event is text, an enum's member, a catalogue's spec, or an Event; `tx` is the host's own connection."""
    dispatcher = OutboxDispatcher(SQLiteStore("hooks.db"), catalog=CATALOG)
    emission = dispatcher.emit("user.created", {"id": "u1"}, tenant="t", idempotency_key="k", tx=connection)
    assert_type(emission, Emission)
    assert_type(emission.delivery_ids, tuple[str, ...])
    assert_type(dispatcher.emit(Events.CREATED, [1, 2.5, None]), Emission)
    assert_type(dispatcher.emit(CATALOG["User.Created"]), Emission)
    assert_type(dispatcher.emit_many([Event("user.created")]), list[Emission])
    dispatcher.wake()


def registering(registry: Registry) -> None:
    """Endpoints go in and come out as values."""
    created = registry.create(
        Endpoint(
            "https://example.com/hook",
            ["user.*", Events.CREATED],
            headers={"x-team": "a"},
            keys="whsec_x",
            retry=RetryPolicy([1, timedelta(minutes=5)]),
            rate_limit=(10, 1.0),
        )
    )
    assert_type(created, Endpoint)
    assert_type(created.events, tuple[str, ...])
    assert_type(created.keys, tuple[SigningKey, ...])
    assert_type(registry.get("whk_1"), Endpoint)
    assert_type(registry.update("whk_1", url="https://example.com/"), Endpoint)
    assert_type(registry.list(tenant="t", limit=10, after="whk_1"), Sequence[Endpoint])
    assert_type(registry.disable("whk_1", reason="manual"), Endpoint)
    assert_type(registry.enable("whk_1", held="drop"), Endpoint)
    assert_type(registry.rotate_key("whk_1", overlap=timedelta(hours=1)), SigningKey)
    assert_type(registry.send_test("whk_1", events=["User.*"]), list[TestResult])
    assert_type(registry.health(["whk_1"]), dict[str, Health])
    assert_type(registry.for_tenant("t"), Registry)
    registry.remove("whk_1")


def looking_back(registry: Registry, since: datetime) -> None:
    """The log is read as entries with their attempts."""
    assert_type(registry.recent("whk_1", state="failed", event="user.created"), Sequence[LogEntry])
    entry = registry.entry("dlv_1")
    assert_type(entry, LogEntry)
    assert_type(entry.attempts, tuple[Attempt, ...])
    assert_type(entry.attempts[0].status, int | None)
    assert_type(registry.redeliver("dlv_1"), str)
    assert_type(registry.recover("whk_1", since=since, dry_run=True), int)


def on_notice(notice: Notice) -> None:
    """What a host does with a notice."""
    assert_type(notice.endpoint_id, str)


def working() -> None:
    """A worker takes stores and transports by their protocols."""
    with (
        HttpxTransport(targets=LOOPBACK) as transport,
        Worker(MemoryStore(), transport=transport, on_notice=on_notice, lease=timedelta(seconds=60)) as worker,
    ):
        assert_type(worker.run_once(), int)
        assert_type(worker.drain(timeout=5), int)
        assert_type(worker.deliver("dlv_1"), LogEntry)
        assert_type(worker.stop(timeout=1.5), bool)


async def awaiting(since: datetime) -> None:
    """The async twins have the same verbs, awaited, and the same values."""
    for store in (AsyncMemoryStore(), AsyncSQLiteStore("hooks.db"), ThreadedStore(SQLiteStore("hooks.db"))):
        dispatcher = AsyncOutboxDispatcher(store)
        assert_type(await dispatcher.emit("user.created", {"id": "u1"}), Emission)
        assert_type(await dispatcher.emit_many([Event("user.created")]), list[Emission])
        registry = AsyncRegistry(store)
        assert_type(await registry.create(Endpoint("https://example.com/", "*")), Endpoint)
        assert_type(await registry.health(), dict[str, Health])
        assert_type(await registry.recent("whk_1"), Sequence[LogEntry])
        assert_type(await registry.recover("whk_1", since=since), int)
        assert_type(registry.for_tenant("t"), AsyncRegistry)
        async with AsyncHttpxTransport() as transport, AsyncWorker(store, transport=transport) as worker:
            assert_type(await worker.run_once(), int)
            assert_type(await worker.deliver("dlv_1"), LogEntry)
            assert_type(await worker.stop(), bool)


def targeting() -> None:
    """A checked URL is a Target."""
    assert_type(PUBLIC_HTTPS.check_url("https://example.com/"), Target)

"""A webhook whose secrets do not open, by a wrong vault key or a damaged row: it stops nobody else, loses nothing."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hookkit import AsyncRegistry, Endpoint, NotFound, OutboxDispatcher, Registry, StoreError, Worker
from hookkit.fairness import UNREADABLE_WAIT, Line
from hookkit.health import step
from hookkit.stores.sqlite import AsyncSQLiteStore, SQLiteStore
from hookkit.stores.unreadable import EVERY, Unreadable, switched
from hookkit.testing import FakeTransport, ManualClock
from hookkit.testing.builders import endpoint, planned, settlement
from hookkit.testing.clock import START
from hookkit.vault import Vault
from hookkit.work import EndpointState

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = Vault({"k1": b"1" * 32, "k2": b"2" * 32})
GOOD, BAD = "whk_good", "whk_bad"
SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=60)

# What may have happened to a row, behind ``UPDATE hookkit_webhooks SET``; and what is said of it.
HARM = {
    "another key of that id": (
        "key_id = 'k2'",
        "keys: does not open with the vault key 'k2': it was changed or moved, or sealed with another key of that id",
    ),
    "an unknown key": (
        "key_id = 'k0'",
        "keys: sealed with the vault key 'k0', which this vault does not have; give it that key as well",
    ),
    "another's keys": (
        "sealed_keys = (SELECT sealed_keys FROM hookkit_webhooks WHERE id = 'whk_good')",
        "keys: does not open",
    ),
    "keys for headers": ("sealed_headers = sealed_keys", "headers: does not open with the vault key 'k1'"),
    "damaged headers": ("sealed_headers = substr(sealed_headers, 2)", "headers: does not open"),
    "another URL": ("url = 'https://elsewhere.example.com/'", "keys: does not open"),
    "no JSON": ("key_id = '', sealed_keys = x'5b'", "its keys cannot be read; the row was damaged"),
    "no keys": ("key_id = '', sealed_keys = x'7b2261223a317d', sealed_headers = x'7b7d'", "its keys cannot be read"),
    "a blank key": (
        "key_id = '', sealed_keys = CAST('[[\"\",null,null]]' AS BLOB), sealed_headers = x'7b7d'",
        "its keys cannot be read",
    ),
    "too deep": (
        "key_id = '', sealed_keys = CAST(replace(hex(zeroblob(50000)), '00', '[') AS BLOB)",
        "its keys cannot",
    ),
    "no headers": ("key_id = '', sealed_keys = x'5b5d', sealed_headers = x'37'", "its headers cannot be read"),
    "a damaged policy": ("retry = '{\"delays\": 7}'", "it cannot be read; the row was damaged"),
    "damaged metadata": ("metadata = '{'", "it cannot be read; the row was damaged"),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hooks.db"


def vandalise(path: Path, sql: str, where: str = BAD) -> None:
    """Change a row behind the store's back."""
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute(f"UPDATE hookkit_webhooks SET {sql} WHERE id = ?", (where,))
        vandal.commit()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the file of a store of two webhooks."""
    path = tmp_path_factory.mktemp("whole") / "hooks.db"
    with SQLiteStore(path, vault=RIGHT, synchronous="NORMAL") as store:
        for name in (BAD, GOOD):
            store.add_webhook(endpoint(id=name, headers={"x-of": name}, tenant="t"))
    return path.read_bytes()


Harmed = Callable[..., SQLiteStore]


@pytest.fixture
def harmed(path: Path, whole: bytes) -> Harmed:
    """Return what makes a store of a webhook that can be read, and of one that cannot."""

    def make(harm: str = "an unknown key") -> SQLiteStore:
        path.write_bytes(whole)
        vandalise(path, HARM[harm][0])
        return SQLiteStore(path, vault=RIGHT, synchronous="NORMAL")

    return make


def claim(store: SQLiteStore, now: Any = START, limit: int = 9) -> list[Any]:
    return store.claim(
        now=now,
        lane="first",
        limit=limit,
        limit_busy=limit,
        limit_failing=limit,
        lease=LEASE,
        owner="me",
        profiles=["standard"],
    )


@pytest.mark.parametrize("harm", HARM)
def test_others_are_told_and_served(harmed: Harmed, harm: str) -> None:
    """An emit reaches both; the claim serves the one that can be read, and leaves the other waiting, unattempted."""
    with harmed(harm) as store:
        clock = ManualClock()
        OutboxDispatcher(store, clock=clock).emit("user.created", {}, tenant="t")
        transport = FakeTransport(204)
        worker = Worker(store, transport=transport, clock=clock)
        assert worker.drain() == 1
        assert [dict(one.headers)["x-of"] for one in transport.requests] == [GOOD]
        (waiting,) = store.recent(BAD, now=START, state="pending")
        assert (waiting.attempts, waiting.reason) == ((), "")
        health = store.health([BAD], now=START)[BAD]
        assert (health.pending, health.consecutive_failures, health.state) == (1, 0, "healthy")


@pytest.mark.parametrize("harm", HARM)
def test_the_error_names_the_webhook(harmed: Harmed, harm: str) -> None:
    """And what to do, or that the row was damaged; it quotes nothing of it."""
    with harmed(harm) as store:
        with pytest.raises(StoreError, match=rf"^webhook {BAD}: ") as refused:
            store.get_webhook(BAD)
        assert HARM[harm][1] in str(refused.value)
        assert refused.value.__suppress_context__ or refused.value.__context__ is None
        assert store.get_webhook(GOOD).headers == {"x-of": GOOD}


@pytest.mark.parametrize("harm", HARM)
def test_a_list_has_it_without_its_secrets(harmed: Harmed, harm: str) -> None:
    """It is seen, and that it has no keys says what is wrong with it; so do subscribers."""
    with harmed(harm) as store:
        for found in (store.list_webhooks(), store.list_webhooks(tenant="t")):
            assert [one.id for one in found] == [BAD, GOOD]
            assert (found[0].keys, dict(found[0].headers), found[0].tenant) == ((), {}, "t")
            assert len(found[1].keys) == 1
        assert [(one.id, len(one.keys)) for one in store.subscribers("t", "a")] == [(BAD, 0), (GOOD, 1)]


def test_it_keeps_the_rest_of_itself(path: Path) -> None:
    """All but the secrets, so that it can be created again from the list."""
    whole = endpoint(id=BAD, name="n", events=["a", "b.*"], rate_limit=(3, 60), max_in_flight=2, metadata={"a": [1]})
    with SQLiteStore(path, vault=RIGHT, synchronous="NORMAL") as store:
        store.add_webhook(whole)
    with SQLiteStore(path) as store:
        (found,) = store.list_webhooks()
        assert found == attrs.evolve(whole, keys=(), headers={})


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("tenant", [None, "t"])
def test_it_can_be_disabled_enabled_and_removed(path: Path, harmed: Harmed, harm: str, tenant: str | None) -> None:
    """Its deliveries follow, and its sealed secrets stay as they are."""
    with harmed(harm) as store:
        (sent,) = store.enqueue([planned(BAD)], now=START)
        clock = ManualClock()
        registry = Registry(store, clock=clock)
        if tenant is not None:
            registry = registry.for_tenant(tenant)
        before = sealed(path)
        disabled = registry.disable(BAD, reason="unreadable")
        assert (disabled.enabled, disabled.disabled_reason) == (False, "unreadable")
        assert store.entry(sent.delivery_ids[0]).state == "held"
        assert [one.enabled for one in registry.list()] == [False, True]
        assert registry.enable(BAD).enabled
        assert store.entry(sent.delivery_ids[0]).state == "pending"
        assert sealed(path) == before
        registry.remove(BAD)
        entry = store.entry(sent.delivery_ids[0])
        assert (entry.state, entry.reason) == ("failed", "removed")
        assert [one.id for one in registry.list()] == [GOOD]
        with pytest.raises(NotFound):
            registry.remove(BAD)


def sealed(path: Path) -> tuple[Any, ...]:
    with closing(sqlite3.connect(path)) as connection:
        sql = "SELECT key_id, sealed_keys, sealed_headers FROM hookkit_webhooks WHERE id = ?"
        row: tuple[Any, ...] = connection.execute(sql, (BAD,)).fetchone()
        return row


@pytest.mark.parametrize(
    "change",
    [
        lambda registry: registry.update(BAD, name="new"),
        lambda registry: registry.update(BAD, headers={"x": "1"}),
        lambda registry: registry.update(BAD, url="https://example.com/"),
        lambda registry: registry.rotate_key(BAD),
        lambda registry: registry.send_test(BAD),
    ],
)
def test_nothing_else_of_it_can_be_changed(path: Path, harmed: Harmed, change: Callable[[Registry], object]) -> None:
    """That would seal it anew, without what could not be read: the error says why instead, and nothing is changed."""
    with harmed() as store:
        before = sealed(path), store.list_webhooks()
        with pytest.raises(StoreError, match="'k0', which this vault does not have"):
            change(Registry(store, transport=FakeTransport()))
        assert (sealed(path), store.list_webhooks()) == before


def test_another_tenants_stays_another_tenants(harmed: Harmed) -> None:
    """It is not found, readable or not."""
    with harmed() as store:
        registry = Registry(store).for_tenant("other")
        recover = partial(registry.recover, since=START)
        for call in (registry.disable, registry.enable, registry.remove, registry.health, recover):
            for name in (BAD, GOOD):
                with pytest.raises(NotFound):
                    call(name)
        assert [one.enabled for one in store.list_webhooks()] == [True, True]


@pytest.mark.parametrize("tenant", [None, "t"])
def test_its_history_needs_no_key(path: Path, harmed: Harmed, tenant: str | None) -> None:
    """Health, log, redelivery and recovery go on; what is made pending again waits with the rest for the key."""
    with harmed() as store:
        clock = ManualClock()
        (sent,) = store.enqueue([planned(BAD, tenant="t")], now=START)
        vandalise(path, "key_id = 'k1'")
        store.settle([settlement(claim(store)[0], at=START, status=500)], now=START, step=step)
        vandalise(path, HARM["an unknown key"][0])
        before = sealed(path)
        registry = Registry(store, clock=clock)
        if tenant is not None:
            registry = registry.for_tenant(tenant)
        assert registry.health([BAD, GOOD])[BAD].failed == 1
        assert registry.health(BAD)[BAD].failed == 1
        assert [one.delivery_id for one in registry.recent(BAD)] == list(sent.delivery_ids)
        assert registry.recover(BAD, since=START, dry_run=True) == 1
        assert registry.recover(BAD, since=START) == 1
        again = registry.redeliver(sent.delivery_ids[0])
        waiting = [*sent.delivery_ids, again]
        assert [registry.entry(one).state for one in waiting] == ["pending"] * 2
        assert claim(store) == []
        assert sealed(path) == before
        vandalise(path, "key_id = 'k1'")
        clock.advance(UNREADABLE_WAIT)
        transport = FakeTransport(204)
        assert Worker(store, transport=transport, clock=clock).drain() == 2
        assert [registry.entry(one).state for one in waiting] == ["succeeded"] * 2


def test_the_history_of_a_disabled_one_stays_held(harmed: Harmed) -> None:
    """Asking for it releases nothing."""
    with harmed() as store:
        (sent,) = store.enqueue([planned(BAD)], now=START)
        registry = Registry(store, clock=ManualClock()).for_tenant("t")
        registry.disable(BAD)
        registry.health(BAD)
        registry.recover(BAD, since=START)
        assert store.entry(sent.delivery_ids[0]).state == "held"
        assert not next(one for one in registry.list() if one.id == BAD).enabled


def test_it_is_looked_at_again_after_a_while(path: Path, harmed: Harmed) -> None:
    """Not at every claim: what is next due is a minute away. Once it can be read, what waited is served."""
    with harmed() as store:
        store.enqueue([planned(BAD)], now=START)
        assert store.next_due(now=START) == START
        assert claim(store) == []
        assert store.next_due(now=START) == START + UNREADABLE_WAIT
        store.enqueue([planned(BAD)], now=START + SECOND)
        assert store.next_due(now=START + SECOND) == START + UNREADABLE_WAIT, "another event does not hasten it"
        assert claim(store, START + SECOND) == []
        vandalise(path, "key_id = 'k1'")
        assert claim(store, START + UNREADABLE_WAIT - SECOND) == []
        claims = claim(store, START + UNREADABLE_WAIT)
        assert [(one.endpoint.id, one.attempt_number, len(one.endpoint.keys)) for one in claims] == [(BAD, 1, 1)] * 2


def test_it_uses_up_no_limit(path: Path) -> None:
    """Many of them, all due for longer, do not keep one claim of one slot from the one that can be served."""
    with SQLiteStore(path, vault=Vault({"k0": b"0" * 32}), synchronous="NORMAL") as store:
        for number in range(5):
            store.add_webhook(endpoint(id=f"whk_{number}"))
            store.enqueue([planned(f"whk_{number}")], now=START)
    with SQLiteStore(path, vault=RIGHT, synchronous="NORMAL") as store:
        store.add_webhook(endpoint(id=GOOD))
        store.enqueue([planned(GOOD)], now=START + SECOND)
        assert [one.endpoint.id for one in claim(store, START + SECOND, limit=1)] == [GOOD]


def test_a_claim_stays_short_where_nothing_can_be_read(path: Path) -> None:
    """It puts off ten times its limit at most; the next one goes on with the others."""
    with SQLiteStore(path, vault=Vault({"k0": b"0" * 32}), synchronous="NORMAL") as store:
        for number in range(15):
            store.add_webhook(endpoint(id=f"whk_{number:02}"))
            store.enqueue([planned(f"whk_{number:02}")], now=START)
    with SQLiteStore(path, vault=RIGHT, synchronous="NORMAL") as store:
        assert claim(store, limit=1) == []
        assert store.next_due(now=START) == START
        assert claim(store, limit=1) == []
        assert store.next_due(now=START) == START + UNREADABLE_WAIT


def test_it_is_not_claimed_by_name_either(path: Path, harmed: Harmed) -> None:
    """``Worker.deliver`` says why; nothing is counted."""
    with harmed() as store:
        (sent,) = store.enqueue([planned(BAD)], now=START)
        worker = Worker(store, transport=FakeTransport(), clock=ManualClock())
        with pytest.raises(StoreError, match="'k0', which this vault does not have"):
            worker.deliver(sent.delivery_ids[0])
        assert store.entry(sent.delivery_ids[0]).state == "pending"
        vandalise(path, "key_id = 'k1'")
        assert store.claim_one(sent.delivery_ids[0], now=START, lease=LEASE, owner="me").attempt_number == 1


def test_what_is_under_way_is_settled(path: Path, harmed: Harmed) -> None:
    """A delivery claimed before the row was damaged: its outcome is stored, and the endpoint's health moves."""
    with harmed("another URL") as store:
        vandalise(path, "url = 'https://receiver.example.com/webhooks'")
        store.enqueue([planned(BAD), planned(BAD), planned(BAD)], now=START)
        lost, failed, back = claim(store)
        vandalise(path, HARM["another URL"][0])
        outcome = settlement(failed, at=START, status=500)
        assert store.settle([outcome], now=START, step=step)[0].applied
        assert store.health([BAD], now=START)[BAD].consecutive_failures == 1
        assert store.give_back([back.claim_id], now=START) == {back.claim_id}
        assert claim(store, START + LEASE) == []
        assert [one.reason for one in store.entry(lost.delivery_id).attempts] == ["lost"]
        assert {one.state for one in map(store.entry, (lost.delivery_id, back.delivery_id))} == {"pending"}


def test_the_log_says_so_and_not_too_often(harmed: Harmed, caplog: pytest.LogCaptureFixture) -> None:
    """At the first claim that meets it, then once in five minutes; with its reason, and without a secret."""
    caplog.set_level(logging.WARNING, "hookkit")
    with harmed() as store:
        store.enqueue([planned(BAD)], now=START)
        for minute in range(11):
            assert claim(store, START + minute * UNREADABLE_WAIT) == []
        assert [record.levelname for record in caplog.records] == ["ERROR"] * 3
        assert all(BAD in record.getMessage() and "'k0'" in record.getMessage() for record in caplog.records)


def test_the_log_is_told_of_many_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """How many, and the first few; those met in between are in the next line; a clock set back is no silence."""
    unreadable = Unreadable(logging.getLogger("hookkit.test"))
    unreadable.met({}, START)
    unreadable.met({f"whk_{number}": f"reason {number}" for number in range(7)}, START)
    unreadable.met({"whk_7": "reason 7"}, START + EVERY - SECOND)
    unreadable.met({"whk_7": "reason 7", "whk_8": "reason 8"}, START + EVERY)
    unreadable.met({"whk_9": "reason 9"}, START - SECOND)
    first, second, third = (record.getMessage() for record in caplog.records)
    assert first.startswith("7 webhooks are not served because their secrets do not open")
    assert first.endswith(": reason 0; reason 1; reason 2; reason 3; reason 4; …")
    assert second.startswith("2 ")
    assert second.endswith(": reason 7; reason 8")
    assert third.endswith(": reason 9")


def test_an_unreadable_line_opens_later() -> None:
    """Unless it is blocked altogether, or waits for longer anyway; then there is no room in it."""
    webhook = endpoint()
    state = EndpointState(webhook.id)
    assert Line(state).opens_at(webhook, START) == START
    line = Line(state, unreadable="because")
    assert line.opens_at(webhook, START) == START + UNREADABLE_WAIT
    assert line.room(webhook, START) == 0
    assert Line(state, held=True, unreadable="because").opens_at(webhook, START) is None
    later = START + timedelta(hours=1)
    probing = Line(attrs.evolve(state, state="failing", probe_at=later), unreadable="because")
    assert probing.opens_at(webhook, START) == later


def test_only_switching_is_let_through() -> None:
    """What the change raises reaches the caller, but for what it says of keys that are not there."""
    bare = attrs.evolve(endpoint(), keys=())
    off = switched(bare, lambda one: attrs.evolve(one, enabled=False, disabled_reason="r"), "why")
    assert (off.enabled, off.disabled_reason) == (False, "r")
    assert switched(bare, lambda one: one, "why") == bare
    with pytest.raises(StoreError, match=r"^why$"):
        switched(bare, lambda one: attrs.evolve(one, enabled=False, name="n"), "why")
    with pytest.raises(ZeroDivisionError):
        switched(bare, lambda one: 1 // 0, "why")


def test_asyncio_likewise(path: Path, harmed: Harmed) -> None:
    """The async registry removes it, for its own tenant."""
    harmed().close()

    async def removing() -> list[str]:
        async with AsyncSQLiteStore(path, vault=RIGHT, synchronous="NORMAL") as store:
            registry = AsyncRegistry(store).for_tenant("t")
            with pytest.raises(StoreError):
                await registry.get(BAD)
            assert (await registry.health(BAD))[BAD].state == "healthy"
            assert await registry.recover(BAD, since=START) == 0
            await registry.remove(BAD)
            return [one.id for one in await registry.list()]

    assert asyncio.run(removing()) == [GOOD]


def test_a_lost_key_loses_no_delivery(harmed: Harmed) -> None:
    """Removed, created again under its id with a new key, and recovered: what waited is delivered, signed anew."""
    clock = ManualClock()
    with harmed() as store:
        OutboxDispatcher(store, clock=clock).emit("user.created", {}, tenant="t")
        registry, transport = Registry(store, clock=clock), FakeTransport(204)
        worker = Worker(store, transport=transport, clock=clock)
        worker.drain()
        listed: Endpoint = next(one for one in registry.list() if one.id == BAD)
        registry.remove(BAD)
        made = registry.create(attrs.evolve(listed, headers={"x-of": "new"}))
        assert (made.id, len(made.keys)) == (BAD, 1)
        assert registry.recover(BAD, since=START) == 1
        assert worker.drain() == 1
        assert [dict(one.headers)["x-of"] for one in transport.requests] == [GOOD, "new"]

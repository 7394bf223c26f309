"""Emitting: what is stored for whom, what is refused, and how it joins the host's own transaction."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import attrs
import pytest

from hookkit import AsyncOutboxDispatcher, Endpoint, Event, OutboxDispatcher, PayloadError, StoreError
from hookkit.catalogs.logto import CATALOG
from hookkit.events import EventSpec
from hookkit.profiles import BUILTIN, STANDARD
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing.builders import planned
from worlds import WORLDS, World, eventually

SQLITE_WORLDS = [name for name in WORLDS if name.endswith("sqlite")]
MEMORY_WORLDS = [name for name in WORLDS if name.endswith("memory")]


def stored(world: World, endpoint: Endpoint) -> list[str]:
    """Return the ids of what waits for a webhook, oldest first."""
    waiting = [one for state in ("pending", "held") for one in world.registry().recent(endpoint.id, state=state)]
    return sorted(entry.delivery_id for entry in waiting)


# --- What may be emitted ----------------------------------------------------------------------------------------------


class Kinds(StrEnum):
    CREATED = "user.created"


@attrs.frozen
class Kind:
    name: str
    description: str = ""
    example: Any = None


@pytest.mark.parametrize(
    "event", ["user.created", Kinds.CREATED, Kind("user.created"), EventSpec("user.created"), Event("user.created")]
)
def test_an_event_is_a_name_a_kind_or_an_event(world: World, event: Any) -> None:
    """Text, an enum's member, an event type and a whole Event are emitted alike."""
    world.register("user.created")
    assert world.entry(world.emit(event)).event_type == "user.created"


def test_an_events_fields_go_with_its_name(world: World) -> None:
    """What an Event takes, ``emit`` takes beside a name."""
    world.register(tenant="acme")
    at = datetime(2025, 5, 5, 5, 5, 5, tzinfo=UTC)
    delivery = world.emit("user.created", {"id": 1}, id="evt-1", occurred_at=at, tenant="acme", context={"ip": "::1"})
    assert world.entry(delivery).event_id == "evt-1"
    assert json.loads(world.entry(delivery).body) == {
        "type": "user.created",
        "timestamp": "2025-05-05T05:05:05Z",
        "data": {"id": 1},
    }


def test_an_event_gets_an_id_and_a_time(world: World) -> None:
    """Where the host gave none: a new id, and the clock's time."""
    made = world.register()
    emissions = world.dispatcher().emit_many([Event("a"), Event("a")])
    assert len({emission.event_id for emission in emissions}) == 2
    assert all(emission.event_id.startswith("evt_") for emission in emissions)
    entry = world.entry(emissions[0].delivery_ids[0])
    assert json.loads(entry.body)["timestamp"] == world.clock.now().isoformat().replace("+00:00", "Z")
    assert (entry.created_at, entry.endpoint_id) == (world.clock.now(), made.id)


@pytest.mark.parametrize(
    ("arguments", "fields"),
    [
        (("user created",), {}),
        (("",), {}),
        (("a" * 129,), {}),
        ((7,), {}),
        (("a", float("nan")), {}),
        (("a", {"at": datetime(2026, 1, 1, tzinfo=UTC)}), {}),
        (("a", {1: 2}), {}),
        (("a",), {"id": "with.stop"}),
        (("a",), {"id": "with space"}),
        (("a",), {"occurred_at": datetime(2026, 1, 1)}),  # noqa: DTZ001 - a naive one is the point
        (("a",), {"tenant": "\0"}),
        (("a",), {"tenant": "\ud800"}),
        (("a",), {"idempotency_key": ""}),
        (("a",), {"context": {"hookId": "forged"}}),
        (("a",), {"context": {"ip": object()}}),
    ],
)
def test_what_is_no_event_is_refused_and_nothing_is_stored(
    world: World, arguments: tuple[Any, ...], fields: dict[str, Any]
) -> None:
    """A PayloadError, and neither a delivery nor an idempotency key stays behind."""
    made = world.register()
    with pytest.raises(PayloadError):
        world.dispatcher().emit(*arguments, **{"idempotency_key": "k", **fields})
    assert stored(world, made) == []
    assert not world.dispatcher().emit("a", idempotency_key="k").duplicate


@pytest.mark.parametrize(("data", "fields"), [({"id": 1}, {}), (None, {"tenant": "acme"})])
def test_an_event_has_its_data_already(world: World, data: Any, fields: dict[str, Any]) -> None:
    """An Event beside data or fields is a mistake of the caller's."""
    with pytest.raises(TypeError, match="not both"):
        world.dispatcher().emit(Event("a"), data, **fields)


def test_a_field_that_no_event_has_is_a_type_error(world: World) -> None:
    """It is not dropped silently."""
    with pytest.raises(TypeError, match="tennant"):
        world.dispatcher().emit("a", tennant="acme")


def test_a_catalogue_says_what_may_be_emitted(world: World) -> None:
    """What is not in it is refused; nothing of the same call is stored."""
    made = world.register()
    dispatcher = world.dispatcher(catalog=CATALOG)
    assert dispatcher.emit("PostSignIn").delivery_ids
    with pytest.raises(PayloadError, match=r"User\.Vanished.*catalogue"):
        dispatcher.emit_many([Event("PostSignIn"), Event("User.Vanished")])
    assert len(stored(world, made)) == 1


@pytest.mark.parametrize(("room", "fits"), [(0, True), (-1, False)])
def test_a_body_has_a_bounded_size(world: World, room: int, fits: bool) -> None:
    """Exactly ``max_body`` bytes are sent; one more is refused with a message that says what to do."""
    made = world.register()
    size = len(world.entry(world.emit("a", "é" * 50)).body)
    dispatcher = world.dispatcher(max_body=size + room)
    if fits:
        dispatcher.emit("a", "é" * 50)
    else:
        with pytest.raises(PayloadError, match=r"max_body"):
            dispatcher.emit("a", "é" * 50)
    assert len(stored(world, made)) == 1 + fits


def test_bodies_are_frozen_when_they_are_emitted(world: World) -> None:
    """What the host does with its data afterwards changes nothing, and no attempt's bytes differ."""
    world.answer([500, 200])
    world.register(profile="logto")
    data = {"user": {"id": 1}}
    context = {"ip": "::1"}
    delivery = world.emit("PostSignIn", data, context=context)
    data["user"]["id"] = 2
    context["ip"] = "::2"
    worker = world.worker()
    worker.drain()
    world.clock.advance(1)
    worker.drain()
    first, second = world.sent
    assert first.body == second.body == world.entry(delivery).body
    assert json.loads(first.body)["data"] == {"user": {"id": 1}}
    assert json.loads(first.body)["ip"] == "::1"


def test_one_body_serves_all_webhooks_of_a_profile(world: World) -> None:
    """STANDARD's bytes are everybody's; LOGTO's name the webhook."""
    made = [world.register(profile=profile) for profile in ("standard", "standard", "logto", "logto")]
    emission = world.dispatcher().emit("PostSignIn", {"id": 1})
    entries = {world.entry(one).endpoint_id: world.entry(one) for one in emission.delivery_ids}
    bodies = [entries[one.id].body for one in made]
    assert bodies[0] == bodies[1]
    assert [json.loads(body)["hookId"] for body in bodies[2:]] == [made[2].id, made[3].id]


# --- Who is told ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("User.Created", ["User.Created"]),
        ("User.*", ["User.Created", "User.Data.Updated"]),
        ("User.Data.*", ["User.Data.Updated"]),
        ("*", ["User", "User.Created", "User.Data.Updated", "UserX.Created", "user.created"]),
        ("Us.*", []),
        ("User", ["User"]),
    ],
)
def test_patterns_say_who_is_told(world: World, pattern: str, told: list[str]) -> None:
    """An exact name, a prefix at any depth (but not the prefix itself), or everything; case matters."""
    world.register(pattern)
    emitted = ["User", "User.Created", "User.Data.Updated", "UserX.Created", "user.created"]
    emissions = world.dispatcher().emit_many(Event(name) for name in emitted)
    assert [name for name, emission in zip(emitted, emissions, strict=True) if emission.delivery_ids] == told


def test_a_webhook_is_told_once(world: World) -> None:
    """However many of its patterns match."""
    world.register(["User.Created", "User.*", "*"])
    assert len(world.dispatcher().emit("User.Created").delivery_ids) == 1


def test_tenants_hear_of_their_own_events_only(world: World) -> None:
    """The empty tenant is one like any other; no pattern crosses the border."""
    made = {tenant: world.register(tenant=tenant) for tenant in ("", "acme", "Acme")}
    for tenant, endpoint in made.items():
        delivery = world.emit(tenant=tenant)
        assert (world.entry(delivery).endpoint_id, world.entry(delivery).tenant) == (endpoint.id, tenant)
    assert [len(stored(world, endpoint)) for endpoint in made.values()] == [1, 1, 1]


def test_nobody_to_tell_is_no_error(world: World) -> None:
    """An event that nobody subscribed to is emitted to nobody."""
    emission = world.dispatcher().emit("user.created")
    assert (emission.delivery_ids, emission.duplicate) == ((), False)


def test_a_disabled_webhook_is_told_later(world: World) -> None:
    """Its delivery is stored, and held."""
    world.register(enabled=False)
    assert world.entry(world.emit()).state == "held"


def test_an_unknown_profile_is_said_aloud_and_skipped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Emitting never fails because of one webhook: the others are told."""
    mine = attrs.evolve(STANDARD, name="mine")
    known = world.register()
    odd = world.registry(profiles={**BUILTIN, "mine": mine}).create(Endpoint(known.url, "*", profile="mine"))
    emission = world.dispatcher().emit("user.created")
    assert [world.entry(one).endpoint_id for one in emission.delivery_ids] == [known.id]
    assert odd.id in caplog.text
    assert "'mine'" in caplog.text
    assert len(world.dispatcher(profiles={**BUILTIN, "mine": mine}).emit("user.created").delivery_ids) == 2


# --- Repeats ----------------------------------------------------------------------------------------------------------


def test_an_idempotency_key_makes_a_repeat_harmless(world: World) -> None:
    """The second emission is the first one's, marked as a duplicate; its data is ignored."""
    made = world.register()
    emit = world.dispatcher().emit
    first = emit("user.created", {"id": 1}, idempotency_key="order-7")
    again = emit("user.created", {"id": 2}, idempotency_key="order-7")
    assert again == attrs.evolve(first, duplicate=True)
    assert not first.duplicate
    assert stored(world, made) == list(first.delivery_ids)
    assert json.loads(world.entry(first.delivery_ids[0]).body)["data"] == {"id": 1}


def test_a_repeated_id_is_the_first_emission_again(world: World) -> None:
    """As with a key, also after the delivery has been made."""
    world.register()
    emit = world.dispatcher().emit
    first = emit("user.created", id="evt-1")
    world.worker().drain()
    assert emit("user.created", id="evt-1") == attrs.evolve(first, duplicate=True)
    assert world.worker().drain() == 0


def test_repeats_are_a_tenants_own(world: World) -> None:
    """Another tenant may use the same id and the same key."""
    for tenant in ("a", "b"):
        world.register(tenant=tenant)
        emission = world.dispatcher().emit("user.created", id="evt-1", idempotency_key="k", tenant=tenant)
        assert not emission.duplicate
        assert len(emission.delivery_ids) == 1


def test_a_key_counts_though_nobody_was_told(world: World) -> None:
    """A webhook that comes later does not hear of a repeat; without a key, nothing was stored."""
    emit = world.dispatcher().emit
    first = emit("user.created", idempotency_key="k")
    emit("user.created", id="evt-1")
    world.register()
    assert emit("user.created", idempotency_key="k") == attrs.evolve(first, duplicate=True)
    assert len(emit("user.created", id="evt-1").delivery_ids) == 1


def test_a_repeat_within_one_call_is_one_too(world: World) -> None:
    """The first of them counts."""
    world.register()
    events = [Event("a", number, idempotency_key=key) for number, key in enumerate(("k", "other", "k"))]
    first, other, again = world.dispatcher().emit_many(events)
    assert again == attrs.evolve(first, duplicate=True)
    assert not other.duplicate


# --- Many -------------------------------------------------------------------------------------------------------------


def test_many_are_emitted_in_order(world: World) -> None:
    """One emission for each event, in the events' order; none for none."""
    world.register("a")
    events = [Event("a", id="1"), Event("b", id="2"), Event("a", id="3")]
    emissions = world.dispatcher().emit_many(iter(events))
    assert [(one.event_id, len(one.delivery_ids)) for one in emissions] == [("1", 1), ("2", 0), ("3", 1)]
    assert world.dispatcher().emit_many([]) == []


def test_many_are_events(world: World) -> None:
    """A name alone is a mistake of the caller's; nothing is stored."""
    made = world.register()
    with pytest.raises(TypeError, match="Events, not str"):
        world.dispatcher().emit_many([Event("a"), "b"])
    assert stored(world, made) == []


def test_many_are_all_or_none(world: World) -> None:
    """One that is too large, or that cannot be made, leaves nothing of the others."""
    made = world.register()

    def broken() -> Iterator[Event]:
        yield Event("a", id="1")
        yield Event("a", {"at": object()})

    for events in (broken(), [Event("a", id="1"), Event("a", "x" * 200)]):
        with pytest.raises(PayloadError):
            world.dispatcher(max_body=150).emit_many(events)
    assert stored(world, made) == []
    assert not world.dispatcher().emit("a", id="1").duplicate


# --- The right kind of store ------------------------------------------------------------------------------------------


def test_each_shell_says_which_store_it_needs() -> None:
    """A store of the other kind is refused at once, with the way out."""
    with pytest.raises(TypeError, match="ThreadedStore"):
        AsyncOutboxDispatcher(MemoryStore())
    with pytest.raises(TypeError, match="AsyncOutboxDispatcher"):
        OutboxDispatcher(AsyncMemoryStore())
    with pytest.raises(TypeError, match="none of its methods"):
        OutboxDispatcher(object())


# --- In the host's own transaction ------------------------------------------------------------------------------------

Connect = Any


def _explicit(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("BEGIN")
    return connection


def _implicit(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, check_same_thread=False)


def _immediate(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level="IMMEDIATE", check_same_thread=False)


def _pep_249(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, autocommit=False, check_same_thread=False)


MODES = [_explicit, _implicit, _immediate]
if sys.version_info >= (3, 12):
    MODES.append(_pep_249)


@pytest.fixture(params=MODES, ids=[mode.__name__.strip("_") for mode in MODES])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """Yield the host's connection to the store's file, in each mode in which Python runs transactions."""
    path = tmp_path / "hooks.db"
    SQLiteStore(path, synchronous="NORMAL").close()
    with closing(sqlite3.connect(path)) as setup:
        setup.execute("PRAGMA synchronous = OFF")
        setup.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
    with closing(request.param(path)) as connection:
        yield connection


def users(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT name FROM users ORDER BY id")]


in_sqlite = pytest.mark.parametrize("world", SQLITE_WORLDS, indirect=True)
in_memory = pytest.mark.parametrize("world", MEMORY_WORLDS, indirect=True)


@in_sqlite
def test_rolled_back_it_never_existed(world: World, host: sqlite3.Connection) -> None:
    """Neither the delivery nor the id nor the key: it can be emitted again as new."""
    made = world.register()
    host.execute("INSERT INTO users (name) VALUES ('ada')")
    emission = world.dispatcher().emit("user.created", id="evt-1", idempotency_key="k", tx=host)
    assert len(emission.delivery_ids) == 1
    host.rollback()
    assert stored(world, made) == []
    assert users(world.folder / "hooks.db") == []
    assert not world.dispatcher().emit("user.created", id="evt-1", idempotency_key="k").duplicate


@in_sqlite
def test_committed_it_is_delivered(world: World, host: sqlite3.Connection) -> None:
    """It is there together with the host's own rows, and not a moment earlier."""
    made = world.register()
    host.execute("INSERT INTO users (name) VALUES ('ada')")
    dispatcher = world.dispatcher()
    emission = dispatcher.emit("user.created", {"name": "ada"}, tx=host)
    assert stored(world, made) == []
    assert host.in_transaction
    host.commit()
    dispatcher.wake()
    assert users(world.folder / "hooks.db") == ["ada"]
    assert world.worker().drain() == 1
    assert world.entry(emission.delivery_ids[0]).state == "succeeded"


@in_sqlite
def test_the_worker_is_woken_after_the_commit(world: World, host: sqlite3.Connection, no_polling: None) -> None:
    """By the host, who knows when that was; an emit within a transaction wakes nobody."""
    world.register()
    dispatcher = world.dispatcher()
    with world.worker():
        world.emit()
        eventually(lambda: world.sent)
        delivery = dispatcher.emit("user.created", tx=host).delivery_ids[0]
        host.commit()
        dispatcher.wake()
        eventually(lambda: world.entry(delivery).state == "succeeded")


@in_sqlite
def test_an_emit_alone_begins_the_hosts_transaction(world: World, host: sqlite3.Connection) -> None:
    """As the host's own first statement would; it is the host that ends it."""
    made = world.register()
    world.dispatcher().emit("user.created", tx=host)
    assert host.in_transaction
    assert stored(world, made) == []
    host.commit()
    assert len(stored(world, made)) == 1


@in_sqlite
def test_many_and_repeats_join_it_too(world: World, host: sqlite3.Connection) -> None:
    """Several emits of one transaction see each other."""
    made = world.register()
    dispatcher = world.dispatcher()
    first = dispatcher.emit("a", idempotency_key="k", tx=host)
    second, again = dispatcher.emit_many([Event("a"), Event("a", idempotency_key="k")], tx=host)
    assert again == attrs.evolve(first, duplicate=True)
    host.commit()
    assert stored(world, made) == sorted([*first.delivery_ids, *second.delivery_ids])


@in_sqlite
def test_a_failing_emit_leaves_the_hosts_writes_alive(world: World, host: sqlite3.Connection) -> None:
    """It takes back its own rows only; the host goes on and commits."""
    made = world.register()
    host.execute("INSERT INTO users (name) VALUES ('ada')")
    with pytest.raises(PayloadError):
        world.dispatcher(max_body=10).emit("user.created", tx=host)
    good, bad = planned(made.id), planned(made.id)
    clash = attrs.evolve(bad, deliveries=(attrs.evolve(bad.deliveries[0], delivery_id=good.deliveries[0].delivery_id),))
    with pytest.raises(StoreError, match="SQLite"):
        world.store.enqueue([good, clash], now=world.clock.now(), tx=host)
    host.execute("INSERT INTO users (name) VALUES ('bob')")
    host.commit()
    assert users(world.folder / "hooks.db") == ["ada", "bob"]
    assert stored(world, made) == []


@in_sqlite
def test_a_webhook_of_the_same_transaction_is_told(world: World, host: sqlite3.Connection) -> None:
    """Subscribers are read on the host's connection: it sees what the host has just done."""
    made = world.register("user.created")
    host.execute("DELETE FROM hookkit_subscriptions WHERE webhook = ?", (made.id,))
    assert world.dispatcher().emit("user.created", tx=host).delivery_ids == ()
    host.rollback()
    assert len(world.dispatcher().emit("user.created").delivery_ids) == 1


@in_sqlite
@pytest.mark.parametrize(
    ("row_factory", "text_factory"),
    [(sqlite3.Row, bytes), (lambda cursor, row: {"n": len(row)}, lambda raw: raw.decode("latin-1").upper())],
    ids=["row-bytes", "dict-upper"],
)
def test_the_hosts_factories_do_not_matter(
    world: World, host: sqlite3.Connection, row_factory: Any, text_factory: Any
) -> None:
    """Whatever the host has rows and texts turned into, emitting works, and the host gets its own again."""
    made = world.register("user.created")
    host.row_factory, host.text_factory = row_factory, text_factory
    emission = world.dispatcher().emit("user.created", id="evt-1", tx=host)
    assert world.dispatcher().emit("user.created", id="evt-1", tx=host) == attrs.evolve(emission, duplicate=True)
    assert (host.row_factory, host.text_factory) == (row_factory, text_factory)
    host.commit()
    assert stored(world, made) == list(emission.delivery_ids)


@in_sqlite
def test_an_emit_waits_for_its_turn_before_it_reads(world: World, tmp_path: Path) -> None:
    """SQLite fails a transaction that reads, is overtaken by another writer, and then writes; so it locks first."""
    world.register()
    with closing(_explicit(tmp_path / "hooks.db")) as host, closing(sqlite3.connect(tmp_path / "hooks.db")) as other:
        other.execute("PRAGMA busy_timeout = 0")
        world.store.subscribers("", "user.created", tx=host)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("UPDATE hookkit_webhooks SET name = 'overtaken'")
        world.dispatcher().emit("user.created", tx=host)
        host.commit()


@in_sqlite
def test_a_locked_database_is_a_store_error(world: World, host: sqlite3.Connection) -> None:
    """Another connection writes: the emit fails, and the host may try again."""
    world.register()
    host.execute("PRAGMA busy_timeout = 0")
    with closing(sqlite3.connect(world.folder / "hooks.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="locked"):
            world.dispatcher().emit("user.created", tx=host)
        other.execute("ROLLBACK")
    assert world.dispatcher().emit("user.created", tx=host).delivery_ids


def _autocommit(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


def _autocommit_312(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, autocommit=True, check_same_thread=False)


@in_sqlite
@pytest.mark.parametrize("connect", [_autocommit, *([_autocommit_312] if sys.version_info >= (3, 12) else [])])
def test_nothing_to_roll_back_is_refused(world: World, connect: Connect) -> None:
    """In autocommit each statement would be final by itself; within a BEGIN of the host's it is not."""
    made = world.register()
    with closing(connect(world.folder / "hooks.db")) as host:
        with pytest.raises(StoreError, match="begin a transaction"):
            world.dispatcher().emit("user.created", tx=host)
        assert stored(world, made) == []
        host.execute("BEGIN")
        world.dispatcher().emit("user.created", tx=host)
        host.execute("COMMIT")
    assert len(stored(world, made)) == 1


@in_sqlite
@pytest.mark.parametrize("where", ["memory", "file", "deleted", "attached"])
def test_another_database_is_refused(world: World, where: str) -> None:
    """The rows would be where no worker looks."""
    world.register()
    other = world.folder / "other.db"
    with closing(_explicit(Path(":memory:") if where == "memory" else other)) as host:
        if where == "deleted":
            host.execute("CREATE TABLE t (x)")
            other.unlink()
        if where == "attached":
            host.execute("COMMIT")
            host.execute("ATTACH ? AS hooks", (str(world.folder / "hooks.db"),))
            host.execute("BEGIN")
        with pytest.raises(StoreError, match="another database"):
            world.dispatcher().emit("user.created", tx=host)


@in_sqlite
def test_the_same_file_by_another_name_is_the_same(world: World) -> None:
    """A link to it, say."""
    world.register()
    link = world.folder / "link.db"
    link.symlink_to(world.folder / "hooks.db")
    with closing(_explicit(link)) as host:
        assert world.dispatcher().emit("user.created", tx=host).delivery_ids
        host.rollback()


@in_sqlite
def test_a_closed_connection_is_a_store_error(world: World) -> None:
    """The message is SQLite's own."""
    host = sqlite3.connect(world.folder / "hooks.db", check_same_thread=False)
    host.close()
    with pytest.raises(StoreError, match="closed"):
        world.dispatcher().emit("user.created", tx=host)


@in_sqlite
@pytest.mark.parametrize("tx", [object(), "hooks.db", 7])
def test_what_is_no_connection_is_a_type_error(world: World, tx: object) -> None:
    """A mistake of the caller's."""
    with pytest.raises(TypeError, match=r"sqlite3\.Connection"):
        world.dispatcher().emit("user.created", tx=tx)


@in_memory
def test_memory_joins_no_transaction(world: World) -> None:
    """Pretending to would lose what the host rolls back."""
    world.register()
    with closing(sqlite3.connect(":memory:")) as host, pytest.raises(TypeError, match="joins no transaction"):
        world.dispatcher().emit("user.created", tx=host)


@in_sqlite
def test_a_host_that_is_slow_to_commit_holds_up_nobody_but_writers(world: World, host: sqlite3.Connection) -> None:
    """Meanwhile everything can be read; afterwards everything goes on."""
    made = world.register()
    world.dispatcher().emit("user.created", tx=host)
    world.clock.advance(timedelta(hours=1))
    assert world.registry().get(made.id) == made
    assert world.registry().health(made.id)[made.id].pending == 0
    host.commit()
    assert world.registry().health(made.id)[made.id].pending == 1

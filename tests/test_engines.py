"""The relay to an engine, and what an engine's worker does with a ticket, over an engine that does what the test says.

Whatever happens to messages, receivers see the same requests, and the store the same attempts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import zlib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from canaries import CANARIES, KEYS, found
from hookkit import (
    AsyncOutboxDispatcher,
    AsyncRegistry,
    AsyncWorker,
    Endpoint,
    LogEntry,
    RetryPolicy,
    StoreError,
    Worker,
)
from hookkit.contrib.engines import AsyncRelay, PerProcess, Relay, deliver, deliver_async
from hookkit.contrib.engines.celery import deliver_task, hand_to
from hookkit.profiles import BUILTIN
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import AsyncFakeTransport, FakeTransport, ManualClock
from stranger import StrangerStore
from worlds import URL, World, eventually

PATIENCE = timedelta(seconds=60)
RETRIED = RetryPolicy([timedelta(seconds=1)] * 30, jitter=0)


class Engine:
    """An engine whose messages lie in a list until the test does something with them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tickets: list[str] = []
        self.calls: list[int] = []
        self.errors: list[Exception] = []
        self._workers: dict[int, Any] = {}

    @property
    def worker(self) -> Any:
        """The engine's worker, over the transport that the world has now."""
        key = id(self.world.transport)
        if key not in self._workers:
            self._workers[key] = self.world.worker()
        return self._workers[key]

    def hand(self, tickets: Any) -> Any:
        """Take the tickets, or fail; awaitable in the async worlds."""
        self.calls.append(len(tickets))
        error = self.errors.pop(0) if self.errors else None
        if error is None:
            self.tickets += tickets
        if not self.world.asynchronous:
            if error is not None:
                raise error
            return None

        async def handed() -> None:
            if error is not None:
                raise error

        return handed()

    def relay(self, **options: Any) -> Any:
        """Return a relay to this engine."""
        kind = AsyncRelay if self.world.asynchronous else Relay
        store = options.pop("store", self.world.store.subject)
        made = self.world.plain(kind(store, self.hand, **{"clock": self.world.clock, "patience": PATIENCE, **options}))
        self.world._workers.append(made)
        return made

    def deliver(self, ticket: Any, worker: Any = None) -> LogEntry | None:
        """Have a worker of the engine's deliver a ticket."""
        act = deliver_async if self.world.asynchronous else deliver
        return self.world.run(act((worker or self.worker).subject, ticket))

    def handed(self, **options: Any) -> list[str]:
        """Offer what is due, once, and return the new tickets."""
        before = len(self.tickets)
        self.relay(**options).run_once()
        return self.tickets[before:]


@pytest.fixture
def engine(world: World) -> Engine:
    return Engine(world)


def attempts(world: World, delivery: str) -> list[tuple[int, str]]:
    return [(one.number, one.reason) for one in world.entry(delivery).attempts]


# --- one ticket


def test_a_ticket_is_good_for_one_attempt(world: World, engine: Engine) -> None:
    """It is made, its outcome stored, and its log entry returned."""
    world.register()
    delivery = world.emit()
    (ticket,) = engine.handed()
    entry = engine.deliver(ticket)
    assert entry is not None
    assert (entry.delivery_id, entry.state) == (delivery, "succeeded")
    assert world.entry(delivery) == entry
    assert len(world.sent) == 1


def test_a_ticket_may_be_bytes(world: World, engine: Engine) -> None:
    """As it comes from an engine that knows nothing else."""
    world.register()
    world.emit()
    (ticket,) = engine.handed()
    assert engine.deliver(ticket.encode()) is not None


@pytest.mark.parametrize("status", [200, 503])
def test_an_engine_is_told_no_secret(
    world: World, engine: Engine, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither its messages, nor what it can show of relay and worker, nor any log line has one; the request has."""
    header, payload = CANARIES["header"][0], CANARIES["payload"][0]
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, logger="hookkit")
    world.answer(status)
    world.register(keys=KEYS["whsec"], headers={"authorization": header})
    world.dispatcher().emit("a", {"token": payload})
    relay = engine.relay()
    relay.run_once()
    (ticket,) = engine.tickets
    entry = engine.deliver(ticket)
    engine.deliver(ticket)
    engine.deliver(f"{payload} {header}")
    shown = [ticket, *map(repr, (relay.subject, engine.worker.subject, entry)), *map(str, caplog.records)]
    logged = [f"{record.getMessage()} {vars(record)}" for record in caplog.records]
    assert found("\n".join(shown + logged), set(CANARIES) - {"payload"}) == []
    assert found("\n".join([ticket, *logged])) == []
    assert set(found(repr(world.sent[0].body) + repr(list(world.sent[0].headers)))) >= {"payload"}


def test_a_ticket_holds_nothing_but_ids(world: World, engine: Engine) -> None:
    """Neither key, URL nor body passes through the engine."""
    world.register()
    delivery = world.emit(data={"password": "hunter2"})
    (ticket,) = engine.handed()
    name, _, offer = ticket.partition(".")
    assert name == delivery
    assert offer.startswith("off_")
    assert len(ticket) < 100


def test_a_repeated_ticket_sends_nothing(world: World, engine: Engine) -> None:
    """Neither while the attempt is made nor afterwards, nor when the delivery is due again."""
    world.register(retry=RETRIED)
    world.answer([500, 200])
    delivery = world.emit()
    (ticket,) = engine.handed()
    engine.deliver(ticket)
    assert engine.deliver(ticket) is None
    world.clock.advance(2)
    assert engine.deliver(ticket) is None
    (again,) = engine.handed()
    assert engine.deliver(ticket) is None
    assert engine.deliver(again) is not None
    assert engine.deliver(again) is None
    assert attempts(world, delivery) == [(1, "status"), (2, "")]
    assert len(world.sent) == 2


def test_a_ticket_that_comes_while_its_attempt_is_made_sends_nothing(world: World, engine: Engine) -> None:
    """Two workers that were given the same message make one attempt."""
    world.register()
    gate = world.gate()
    worker = world.worker()
    world.emit()
    (ticket,) = engine.handed()
    first = world.soon(engine.deliver, ticket, worker)
    gate.wait_for(1)
    assert engine.deliver(ticket, worker) is None
    gate.open()
    assert first().state == "succeeded"
    assert len(world.sent) == 1


def test_a_lost_ticket_costs_time_only(world: World, engine: Engine) -> None:
    """Its offer runs out, and is made again; no attempt is counted, and the late ticket is good for nothing."""
    world.register()
    delivery = world.emit()
    (lost,) = engine.handed()
    assert engine.handed() == []
    world.clock.advance(PATIENCE)
    (ticket,) = engine.handed()
    assert engine.deliver(lost) is None
    engine.deliver(ticket)
    assert engine.deliver(lost) is None
    assert attempts(world, delivery) == [(1, "")]
    assert len(world.sent) == 1


def test_a_worker_that_dies_loses_an_attempt(world: World, engine: Engine) -> None:
    """As without an engine: what kills its worker must not be tried for ever. The message that comes again is stale."""
    world.register()
    delivery = world.emit()
    (ticket,) = engine.handed()
    taken = world.store.take(
        ticket.partition(".")[2], now=world.clock.now(), lease=timedelta(seconds=60), owner="one that dies"
    )
    assert taken is not None
    assert engine.deliver(ticket) is None
    world.clock.advance(60)
    (ticket,) = engine.handed()
    engine.deliver(ticket)
    assert attempts(world, delivery) == [(1, "lost"), (2, "")]


@pytest.mark.parametrize(
    "message",
    ["", "dlv_1", "dlv_1.clm_1", "off_1", "dlv_1.off_1 ", "dlv_1.off_\n", b"\xff\xfe", "x" * 100_000, 17, None, [], {}],
    ids=["empty", "id", "claim", "offer", "space", "newline", "bytes", "long", "int", "none", "list", "dict"],
)
def test_what_is_no_ticket_is_dropped(
    world: World, engine: Engine, message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With one line in the log, which says nothing of what it holds."""
    with caplog.at_level(logging.WARNING, "hookkit"):
        assert engine.deliver(message) is None
    (record,) = caplog.records
    assert record.getMessage().startswith("dropped a message that is no ticket: ")
    assert len(record.getMessage()) < 80


def test_a_ticket_of_something_unknown_is_dropped(world: World, engine: Engine) -> None:
    """Another database's, say."""
    assert engine.deliver("dlv_unknown.off_unknown") is None


def test_a_webhook_that_is_disabled_meanwhile_gets_nothing(world: World, engine: Engine) -> None:
    """What is on its way is held, and sent once it is enabled, uncounted until then."""
    endpoint = world.register()
    delivery = world.emit()
    (ticket,) = engine.handed()
    world.registry().disable(endpoint.id)
    assert engine.deliver(ticket) is None
    assert world.entry(delivery).state == "held"
    world.registry().enable(endpoint.id)
    (ticket,) = engine.handed()
    engine.deliver(ticket)
    assert attempts(world, delivery) == [(1, "")]


def test_a_profile_that_the_worker_does_not_know_waits(world: World, engine: Engine) -> None:
    """Nothing is sent, nothing is counted, and the relay does not hand it over again and again."""
    world.register(profile="logto")
    delivery = world.emit("User.Created")
    (ticket,) = engine.handed()
    knows_less = world.worker(profiles={"standard": BUILTIN["standard"]})
    assert engine.deliver(ticket, knows_less).state == "pending"
    assert engine.handed() == []
    world.clock.advance(61)
    (ticket,) = engine.handed()
    assert engine.deliver(ticket).state == "succeeded"
    assert attempts(world, delivery) == [(1, "")]


@pytest.mark.usefixtures("hasty")
def test_an_outcome_is_stored_though_the_store_fails_at_first(world: World, engine: Engine, monkeypatch: Any) -> None:
    """Sent once; the third try stores it."""
    monkeypatch.setattr("hookkit.contrib.engines._delivering.pause_s", lambda *_: 0.001)
    world.register()
    world.emit()
    (ticket,) = engine.handed()
    flaky = world.flaky()
    flaky.fail("settle", StoreError("away"), StoreError("away"))
    assert engine.deliver(ticket, world.worker(store=flaky)).state == "succeeded"
    assert flaky.is_well()
    assert len(world.sent) == 1


def test_an_outcome_that_cannot_be_stored_is_an_error(world: World, engine: Engine, monkeypatch: Any) -> None:
    """For people to see; the lease runs out, and it is sent again."""
    monkeypatch.setattr("hookkit.contrib.engines._delivering.pause_s", lambda *_: 0.001)
    world.register()
    delivery = world.emit()
    (ticket,) = engine.handed()
    flaky = world.flaky()
    flaky.fail("settle", *[StoreError("away")] * 3)
    with pytest.raises(StoreError, match="away"):
        engine.deliver(ticket, world.worker(store=flaky))
    world.clock.advance(60)
    (ticket,) = engine.handed()
    engine.deliver(ticket)
    assert attempts(world, delivery) == [(1, "lost"), (2, "")]


def test_a_cancelled_attempt_is_given_back() -> None:
    """Uncounted: an engine's worker that is stopped has not failed."""

    async def story() -> None:
        store, clock, tickets = AsyncMemoryStore(), ManualClock(), list[str]()
        began, never = asyncio.Event(), asyncio.Event()

        async def hang(_: object) -> int:
            began.set()
            await never.wait()
            return 200

        async def hand(some: Any) -> None:
            tickets.extend(some)

        transport = AsyncFakeTransport(hang)
        await AsyncRegistry(store, transport=transport, clock=clock).create(Endpoint(URL, "*"))
        (delivery,) = (await AsyncOutboxDispatcher(store, clock=clock).emit("a.b")).delivery_ids
        relay = AsyncRelay(store, hand, clock=clock)
        await relay.run_once()
        sending = asyncio.create_task(deliver_async(AsyncWorker(store, transport=transport, clock=clock), tickets[0]))
        await began.wait()
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        entry = await store.entry(delivery)
        assert (entry.state, entry.attempts) == ("pending", ())
        assert await relay.run_once() == 1

    asyncio.run(story())


# --- the relay


def test_caps_hold(world: World, engine: Engine) -> None:
    """An offer fills its endpoint's cap, and so does what has come of it."""
    world.register(max_in_flight=2)
    for _ in range(5):
        world.emit()
    first, second = engine.handed()
    assert engine.handed() == []
    engine.deliver(second)
    assert len(engine.handed()) == 1
    engine.deliver(first)
    assert len(engine.handed()) == 1


def test_a_breaker_lets_one_probe_through(world: World, engine: Engine) -> None:
    """An endpoint that failed five times in a row gets one ticket at a time, when its probe is due."""
    world.register(max_in_flight=10, retry=RETRIED)
    world.answer(500)
    for _ in range(5):
        world.emit()
    for ticket in engine.handed():
        engine.deliver(ticket)
    world.clock.advance(2)
    assert engine.handed() == []
    world.clock.advance(30)
    assert len(engine.handed()) == 1
    assert engine.handed() == []


def test_first_attempts_go_before_retries(world: World, engine: Engine) -> None:
    """In the order in which a worker claims."""
    world.register(max_in_flight=10, retry=RETRIED)
    world.answer([500, 200])
    old = world.emit()
    engine.deliver(*engine.handed())
    world.clock.advance(2)
    new = world.emit()
    assert [ticket.partition(".")[0] for ticket in engine.handed()] == [new, old]


def test_an_engine_that_takes_nothing_gets_it_later(world: World, engine: Engine) -> None:
    """The offers are given back, due at once, uncounted."""
    world.register()
    delivery = world.emit()
    engine.errors = [ConnectionError("no broker")]
    with pytest.raises(ConnectionError):
        engine.relay().run_once()
    assert engine.tickets == []
    (ticket,) = engine.handed()
    engine.deliver(ticket)
    assert attempts(world, delivery) == [(1, "")]


@pytest.mark.usefixtures("hasty")
def test_a_running_relay_hands_over_what_comes(world: World, engine: Engine) -> None:
    """What is emitted while it runs, what is due again, and more than its window; nothing twice."""
    world.register(max_in_flight=100)
    with engine.relay(window=3):
        deliveries = [world.emit() for _ in range(10)]
        done: set[str] = set()
        while len(done) < 10:
            eventually(lambda: set(engine.tickets) - done)
            assert len(set(engine.tickets) - done) <= 3
            for ticket in set(engine.tickets) - done:
                assert engine.deliver(ticket) is not None
                done.add(ticket)
    assert sorted(ticket.partition(".")[0] for ticket in engine.tickets) == sorted(deliveries)
    assert len(world.sent) == 10


@pytest.mark.usefixtures("hasty")
def test_a_relay_outlives_its_engine(world: World, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """It goes on when the broker is back, whatever it raised."""
    world.register()
    engine.errors = [ConnectionError("no broker")] * 3
    with caplog.at_level(logging.CRITICAL, "hookkit"), engine.relay():
        world.emit()
        eventually(lambda: engine.tickets)
    assert engine.calls[:4] == [1, 1, 1, 1]


def test_a_relay_that_stops_leaves_its_offers(world: World, engine: Engine) -> None:
    """The engine has them, and its workers go on."""
    world.register()
    world.emit()
    with engine.relay():
        eventually(lambda: engine.tickets)
    assert engine.deliver(*engine.tickets).state == "succeeded"


def test_a_relay_that_is_killed_leaves_nothing_behind(world: World, engine: Engine) -> None:
    """Between offering and handing over: the offers run out, and nothing is counted."""
    world.register()
    delivery = world.emit()
    world.store.offer(
        now=world.clock.now(),
        lane="first",
        limit=10,
        limit_busy=10,
        limit_failing=10,
        lease=PATIENCE,
        owner="relay that dies",
        profiles=["standard"],
    )
    assert engine.handed() == []
    world.clock.advance(PATIENCE)
    engine.deliver(*engine.handed())
    assert attempts(world, delivery) == [(1, "")]


def test_a_relay_and_a_worker_share_a_store(world: World, engine: Engine) -> None:
    """Whoever comes first has it."""
    world.register(max_in_flight=1)
    first, second = world.emit(), world.emit()
    (ticket,) = engine.handed()
    worker = world.worker()
    assert worker.run_once() == 0
    with pytest.raises(StoreError):
        worker.deliver(first)
    engine.deliver(ticket)
    assert worker.run_once() == 1
    assert world.entry(second).state == "succeeded"


@pytest.mark.usefixtures("hasty")
def test_a_relay_keeps_house(world: World, engine: Engine) -> None:
    """No worker may be running that would."""
    world.register()
    delivery = world.emit()
    engine.deliver(*engine.handed())
    world.clock.advance(timedelta(days=8))
    with engine.relay():
        eventually(lambda: world.entry(delivery).body == b"")


@pytest.mark.parametrize("seed", range(3))
def test_chaos_changes_nothing_but_latency(world: World, engine: Engine, seed: int) -> None:
    """Messages lost, repeated, late and out of order, relays killed: receivers and log see what they always do."""
    chance = random.Random(seed)
    for number in range(3):
        world.register([f"to.n{number}"], url=f"https://receiver-{number}.example.com/", retry=RETRIED, max_in_flight=3)
    failing = Counter[str]()

    def answer(request: Any) -> int:
        name = dict(request.headers)["webhook-id"]
        failing[name] += 1
        return 500 if failing[name] <= 2 and zlib.crc32(name.encode()) % 3 == 0 else 200

    world.answer(answer)
    deliveries = [world.emit(f"to.n{n % 3}") for n in range(30)]
    pool: list[str] = []
    for _ in range(3000):
        if all(world.entry(one).state == "succeeded" for one in deliveries):
            break
        fresh = engine.handed(window=8)
        pool += [ticket for ticket in fresh if chance.random() > 0.2]
        pool += [ticket for ticket in fresh if chance.random() < 0.3]
        chance.shuffle(pool)
        for _ in range(min(len(pool), chance.randrange(6))):
            engine.deliver(pool.pop() if chance.random() < 0.7 else chance.choice(pool))
        world.clock.advance(chance.choice([0.1, 5, 61]))
    for delivery in deliveries:
        entry = world.entry(delivery)
        assert entry.state == "succeeded"
        assert [one.number for one in entry.attempts] == list(range(1, failing[entry.event_id] + 1))
        assert [one.reason for one in entry.attempts] == ["status"] * (len(entry.attempts) - 1) + [""]


# --- what it refuses


def test_a_relay_refuses_the_wrong_kind_of_store() -> None:
    """At once, naming what is needed."""
    with pytest.raises(TypeError, match="AsyncRelay"):
        Relay(AsyncMemoryStore(), print)
    with pytest.raises(TypeError, match="ThreadedStore"):
        AsyncRelay(MemoryStore(), print)
    with pytest.raises(TypeError, match=r"Relay needs a store that can hand over .* no offer, take, outstanding"):
        Relay(StrangerStore(), print)


def test_a_thread_s_relay_refuses_a_hand_that_must_be_awaited() -> None:
    """It would hand nothing over, and offer the same again for ever."""

    async def hand(tickets: Any) -> None:
        """Take the tickets."""

    with pytest.raises(TypeError, match="Relay calls hand, and this one must be awaited; use AsyncRelay"):
        Relay(MemoryStore(), hand)
    AsyncRelay(AsyncMemoryStore(), hand)


def test_a_worker_over_a_store_that_cannot_hand_over_says_so() -> None:
    """So does a thread's store over such a one."""
    with pytest.raises(TypeError, match="deliver needs a store that can hand over"):
        deliver(Worker(StrangerStore(), transport=FakeTransport()), "dlv_1.off_1")
    threaded = ThreadedStore(StrangerStore())

    async def story() -> None:
        try:
            await threaded.outstanding(["off_1"], now=None)
        finally:
            await threaded.aclose()

    with pytest.raises(TypeError, match="ThreadedStore needs a store that can hand over"):
        asyncio.run(story())


@pytest.mark.parametrize(
    "wrong", [{"window": 0}, {"patience": 0.5}, {"patience": timedelta(0)}, {"housekeeping": 0}], ids=str
)
def test_a_relay_that_could_do_nothing_is_refused(wrong: dict[str, Any]) -> None:
    """No window, no time for a message to arrive, or none for anything but housekeeping."""
    with pytest.raises(ValueError, match=r"is at least|is longer than"):
        Relay(MemoryStore(), print, **wrong)
    with pytest.raises(ValueError, match=r"is at least|is longer than"):
        AsyncRelay(AsyncMemoryStore(), print, **wrong)


# --- processes


def test_something_is_made_once_in_a_process() -> None:
    """And again in a forked child, which must not share a connection."""
    made: list[int] = []
    once = PerProcess(lambda: made.append(os.getpid()) or len(made))
    assert [once(), once()] == [1, 1]
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b"%d %d" % (once(), once()))
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"2 2"
    os.close(read)
    os.close(write)
    assert once() == 1


def test_something_that_cannot_be_made_is_tried_again() -> None:
    """At the next task."""
    answers: list[Any] = [StoreError("away"), "made"]

    def make() -> str:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    once = PerProcess(make)
    with pytest.raises(StoreError):
        once()
    assert once() == "made"


# --- Celery's half, without Celery


class App:
    """As much of a Celery app as the adapter touches."""

    def __init__(self) -> None:
        self.sent: list[tuple[Any, dict[str, Any]]] = []

    def task(self, **options: Any) -> Any:
        """Register a task."""

        def register(function: Any) -> Any:
            function.options = options
            function.app = self
            function.apply_async = lambda args, **sent: self.sent.append((args, sent))
            return function

        return register

    def producer_or_acquire(self) -> Any:
        """Return a context manager that gives a producer."""
        from contextlib import nullcontext

        return nullcontext("producer")


def test_the_task_is_acknowledged_late_and_never_tried_again() -> None:
    """Unless the host says otherwise."""
    app = App()
    task = deliver_task(app, lambda: Worker(MemoryStore(), transport=FakeTransport()), queue="webhooks")
    assert task.options == {
        "name": "hookkit.deliver",
        "acks_late": True,
        "reject_on_worker_lost": True,
        "ignore_result": True,
        "max_retries": 0,
        "queue": "webhooks",
    }
    assert deliver_task(app, Worker, name="other", acks_late=False).options["acks_late"] is False


def test_tickets_are_sent_through_one_producer() -> None:
    """One message each, which an idle worker drops after an hour."""
    app = App()
    task = deliver_task(app, lambda: Worker(MemoryStore(), transport=FakeTransport()))
    hand_to(task, queue="webhooks")(["a.off_1", "b.off_2"])
    options = {"producer": "producer", "expires": 3600.0, "queue": "webhooks"}
    assert app.sent == [(("a.off_1",), options), (("b.off_2",), options)]


@pytest.mark.parametrize("message", ["", None, 17, {"a": 1}, ["x"], b"x"])
def test_a_poisoned_task_is_dropped(message: Any, caplog: pytest.LogCaptureFixture) -> None:
    """It must not come again and again."""
    task = deliver_task(App(), lambda: Worker(MemoryStore(), transport=FakeTransport()))
    with caplog.at_level(logging.WARNING, "hookkit"):
        assert task(message) is None
    assert len(caplog.records) == 1

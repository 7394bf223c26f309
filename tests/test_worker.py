"""The workers' loops: starting and stopping, being woken, failing stores, and what several workers do to each other."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from hookkit import (
    AsyncOutboxDispatcher,
    AsyncWorker,
    Endpoint,
    NotFound,
    OutboxDispatcher,
    RetryPolicy,
    StoreError,
    Worker,
    wakeups,
)
from hookkit.clock import SYSTEM_CLOCK
from hookkit.delivery import judge
from hookkit.profiles import BUILTIN
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.stores.threaded import ThreadedStore
from hookkit.testing import AsyncFakeTransport, FakeTransport
from hookkit.testing.builders import planned
from hookkit.working import Chores, Settings
from worlds import PATIENCE_S, URL, WORLDS, Flaky, World, eventually, until

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FOREVER = RetryPolicy([1] * 50, jitter=0)

in_sqlite = pytest.mark.parametrize("world", [name for name in WORLDS if name.endswith("sqlite")], indirect=True)
in_asyncio = pytest.mark.parametrize("world", [name for name in WORLDS if name.startswith("asyncio")], indirect=True)
in_threads = pytest.mark.parametrize("world", [name for name in WORLDS if name.startswith("threads")], indirect=True)


def succeeded(world: World, *deliveries: str) -> bool:
    return all(world.entry(delivery).state == "succeeded" for delivery in deliveries)


# --- Arguments --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"concurrency": 0}, "concurrency"),
        ({"lease": 15.9}, "lease"),
        ({"lease": timedelta(seconds=1)}, "lease"),
        ({"housekeeping": 0}, "housekeeping"),
    ],
)
def test_settings_that_cannot_work_are_refused(world: World, options: dict[str, Any], word: str) -> None:
    """At once, with a message that names the option."""
    with pytest.raises(ValueError, match=word):
        world.worker(**options)


@pytest.mark.parametrize(("total_timeout", "profiles", "least"), [(15.0, BUILTIN, 16), (5.0, BUILTIN, 6)])
def test_a_lease_outlasts_an_attempt_by_a_second(world: World, total_timeout: float, profiles: Any, least: int) -> None:
    """The smaller of the profiles' and the transport's bound counts."""
    world.transport.total_timeout = total_timeout
    world.worker(lease=least, profiles=profiles)
    with pytest.raises(ValueError, match="too short"):
        world.worker(lease=least - 0.001, profiles=profiles)


def test_a_transport_without_a_bound_has_the_profiles(world: World) -> None:
    """A host's own transport need not say how long it takes; the requests' deadlines bind it."""
    del world.transport.total_timeout
    only_logto = {"logto": BUILTIN["logto"]}
    world.worker(lease=11, profiles=only_logto)
    with pytest.raises(ValueError, match="0:00:10"):
        world.worker(lease=10.5, profiles=only_logto)


# --- Starting and stopping --------------------------------------------------------------------------------------------


def test_a_started_worker_delivers_until_it_is_stopped(world: World, hasty: None) -> None:
    """Stopped, it leaves what comes for whoever starts next."""
    world.register()
    worker = world.worker()
    worker.start()
    first = world.emit()
    eventually(lambda: succeeded(world, first))
    assert worker.stop() is True
    second = world.emit()
    time.sleep(0.02)
    assert world.entry(second).state == "pending"
    worker.start()
    eventually(lambda: succeeded(world, second))


def test_starting_and_stopping_may_be_repeated(world: World) -> None:
    """Twice is harmless, stopping without having started too; a start after a stop is never lost."""
    world.register()
    worker = world.worker()
    assert worker.stop() is True
    for _ in range(20):
        worker.start()
        worker.start()
        assert worker.stop() is True
        assert worker.stop() is True
    worker.start()
    delivery = world.emit()
    eventually(lambda: succeeded(world, delivery))


def test_a_worker_is_a_context_manager(world: World) -> None:
    """It is started at the beginning, and stopped at the end, also by an error."""
    world.register()
    worker = world.worker()
    delivery = world.emit()

    async def within_async() -> None:
        async with worker.subject as entered:
            assert entered is worker.subject
            await until(lambda: world.sent)
            raise KeyError("the host's")

    def within() -> None:
        with worker.subject as entered:
            assert entered is worker.subject
            eventually(lambda: world.sent)
            raise KeyError("the host's")

    with pytest.raises(KeyError):
        world.run(within_async() if world.asynchronous else within())
    assert succeeded(world, delivery)
    assert not any(thread.name.startswith(("hookkit-worker", "hookkit-send")) for thread in threading.enumerate())


def test_running_lasts_until_it_is_stopped(world: World) -> None:
    """``run`` serves where it is called; meanwhile it cannot be run again, and starting it changes nothing."""
    world.register()
    worker = world.worker()
    running = world.soon(worker.run)
    delivery = world.emit()
    eventually(lambda: succeeded(world, delivery))
    with pytest.raises(RuntimeError, match="running already"):
        worker.run()
    worker.start()
    assert worker.stop() is True
    assert running() is None
    again = world.emit()
    time.sleep(0.02)
    assert world.entry(again).state == "pending"
    running = world.soon(worker.run)
    eventually(lambda: succeeded(world, again))
    worker.stop()
    running()


def test_a_stop_that_came_before_the_first_run_ends_it_at_once(world: World) -> None:
    """A signal may come between the making and the running; it counts once."""
    world.register()
    delivery = world.emit()
    worker = world.worker()
    assert worker.stop() is True
    assert world.soon(worker.run)() is None
    assert world.entry(delivery).state == "pending"
    running = world.soon(worker.run)
    eventually(lambda: succeeded(world, delivery))
    assert worker.stop() is True
    running()
    assert worker.stop() is True  # this one came after a run, and stops nothing that is to come
    again = world.emit()
    running = world.soon(worker.run)
    eventually(lambda: succeeded(world, again))
    worker.stop()
    running()


def test_a_run_that_has_not_begun_can_be_stopped() -> None:
    """Its task was made, and is stopped before the event loop comes to it."""

    async def scenario() -> None:
        worker = AsyncWorker(AsyncMemoryStore(), transport=AsyncFakeTransport())
        async with asyncio.timeout(PATIENCE_S):
            running = asyncio.create_task(worker.run())
            assert await worker.stop() is True
            await running

    asyncio.run(scenario())


def test_stopping_waits_for_what_is_being_sent(world: World) -> None:
    """It claims nothing more, and settles what comes back."""
    gate = world.gate()
    world.register()
    first = world.emit()
    worker = world.worker(concurrency=1)
    worker.start()
    gate.wait_for()
    second = world.emit()
    stopping = world.soon(worker.stop)
    time.sleep(0.02)
    assert world.entry(first).state == "leased"
    gate.open()
    assert stopping() is True
    assert [world.entry(one).state for one in (first, second)] == ["succeeded", "pending"]


def test_stopping_with_a_timeout_gives_leases_back(world: World) -> None:
    """What was not finished is due at once for another worker, and its attempt was never counted."""
    gate = world.gate()
    world.register()
    deliveries = [world.emit() for _ in range(3)]
    worker = world.worker()
    worker.start()
    gate.wait_for(3)
    assert worker.stop(0.01) is False
    for delivery in deliveries:
        assert (world.entry(delivery).state, world.entry(delivery).attempts) == ("pending", ())
    assert [claim.attempt_number for claim in world.claim()] == [1, 1, 1]
    gate.open()
    assert worker.stop() is True


def test_what_comes_back_in_time_is_settled_nevertheless(world: World) -> None:
    """One receiver is slow; the others' outcomes are kept."""
    gate = world.gate()
    world.answer(lambda request: gate(request) if b"slow" in request.body else 200)
    world.register()
    slow, fast = world.emit("slow"), world.emit("fast")
    worker = world.worker()
    worker.start()
    gate.wait_for()
    eventually(lambda: succeeded(world, fast))
    assert worker.stop(0.01) is False
    assert (world.entry(slow).state, world.entry(slow).attempts) == ("pending", ())


def test_a_stopped_worker_is_as_good_as_new(world: World) -> None:
    """Its steps work before, between and after runs."""
    world.register()
    worker = world.worker()
    for _ in range(2):
        world.emit()
        assert worker.run_once() == 1
        worker.start()
        delivery = world.emit()
        eventually(lambda: succeeded(world, delivery))  # noqa: B023 - called at once
        worker.stop()


def test_a_worker_makes_and_closes_its_own_transport(world: World) -> None:
    """Without one given, it calls over httpx; a refused target needs no network."""
    world.register(url="https://127.0.0.1/")
    delivery = world.emit()
    worker = world.worker(transport=None)
    worker.drain()
    assert world.entry(delivery).attempts[0].reason == "target_refused"
    assert worker.subject._made_transport is not None
    worker.stop()
    assert worker.subject._made_transport is None


@in_asyncio
def test_a_cancelled_run_gives_its_leases_back(world: World) -> None:
    """Also those that were being claimed on the store's thread when it was cancelled."""
    gate = world.gate()
    world.register(max_in_flight=100)
    sent = world.emit()
    flaky = world.flaky()
    worker = world.worker(store=flaky, concurrency=2)
    claiming, claimed = threading.Event(), threading.Event()

    async def run() -> None:
        task = asyncio.create_task(worker.subject.run())
        await until(lambda: world.sent)
        original = world.store.subject.claim

        async def slow_claim(**arguments: Any) -> Any:
            found = await original(**arguments)
            if found:
                claiming.set()
                await until(claimed.is_set)
            return found

        flaky.claim = slow_claim  # type: ignore[method-assign]
        await AsyncOutboxDispatcher(flaky, clock=world.clock).emit("user.created", id="second")
        await until(claiming.is_set)
        task.cancel()
        await asyncio.sleep(0.01)
        claimed.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    world.run(run())
    assert world.entry(sent).state == "pending"
    assert [claim.attempt_number for claim in world.claim()] == [1, 1]
    gate.open()


@in_asyncio
def test_a_cancelled_run_tells_what_it_settled(world: World) -> None:
    """A settlement that was under way is told to the host's log, too."""
    logs = world.plain(AsyncMemoryStore())
    made = world.register()
    world.emit()
    flaky = world.flaky()
    worker = world.worker(store=flaky, logs=logs.subject)
    original = world.store.subject.settle
    settling = threading.Event()

    async def slow_settle(*arguments: Any, **options: Any) -> Any:
        settled = await original(*arguments, **options)
        settling.set()
        await asyncio.sleep(0.02)
        return settled

    flaky.settle = slow_settle  # type: ignore[method-assign]

    async def run() -> None:
        task = asyncio.create_task(worker.subject.run())
        await until(settling.is_set)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    world.run(run())
    assert len(logs.recent(made.id, now=world.clock.now())) == 1


def test_an_event_loop_that_ends_takes_its_worker_along() -> None:
    """A host that forgets to stop gives back what it leased; emitting goes on."""
    store = MemoryStore()
    threaded = ThreadedStore(store)
    made: list[Any] = []

    async def host() -> None:
        transport = AsyncFakeTransport(lambda _: asyncio.sleep(PATIENCE_S))
        worker = AsyncWorker(threaded, transport=transport)
        await worker.start()
        store.add_webhook(Endpoint(URL, "*", id="whk_1", keys="whsec_" + "A" * 44))
        made.append(OutboxDispatcher(store).emit("a").delivery_ids[0])
        await until(lambda: transport.requests)
        made.extend(wakeups._listeners[wakeups._key(store)].values())

    asyncio.run(host())
    delivery, look = made
    assert (store.entry(delivery).state, store.entry(delivery).attempts) == ("pending", ())
    look()
    assert wakeups._listeners == {}
    asyncio.run(threaded.aclose())
    assert OutboxDispatcher(store).emit("a").delivery_ids


def test_a_worker_whose_event_loop_ended_before_it_began_starts_again() -> None:
    """A loop that ends cancels tasks that have not begun: the next loop's start is no second one, nor its stop."""
    store, transport = AsyncMemoryStore(), AsyncFakeTransport()
    worker = AsyncWorker(store, transport=transport)
    for _ in range(2):
        asyncio.run(worker.start())

    async def host() -> None:
        assert await worker.stop() is True
        await store.add_webhook(Endpoint(URL, "*", id="whk_1", keys="whsec_" + "A" * 44))
        async with worker:
            await AsyncOutboxDispatcher(store).emit("a")
            await until(lambda: transport.requests)

    asyncio.run(host())


# --- Being woken ------------------------------------------------------------------------------------------------------


def test_an_emit_wakes_the_worker(world: World, no_polling: None) -> None:
    """In the same process nothing waits for the next poll."""
    world.register()
    with world.worker():
        for _ in range(3):
            delivery = world.emit()
            eventually(lambda: succeeded(world, delivery))  # noqa: B023 - called at once


@in_sqlite
def test_an_emit_through_another_store_of_the_same_file_wakes_it_too(world: World, no_polling: None) -> None:
    """Stores of one file know each other, the sync and the async kind as well."""
    world.register()
    with world.worker(), SQLiteStore(world.folder / "hooks.db") as other:
        for _ in range(2):
            (delivery,) = OutboxDispatcher(other, clock=world.clock).emit("a").delivery_ids
            eventually(lambda: succeeded(world, delivery))  # noqa: B023 - called at once


def test_an_emit_through_the_store_behind_a_threaded_one_wakes_it_too(no_polling: None) -> None:
    """A sync host may emit for an async worker."""
    store, transport = MemoryStore(), AsyncFakeTransport()
    store.add_webhook(Endpoint(URL, "*", id="whk_1", keys="whsec_" + "A" * 44))

    async def host() -> None:
        async with ThreadedStore(store) as threaded, AsyncWorker(threaded, transport=transport):
            for count in (1, 2):
                await asyncio.to_thread(OutboxDispatcher(store).emit, "a")
                await until(lambda: len(transport.requests) >= count)  # noqa: B023 - called at once

    asyncio.run(host())


def test_what_others_emitted_is_found_by_looking(world: World, hasty: None) -> None:
    """Another process cannot wake this one; its events wait for the next poll."""
    made = world.register()
    with world.worker():
        emission = world.emit()
        eventually(lambda: succeeded(world, emission))
        one = planned(made.id)
        world.store.enqueue([one], now=world.clock.now())
        eventually(lambda: succeeded(world, one.deliveries[0].delivery_id))


def test_a_retry_is_made_when_it_is_due(world: World, no_polling: None) -> None:
    """By the real clock, with nobody to wake the worker: it knows how long to sleep."""
    world.clock = SYSTEM_CLOCK  # type: ignore[assignment]
    world.answer([500, "timeout", 200])
    world.register(retry=RetryPolicy([0.02, 0.02]))
    with world.worker():
        delivery = world.emit()
        eventually(lambda: succeeded(world, delivery))
    began = [one.started_at for one in world.entry(delivery).attempts]
    assert all(later - earlier >= timedelta(seconds=0.02) for earlier, later in pairwise(began))


def test_a_full_worker_goes_on_as_soon_as_a_slot_is_free(world: World, no_polling: None) -> None:
    """Each attempt that ends makes room for the next."""
    for _ in range(3):
        world.register()
    world.dispatcher().emit("a")
    deliveries = world.dispatcher().emit("a").delivery_ids
    with world.worker(concurrency=1):
        eventually(lambda: succeeded(world, *deliveries))
    assert len(world.sent) == 6


class Patient:
    """A store that has nothing to say of its other lanes before something has been sent; it gives up in the end."""

    def __init__(self, world: World, store: Any) -> None:
        self._world, self._store = world, store
        self.gave_up = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def claim(self, *, lane: str, **asked: Any) -> Any:
        """As the store's, in its own time."""
        ends = time.monotonic() + PATIENCE_S / 4
        while lane != "first" and not self._has_sent(ends):
            time.sleep(0.002)
        return self._store.claim(lane=lane, **asked)

    def _has_sent(self, ends: float) -> bool:
        self.gave_up = self.gave_up or time.monotonic() > ends
        return self.gave_up or bool(self._world.sent)


class AsyncPatient(Patient):
    """The same for asyncio."""

    async def claim(self, *, lane: str, **asked: Any) -> Any:
        """As the store's, in its own time."""
        ends = time.monotonic() + PATIENCE_S / 4
        while lane != "first" and not self._has_sent(ends):  # noqa: ASYNC110 - a fake transport tells nobody
            await asyncio.sleep(0.002)
        return await self._store.claim(lane=lane, **asked)


def test_what_is_new_waits_for_no_other_lane(world: World, no_polling: None) -> None:
    """What one lane has is being sent while the store is still asked about the next."""
    world.register()
    delivery = world.emit()
    store = (AsyncPatient if world.asynchronous else Patient)(world, world.store.subject)
    with world.worker(store=store):
        eventually(lambda: succeeded(world, delivery))
    assert not store.gave_up


# --- Steps ------------------------------------------------------------------------------------------------------------


def test_one_step_makes_as_many_attempts_as_there_are_slots(world: World) -> None:
    """And says how many; none when nothing is due."""
    for _ in range(5):
        world.register()
    world.dispatcher().emit("a")
    worker = world.worker(concurrency=4)
    assert [worker.run_once() for _ in range(3)] == [4, 1, 0]
    assert len(world.sent) == 5


def test_a_single_step_keeps_no_slot_free_for_retries_that_are_not_due(world: World) -> None:
    """A fifth is theirs only while something else may come."""
    for _ in range(10):
        world.register()
    world.dispatcher().emit("a")
    assert world.worker(concurrency=10).run_once() == 10


def test_draining_leaves_what_is_not_due(world: World) -> None:
    """Later retries, and endpoints whose breaker is open."""
    world.answer(lambda request: 500 if b"bad" in request.body else 200)
    bad = world.register("bad", retry=FOREVER)
    world.register("good")
    worker = world.worker()
    for _ in range(5):
        world.emit("bad")
    assert worker.drain() == 5
    assert world.registry().health(bad.id)[bad.id].state == "failing"
    world.clock.advance(2)
    world.emit("good")
    assert worker.drain() == 1
    assert worker.drain() == 0
    world.clock.advance(30)
    assert worker.drain() == 1  # the probe


def test_draining_may_be_bounded(world: World) -> None:
    """After so many seconds nothing more is claimed."""
    world.register()
    world.emit()
    worker = world.worker()
    assert worker.drain(0) == 0
    assert worker.drain(PATIENCE_S) == 1


def test_draining_follows_a_receiver_that_causes_more(world: World) -> None:
    """Until nothing is due: what was emitted meanwhile is sent, too."""
    world.register(max_in_flight=1)
    for _ in range(7):
        world.emit()
    assert world.worker(concurrency=2).drain() == 7


# --- One delivery, now ------------------------------------------------------------------------------------------------


def test_one_delivery_can_be_made_now(world: World) -> None:
    """Whatever its due time, its endpoint's breaker, cap and rate say; repeating it sends nothing twice."""
    world.answer([500] * 6 + [200])
    made = world.register(retry=FOREVER, max_in_flight=1, rate_limit=(1, HOUR))
    worker = world.worker()
    deliveries = [world.emit() for _ in range(6)]
    for delivery in deliveries:
        assert worker.deliver(delivery).state == "pending"
    assert world.registry().health(made.id)[made.id].state == "failing"
    entry = worker.deliver(deliveries[0])
    assert (entry.state, len(entry.attempts)) == ("succeeded", 2)
    assert worker.deliver(deliveries[0]) == entry == world.entry(deliveries[0])
    assert len(world.sent) == 7


def test_what_cannot_be_delivered_now_says_why(world: World) -> None:
    """Leased by another worker, or unknown, is an error; held or finished is returned as it is."""
    made = world.register()
    worker = world.worker()
    delivery = world.emit()
    world.claim()
    with pytest.raises(StoreError, match="leased"):
        worker.deliver(delivery)
    with pytest.raises(NotFound):
        worker.deliver("dlv_unknown")
    world.registry().disable(made.id)
    held = world.emit()
    assert worker.deliver(held).state == "held"
    world.registry().remove(made.id)
    assert (worker.deliver(held).state, worker.deliver(held).reason) == ("failed", "removed")
    assert world.sent == []


def test_a_lease_that_has_run_out_is_in_nobodys_way(world: World) -> None:
    """The attempt is lost, and the delivery made."""
    world.register()
    delivery = world.emit()
    world.claim()
    world.clock.advance(61)
    entry = world.worker().deliver(delivery)
    assert (entry.state, [one.reason for one in entry.attempts]) == ("succeeded", ["lost", ""])


def test_another_workers_profile_is_left_to_it(world: World) -> None:
    """A worker neither claims nor delivers what it does not know, and counts no attempt."""
    world.register(profile="logto")
    delivery = world.emit()
    worker = world.worker(profiles={"standard": BUILTIN["standard"]})
    assert worker.drain() == 0
    with pytest.raises(StoreError, match="'logto' is not known here"):
        worker.deliver(delivery)
    assert (world.entry(delivery).state, world.entry(delivery).attempts) == ("pending", ())
    assert [claim.attempt_number for claim in world.claim()] == [1]


# --- Notices ----------------------------------------------------------------------------------------------------------


def test_the_host_is_told(world: World, hasty: None, caplog: pytest.LogCaptureFixture) -> None:
    """When a breaker opens, and when its endpoint is well again; by the loop as by single steps."""
    world.answer([500] * 5 + [200])
    made = world.register(retry=FOREVER)
    told: list[Any] = []
    for _ in range(5):
        world.emit()
    with world.worker(on_notice=told.append):
        eventually(lambda: told)
        world.clock.advance(30)
        eventually(lambda: len(told) == 2)
    assert [(one.kind, one.endpoint_id) for one in told] == [("breaker_open", made.id), ("recovered", made.id)]
    assert "breaker_open" in caplog.text


@pytest.mark.parametrize("stepwise", [True, False])
def test_a_host_that_raises_when_it_is_told_is_logged(
    world: World, stepwise: bool, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else happens: the next delivery is made."""

    def quarrel(_: object) -> None:
        raise RuntimeError("a callback of the host's")

    world.answer([410, 200])
    world.register("a")
    world.register("b")
    world.emit("a")
    worker = world.worker(on_notice=quarrel)
    if stepwise:
        assert worker.drain() == 1
        world.emit("b")
        assert worker.drain() == 1
    else:
        with worker:
            eventually(lambda: world.sent)
            delivery = world.emit("b")
            eventually(lambda: succeeded(world, delivery))
    assert "on_notice raised" in caplog.text
    assert "a callback of the host's" in caplog.text


@in_threads
def test_a_callback_may_stop_its_worker(world: World) -> None:
    """On the worker's own thread stopping does not wait for itself."""
    world.answer(410)
    world.register()
    stopped: list[bool] = []
    worker = world.worker(on_notice=lambda _: stopped.append(worker.stop()))
    world.emit()
    worker.run()
    assert stopped == [False]


# --- Housekeeping -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("elsewhere", [False, True])
def test_the_old_is_deleted(world: World, elsewhere: bool, hasty: None) -> None:
    """Payloads first, entries later, here and in a log of the host's own; what waits too long is given up."""
    kind = AsyncMemoryStore if world.asynchronous else MemoryStore
    logs = world.plain(kind()) if elsewhere else world.store
    registry = world.registry()
    made = registry.create(Endpoint(URL, "a"))
    options = {"housekeeping": 0.005, "keep_payloads": 2 * HOUR, "keep_log": DAY, "keep_held": 3 * DAY}
    worker = world.worker(**options, **({"logs": logs.subject} if elsewhere else {}))
    done = world.emit("a")
    worker.drain()
    held = registry.create(Endpoint(URL, "b", enabled=False))
    waiting = world.emit("b")
    with worker:
        world.clock.advance(HOUR)
        time.sleep(0.03)
        assert world.entry(done).body == logs.entry(done).body == world.sent[0].body
        world.clock.advance(HOUR + timedelta(seconds=1))
        eventually(lambda: world.entry(done).body == logs.entry(done).body == b"")
        world.clock.advance(DAY)
        eventually(lambda: not world.registry().recent(made.id, window=10 * DAY))
        eventually(lambda: not logs.recent(made.id, now=world.clock.now(), window=10 * DAY))
        assert world.entry(waiting).body
        world.clock.advance(3 * DAY)
        eventually(lambda: world.entry(waiting).reason == "expired")
    assert held.id != made.id


def test_housekeeping_goes_on_until_nothing_is_left(world: World, hasty: None, monkeypatch: Any) -> None:
    """Batch after batch, without waiting for the next time."""

    class DueAtOnce(Chores):
        def __init__(self, every_s: float, now_s: float) -> None:
            super().__init__(every_s, now_s - every_s)

    for module in ("hookkit._sync.loop", "hookkit._async.loop"):
        monkeypatch.setattr(f"{module}.PRUNE_BATCH", 2)
        monkeypatch.setattr(f"{module}.Chores", DueAtOnce)
    world.register()
    for _ in range(7):
        world.emit()
    flaky = world.flaky()
    worker = world.worker(store=flaky, keep_log=HOUR)
    worker.drain()
    world.clock.advance(DAY)
    with worker:
        eventually(lambda: flaky.calls["prune"] == 5)  # two, two, two, one, none
        time.sleep(0.02)
    assert flaky.calls["prune"] == 5


def told(logs: Any, *deliveries: str) -> list[str]:
    """Return the reasons of these deliveries' failures in a log that is elsewhere; empty while it has not heard."""
    try:
        return [logs.entry(delivery).reason for delivery in deliveries]
    except NotFound:
        return []


def test_housekeeping_tells_a_log_elsewhere_what_has_ended(world: World, hasty: None, monkeypatch: Any) -> None:
    """What expired; and what others had dropped or removed, or what ended with a removed webhook, before it began."""
    for module in ("hookkit._sync.loop", "hookkit._async.loop"):
        monkeypatch.setattr(f"{module}.TELL_BATCH", 2)
    logs = world.plain(AsyncMemoryStore() if world.asynchronous else MemoryStore())
    registry = world.registry()  # which knows of no other log
    gone, dropped, held = (registry.create(Endpoint(URL, name)) for name in "abc")
    world.answer(500)
    deliveries = [world.emit(name) for name in "abc"]
    worker = world.worker(logs=logs.subject, housekeeping=0.005, keep_held=DAY)
    worker.drain()
    assert told(logs, *deliveries) == ["", "", ""]
    for one in (dropped, held):
        registry.disable(one.id)
    registry.enable(dropped.id, held="drop")
    registry.remove(gone.id)
    world.clock.advance(HOUR)
    with worker:
        eventually(lambda: told(logs, *deliveries) == ["removed", "dropped", ""])
        world.clock.advance(DAY)
        eventually(lambda: told(logs, *deliveries) == ["removed", "dropped", "expired"])


def test_a_log_elsewhere_that_failed_is_told_later(world: World, hasty: None) -> None:
    """Housekeeping that broke off goes on where it stopped."""
    kind = AsyncMemoryStore if world.asynchronous else MemoryStore
    logs = world.plain(kind())
    flaky = Flaky(logs.subject, asynchronous=world.asynchronous)
    flaky.fail("record", StoreError("disk full"), RuntimeError("a log of the host's"))
    made = world.register()
    delivery = world.emit()
    world.registry().remove(made.id)
    with world.worker(logs=flaky, housekeeping=0.005):
        eventually(lambda: told(logs, delivery) == ["removed"])
    assert flaky.is_well()


def test_a_late_word_on_an_attempt_does_not_stand(world: World, hasty: None) -> None:
    """Another worker's record of a retry came in after the end was told: the next round tells the end again."""
    kind = AsyncMemoryStore if world.asynchronous else MemoryStore
    logs = world.plain(kind())
    made = world.register()
    world.answer(500)
    delivery = world.emit()
    world.worker(logs=logs.subject).drain()
    late = logs.entry(delivery)
    world.registry(logs=logs.subject).remove(made.id)
    flaky = world.flaky()
    with world.worker(store=flaky, logs=logs.subject, housekeeping=0.02):
        eventually(lambda: flaky.calls["ended"])
        world.clock.advance(0.01)
        rounds = flaky.calls["ended"]
        eventually(lambda: flaky.calls["ended"] > rounds + 1)
        logs.record([late])
        assert late.reason == ""
        eventually(lambda: told(logs, delivery) == ["removed"])


def test_housekeeping_that_fails_holds_up_nothing(
    world: World, hasty: None, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged and tried again when it is due again; deliveries do not wait for it as for a store that fails."""
    monkeypatch.setattr("hookkit.working.pause_s", lambda *_: 600.0)
    made = world.register()
    flaky = world.flaky()
    flaky.fail("prune", *[StoreError("disk full"), RuntimeError("a log of the host's")] * 100)
    with world.worker(store=flaky, housekeeping=0.02):
        for count in range(1, 4):
            eventually(lambda: flaky.calls["prune"] >= count)  # noqa: B023 - called at once
            one = planned(made.id)  # which wakes nobody
            world.store.enqueue([one], now=world.clock.now())
            eventually(lambda: succeeded(world, one.deliveries[0].delivery_id))  # noqa: B023 - called at once
    assert "housekeeping broke off" in caplog.text


# --- Leases -----------------------------------------------------------------------------------------------------------


def test_leases_are_renewed_while_something_is_sent(world: World, hasty: None, monkeypatch: Any) -> None:
    """A slow receiver keeps its lease however long it takes, as long as the worker lives."""
    monkeypatch.setattr(Settings, "renewal_s", 0.005)
    gate = world.gate()
    world.register()
    delivery = world.emit()
    with world.worker():
        gate.wait_for()
        for _ in range(3):
            world.clock.advance(50)
            now = world.clock.now()
            eventually(lambda: world.store.next_due(now=now) == now + timedelta(seconds=60))  # noqa: B023 - at once
        assert world.claim("retry") == []
        gate.open()
        eventually(lambda: succeeded(world, delivery))
    assert len(world.entry(delivery).attempts) == 1


def test_a_lease_lost_meanwhile_is_somebody_elses(world: World, hasty: None) -> None:
    """The worker drops what came of it, and goes on."""
    gate = world.gate()
    world.register()
    delivery = world.emit()
    with world.worker(concurrency=1):
        gate.wait_for()
        world.clock.advance(61)
        (claim,) = world.claim("retry")
        gate.open()
        other = world.emit()
        eventually(lambda: succeeded(world, other))
    entry = world.entry(delivery)
    assert (entry.state, [one.reason for one in entry.attempts]) == ("leased", ["lost"])
    assert claim.attempt_number == 2


# --- Stores that fail -------------------------------------------------------------------------------------------------


def failures() -> list[Exception]:
    return [StoreError("database is locked"), StoreError("disk I/O error"), RuntimeError("a store of the host's")]


@pytest.mark.parametrize("method", ["claim", "settle", "extend", "next_due"])
@pytest.mark.parametrize("late", [False, True])
def test_a_store_that_fails_now_and_then_loses_nothing(
    world: World, method: str, late: bool, hasty: None, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Before or after it has done what it was asked: every event arrives, and the worker lives on."""
    monkeypatch.setattr(Settings, "renewal_s", 0.005)
    if method == "extend":  # which is called only while something is being sent
        gate = world.gate()
    world.register(max_in_flight=100)
    flaky = world.flaky()
    (flaky.fail_late if late else flaky.fail)(method, *failures())
    deliveries = [world.emit() for _ in range(6)]
    with world.worker(store=flaky):
        eventually(flaky.is_well)
        if method == "extend":
            gate.open()
        if late and method == "claim":  # what it leased nobody knows of: those leases run out
            world.clock.advance(61)
        eventually(lambda: succeeded(world, *deliveries))
    assert Counter(dict(request.headers)["webhook-id"] for request in world.sent).most_common(1)[0][1] == 1
    assert "the worker goes on in" in caplog.text


def test_what_was_claimed_before_a_claim_failed_is_sent(world: World, hasty: None) -> None:
    """Lanes are claimed one after another: a failure in the second must not lose what the first one leased."""
    world.register(max_in_flight=100)
    deliveries = [world.emit() for _ in range(2)]
    flaky = world.flaky()
    flaky.fail("claim", None, *failures())
    worker = world.worker(store=flaky)
    assert worker.run_once() == 2
    assert succeeded(world, *deliveries)
    flaky.fail("claim", None, *failures())
    more = [world.emit() for _ in range(2)]
    with worker:
        eventually(lambda: succeeded(world, *more))


def test_a_step_says_that_the_store_failed(world: World) -> None:
    """Single steps raise; what was sent and not stored is sent again when its lease has run out."""
    world.register()
    delivery = world.emit()
    flaky = world.flaky()
    flaky.fail("claim", StoreError("locked"))
    worker = world.worker(store=flaky)
    with pytest.raises(StoreError, match="locked"):
        worker.run_once()
    flaky.fail("settle", StoreError("locked"))
    with pytest.raises(StoreError, match="locked"):
        worker.drain()
    assert worker.drain() == 0
    world.clock.advance(61)
    assert worker.drain() == 1
    assert [one.reason for one in world.entry(delivery).attempts] == ["lost", ""]


def test_a_store_that_is_gone_keeps_no_worker_from_stopping(
    world: World, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    """It tries a few times to settle what it sent, says so, and ends; the lease runs out by itself."""
    world.register()
    delivery = world.emit()
    flaky = world.flaky()
    gone = [StoreError("disk I/O error")] * 1000
    flaky.fail("settle", *gone)
    worker = world.worker(store=flaky)
    worker.start()
    eventually(lambda: flaky.calls["settle"] >= 2)
    flaky.fail("give_back", *gone)
    assert worker.stop() is True
    assert "leases were not given back" in caplog.text
    assert world.entry(delivery).state == "leased"
    flaky.fail("settle")
    world.clock.advance(61)
    assert worker.drain() == 1
    assert succeeded(world, delivery)


def test_the_end_raises_nothing(world: World, hasty: None, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever a host's store raises at the very end is logged: the caller gets its worker stopped."""
    gate = world.gate()
    world.register()
    world.emit()
    flaky = world.flaky()
    worker = world.worker(store=flaky)
    worker.start()
    gate.wait_for()
    flaky.fail("give_back", RuntimeError("a store of the host's"))
    assert worker.stop(0.01) is False
    assert "a store of the host's" in caplog.text


@in_threads
def test_a_thread_that_cannot_be_had_costs_a_lease(
    world: World, hasty: None, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """A machine out of threads: what was claimed and not sent is due again when its lease has run out."""
    world.register()
    delivery = world.emit()
    submit = ThreadPoolExecutor.submit
    refusals = [RuntimeError("can't start new thread")]

    def scarce(pool: ThreadPoolExecutor, *arguments: Any) -> Any:
        if refusals and pool._thread_name_prefix == "hookkit-send":
            raise refusals.pop()
        return submit(pool, *arguments)

    monkeypatch.setattr(ThreadPoolExecutor, "submit", scarce)
    with world.worker():
        eventually(lambda: "can't start new thread" in caplog.text)
        world.clock.advance(61)
        eventually(lambda: succeeded(world, delivery))
    assert [one.reason for one in world.entry(delivery).attempts] == ["lost", ""]


def test_an_attempt_that_breaks_off_costs_a_lease(
    world: World, hasty: None, monkeypatch: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Should judging itself fail, the slot is free again, and the delivery is due when its lease has run out."""
    module = "hookkit._async.courier" if world.asynchronous else "hookkit._sync.courier"
    mishaps = [ArithmeticError("a policy of the host's")]

    def broken(*arguments: Any, **options: Any) -> Any:
        if mishaps:
            raise mishaps.pop()
        return judge(*arguments, **options)

    monkeypatch.setattr(f"{module}.judge", broken)
    world.register()
    delivery = world.emit()
    with world.worker(concurrency=1):
        eventually(lambda: "broke off" in caplog.text)
        world.clock.advance(61)
        eventually(lambda: succeeded(world, delivery))
    assert [one.reason for one in world.entry(delivery).attempts] == ["lost", ""]


# --- Several workers --------------------------------------------------------------------------------------------------


@in_sqlite
def test_several_workers_send_nothing_twice(world: World, hasty: None) -> None:
    """On one file, each with a store and threads of its own, and emitters beside them."""
    world.register(max_in_flight=100)
    stores = [world.plain(world.new_store()) for _ in range(3)]
    workers = [world.worker(store=store) for store in stores]
    for worker in workers:
        worker.start()
    emitting = [world.soon(lambda: [world.emit() for _ in range(20)]) for _ in range(3)]
    deliveries = [delivery for emitted in emitting for delivery in emitted()]
    eventually(lambda: succeeded(world, *deliveries))
    for worker in workers:
        assert worker.stop() is True
    assert len(world.sent) == len(deliveries) == 60
    assert len({dict(request.headers)["webhook-id"] for request in world.sent}) == 60
    for store in stores:
        (store.aclose if world.asynchronous else store.close)()


# --- Signals ----------------------------------------------------------------------------------------------------------


def test_a_signal_handler_may_stop_a_worker_that_runs(tmp_path: Path) -> None:
    """SIGTERM ends ``run`` in good order: what was being sent is settled, and nothing is left leased."""
    script = tmp_path / "serve.py"
    script.write_text(
        "import signal, sys, threading, time\n"
        "from hookkit import OutboxDispatcher, Registry, Endpoint, Worker\n"
        "from hookkit.stores.sqlite import SQLiteStore\n"
        "from hookkit.testing import FakeTransport\n"
        "store = SQLiteStore(sys.argv[1])\n"
        "def slow(_):\n"
        "    print('sending', flush=True)\n"
        "    time.sleep(0.2)\n"
        "    return 200\n"
        "worker = Worker(store, transport=FakeTransport(slow))\n"
        "signal.signal(signal.SIGTERM, lambda *_: worker.stop())\n"
        "Registry(store, transport=FakeTransport()).create(Endpoint('https://example.com', '*'))\n"
        "delivery = OutboxDispatcher(store).emit('a').delivery_ids[0]\n"
        "worker.run()\n"
        "print(store.entry(delivery).state, flush=True)\n"
        "store.close()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", str(script), str(tmp_path / "hooks.db")], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "sending\n"
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE_S)[0] == "succeeded\n"
    assert process.returncode == 0


def test_a_signal_may_come_at_any_moment(hasty: None) -> None:
    """The handler interrupts the loop wherever it is: had telling it taken a lock, it would wait for itself."""
    worker = Worker(MemoryStore(), transport=FakeTransport())
    signals = 0

    def handle(*_: object) -> None:
        nonlocal signals
        signals += 1
        if signals % 10 == 0:
            worker.stop()
        else:
            worker._flags.ring()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        for _ in range(50):
            worker.run()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert signals >= 50 * 10

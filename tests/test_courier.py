"""Carrying deliveries out and settling them, with receivers, transports, keys and logs that do what they should not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest

from hookkit import Endpoint, Reply, RetryPolicy, SigningKey, StoreError, schemes, verify_signature
from hookkit.profiles import BUILTIN, STANDARD
from hookkit.stores.memory import AsyncMemoryStore, MemoryStore
from hookkit.targets import PUBLIC_HTTPS
from worlds import URL, World

MINUTE = timedelta(minutes=1)


def raising(_: object) -> int:
    raise OSError("a transport of the host's")


class OddTransport:
    """A host's transport that returns what it likes."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def send(self, request: Any) -> Any:
        return self.answer(request) if callable(self.answer) else self.answer


class AsyncOddTransport(OddTransport):
    async def send(self, request: Any) -> Any:
        return super().send(request)


def odd(world: World, answer: Any) -> Any:
    return AsyncOddTransport(answer) if world.asynchronous else OddTransport(answer)


# --- Transports -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        raising,
        None,
        200,
        Reply("200"),
        Reply(True),
        Reply(7),
        Reply(10**30),
        Reply(200, body="text"),
        Reply(200, headers=((b"a", b"b"),)),
        Reply(200, headers=("ab", "c")),
        Reply(None, reason="\udc80"),
        Reply(None, reason=None),
    ],
)
def test_a_transport_that_is_wrong_costs_an_attempt_and_no_more(
    world: World, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and tried again like any failure; no store is given what it could not keep."""
    world.register()
    delivery = world.emit()
    assert world.worker(transport=odd(world, answer)).drain() == 1
    entry = world.entry(delivery)
    assert (entry.state, [one.reason for one in entry.attempts]) == ("pending", ["protocol_error"])
    assert "transport" in caplog.text


def test_one_broken_attempt_does_not_spoil_its_batch(world: World) -> None:
    """What the others came to is stored."""
    world.answer(lambda request: raising(request) if b"bad" in request.body else 200)
    world.register()
    deliveries = {name: world.emit(name) for name in ("a", "bad", "b")}
    assert world.worker().run_once() == 3
    states = {name: world.entry(delivery).state for name, delivery in deliveries.items()}
    assert states == {"a": "succeeded", "bad": "pending", "b": "succeeded"}


def test_a_request_has_the_profiles_deadline(world: World) -> None:
    """The transport is told how long it may take."""
    mine = {**BUILTIN, "mine": attrs.evolve(STANDARD, name="mine", timeout=3)}
    world.registry(profiles=mine).create(Endpoint(URL, "*", profile="mine"))
    world.register(profile="logto")
    world.dispatcher(profiles=mine).emit("a")
    world.worker(profiles=mine).drain()
    assert sorted(request.deadline.total_seconds() for request in world.sent) == [3, 10]


def test_an_attempt_is_timed_and_signed_as_it_begins(world: World) -> None:
    """The entry has the clock's time, the signature too; the next wait counts from the attempt's end."""

    def slow(_: object) -> Reply:
        world.clock.advance(2)
        return Reply(503, elapsed=timedelta(seconds=2))

    world.answer(slow)
    made = world.register(retry=RetryPolicy([60], jitter=0))
    delivery = world.emit()
    began = world.clock.now()
    world.worker().drain()
    entry = world.entry(delivery)
    assert (entry.attempts[0].started_at, entry.attempts[0].duration) == (began, timedelta(seconds=2))
    assert entry.next_attempt_at == began + timedelta(seconds=62)
    assert verify_signature(world.sent[0].body, world.sent[0].headers, made.keys, now=began, tolerance=0)


def test_a_later_attempt_is_signed_anew(world: World) -> None:
    """Same id and bytes, another time and signature: a receiver's window does not shut out retries."""
    world.answer([500, 200])
    made = world.register(retry=RetryPolicy([timedelta(hours=2)], jitter=0))
    world.emit()
    worker = world.worker()
    worker.drain()
    world.clock.advance(timedelta(hours=2))
    worker.drain()
    first, second = (dict(request.headers) for request in world.sent)
    assert first["webhook-id"] == second["webhook-id"]
    assert first["webhook-timestamp"] != second["webhook-timestamp"]
    assert verify_signature(world.sent[1].body, second, made.keys, now=world.clock.now())


def test_a_receiver_may_ask_for_time(world: World) -> None:
    """``Retry-After`` moves the next attempt, never forwards."""
    world.answer(Reply(429, (("Retry-After", "120"),)))
    world.register(retry=RetryPolicy([60, 300], jitter=0))
    delivery = world.emit()
    worker = world.worker()
    worker.drain()
    assert world.entry(delivery).next_attempt_at == world.clock.now() + timedelta(seconds=120)
    assert world.entry(delivery).attempts[0].retry_after == timedelta(seconds=120)
    world.clock.advance(120)
    worker.drain()
    assert world.entry(delivery).next_attempt_at == world.clock.now() + timedelta(seconds=300)


def test_a_webhooks_own_policy_replaces_its_profiles(world: World) -> None:
    """The whole of it: its delays, its statuses, and its view of network errors."""
    world.answer(["timeout"])
    world.register(retry=RetryPolicy([1], network_errors=False))
    delivery = world.emit()
    world.worker().drain()
    assert (world.entry(delivery).state, world.entry(delivery).reason) == ("failed", "")


# --- What cannot be sent ----------------------------------------------------------------------------------------------


def test_a_refused_url_is_not_called(world: World) -> None:
    """The policy is asked at every attempt, whatever was registered; a retry could not help."""
    world.register(url="http://10.0.0.1/")
    delivery = world.emit()
    world.worker(targets=PUBLIC_HTTPS).drain()
    entry = world.entry(delivery)
    assert (entry.state, entry.reason, entry.attempts[0].reason) == ("failed", "", "target_refused")
    assert world.sent == []


def test_keys_that_have_all_expired_sign_nothing(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """It is said in the log, without the key, and tried again: a rotation mends it."""
    key = "whsec_" + "A" * 44
    made = world.register(keys=[SigningKey(key, expires_at=world.clock.now() + MINUTE)])
    delivery = world.emit()
    world.clock.advance(MINUTE)
    worker = world.worker()
    worker.drain()
    assert (world.entry(delivery).state, world.entry(delivery).attempts[0].reason) == ("pending", "unsendable")
    assert delivery in caplog.text
    assert "AAAA" not in caplog.text
    world.registry().rotate_key(made.id)
    world.clock.advance(MINUTE)
    worker.drain()
    assert world.entry(delivery).state == "succeeded"


class BrokenScheme:
    """A host's scheme that signs at registration, and then no more."""

    header_names = frozenset({"x-signature"})

    def sign(self, body: bytes, keys: Any, **_: Any) -> Mapping[str, str]:
        if body:
            raise KeyError("a scheme of the host's")
        return {}


def test_a_scheme_that_raises_costs_an_attempt(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A host's own may be wrong; the worker lives on."""
    mine = {**BUILTIN, "mine": attrs.evolve(STANDARD, name="mine", scheme=BrokenScheme())}
    world.registry(profiles=mine).create(Endpoint(URL, "*", profile="mine"))
    delivery = world.dispatcher(profiles=mine).emit("a").delivery_ids[0]
    assert world.worker(profiles=mine).drain() == 1
    assert world.entry(delivery).attempts[0].reason == "unsendable"
    assert "cannot be signed" in caplog.text


def store_headers(world: World, made: Endpoint, headers: Mapping[str, str]) -> None:
    """Change a webhook as a host does that keeps its own: past the registry, and whatever that checks."""
    world.store.update_webhook(made.id, lambda stored: attrs.evolve(stored, headers=headers), now=world.clock.now())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x y", "T0PSECRET"),
        (":path", "T0PSECRET"),
        ("x-a", "T0PSECRET\r\nx-b: 1"),
        ("x-a", "T0PSECRET\n"),
        ("x-a", "T0PSECRET \x1b[31m"),
        ("x-a", "T0PSECRET é"),
        ("x-a", " T0PSECRET"),
    ],
)
def test_a_row_of_the_hosts_with_a_header_that_cannot_be_sent(
    world: World, name: str, value: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Registration never saw it: nothing is sent, whatever the transport; the log says which, and not its value."""
    made = world.register()
    store_headers(world, made, {"x-fine": "1", name: value})
    delivery = world.emit()
    world.worker().drain()
    entry = world.entry(delivery)
    assert (entry.state, [attempt.reason for attempt in entry.attempts]) == ("pending", ["unsendable"])
    assert world.sent == []
    assert repr(name) in caplog.text
    assert "T0PSECRET" not in caplog.text


@pytest.mark.parametrize("name", ["Host", "Content-Length", "Keep-Alive", "Webhook-Signature", "Proxy-X", "Cookie"])
def test_a_row_of_the_hosts_with_a_header_that_is_ours(world: World, name: str) -> None:
    """It is left out, and the rest is sent."""
    made = world.register()
    store_headers(world, made, {name: "evil", "x-fine": "1"})
    delivery = world.emit()
    world.worker().drain()
    assert world.entry(delivery).state == "succeeded"
    assert ("x-fine", "1") in world.sent[0].headers
    assert "evil" not in dict(world.sent[0].headers).values()


# --- What happens meanwhile -------------------------------------------------------------------------------------------


def test_a_delivery_keeps_the_profile_it_was_made_with(world: World) -> None:
    """Changing the webhook's changes later events only; custom headers and keys are those of the attempt."""
    made = world.register(profile="logto")
    world.emit()
    world.registry().update(made.id, profile="standard", headers={"X-A": "1"})
    world.worker().drain()
    headers = dict(world.sent[0].headers)
    assert "webhook-signature" not in headers
    assert headers["X-A"] == "1"
    assert verify_signature(world.sent[0].body, headers, made.keys, scheme=schemes.LOGTO, now=world.clock.now())


def test_a_webhook_may_be_removed_while_it_is_called(world: World) -> None:
    """Answered well, the delivery has succeeded; otherwise it fails as removed, and is not tried again."""
    for answer, outcome in ((200, ("succeeded", "")), (500, ("failed", "removed"))):
        gate = world.gate(answer)
        made = world.register()
        delivery = world.emit()
        draining = world.soon(world.worker().drain)
        gate.wait_for()
        world.registry().remove(made.id)
        gate.open()
        assert draining() == 1
        entry = world.entry(delivery)
        assert (entry.state, entry.reason) == outcome
        assert len(entry.attempts) == 1


def test_a_webhook_may_be_disabled_while_it_is_called(world: World) -> None:
    """The attempt counts; a retry is held, and made when it is enabled."""
    gate = world.gate(500)
    made = world.register()
    delivery = world.emit()
    draining = world.soon(world.worker().drain)
    gate.wait_for()
    world.registry().disable(made.id)
    gate.open()
    assert draining() == 1
    assert world.entry(delivery).state == "held"
    assert len(world.entry(delivery).attempts) == 1
    world.registry().enable(made.id)
    world.answer(200)
    assert world.worker().drain() == 1
    assert world.entry(delivery).state == "succeeded"


def test_a_receiver_that_is_gone_is_disabled(world: World) -> None:
    """410: this delivery fails, the others are held, and the host is told. In every profile."""
    for profile in ("standard", "logto"):
        notices: list[Any] = []
        world.answer(410)
        made = world.register("a", profile=profile)
        first, second = world.emit("a"), world.emit("a")
        world.worker(on_notice=notices.append, concurrency=1).drain()
        assert (world.entry(first).state, world.entry(first).reason) == ("failed", "gone")
        assert world.entry(second).state == "held"
        assert [(one.kind, one.endpoint_id, one.detail) for one in notices] == [("disabled", made.id, "gone")]
        assert not world.registry().get(made.id).enabled
        world.registry().remove(made.id)


def test_a_lost_lease_changes_nothing(world: World) -> None:
    """An attempt that took longer than its lease is somebody else's by now: its outcome is dropped, in every log."""
    gate = world.gate(200)
    logs = world.plain(AsyncMemoryStore() if world.asynchronous else MemoryStore())
    world.register()
    delivery = world.emit()
    draining = world.soon(world.worker(logs=logs.subject).run_once)
    gate.wait_for()
    world.clock.advance(61)
    (claim,) = world.claim(lane="retry")
    gate.open()
    draining()
    entry = world.entry(delivery)
    assert (entry.state, [one.reason for one in entry.attempts]) == ("leased", ["lost"])
    assert (claim.delivery_id, claim.attempt_number) == (delivery, 2)
    assert list(logs.recent(claim.endpoint.id, now=world.clock.now())) == []


def test_a_message_that_kills_its_workers_is_given_up(world: World) -> None:
    """Every claim counts, also if nobody lives to tell: after the schedule it ends without being sent once more."""
    notices: list[Any] = []
    made = world.register(retry=RetryPolicy([1, 1]))
    delivery = world.emit()
    for lane in ("first", "retry", "retry"):
        assert [claim.delivery_id for claim in world.claim(lane=lane)] == [delivery]
        world.clock.advance(61)
    assert world.worker(on_notice=notices.append).drain() == 0
    entry = world.entry(delivery)
    assert (entry.state, entry.reason) == ("failed", "exhausted")
    assert [(one.number, one.reason) for one in entry.attempts] == [(1, "lost"), (2, "lost"), (3, "lost")]
    assert world.sent == []
    assert [(one.kind, one.endpoint_id, one.detail) for one in notices] == [("exhausted", made.id, delivery)]
    assert world.registry().health(made.id)[made.id].consecutive_failures == 0


def test_a_schedule_that_runs_out_is_told(world: World) -> None:
    """The host hears of a delivery that was given up, once."""
    notices: list[Any] = []
    world.answer(500)
    made = world.register(retry=RetryPolicy([1], jitter=0), tenant="acme")
    delivery = world.emit(tenant="acme")
    worker = world.worker(on_notice=notices.append)
    worker.drain()
    assert notices == []
    world.clock.advance(1)
    worker.drain()
    (notice,) = notices
    assert (notice.kind, notice.endpoint_id, notice.tenant, notice.detail) == ("exhausted", made.id, "acme", delivery)
    assert notice.at == world.clock.now()


# --- A log kept elsewhere ---------------------------------------------------------------------------------------------


class FailingLog:
    """A log that cannot be written."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    def record(self, entries: Any) -> None:
        self.asked += 1
        raise self.error


class AsyncFailingLog(FailingLog):
    async def record(self, entries: Any) -> None:
        super().record(entries)


def test_a_log_of_the_hosts_gets_every_entry(world: World) -> None:
    """After each attempt, whole: the same as the queue's own."""
    logs = world.plain(AsyncMemoryStore() if world.asynchronous else MemoryStore())
    world.answer([500, 404, 200])
    world.register(retry=RetryPolicy([1], statuses=[500]))
    deliveries = [world.emit() for _ in range(3)]
    worker = world.worker(logs=logs.subject, concurrency=1)
    worker.drain()
    for delivery in deliveries:
        assert logs.entry(delivery) == world.entry(delivery)
        assert len(logs.entry(delivery).attempts) == 1
    world.clock.advance(2)
    assert worker.drain() == 1
    assert [len(logs.entry(delivery).attempts) for delivery in deliveries] == [2, 1, 1]
    assert logs.entry(deliveries[0]).state == "succeeded"


@pytest.mark.parametrize("error", [StoreError("the log is full"), RuntimeError("a log of the host's")])
def test_a_log_that_fails_changes_no_delivery(world: World, error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is sent once, and succeeded; the failure is in the program's log."""
    logs = AsyncFailingLog(error) if world.asynchronous else FailingLog(error)
    world.register()
    delivery = world.emit()
    worker = world.worker(logs=logs)
    assert worker.drain() == 1
    assert worker.drain() == 0
    assert (world.entry(delivery).state, len(world.sent), logs.asked) == ("succeeded", 1, 1)
    assert "1 log entries were not recorded" in caplog.text
    assert worker.deliver(world.emit()).state == "succeeded"

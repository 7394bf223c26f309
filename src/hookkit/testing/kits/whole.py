"""The contract of a store that is all four at once: what its parts owe each other."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest

from hookkit.errors import NotFound, StoreError
from hookkit.health import step as real_step
from hookkit.model import DeliveryState, LogEntry
from hookkit.protocols import LogStore
from hookkit.testing.bench import Bench
from hookkit.testing.builders import attempt, entry, planned, settlement
from hookkit.testing.kits.health import HealthTableRules
from hookkit.testing.kits.log import LogStoreContract
from hookkit.testing.kits.outbox import OutboxContract
from hookkit.testing.kits.queue import DeliveryQueueContract
from hookkit.testing.kits.states import StateTableRules
from hookkit.testing.kits.webhooks import WebhookStoreContract

__all__ = ["StoreContract"]

DAY = timedelta(days=1)


def _fail(bench: Bench, endpoint_id: str, count: int) -> None:
    for _ in range(count):
        bench.settle(bench.take(bench.emit(endpoint_id)), 500, step=real_step)


def _prune(bench: Bench, logs: LogStore, *, days: int) -> None:
    """Forget, so many days later, as a worker does by default: payloads after 7 days, entries after 30, to the end."""
    bench.advance(days * DAY)
    payloads, entries = bench.later(-7 * DAY), bench.later(-30 * DAY)
    for _ in range(100):
        if not logs.prune(payloads_before=payloads, entries_before=entries, limit=100):
            return
    pytest.fail("a store of a few deliveries still has something to forget after a hundred calls")


class StoreContract(
    WebhookStoreContract, OutboxContract, DeliveryQueueContract, LogStoreContract, StateTableRules, HealthTableRules
):
    """Checks a :class:`hookkit.protocols.Store`: all four protocols, and what they owe each other.

    Ten lines test a new store::

        class TestMyStore(StoreContract):
            @pytest.fixture
            def store(self, tmp_path):
                store = MyStore(tmp_path / "hooks.db")
                yield store
                store.close()
    """

    # --- webhooks and their deliveries

    def test_disabling_a_webhook_holds_its_deliveries(self, bench: Bench, logs: LogStore) -> None:
        """In the same call."""
        to = bench.register()
        delivery = bench.emit(to)
        bench.update(to, enabled=False, disabled_reason="manual")
        assert bench.claim_any() == []
        assert logs.entry(delivery).state == "held"

    def test_enabling_a_webhook_releases_its_deliveries(self, bench: Bench, logs: LogStore) -> None:
        """In the same call; its breaker is closed and its failures are forgotten."""
        to = bench.register()
        _fail(bench, to, 5)
        delivery = bench.emit(to)
        bench.update(to, enabled=False)
        bench.update(to, enabled=True)
        assert logs.entry(delivery).state == "pending"
        assert bench.claimed(limit_failing=0) == [delivery]
        health = logs.health([to], now=bench.now)[to]
        assert (health.state, health.consecutive_failures) == ("healthy", 0)

    def test_enabling_a_webhook_may_drop_its_deliveries(self, bench: Bench, logs: LogStore) -> None:
        """They are failed, with the reason in the log."""
        to = bench.register()
        delivery = bench.emit(to)
        bench.update(to, enabled=False)
        bench.webhooks.update_webhook(to, lambda stored: attrs.evolve(stored, enabled=True), now=bench.now, held="drop")
        entry = logs.entry(delivery)
        assert (entry.state, entry.reason, entry.finished_at) == ("failed", "dropped", bench.now)
        assert bench.claim_any() == []

    def test_an_update_that_does_not_enable_releases_nothing(self, bench: Bench) -> None:
        """Nor does it touch the endpoint's health."""
        to = bench.register()
        _fail(bench, to, 5)
        bench.emit(to)
        bench.update(to, name="new")
        assert bench.claim_any() == []

    def test_removing_a_webhook_fails_its_deliveries(self, bench: Bench, logs: LogStore) -> None:
        """In the same call; the log stays."""
        to = bench.register()
        done, tried, new = bench.finished(to), bench.retrying(to, retry_in=60), bench.emit(to)
        bench.webhooks.remove_webhook(to, now=bench.now)
        found = {name: (logs.entry(name).state, logs.entry(name).reason) for name in (done, tried, new)}
        assert found == {done: ("succeeded", ""), tried: ("failed", "removed"), new: ("failed", "removed")}
        assert [one.delivery_id for one in logs.recent(to, now=bench.now, state="succeeded")] == [done]

    def test_an_attempt_under_way_fails_when_its_webhook_is_removed(self, bench: Bench, logs: LogStore) -> None:
        """Once it is settled; the attempt itself is kept."""
        to = bench.register()
        delivery = bench.emit(to)
        claim = bench.claim()[0]
        bench.webhooks.remove_webhook(to, now=bench.now)
        bench.settle(claim, 500, retry_in=60)
        entry = logs.entry(delivery)
        assert (entry.state, entry.reason, len(entry.attempts)) == ("failed", "removed", 1)

    # --- what the queue writes into the log

    def test_an_emitted_delivery_is_in_the_log(self, bench: Bench, logs: LogStore) -> None:
        """Pending, with its body and its due time."""
        to = bench.register(tenant="acme")
        delivery = bench.emit(to, id="evt_1", event_type="user.deleted", tenant="acme", body=b"\x00\xff")
        assert logs.entry(delivery) == LogEntry(
            delivery_id=delivery,
            event_id="evt_1",
            event_type="user.deleted",
            endpoint_id=to,
            tenant="acme",
            state="pending",
            attempts=(),
            created_at=bench.now,
            next_attempt_at=bench.now,
            body=b"\x00\xff",
        )

    def test_a_leased_delivery_says_so(self, bench: Bench, logs: LogStore) -> None:
        """Its attempt is not in the list before it is settled."""
        delivery = bench.emit(bench.register())
        bench.claim()
        entry = logs.entry(delivery)
        assert (entry.state, entry.attempts, entry.finished_at) == ("leased", (), None)

    @pytest.mark.parametrize(
        ("status", "retry_in", "state"), [(200, None, "succeeded"), (500, None, "failed"), (500, 30, "pending")]
    )
    def test_a_settled_outcome_is_the_log_entry(
        self, bench: Bench, logs: LogStore, status: int, retry_in: int | None, state: DeliveryState
    ) -> None:
        """Written in the same transaction, exactly as the settlement says."""
        bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.advance(2)
        due_at = None if retry_in is None else bench.later(retry_in)
        outcome = settlement(claim, at=bench.now, status=status, due_at=due_at, duration=0.5)
        bench.settle_all([outcome])
        assert logs.entry(claim.delivery_id) == outcome.entry
        assert outcome.entry.state == state

    def test_a_reason_given_with_the_outcome_is_kept(self, bench: Bench, logs: LogStore) -> None:
        """Such as ``exhausted`` for the last of its retries."""
        bench.emit(bench.register())
        outcome = settlement(bench.claim()[0], at=bench.now, status=500, reason="exhausted")
        bench.settle_all([outcome])
        assert logs.entry(outcome.entry.delivery_id).reason == "exhausted"

    def test_a_lost_attempt_is_in_the_log(self, bench: Bench, logs: LogStore) -> None:
        """Once it has been found."""
        delivery = bench.emit(bench.register())
        bench.claim()
        bench.expire()
        bench.claim("retry")
        entry = logs.entry(delivery)
        assert (entry.state, [one.reason for one in entry.attempts]) == ("leased", ["lost"])

    def test_held_deliveries_say_so(self, bench: Bench, logs: LogStore) -> None:
        """They are found by their state, with no time at which they are due."""
        to = bench.register()
        bench.disable(to)
        delivery = bench.emit(to)
        found = logs.recent(to, now=bench.now, state="held")
        assert [(one.delivery_id, one.next_attempt_at) for one in found] == [(delivery, None)]

    def test_expired_deliveries_say_so(self, bench: Bench, logs: LogStore) -> None:
        """Failed, with the reason."""
        to = bench.register()
        delivery = bench.emit(to)
        bench.disable(to)
        bench.advance(31 * DAY)
        bench.queue.expire_held(before=bench.later(-30 * DAY), now=bench.now, limit=10)
        entry = logs.entry(delivery)
        assert (entry.state, entry.reason, entry.finished_at) == ("failed", "expired", bench.now)

    def test_a_recovered_delivery_keeps_its_entry(self, bench: Bench, logs: LogStore) -> None:
        """It is pending again, not finished, with the attempts so far; the next one is added."""
        to = bench.register()
        delivery = bench.finished(to, 500)
        bench.recover(to, "failed")
        entry = logs.entry(delivery)
        assert (entry.state, entry.finished_at, entry.reason, len(entry.attempts)) == ("pending", None, "", 1)
        bench.settle(bench.claim("recover")[0], 200)
        entry = logs.entry(delivery)
        assert (entry.state, [one.status for one in entry.attempts]) == ("succeeded", [500, 200])

    def test_a_redelivery_has_an_entry_of_its_own(self, bench: Bench, logs: LogStore) -> None:
        """And the old one stays as it was."""
        old = bench.finished(bench.register(), 500)
        before = logs.entry(old)
        bench.advance(60)
        new = bench.queue.redeliver(old, now=bench.now)
        assert logs.entry(old) == before
        entry = logs.entry(new)
        assert (entry.event_id, entry.body, entry.created_at, entry.attempts) == (
            before.event_id,
            before.body,
            bench.now,
            (),
        )

    def test_the_queue_knows_its_own_deliveries_best(self, bench: Bench, logs: LogStore) -> None:
        """An entry recorded for one of them changes nothing; any other is for reading only."""
        to = bench.register()
        delivery = bench.emit(to)
        before = logs.entry(delivery)
        done = (attempt(at=bench.now, status=500),)
        other = entry(to, *done, delivery_id="dlv_other", body=b"other")
        logs.record([attrs.evolve(other, delivery_id=delivery), other])
        assert (logs.entry(delivery), logs.entry("dlv_other")) == (before, other)
        assert bench.recover(to, "failed") == 0
        with pytest.raises(NotFound):
            bench.queue.redeliver("dlv_other", now=bench.now)
        assert [claim.delivery_id for claim in bench.claim_any()] == [delivery]

    # --- health

    def test_health_follows_the_queue(self, bench: Bench, logs: LogStore) -> None:
        """Each delivery counts once, by its last attempt, though its attempts lie hours apart."""
        to = bench.register()
        bench.finished(to)
        bench.finished(to, 500)
        bench.retrying(to, retry_in=timedelta(hours=3))
        bench.retrying(to, retry_in=timedelta(days=1))
        bench.emit(to)
        bench.advance(timedelta(hours=3))
        bench.settle(bench.claim("retry")[0], 200)
        health = logs.health([to], now=bench.now)[to]
        assert (health.requests, health.succeeded, health.failed, health.retrying, health.pending) == (4, 2, 1, 1, 1)
        recent = logs.health([to], now=bench.now, window=timedelta(hours=1))[to]
        assert (recent.requests, recent.succeeded) == (1, 1)

    def test_a_lost_attempt_is_an_attempt(self, bench: Bench, logs: LogStore) -> None:
        """The delivery is being retried; the endpoint is not blamed."""
        to = bench.register()
        bench.emit(to)
        bench.claim()
        bench.expire()
        bench.claim("retry")
        health = logs.health([to], now=bench.now)[to]
        assert (health.requests, health.retrying, health.pending, health.consecutive_failures) == (1, 1, 0, 0)

    def test_recovered_deliveries_are_counted_anew(self, bench: Bench, logs: LogStore) -> None:
        """Failed before; being retried now; succeeded in the end."""
        to = bench.register()
        bench.finished(to, 500)
        bench.recover(to, "failed")
        health = logs.health([to], now=bench.now)[to]
        assert (health.requests, health.failed, health.retrying) == (1, 0, 1)
        bench.settle(bench.claim("recover")[0], 200)
        health = logs.health([to], now=bench.now)[to]
        assert (health.requests, health.succeeded, health.failed, health.retrying) == (1, 1, 0, 0)

    def test_removed_deliveries_are_counted_as_failed(self, bench: Bench, logs: LogStore) -> None:
        """Those that were attempted; the others were never requests."""
        to = bench.register()
        bench.retrying(to, retry_in=60)
        bench.emit(to)
        bench.remove(to)
        health = logs.health([to], now=bench.now)[to]
        assert (health.requests, health.failed, health.retrying, health.pending) == (1, 1, 0, 0)

    def test_an_endpoint_without_history_is_healthy(self, bench: Bench, logs: LogStore) -> None:
        """Registered or unknown: nothing is held against it."""
        to = bench.register()
        found = logs.health([to, "whk_none"], now=bench.now)
        assert {name: (one.state, one.consecutive_failures, one.success_rate) for name, one in found.items()} == (
            dict.fromkeys((to, "whk_none"), ("healthy", 0, None))
        )
        assert [(one.last_success_at, one.last_failure_at) for one in found.values()] == [(None, None)] * 2

    def test_the_last_success_and_the_last_failure_are_told(self, bench: Bench, logs: LogStore) -> None:
        """Whenever they were, within the window or long before it, with the failures since."""
        to = bench.register()
        times = []
        for status in (500, 200, 500, 503):
            times.append(bench.now)
            bench.settle(bench.take(bench.emit(to)), status, step=real_step)
            bench.advance(DAY)
        health = logs.health([to], now=bench.later(DAY))[to]
        assert (health.last_success_at, health.last_failure_at) == (times[1], times[3])
        assert (health.consecutive_failures, health.requests) == (2, 0)

    def test_enabling_does_not_forget_when_it_last_succeeded_and_failed(self, bench: Bench, logs: LogStore) -> None:
        """The failures in a row begin anew; what happened has happened."""
        to = bench.register()
        _fail(bench, to, 1)
        bench.finished(to, 200)
        before = logs.health([to], now=bench.now)[to]
        bench.update(to, enabled=False)
        bench.update(to, enabled=True)
        assert logs.health([to], now=bench.now)[to] == before

    def test_health_shows_the_breaker(self, bench: Bench, logs: LogStore) -> None:
        """Failing once it is open, with the failures in a row; healthy again after a success."""
        to = bench.register()
        _fail(bench, to, 5)
        health = logs.health([to], now=bench.now)[to]
        assert (health.state, health.consecutive_failures, health.last_failure_at) == ("failing", 5, bench.now)
        bench.settle(bench.take(bench.emit(to)), 200, step=real_step)
        health = logs.health([to], now=bench.now)[to]
        assert (health.state, health.consecutive_failures, health.last_success_at) == ("healthy", 0, bench.now)

    def test_health_shows_a_disabled_webhook(self, bench: Bench, logs: LogStore) -> None:
        """Whether an outcome disabled it or a person."""
        gone, manual = bench.register(), bench.register()
        bench.settle(bench.take(bench.emit(gone)), 410, step=real_step)
        bench.update(manual, enabled=False, disabled_reason="manual")
        found = logs.health([gone, manual], now=bench.now)
        assert {name: one.state for name, one in found.items()} == dict.fromkeys((gone, manual), "disabled")

    # --- forgetting

    def test_a_forgotten_payload_is_not_redelivered(self, bench: Bench, logs: LogStore) -> None:
        """There is nothing left to send; nor is it recovered."""
        to = bench.register()
        done = bench.finished(to, 500)
        _prune(bench, logs, days=8)
        with pytest.raises(StoreError):
            bench.queue.redeliver(done, now=bench.now)
        assert bench.recover(to, "failed") == 0

    def test_a_forgotten_payload_takes_the_answers_along(self, bench: Bench, logs: LogStore) -> None:
        """An answer may hold what it answered; the rest of the attempt stays."""
        done = settlement(bench.take(bench.emit(bench.register())), at=bench.now)
        tried = attrs.evolve(attempt(at=bench.now), response_body=b"echo", response_headers=(("x-a", "1"),))
        bench.settle_all([attrs.evolve(done, attempt=tried, entry=attrs.evolve(done.entry, attempts=(tried,)))])
        _prune(bench, logs, days=8)
        assert logs.entry(done.entry.delivery_id).attempts == (attrs.evolve(tried, response_body=b""),)

    def test_a_forgotten_entry_is_not_found(self, bench: Bench, logs: LogStore) -> None:
        """Neither by the log nor by the queue."""
        done = bench.finished(bench.register())
        _prune(bench, logs, days=31)
        with pytest.raises(NotFound):
            logs.entry(done)
        with pytest.raises(NotFound):
            bench.queue.redeliver(done, now=bench.now)
        with pytest.raises(NotFound):
            bench.take(done)

    def test_a_forgotten_payload_frees_its_idempotency_key(self, bench: Bench, logs: LogStore) -> None:
        """Kept as long as the payload, no longer."""
        to = bench.register()
        bench.settle(bench.take(bench.emit(to, key="k")), 200)
        assert bench.outbox.enqueue([planned(to, key="k")], now=bench.now)[0].duplicate is True
        _prune(bench, logs, days=8)
        assert bench.outbox.enqueue([planned(to, key="k")], now=bench.now)[0].duplicate is False

    def test_a_forgotten_payload_frees_its_events_id(self, bench: Bench, logs: LogStore) -> None:
        """With its idempotency key, though the log still has the entry."""
        to = bench.register()
        bench.settle(bench.take(bench.emit(to, id="evt_1")), 200)
        _prune(bench, logs, days=8)
        assert bench.outbox.enqueue([planned(to, id="evt_1")], now=bench.now)[0].duplicate is False

    def test_what_is_not_finished_is_not_forgotten(self, bench: Bench, logs: LogStore) -> None:
        """Pending, leased or held, a year later; nor are the bodies shared with what is finished."""
        to, other, held = bench.register(), bench.register(), bench.register()
        plan = planned(to, other, held, body=b"shared", key="k")
        bench.outbox.enqueue([plan], now=bench.now)
        done, waits, stays = (delivery.delivery_id for delivery in plan.deliveries)
        bench.settle(bench.take(done), 200)
        bench.disable(held)
        _prune(bench, logs, days=365)
        assert {name: logs.entry(name).body for name in (waits, stays)} == dict.fromkeys((waits, stays), b"shared")
        assert [(claim.delivery_id, claim.body) for claim in bench.claim()] == [(waits, b"shared")]
        bench.enable(held)
        assert [(claim.delivery_id, claim.body) for claim in bench.claim()] == [(stays, b"shared")]
        assert bench.outbox.enqueue([planned(to, key="k")], now=bench.now)[0].duplicate is True

    def test_a_redelivery_keeps_the_payload(self, bench: Bench, logs: LogStore) -> None:
        """What was emitted long ago and asked for again today still has its bytes."""
        old = bench.finished(bench.register(), 500)
        bench.advance(6 * DAY)
        again = bench.queue.redeliver(old, now=bench.now)
        body = logs.entry(again).body
        _prune(bench, logs, days=2)
        assert logs.entry(old).body == b""
        event = logs.entry(old).event_id  # free again: the first delivery's payload is gone
        assert bench.outbox.enqueue([planned(id=event, key="k")], now=bench.now)[0].duplicate is False
        assert [(claim.delivery_id, claim.body) for claim in bench.claim("recover")] == [(again, body)]

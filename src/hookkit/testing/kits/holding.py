"""The contract of a DeliveryQueue: what waits while its webhook is disabled, and what becomes of it."""

from __future__ import annotations

from datetime import timedelta

from hookkit.testing.bench import Bench
from hookkit.testing.builders import becoming, count_failures, settlement
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import SETTLED_REASONS, EndpointState

__all__ = ["HoldingRules"]


class HoldingRules(StoreFixtures):
    """Rules of a :class:`hookkit.protocols.DeliveryQueue` about what is held, dropped, failed or expired."""

    # --- hold

    def test_what_is_held_is_never_claimed(self, bench: Bench) -> None:
        """From no lane, however long it waits."""
        to = bench.register()
        bench.queue.redeliver(bench.finished(to), now=bench.now)
        bench.retrying(to)
        bench.emit(to)
        bench.queue.hold(to, now=bench.now)
        bench.advance(timedelta(days=30))
        assert bench.claim_any() == []

    def test_what_is_yet_to_come_is_held_too(self, bench: Bench) -> None:
        """Until the endpoint is released."""
        to = bench.register()
        bench.queue.hold(to, now=bench.now)
        delivery = bench.emit(to)
        assert bench.claim_any() == []
        bench.queue.release(to, now=bench.now)
        assert bench.claimed() == [delivery]

    def test_a_retry_settled_while_on_hold_is_held(self, bench: Bench) -> None:
        """The attempt was under way when the webhook was disabled."""
        to = bench.register()
        delivery = bench.emit(to)
        claim = bench.claim()[0]
        bench.disable(to)
        bench.settle(claim, 500, retry_in=0)
        assert bench.claim_any() == []
        bench.enable(to)
        assert bench.claimed("retry") == [delivery]

    def test_a_delivery_given_back_while_on_hold_is_held(self, bench: Bench) -> None:
        """A worker that stops does not let it slip through."""
        to = bench.register()
        delivery = bench.emit(to)
        claim = bench.claim()[0]
        bench.disable(to)
        assert bench.queue.give_back([claim.claim_id], now=bench.now) == {claim.claim_id}
        assert bench.claim_any() == []
        bench.enable(to)
        assert bench.claimed("first") == [delivery]

    def test_a_lease_that_runs_out_while_on_hold_is_held(self, bench: Bench) -> None:
        """A worker that dies does not let it slip through."""
        to = bench.register()
        delivery = bench.emit(to)
        bench.claim()
        bench.disable(to)
        bench.expire()
        assert bench.claim_any() == []
        bench.enable(to)
        assert bench.claimed("retry") == [delivery]

    def test_a_redelivery_while_on_hold_is_held(self, bench: Bench) -> None:
        """Nothing goes to a disabled webhook."""
        to = bench.register()
        done = bench.finished(to)
        bench.disable(to)
        again = bench.queue.redeliver(done, now=bench.now)
        assert bench.claim_any() == []
        bench.enable(to)
        assert [claim.delivery_id for claim in bench.claim_any()] == [again]

    def test_a_recovery_while_on_hold_is_held(self, bench: Bench) -> None:
        """Nothing goes to a disabled webhook."""
        to = bench.register()
        failed = bench.finished(to, 500)
        bench.disable(to)
        bench.recover(to, "failed")
        assert bench.claim_any() == []
        bench.enable(to)
        assert [claim.delivery_id for claim in bench.claim_any()] == [failed]

    def test_hold_is_about_one_endpoint(self, bench: Bench) -> None:
        """Others go on."""
        to, other = bench.register(), bench.register()
        bench.emit(to)
        free = bench.emit(other)
        bench.queue.hold(to, now=bench.now)
        assert bench.claimed() == [free]

    def test_hold_can_be_repeated(self, bench: Bench) -> None:
        """After a crash between two steps the registry does it again."""
        to = bench.register()
        delivery = bench.emit(to)
        bench.queue.hold(to, now=bench.now)
        bench.queue.hold(to, now=bench.now)
        assert bench.claim_any() == []
        bench.queue.release(to, now=bench.now)
        assert bench.claimed() == [delivery]

    def test_hold_leaves_webhook_and_health_alone(self, bench: Bench) -> None:
        """It is about deliveries; the webhook's own state is not its business."""
        to = bench.register()
        bench.emit(to)
        claim = bench.claim()[0]
        bench.queue.hold(to, now=bench.now)
        seen: list[EndpointState] = []

        def step(state: EndpointState, done: object, now: object) -> tuple[EndpointState, tuple[()]]:
            seen.append(state)
            return state, ()

        bench.settle(claim, 200, step=step)
        assert seen == [EndpointState(to)]
        assert bench.webhooks.get_webhook(to).enabled is True

    def test_a_webhook_added_again_begins_anew(self, bench: Bench) -> None:
        """Neither the hold nor the health of the one that had its id before is its own."""
        to = bench.register()
        bench.retrying(to, retry_in=60)
        bench.queue.hold(to, now=bench.now)
        bench.remove(to)
        bench.register(id=to)
        delivery = bench.emit(to)
        assert bench.claimed(limit_failing=0) == [delivery]

    def test_unknown_endpoints_change_nothing(self, bench: Bench) -> None:
        """And raise nothing."""
        delivery = bench.emit(bench.register())
        bench.queue.hold("whk_none", now=bench.now)
        bench.queue.release("whk_none", now=bench.now)
        bench.queue.release("whk_none", now=bench.now, drop=True)
        bench.queue.fail_pending("whk_none", reason="removed", now=bench.now)
        assert bench.claimed() == [delivery]

    # --- release

    def test_what_is_released_is_due_at_once(self, bench: Bench) -> None:
        """Each in its lane, though it was to be tried later."""
        to = bench.register()
        new, tried = bench.emit(to), bench.retrying(to, retry_in=3600)
        bench.disable(to)
        bench.advance(5)
        bench.enable(to)
        assert [bench.claimed("first"), bench.claimed("retry")] == [[new], [tried]]

    def test_released_attempts_go_on_counting(self, bench: Bench) -> None:
        """Nothing that was tried is forgotten."""
        to = bench.register()
        bench.retrying(to)
        bench.disable(to)
        bench.enable(to)
        claim = bench.claim("retry")[0]
        assert (claim.attempt_number, [one.status for one in claim.attempts]) == (2, [500])

    def test_what_was_not_held_is_not_released(self, bench: Bench) -> None:
        """A second release leaves the schedule of what has been tried since alone."""
        to = bench.register()
        bench.emit(to)
        bench.disable(to)
        bench.enable(to)
        bench.settle(bench.claim()[0], 500, retry_in=3600)
        bench.queue.release(to, now=bench.now)
        assert bench.claim_any() == []

    def test_dropped_deliveries_are_failed(self, bench: Bench) -> None:
        """None of them is sent; what is emitted afterwards is."""
        to = bench.register()
        bench.emit(to)
        bench.retrying(to, retry_in=3600)
        bench.queue.hold(to, now=bench.now)
        bench.emit(to)
        bench.queue.release(to, now=bench.now, drop=True)
        assert bench.count(to, "failed") == 3
        later = bench.emit(to)
        bench.advance(7200)
        assert [claim.delivery_id for claim in bench.claim_any()] == [later]

    def test_a_lease_that_ran_out_is_dropped_with_the_rest(self, bench: Bench) -> None:
        """Though nobody has noticed before: it was held, whoever looks."""
        to = bench.register()
        bench.emit(to)
        bench.claim()
        bench.queue.hold(to, now=bench.now)
        bench.expire()
        bench.queue.release(to, now=bench.now, drop=True)
        assert bench.claim_any() == []
        assert bench.count(to, "failed") == 1

    def test_release_is_about_one_endpoint(self, bench: Bench) -> None:
        """Others stay on hold."""
        to, other = bench.register(), bench.register()
        delivery = bench.emit(to)
        bench.emit(other)
        for one in (to, other):
            bench.queue.hold(one, now=bench.now)
        bench.queue.release(to, now=bench.now)
        assert bench.claimed() == [delivery]

    def test_a_disabled_webhook_is_not_released(self, bench: Bench) -> None:
        """Only enabling it lets its deliveries go."""
        to = bench.register()
        bench.emit(to)
        bench.disable(to)
        bench.queue.release(to, now=bench.now)
        bench.emit(to)
        assert bench.claim_any() == []
        bench.enable(to)
        assert len(bench.claim()) == 2

    def test_a_released_endpoint_starts_afresh(self, bench: Bench) -> None:
        """Its breaker is closed, its failures are forgotten, and it counts as failing no longer."""
        to = bench.register()
        opening = becoming(
            state="failing", opened_at=bench.now, probe_at=bench.later(3600), probe_delay=timedelta(hours=1), warned=0.5
        )
        bench.retrying(to, step=opening)
        bench.disable(to)
        bench.enable(to)
        claim = bench.claim("retry", limit_failing=0)[0]
        seen: list[EndpointState] = []

        def step(state: EndpointState, done: object, now: object) -> tuple[EndpointState, tuple[()]]:
            seen.append(state)
            return state, ()

        bench.settle(claim, 200, step=step)
        fresh = EndpointState(to, last_success_at=seen[0].last_success_at, last_failure_at=seen[0].last_failure_at)
        assert (claim.failing, seen[0]) == (False, fresh)

    # --- fail_pending

    def test_failing_what_is_pending_finishes_it(self, bench: Bench) -> None:
        """What waits, in every lane, and what is held."""
        to = bench.register()
        bench.finished(to)
        bench.emit(to)
        bench.retrying(to, retry_in=3600)
        bench.queue.fail_pending(to, reason="removed", now=bench.now)
        assert (bench.count(to, "failed"), bench.count(to, "succeeded")) == (2, 1)
        bench.emit(to)
        bench.queue.hold(to, now=bench.now)
        bench.queue.fail_pending(to, reason="removed", now=bench.now)
        bench.queue.release(to, now=bench.now)
        assert bench.count(to, "failed") == 3
        bench.advance(7200)
        assert bench.claim_any() == []

    def test_failing_what_is_pending_leaves_what_is_under_way(self, bench: Bench) -> None:
        """It settles as it would have: its outcome decides."""
        to = bench.register()
        bench.emit_many(to, 2)
        good, bad = bench.claim()
        bench.queue.fail_pending(to, reason="removed", now=bench.now)
        assert bench.settle(good, 200).applied is True
        assert bench.settle(bad, 500, retry_in=0).applied is True
        assert (bench.count(to, "succeeded"), bench.count(to, "failed")) == (1, 0)
        assert bench.claimed("retry") == [bad.delivery_id]

    def test_a_lease_that_ran_out_fails_with_the_rest(self, bench: Bench) -> None:
        """Though nobody has noticed before: its worker will not settle it any more."""
        to = bench.register()
        bench.emit(to)
        bench.claim()
        bench.expire()
        bench.queue.fail_pending(to, reason="removed", now=bench.now)
        assert bench.claim_any() == []
        assert bench.count(to, "failed") == 1

    def test_a_removed_webhooks_deliveries_are_not_sent(self, bench: Bench) -> None:
        """Not those that waited, and not the one whose worker died or gave it back meanwhile."""
        to = bench.register()
        bench.emit_many(to, 3)
        lost, given_back = bench.claim(limit=2)
        bench.remove(to)
        bench.queue.give_back([given_back.claim_id], now=bench.now)
        bench.expire()
        assert bench.claim_any() == []
        assert bench.settle(lost, 200, step=count_failures).applied is False

    # --- ended

    def test_what_ended_without_an_outcome_is_told(self, bench: Bench) -> None:
        """Dropped, removed, expired: whether it was ever attempted or not."""
        to, other, third = bench.register(), bench.register(), bench.register()
        ended = [bench.emit(to), bench.retrying(to, retry_in=60), bench.retrying(other, retry_in=60), bench.emit(third)]
        began = bench.now
        for one in (to, third):
            bench.queue.hold(one, now=bench.now)
        bench.advance(60)
        bench.queue.release(to, now=bench.now, drop=True)
        bench.remove(other)
        assert sorted(bench.queue.ended(since=began)) == sorted(ended[:3])
        bench.queue.expire_held(before=bench.now, now=bench.now, limit=10)
        assert sorted(bench.queue.ended(since=began)) == sorted(ended)

    def test_what_an_outcome_ended_is_not_told(self, bench: Bench) -> None:
        """Its settlement said so; nor is what has not ended."""
        to, disabled = bench.register(), bench.register()
        began = bench.now
        for status in (200, 500):
            bench.finished(to, status)
        for reason in SETTLED_REASONS:
            claim = bench.take(bench.emit(to))
            bench.settle_all([settlement(claim, at=bench.now, status=500, reason=reason)])
        bench.retrying(to, retry_in=60)
        bench.take(bench.emit(to))
        bench.emit(to)
        bench.disable(disabled)
        bench.emit(disabled)
        assert bench.queue.ended(since=began) == []

    def test_ends_are_told_since_a_time(self, bench: Bench) -> None:
        """That very moment included; what ended before is not told."""
        to = bench.register()
        bench.emit(to)
        bench.queue.fail_pending(to, reason="removed", now=bench.advance(1))
        delivery = bench.emit(to)
        bench.queue.fail_pending(to, reason="removed", now=bench.advance(1))
        assert bench.queue.ended(since=bench.now) == [delivery]
        assert bench.queue.ended(since=bench.later(0.000_001)) == []

    def test_what_is_recovered_has_not_ended(self, bench: Bench) -> None:
        """It is pending again."""
        to = bench.register()
        bench.emit(to)
        bench.queue.fail_pending(to, reason="dropped", now=bench.now)
        assert bench.recover(to, "failed") == 1
        assert bench.queue.ended(since=bench.now) == []

    def test_a_last_outcome_after_the_removal_is_an_end(self, bench: Bench) -> None:
        """It was under way when its webhook was removed: to be tried again, it said, and never will be."""
        to = bench.register()
        settled, lost = bench.emit_many(to, 2)
        bench.take(lost)
        claim = bench.take(settled)
        bench.remove(to)
        began = bench.now
        bench.settle(claim, 500, retry_in=60)
        bench.expire()
        assert bench.claim_any() == []
        assert sorted(bench.queue.ended(since=began)) == sorted([settled, lost])

    # --- expire_held

    def test_what_was_held_too_long_expires(self, bench: Bench) -> None:
        """What was made since, and what is not held, does not."""
        to, other = bench.register(), bench.register()
        bench.emit_many(to, 2)
        pending = bench.emit(other)
        bench.queue.hold(to, now=bench.now)
        bench.advance(timedelta(days=31))
        young = bench.emit(to)
        before = bench.later(-timedelta(days=30))
        assert bench.queue.expire_held(before=before, now=bench.now, limit=100) == 2
        assert bench.count(to, "failed") == 2
        bench.queue.release(to, now=bench.now)
        assert sorted(bench.claimed()) == sorted([pending, young])

    def test_expiring_goes_in_batches(self, bench: Bench) -> None:
        """At most `limit` at a time, until nothing is left."""
        to = bench.register()
        bench.emit_many(to, 5)
        bench.queue.hold(to, now=bench.now)
        bench.advance(60)
        counts = [bench.queue.expire_held(before=bench.now, now=bench.now, limit=2) for _ in range(4)]
        assert counts == [2, 2, 1, 0]

"""The contract of a DeliveryQueue: outcomes, and the endpoint's health that moves with them."""

from __future__ import annotations

from datetime import datetime

import pytest

from hookkit.health import step as real_step
from hookkit.model import Attempt, Notice
from hookkit.testing.bench import LANES, Bench
from hookkit.testing.builders import becoming, count_failures, settlement
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import EndpointState, Settled

__all__ = ["SettlingRules"]


class _Spy:
    """A health step that remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[EndpointState, Attempt, datetime]] = []

    def __call__(self, state: EndpointState, done: Attempt, now: datetime) -> tuple[EndpointState, tuple[Notice, ...]]:
        self.calls.append((state, done, now))
        return count_failures(state, done, now)


class SettlingRules(StoreFixtures):
    """Rules of :meth:`hookkit.protocols.DeliveryQueue.settle`."""

    # --- the delivery

    def test_a_success_finishes_the_delivery(self, bench: Bench) -> None:
        """It is counted as succeeded."""
        to = bench.register()
        bench.finished(to, 204)
        assert (bench.count(to, "succeeded"), bench.count(to, "failed")) == (1, 0)

    def test_a_failure_without_a_due_time_finishes_it_too(self, bench: Bench) -> None:
        """It is counted as failed."""
        to = bench.register()
        bench.finished(to, 500)
        assert (bench.count(to, "succeeded"), bench.count(to, "failed")) == (0, 1)

    def test_a_pending_one_is_due_when_the_settlement_says(self, bench: Bench) -> None:
        """In the lane ``retry``, and not counted as finished."""
        to = bench.register()
        delivery = bench.emit(to)
        bench.settle(bench.claim()[0], 500, retry_in=30)
        bench.advance(29)
        assert {lane: bench.claimed(lane) for lane in LANES} == {"first": [], "retry": [], "recover": []}
        assert bench.count(to, "succeeded", "failed") == 0
        bench.advance(1)
        assert {lane: bench.claimed(lane) for lane in LANES} == {"first": [], "retry": [delivery], "recover": []}

    def test_a_recovered_one_stays_in_the_low_lane(self, bench: Bench) -> None:
        """Its retries do not compete with live traffic."""
        again = bench.queue.redeliver(bench.finished(bench.register()), now=bench.now)
        bench.settle(bench.claim("recover")[0], 500, retry_in=0)
        assert {lane: bench.claimed(lane) for lane in LANES} == {"first": [], "retry": [], "recover": [again]}

    def test_the_attempt_is_kept_as_it_was_settled(self, bench: Bench) -> None:
        """Every field of it, for the log and for the next claim."""
        bench.emit(bench.register())
        claim = bench.claim()[0]
        done = Attempt(
            number=1,
            started_at=bench.now,
            duration=1.25,
            status=503,
            reason="status",
            response_headers=(("retry-after", "7"), ("x-a", "é"), ("x-a", "2")),
            response_body=bytes(range(256)),
            retry_after=bench.later(7) - bench.now,
        )
        plain = settlement(claim, at=bench.now, status=503, due_at=bench.now)
        outcome = type(plain)(plain.claim_id, done, plain.state, plain.due_at, plain.entry)
        bench.settle_all([outcome])
        assert [again.attempts for again in bench.claim("retry")] == [(done,)]

    def test_without_an_attempt_the_claims_is_uncounted(self, bench: Bench) -> None:
        """Nothing was sent: no attempt is stored, and the endpoint's health is not asked."""
        to = bench.register()
        delivery = bench.retrying(to)
        spy = _Spy()
        claim = bench.claim("retry")[0]
        settled = bench.settle_all([settlement(claim, at=bench.now, uncounted=True)], step=spy)
        assert (settled, spy.calls) == ([Settled(applied=True)], [])
        assert bench.recover(to, "failed") == 1
        again = bench.claim("recover")[0]
        assert (again.delivery_id, again.attempt_number, len(again.attempts)) == (delivery, 2, 1)

    def test_without_an_attempt_it_is_a_retry_all_the_same(self, bench: Bench) -> None:
        """Pending, it waits in the lane for retries, though it was never attempted."""
        delivery = bench.emit(bench.register())
        claim = bench.claim()[0]
        bench.settle_all([settlement(claim, at=bench.now, uncounted=True, due_at=bench.now)])
        assert bench.claimed("first") == []
        assert [(one.delivery_id, one.attempt_number) for one in bench.claim("retry")] == [(delivery, 1)]

    def test_an_unknown_claim_is_not_applied(self, bench: Bench) -> None:
        """Nothing changes, and nothing is raised."""
        bench.emit(bench.register())
        claim = bench.claim()[0]
        plain = settlement(claim, at=bench.now)
        unknown = type(plain)("unknown", plain.attempt, plain.state, plain.due_at, plain.entry)
        assert bench.settle_all([unknown]) == [Settled(applied=False)]
        assert bench.settle(claim).applied is True

    def test_several_outcomes_are_answered_in_order(self, bench: Bench) -> None:
        """Stale ones among them do not disturb the others."""
        to, other = bench.register(), bench.register()
        for _ in range(2):
            bench.emit(to, other)
        claims = bench.claim()
        bench.settle(claims[1], 200)
        outcomes = [settlement(claim, at=bench.now) for claim in claims]
        assert [settled.applied for settled in bench.settle_all(outcomes)] == [True, False, True, True]
        assert bench.count(to, "succeeded") + bench.count(other, "succeeded") == 4

    def test_no_outcomes_are_no_answers(self, bench: Bench) -> None:
        """An empty call is no mistake."""
        assert bench.settle_all([]) == []

    def test_outcomes_are_stored_together_or_not_at_all(self, bench: Bench) -> None:
        """A step that raises undoes the outcomes before it, their health included."""
        to, other = bench.register(), bench.register()
        bench.emit(to, other)
        claims = bench.claim()
        outcomes = [settlement(claim, at=bench.now, status=500) for claim in claims]
        seen: list[int] = []

        def fails_late(state: EndpointState, done: Attempt, now: datetime) -> tuple[EndpointState, tuple[Notice, ...]]:
            seen.append(state.consecutive_failures)
            if len(seen) == 2:
                raise RuntimeError("a bug in a step")
            return count_failures(state, done, now)

        with pytest.raises(Exception):  # noqa: B017, PT011 - a store may wrap it
            bench.settle_all(outcomes, step=fails_late)
        assert bench.claim_any() == []
        assert bench.count(to, "failed") + bench.count(other, "failed") == 0
        spy = _Spy()
        assert [settled.applied for settled in bench.settle_all(outcomes, step=spy)] == [True, True]
        assert [state.consecutive_failures for state, _, _ in spy.calls] == [0, 0]

    # --- the endpoint's health

    def test_the_step_begins_with_a_fresh_state(self, bench: Bench) -> None:
        """Of this endpoint and its tenant; it is given the attempt and the time."""
        to = bench.register(tenant="acme")
        bench.emit(to, tenant="acme")
        spy = _Spy()
        claim = bench.claim()[0]
        bench.advance(3)
        bench.settle(claim, 500, step=spy)
        state, done, now = spy.calls[0]
        assert (state, done.status, now) == (EndpointState(to, "acme"), 500, bench.now)

    def test_the_step_goes_on_from_where_it_left(self, bench: Bench) -> None:
        """Every field of the state is kept between calls."""
        to = bench.register()
        left = EndpointState(
            to,
            "",
            state="failing",
            consecutive_failures=7,
            failing_since=bench.later(-100),
            opened_at=bench.later(-50),
            probe_at=bench.later(5),
            probe_delay=bench.later(1.5) - bench.now,
            ramp=4,
            warned=0.75,
            last_success_at=bench.later(-200),
            last_failure_at=bench.now,
        )
        bench.retrying(to, step=lambda *_: (left, ()))
        bench.advance(60)
        spy = _Spy()
        bench.settle(bench.claim("retry")[0], 500, step=spy)
        assert [state for state, _, _ in spy.calls] == [left]

    def test_outcomes_of_one_endpoint_move_its_health_one_after_the_other(self, bench: Bench) -> None:
        """In the order in which they were given."""
        bench.emit_many(bench.register(), 3)
        statuses = (500, 200, 503)
        spy = _Spy()
        outcomes = [
            settlement(claim, at=bench.now, status=status)
            for claim, status in zip(bench.claim(), statuses, strict=True)
        ]
        bench.settle_all(outcomes, step=spy)
        assert [(state.consecutive_failures, done.status) for state, done, _ in spy.calls] == [
            (0, 500),
            (1, 200),
            (0, 503),
        ]

    def test_endpoints_are_taken_in_the_order_of_their_ids(self, bench: Bench) -> None:
        """So that two processes that settle at once cannot wait for each other."""
        names = ["whk_b", "whk_a", "whk_c"]
        for name in names:
            bench.register(id=name)
            bench.emit(name)
        claims = {claim.endpoint.id: claim for claim in bench.claim()}
        spy = _Spy()
        bench.settle_all([settlement(claims[name], at=bench.now) for name in names], step=spy)
        assert [state.endpoint_id for state, _, _ in spy.calls] == sorted(names)

    def test_health_is_each_endpoints_own(self, bench: Bench) -> None:
        """One endpoint's failures say nothing of another."""
        bad, good = bench.register(), bench.register()
        bench.retrying(bad)
        bench.emit(good)
        spy = _Spy()
        bench.settle(bench.claim()[0], 200, step=spy)
        assert spy.calls[0][0] == EndpointState(good)

    def test_notices_come_back_with_their_outcome(self, bench: Bench) -> None:
        """Whatever the order in which the endpoints were taken."""
        names = ["whk_b", "whk_a"]
        for name in names:
            bench.register(id=name)
            bench.emit(name)
        claims = {claim.endpoint.id: claim for claim in bench.claim()}

        def step(state: EndpointState, done: Attempt, now: datetime) -> tuple[EndpointState, tuple[Notice, ...]]:
            return state, (Notice("recovered", state.endpoint_id, "", now),)

        settled = bench.settle_all([settlement(claims[name], at=bench.now) for name in names], step=step)
        assert settled == [Settled(True, (Notice("recovered", name, "", bench.now),)) for name in names]

    # --- an outcome that disables

    def test_a_disabled_state_disables_the_webhook(self, bench: Bench) -> None:
        """With the state's reason; the rest of the webhook stays."""
        to = bench.register(name="keep me")
        bench.emit(to)
        bench.settle(bench.claim()[0], 410, step=becoming(state="disabled", disabled_reason="gone"))
        found = bench.webhooks.get_webhook(to)
        assert (found.enabled, found.disabled_reason, found.name) == (False, "gone", "keep me")

    def test_a_disabled_state_holds_the_other_deliveries(self, bench: Bench) -> None:
        """Those that wait, those to come, and those that come back; another endpoint's are not touched."""
        to, other = bench.register(), bench.register()
        gone, under_way = bench.emit(to), bench.emit(to)
        claims = {claim.delivery_id: claim for claim in bench.claim()}
        waiting, later = bench.emit(to), bench.retrying(to, retry_in=3600)
        bench.settle(claims[gone], 410, step=becoming(state="disabled", disabled_reason="gone"))
        bench.settle(claims[under_way], 500, retry_in=0)
        to_come, free = bench.emit(to), bench.emit(other)
        bench.advance(7200)
        assert [claim.delivery_id for claim in bench.claim_any()] == [free]
        bench.enable(to)
        released = [claim.delivery_id for claim in bench.claim_any()]
        assert sorted(set(released) - {free}) == sorted([under_way, waiting, later, to_come])
        assert bench.count(to, "failed") == 1

    @pytest.mark.parametrize("first", [0, 1])
    def test_an_outcome_beside_the_one_that_disables_is_held_too(self, bench: Bench, first: int) -> None:
        """In the same call, before it or after it."""
        to = bench.register()
        bench.emit_many(to, 2)
        gone, retried = bench.claim()
        outcomes = [
            settlement(gone, at=bench.now, status=410),
            settlement(retried, at=bench.now, status=500, due_at=bench.now),
        ]

        def step(state: EndpointState, done: Attempt, now: datetime) -> tuple[EndpointState, tuple[Notice, ...]]:
            move = becoming(state="disabled", disabled_reason="gone") if done.status == 410 else count_failures
            return move(state, done, now)

        bench.settle_all(outcomes if first == 0 else outcomes[::-1], step=step)
        assert bench.claim_any() == []
        bench.enable(to)
        assert bench.claimed("retry") == [retried.delivery_id]

    def test_a_success_under_way_still_counts_when_disabled(self, bench: Bench) -> None:
        """The receiver has it: it is finished, not held."""
        to = bench.register()
        bench.emit(to)
        claim = bench.claim()[0]
        bench.disable(to)
        assert bench.settle(claim, 200).applied is True
        assert bench.count(to, "succeeded") == 1

    def test_a_late_outcome_does_not_change_why_a_webhook_is_disabled(self, bench: Bench) -> None:
        """The step is given a disabled state with the webhook's reason, and has nothing to say."""
        to = bench.register()
        bench.emit_many(to, 2)
        claims = bench.claim()
        bench.disable(to)
        spy = _Spy()
        bench.settle(claims[0], 500, step=spy)
        assert [(state.state, state.disabled_reason) for state, _, _ in spy.calls] == [("disabled", "manual")]
        assert bench.settle(claims[1], 410, step=real_step).notices == ()
        assert bench.webhooks.get_webhook(to).disabled_reason == "manual"

    # --- an outcome whose webhook is gone

    def test_what_should_be_retried_fails_when_its_webhook_is_gone(self, bench: Bench) -> None:
        """There is nobody left to send it to."""
        to = bench.register()
        bench.emit(to)
        claim = bench.claim()[0]
        bench.remove(to)
        assert bench.settle(claim, 500, retry_in=0).applied is True
        bench.advance(3600)
        assert bench.claim_any() == []

    def test_a_success_is_applied_when_its_webhook_is_gone(self, bench: Bench) -> None:
        """The outcome is known, and is not lost."""
        to = bench.register()
        bench.emit(to)
        claim = bench.claim()[0]
        bench.remove(to)
        spy = _Spy()
        assert bench.settle(claim, 200, step=spy).applied is True
        assert spy.calls == []

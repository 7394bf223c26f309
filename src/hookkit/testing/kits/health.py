"""The contract of a store: the table of endpoints' health, rule by rule, where the store keeps the states."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import attrs
import pytest

from hookkit.health import OPEN_AFTER, TABLE, Outcome, rule_for
from hookkit.health import step as real_step
from hookkit.model import Attempt, HealthState, Notice
from hookkit.protocols import LogStore
from hookkit.testing.bench import LEASE, Bench
from hookkit.testing.builders import becoming, settlement
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import Claim, EndpointState

__all__ = ["HealthTableRules"]

_ANSWERS: dict[Outcome, int] = {"succeeded": 200, "failed": 500, "gone": 410, "lost": 200}
_DAY = timedelta(days=1)


def _states(bench: Bench) -> dict[str, EndpointState]:
    """Return a state from which each rule of the table follows, by what it is called."""
    at = bench.now
    failing = EndpointState(
        "",
        state="failing",
        consecutive_failures=OPEN_AFTER,
        failing_since=at - timedelta(hours=1),
        opened_at=at - timedelta(minutes=1),
        probe_at=at,
        probe_delay=timedelta(seconds=30),
        last_failure_at=at - timedelta(minutes=1),
    )
    return {
        "healthy": EndpointState("", ramp=8),
        "about to fail": EndpointState("", consecutive_failures=OPEN_AFTER - 1, failing_since=at - _DAY),
        "failing": failing,
        "half-way": attrs.evolve(failing, consecutive_failures=30, failing_since=at - 3 * _DAY),
        "three quarters": attrs.evolve(failing, consecutive_failures=30, failing_since=at - 4 * _DAY, warned=0.5),
        "nearly over": attrs.evolve(failing, consecutive_failures=30, failing_since=at - 4.6 * _DAY, warned=0.75),
        "over": attrs.evolve(failing, consecutive_failures=30, failing_since=at - 6 * _DAY, warned=0.9),
        "disabled": EndpointState("", state="disabled", disabled_reason="failing", consecutive_failures=20),
    }


_NAMES = ("healthy", "about to fail", "failing", "half-way", "three quarters", "nearly over", "over", "disabled")


class HealthTableRules(StoreFixtures):
    """Every rule of :data:`hookkit.health.TABLE` is followed where the store keeps the states."""

    def test_the_states_reach_every_rule(self, bench: Bench) -> None:
        """None is left out below."""
        reached = {
            id(
                rule_for(
                    state, Attempt(1, bench.now, status=status, reason="lost" if said == "lost" else ""), bench.now
                )
            )
            for state in _states(bench).values()
            for said, status in _ANSWERS.items()
        }
        assert reached == {id(rule) for rules in TABLE.values() for rule in rules}
        assert tuple(_states(bench)) == _NAMES

    @pytest.mark.parametrize(("name", "outcome"), list(product(_NAMES, _ANSWERS)))
    def test_each_rule_of_the_table_is_followed(
        self, bench: Bench, logs: LogStore, name: str, outcome: Outcome
    ) -> None:
        """The state that is stored is the one that the rule makes, to the last field; its notice is given."""
        before = _states(bench)[name]
        to = bench.register()
        first, second, third = (bench.take(one) for one in bench.emit_many(to, 3))
        waiting = bench.emit(to)
        given = attrs.asdict(before, filter=lambda field, _: field.name not in {"endpoint_id", "tenant"}, recurse=False)
        bench.settle(first, 200, step=becoming(**given))
        seen: list[EndpointState] = []
        given_notices = self._settle(bench, second, third, outcome, seen)
        moved = self._look(bench, third)
        if outcome == "lost":
            assert (moved.state, given_notices) == (before.state, ())
            assert attrs.evolve(before, endpoint_id=to, last_success_at=moved.last_success_at) == moved
        else:
            done = settlement(second, at=bench.now, status=_ANSWERS[outcome]).attempt
            assert done is not None
            assert (moved, given_notices) == real_step(seen[0], done, bench.now)
            assert attrs.evolve(before, endpoint_id=to) == seen[0]
        assert logs.entry(waiting).state == ("held" if moved.state == "disabled" else "pending")
        self._check_webhook(bench, to, moved)

    def _settle(
        self, bench: Bench, second: Claim, third: Claim, outcome: Outcome, seen: list[EndpointState]
    ) -> tuple[Notice, ...]:
        def step(state: EndpointState, done: Attempt, now: object) -> tuple[EndpointState, tuple[Notice, ...]]:
            seen.append(state)
            return real_step(state, done, bench.now)

        if outcome != "lost":
            return bench.settle(second, _ANSWERS[outcome], step=step).notices
        bench.queue.extend([third.claim_id], now=bench.now, lease=2 * LEASE)
        bench.expire()
        return ()

    def _look(self, bench: Bench, claim: Claim) -> EndpointState:
        """Return the state as it is stored."""
        seen: list[EndpointState] = []

        def step(state: EndpointState, done: object, now: object) -> tuple[EndpointState, tuple[()]]:
            seen.append(state)
            return state, ()

        bench.settle(claim, 200, step=step)
        return seen[0]

    def _check_webhook(self, bench: Bench, to: str, state: EndpointState) -> None:
        webhook = bench.webhooks.get_webhook(to)
        assert (webhook.enabled, webhook.disabled_reason) == (state.state != "disabled", state.disabled_reason)

    def test_the_whole_life_of_an_endpoint_that_is_down(self, bench: Bench, logs: LogStore) -> None:
        """One probe at a time, ever more rarely; three warnings; disabled after days; held, released, well again."""
        to = bench.register(max_in_flight=4)
        bench.emit_many(to, 300)
        began, told, probes = bench.now, [], 0
        state: HealthState = "healthy"
        while state != "disabled":
            claims = bench.claim_any()
            assert len(claims) <= (1 if state == "failing" else 4)
            probes += state == "failing" and len(claims)
            for claim in claims:
                notices = bench.settle(claim, 500, retry_in=0, step=real_step).notices
                told += [(notice.kind, notice.share) for notice in notices]
            state = logs.health([to], now=bench.now)[to].state
            due = bench.queue.next_due(now=bench.now)
            if state != "disabled" and due is not None:
                bench.advance(max(due - bench.now, timedelta(milliseconds=1)))
        warned = [("warning", share) for share in (0.5, 0.75, 0.9)]
        assert told == [("breaker_open", 0.0), *warned, ("disabled", 0.0)]
        assert bench.now - began >= 5 * _DAY
        assert probes <= 7 + 5 * 24, "once an hour at the most"
        assert bench.claim_any() == []
        bench.enable(to)
        claims = bench.claim_any()
        assert len(claims) == 4
        assert bench.settle(claims[0], 200, step=real_step).notices == ()

    def test_what_has_waited_comes_back_slowly(self, bench: Bench, logs: LogStore) -> None:
        """After an outage: one probe, then 1, 2, 4 … at once, up to the cap and never above it."""
        cap, to = 10, bench.register(max_in_flight=10)
        bench.emit_many(to, 200)
        for claim in bench.claim(limit=OPEN_AFTER):
            bench.settle(claim, 500, retry_in=3600, step=real_step)
        rounds = []
        bench.advance(30)
        for _ in range(8):
            claims = bench.claim()
            rounds.append(len(claims))
            for claim in claims[:1]:
                bench.settle(claim, 200, step=real_step)
            bench.queue.give_back([claim.claim_id for claim in claims[1:]], now=bench.now)
        assert rounds == [1, 1, 2, 4, 8, cap, cap, cap]
        assert logs.health([to], now=bench.now)[to].state == "healthy"

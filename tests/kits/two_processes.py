"""Rules that two processes on one store keep together: each test speaks to two real processes at the same moment.

Run as a script, this file is one of them: it opens the store that its arguments name, and does what each line of its
standard input says, as JSON: a call of the queue, told at once, answered when it is done.
"""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import pytest

from hookkit.health import OPEN_AFTER
from hookkit.health import step as real_step
from hookkit.testing.bench import Bench
from hookkit.testing.builders import count_failures, endpoint, settlement
from hookkit.work import Claim

ROUNDS = 12


class Peer:
    """A process with the store open."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def tell(self, **call: Any) -> None:
        """Have it do something, and do not wait for it."""
        self._process.stdin.write(json.dumps(call) + "\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """Return what came of it."""
        return json.loads(self._process.stdout.readline())


@contextmanager
def peers(*arguments: str):
    """Run two of them, each with these arguments."""
    with ExitStack() as stack:
        found = []
        for _ in range(2):
            process = subprocess.Popen(
                [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            stack.callback(process.wait, 30)
            stack.callback(process.stdin.close)
            stack.callback(process.stdout.close)
            found.append(Peer(process))
        assert [peer.answer() for peer in found] == ["ready", "ready"]
        yield found


class TwoProcessRules:
    """Fixtures to be given: ``store``, an empty store that goes by ``now``, and ``pair``, two peers on the same."""

    @pytest.fixture
    def bench(self, store):
        return Bench(store, store, store)

    def both(self, bench: Bench, pair: list[Peer], *calls: dict[str, Any]) -> list[Any]:
        """Have both do something at the same moment, the same or each its own, and return both answers."""
        for peer, call in zip(pair, calls * 2, strict=False):
            peer.tell(now=bench.now.isoformat(), **call)
        return [peer.answer() for peer in pair]

    def claimed(self, bench: Bench, pair: list[Peer], limit: int) -> int:
        """Have both claim as much as they can, and return how much they were given together."""
        return sum(len(ids) for ids in self.both(bench, pair, {"do": "claim", "limit": limit}))

    def test_what_two_processes_settle_at_once_is_settled_once(self, store, bench, pair) -> None:
        """Whichever comes first decides, wholly: state, attempt and health; the other is told that it came too late."""
        for turn in range(ROUNDS):
            to = bench.register()
            deliveries = bench.emit_many(to, 5)
            claims = [bench.take(delivery).claim_id for delivery in deliveries]
            calls = [{"do": "settle", "claims": claims, "status": status} for status in (200, 500)]
            answers = self.both(bench, pair, *(calls if turn % 2 else calls[::-1]))
            good, bad = answers if turn % 2 else answers[::-1]
            assert [one + other for one, other in zip(good, bad, strict=True)] == [1] * 5
            entries = [store.entry(delivery) for delivery in deliveries]
            assert [entry.state == "succeeded" for entry in entries] == [bool(one) for one in good]
            assert [[attempt.status for attempt in entry.attempts] for entry in entries] == [
                [200 if one else 500] for one in good
            ]
            health = store.health([to], now=bench.now)[to]
            assert (health.succeeded, health.failed) == (sum(good), sum(bad))
            bench.advance(1)
        assert store.next_due(now=bench.now) is None, "nothing is left leased"

    def test_a_lease_that_ran_out_is_settled_by_nobody_but_its_new_owner(self, store, bench, pair) -> None:
        """One stood still, the other took over, and both settle at the same moment: the new owner's word counts."""
        for _ in range(ROUNDS):
            delivery = bench.emit(bench.register())
            stale = bench.take(delivery)
            bench.expire()
            new = bench.take(delivery)
            calls = [{"do": "settle", "claims": [one.claim_id], "number": 2, "status": 200} for one in (stale, new)]
            assert self.both(bench, pair, *calls) == [[0], [1]]
            reasons = [(attempt.number, attempt.reason) for attempt in store.entry(delivery).attempts]
            assert reasons == [(1, "lost"), (2, "")]

    def test_no_delivery_is_claimed_twice(self, bench, pair) -> None:
        """By two that claim at the same moment, again and again, until nothing is left."""
        made = {one for _ in range(20) for one in bench.emit_many(bench.register(), 5)}
        found: list[str] = []
        while batch := [one for ids in self.both(bench, pair, {"do": "claim", "limit": 7}) for one in ids]:
            found += batch
        assert sorted(found) == sorted(made)

    def test_the_cap_is_kept_together(self, bench, pair) -> None:
        """Both ask for more than there is room for, at the same moment."""
        for cap in (1, 3, 4):
            bench.emit_many(bench.register(max_in_flight=cap), 20)
            assert self.claimed(bench, pair, 10) == cap
            assert self.claimed(bench, pair, 10) == 0

    def test_the_rate_is_kept_together(self, bench, pair) -> None:
        """A burst, then one token after the other; what was lost in between gives no token back."""
        bench.emit_many(bench.register(rate_limit=(4, 60)), 40)
        counts = [self.claimed(bench, pair, 10)]
        for wait in (14, 2, 15, 45):
            bench.advance(wait)
            counts.append(self.claimed(bench, pair, 10))
        assert counts == [4, 0, 1, 1, 3]

    def test_one_probe_is_sent_by_both_together(self, bench, pair) -> None:
        """Behind an open breaker; and when it closes, what has waited does not come down as a herd."""
        bench.emit_many(bench.register(max_in_flight=6), 100)
        for claim in bench.claim(limit=OPEN_AFTER):
            bench.settle(claim, 500, retry_in=86_400, step=real_step)
        assert self.claimed(bench, pair, 10) == 0
        bench.advance(30)
        rounds = []
        for _ in range(6):
            one, other = self.both(bench, pair, {"do": "claim", "limit": 10, "keep": True})
            rounds.append(len(one) + len(other))
            self.both(bench, pair, {"do": "answer", "status": 200})
        assert rounds == [1, 1, 2, 6, 6, 6]


def serve(store: Any) -> None:
    """Do what the lines of standard input say."""
    held: list[Any] = []
    print(json.dumps("ready"), flush=True)  # noqa: T201
    for line in sys.stdin:
        call = json.loads(line)
        now = datetime.fromisoformat(call["now"])
        bench = Bench(store, store, store)
        bench.now = now
        if call["do"] == "claim":
            claims = bench.claim(limit=call["limit"])
            held = claims if call.get("keep") else held
            answer = [claim.delivery_id for claim in claims]
        elif call["do"] == "answer":
            done = [settlement(claim, at=now, status=call["status"]) for claim in held]
            answer, held = [one.applied for one in store.settle(done, now=now, step=real_step)], []
        else:
            done = [_named(claim_id, call.get("number", 1), now, call["status"]) for claim_id in call["claims"]]
            answer = [int(one.applied) for one in store.settle(done, now=now, step=count_failures)]
        print(json.dumps(answer), flush=True)  # noqa: T201


def _named(claim_id: str, number: int, now: datetime, status: int) -> Any:
    """Return the outcome of a claim of which another process told the id: a store takes the rest from its own rows."""
    return settlement(Claim(claim_id, "", "", "", b"", "standard", number, endpoint()), at=now, status=status)


def main(kind: str, *where: str) -> None:
    """Open the store, and serve."""
    if kind == "sqlite":
        from hookkit.stores.sqlite import SQLiteStore

        store: Any = SQLiteStore(where[0], synchronous="NORMAL")
    else:
        from hookkit.stores.postgres import PostgresStore
        from hookkit.testing import ManualClock

        store = PostgresStore(where[0], schema=where[1], clock=ManualClock(), listen=False)
    try:
        serve(store)
    finally:
        store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

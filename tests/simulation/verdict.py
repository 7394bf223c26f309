"""What must be true at the end of a history: every promise was kept."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from door import Faults
from network import number_in

if TYPE_CHECKING:
    from hookkit import LogEntry
    from simulation import Simulation

__all__ = ["Verdict"]

REASONS = frozenset("exhausted gone dropped removed expired".split())


class Verdict:
    """The last look at everything.

    Args:
        simulation: A history that has come to an end.
    """

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._ledger = simulation.ledger
        self._store = simulation.open_store(simulation.world)

    def give(self) -> None:
        """Check all that was promised."""
        entries = [self._store.entry(delivery_id) for delivery_id in self._ledger.seen.rows]
        for entry in entries:
            self._ended(entry)
        self._stored_as_told(entries)
        self._health()
        if self._simulation.path is not None:
            self._orders()

    def _ended(self, entry: LogEntry) -> None:
        """Check that a delivery has come to its end, that its log tells all of it, and that a success was one."""
        ledger, name = self._ledger, entry.delivery_id
        accepted = ledger.accepted[entry.endpoint_id, number_in(entry.body)]
        numbers = [attempt.number for attempt in entry.attempts]
        ledger.check("the log has every attempt once", numbers == list(range(1, len(numbers) + 1)), name, numbers)
        if entry.state == "succeeded":
            ledger.check("committed is delivered", accepted >= 1, name, "succeeded, but nobody accepted it")
            ledger.check("committed is delivered", entry.attempts[-1].reason == "", name, "ends with a failure")
            if self._simulation.chaos == Faults() and name not in ledger.again:
                once = accepted == 1 or self._repeats(entry)
                ledger.check("delivered once where nothing goes wrong", once, name, f"{accepted} times")
        elif entry.state == "failed":
            told = entry.reason in REASONS or (entry.reason == "" and self._is_final(entry))
            ledger.check("a failure has a reason", told, name, repr(entry.reason))
        else:
            standing = ledger.seen.standings.get(entry.endpoint_id)
            held = entry.state == "held" and standing is not None and not standing.enabled
            ledger.check("everything comes to an end", held, name, "is", entry.state)

    def _repeats(self, entry: LogEntry) -> bool:
        """Return whether there were other deliveries of the event, or attempts whose reply was lost."""
        rows = self._ledger.seen.rows.values()
        same = sum((row.event_id, row.endpoint_id) == (entry.event_id, entry.endpoint_id) for row in rows)
        return same > 1 or len(entry.attempts) > 1

    def _is_final(self, entry: LogEntry) -> bool:
        """Return whether the last attempt ended in a way that its policy does not try again."""
        last = entry.attempts[-1]
        return last.reason not in ("", "lost") and not self._ledger.policies[entry.delivery_id].retries(last.status)

    def _stored_as_told(self, entries: list[LogEntry]) -> None:
        """Check that what was rolled back is not there, and that what is there is whole."""
        ledger = self._ledger
        reached: defaultdict[int, set[str]] = defaultdict(set)
        for entry in entries:
            reached[number_in(entry.body)].add(entry.endpoint_id)
        for number, endpoint_ids in reached.items():
            ledger.exists(number)
            wanted = ledger.told[number].subscribers & ledger.webhooks.keys()
            ledger.check("every subscriber is told", wanted <= endpoint_ids, "event", number, *(wanted - endpoint_ids))
        for number, told in ledger.told.items():
            for delivery_id in () if told.emission is None else told.emission.delivery_ids:
                stored = delivery_id in ledger.seen.rows
                ledger.check("what was acknowledged is stored", stored, "event", number, "misses", delivery_id)

    def _orders(self) -> None:
        """Check that the host's own rows and the events in the same transactions went the same way."""
        assert self._simulation.path is not None
        with contextlib.closing(sqlite3.connect(self._simulation.path)) as connection:
            orders = {row[0] for row in connection.execute("SELECT n FROM orders")}
        for number, told in self._ledger.told.items():
            if told.state == "rolled back":
                self._ledger.check("rolled back is never sent", number not in orders, "order", number)
            elif number in orders:
                self._ledger.check("committed with its transaction", told.emission is not None, "order", number)

    def _health(self) -> None:
        """Check that the counters say what the rows say."""
        seen, wall = self._ledger.seen, self._simulation.wall
        later = wall.now() + timedelta(hours=3)  # the clock was set back, so that some attempts are in the future now
        found: dict[str, Any] = self._store.health(list(seen.standings), now=later, window=timedelta(days=60))
        for endpoint_id, health in found.items():
            rows = [row for row in seen.rows.values() if row.endpoint_id == endpoint_id]
            counted = (
                sum(row.attempts > 0 and row.state == "succeeded" for row in rows),
                sum(row.attempts > 0 and row.state == "failed" for row in rows),
                sum(row.attempts > 0 and row.state in ("pending", "leased", "held") for row in rows),
                sum(row.attempts == 0 and row.state in ("pending", "leased", "held") for row in rows),
            )
            said = (health.succeeded, health.failed, health.retrying, health.pending)
            self._ledger.check("health is what happened", said == counted, endpoint_id, said, "not", counted)

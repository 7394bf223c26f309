"""Deliveries of the SQLite store: their attempts, and the ways between their states.

Every method runs within the caller's transaction; the caller saves the standings that it passed in.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final, Self

from hookkit.fairness import Line
from hookkit.model import Attempt, DeliveryState, Endpoint
from hookkit.stores.rows import ATTEMPT_COLUMNS, attempt_from, attempt_row
from hookkit.stores.sql import from_us, marks, parts, to_us
from hookkit.stores.sqlite._counters import Counters
from hookkit.stores.sqlite._database import Database
from hookkit.stores.sqlite._lines import Lines
from hookkit.stores.tallies import class_of
from hookkit.work import OFFERED

__all__ = ["Deliveries", "Outcomes", "Standing"]

Standing = tuple[Line, Endpoint] | None
"""An endpoint's standing and its webhook; None once the webhook is gone."""

_UNLEASED = "claim_id = NULL, claimed_at = NULL, lease_until = NULL, owner = NULL"


class Deliveries:
    """Moves deliveries between their states."""

    def __init__(self, database: Database, lines: Lines) -> None:
        self._database = database
        self._lines = lines

    def release(self, standing: Standing) -> None:
        """Count one lease less."""
        if standing is not None:
            standing[0].in_flight -= 1

    def push(
        self, seq: int, standing: Standing, *, profile: str, lane: str, due_at: datetime, uncount: bool = False
    ) -> DeliveryState:
        """Make a delivery pending; held if its endpoint is, failed if its webhook is gone. Return which."""
        if standing is None:
            return self.finish(seq, "failed", "removed", due_at, uncount=uncount)
        line, endpoint = standing
        state: DeliveryState = "held" if line.held else "pending"
        self._database.execute(
            f"UPDATE hookkit_deliveries SET {_UNLEASED}, state = ?, lane = ?, due_at = ?, "  # noqa: S608 - columns
            "finished_at = NULL, reason = '', counted = counted - ? WHERE seq = ?",
            (state, lane, to_us(due_at), int(uncount), seq),
        )
        self._lines.add_heads([(endpoint.id, lane, profile)])
        return state

    def finish(
        self, seq: int, state: DeliveryState, reason: str, now: datetime, *, uncount: bool = False
    ) -> DeliveryState:
        """Make a delivery succeeded or failed. Return which."""
        self._database.execute(FINISH, (state, reason, to_us(now), int(uncount), seq))
        return state

    def insert_attempts(self, seq: int, attempts: Iterable[Attempt]) -> None:
        """Store attempts of one delivery."""
        self._database.execute_each(INSERT_ATTEMPT, [attempt_row(seq, attempt) for attempt in attempts])

    def attempts(self, seqs: Iterable[int]) -> defaultdict[int, list[Attempt]]:
        """Return the stored attempts of each delivery, oldest first."""
        found: defaultdict[int, list[Attempt]] = defaultdict(list)
        for part in parts(seqs):
            for row in self._database.execute(
                f"SELECT {ATTEMPT_COLUMNS} FROM hookkit_attempts WHERE delivery IN ({marks(len(part))}) "  # noqa: S608
                "ORDER BY delivery, number",
                part,
            ):
                found[row[0]].append(attempt_from(row))
        return found

    def reap(self, now: datetime) -> None:
        """Turn leases that have run out into lost attempts, due at once; take offers back that nobody took."""
        rows = self._database.execute(
            "SELECT seq, endpoint_id, profile, lane, counted, claimed_at, attempted, active_at, claim_id "
            "FROM hookkit_deliveries WHERE state = 'leased' AND lease_until <= ?",
            (to_us(now),),
        )
        if not rows:
            return
        lines = self._lines.load({row[1] for row in rows})
        with Outcomes(self._database) as outcomes:
            for seq, endpoint_id, profile, lane, counted, claimed_at, attempted, active_at, claim_id in rows:
                standing = lines.get(endpoint_id)
                self.release(standing)
                if claim_id.startswith(OFFERED):
                    self.push(seq, standing, profile=profile, lane=lane, due_at=now, uncount=True)
                    continue
                started = from_us(claimed_at)
                attempt = Attempt(counted, started, max(now - started, timedelta(0)), reason="lost")
                after = self.push(
                    seq, standing, profile=profile, lane="recover" if lane == "recover" else "retry", due_at=now
                )
                outcomes.append(seq, endpoint_id, attempt, active_at=active_at if attempted else None, after=after)
        self._lines.save(lines.values(), now)


class Outcomes:
    """Collects what attempts have come to, and writes it at the end of its ``with`` block, with few statements."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._attempts: list[tuple[Any, ...]] = []
        self._active: list[tuple[int, int]] = []
        self._finished: list[tuple[Any, ...]] = []
        self.counters = Counters(database)

    def append(
        self, seq: int, endpoint_id: str, attempt: Attempt, *, active_at: int | None, after: DeliveryState
    ) -> None:
        """Store an attempt, and count the delivery by it.

        Args:
            seq: The delivery.
            endpoint_id: Its endpoint.
            attempt: The attempt.
            active_at: The start of the attempt before, in microseconds; None if this is the first.
            after: The delivery's state now.
        """
        started = to_us(attempt.started_at)
        self._attempts.append(attempt_row(seq, attempt))
        self._active.append((started, seq))
        if active_at is not None:
            self.counters.move(endpoint_id, active_at, "retrying", None)
        self.counters.move(endpoint_id, started, None, class_of(after))
        if attempt.reason != "lost":
            self.counters.time(endpoint_id, attempt)

    def finish(self, seq: int, state: DeliveryState, reason: str, now: datetime, *, uncount: bool) -> DeliveryState:
        """Make a delivery succeeded or failed. Return which."""
        self._finished.append((state, reason, to_us(now), int(uncount), seq))
        return state

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: object, *_: object) -> None:
        if failed is not None:
            return
        self._database.execute_each(FINISH, self._finished)
        self._database.execute_each(INSERT_ATTEMPT, self._attempts)
        self._database.execute_each(
            "UPDATE hookkit_deliveries SET attempted = 1, active_at = ? WHERE seq = ?", self._active
        )
        self.counters.write()


FINISH: Final = (
    f"UPDATE hookkit_deliveries SET state = ?, reason = ?, finished_at = ?, due_at = NULL, {_UNLEASED}, "  # noqa: S608
    "counted = counted - ? WHERE seq = ?"
)
INSERT_ATTEMPT: Final = f"INSERT INTO hookkit_attempts ({ATTEMPT_COLUMNS}) VALUES ({marks(9)})"  # noqa: S608 - columns

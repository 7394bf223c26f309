"""The queue of the SQLite store: outcomes, holding, and doing it again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from hookkit.errors import NotFound, StoreError
from hookkit.fairness import Line
from hookkit.ids import delivery_id as new_delivery_id
from hookkit.model import DeliveryState, Endpoint, Notice
from hookkit.stores.sql import Row, marks, parts, to_us
from hookkit.stores.sqlite._counters import Counters
from hookkit.stores.sqlite._database import Database, foreign_errors
from hookkit.stores.sqlite._deliveries import Deliveries, Outcomes, Standing
from hookkit.stores.sqlite._lines import Lines
from hookkit.work import SETTLED_REASONS, HealthStep, Settled, Settlement

__all__ = ["SQLiteSettling"]


class SQLiteSettling:
    """The other half of the :class:`~hookkit.protocols.DeliveryQueue` part."""

    _database: Database
    _lines: Lines
    _deliveries: Deliveries

    def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        """Store outcomes."""
        results = [Settled(applied=False)] * len(done)
        with self._database.writing():
            self._deliveries.reap(now)
            claims = {settlement.claim_id: index for index, settlement in enumerate(done)}
            held: list[tuple[str, int, Row]] = []
            for part in parts(claims):
                rows = self._database.execute(
                    "SELECT claim_id, seq, endpoint_id, profile, lane, attempted, active_at FROM hookkit_deliveries "  # noqa: S608
                    f"WHERE claim_id IN ({marks(len(part))})",
                    part,
                )
                held += [(row[2], claims[row[0]], row) for row in rows]
            lines = self._lines.load({endpoint_id for endpoint_id, _, _ in held})
            with Outcomes(self._database) as outcomes:
                for endpoint_id, index, row in sorted(held, key=lambda one: one[:2]):
                    notices = self._settle(row, done[index], lines.get(endpoint_id), now, step, outcomes)
                    results[index] = Settled(applied=True, notices=notices)
            self._lines.save(lines.values(), now)
        return results

    def _settle(
        self,
        row: Row,
        settlement: Settlement,
        standing: Standing,
        now: datetime,
        step: HealthStep,
        outcomes: Outcomes,
    ) -> tuple[Notice, ...]:
        _, seq, endpoint_id, profile, lane, attempted, active_at = row
        notices: tuple[Notice, ...] = ()
        attempt = settlement.attempt
        self._deliveries.release(standing)
        if standing is not None and attempt is not None:
            state, notices = step(standing[0].state, attempt, now)
            self._lines.with_health(standing[0], state)
        uncount = attempt is None
        if settlement.state == "pending":
            after = self._deliveries.push(
                seq,
                standing,
                profile=profile,
                lane="recover" if lane == "recover" else "retry",
                due_at=settlement.due_at or now,
                uncount=uncount,
            )
        else:
            after = outcomes.finish(seq, settlement.state, settlement.entry.reason, now, uncount=uncount)
        if attempt is not None:
            before = active_at if attempted else None
            outcomes.append(seq, endpoint_id, attempt, active_at=before, after=after)
        elif attempted:
            outcomes.counters.move(endpoint_id, active_at, "retrying", "failed")
        return notices

    def hold(self, endpoint_id: str, *, now: datetime) -> None:
        """Hold an endpoint's deliveries."""
        with self._database.writing():
            self._deliveries.reap(now)
            self._lines.hold(endpoint_id, now)

    def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None:
        """Let an endpoint's held deliveries go, or drop them."""
        with self._database.writing():
            self._deliveries.reap(now)
            self._lines.release(endpoint_id, now, drop=drop)

    def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None:
        """Fail an endpoint's unfinished deliveries."""
        with self._database.writing():
            self._deliveries.reap(now)
            self._lines.fail_pending(endpoint_id, reason, now)

    def redeliver(self, delivery_id: str, *, now: datetime) -> str:
        """Make a new delivery of the same bytes."""
        with self._database.writing():
            self._deliveries.reap(now)
            rows = self._database.execute(
                "SELECT endpoint_id, profile, body FROM hookkit_deliveries WHERE id = ? AND lane <> ''", (delivery_id,)
            )
            if not rows:
                raise NotFound(f"no delivery {delivery_id!r}")
            endpoint_id, profile, body = rows[0]
            lines = self._lines.load([endpoint_id])
            if endpoint_id not in lines:
                raise NotFound(f"the webhook of delivery {delivery_id} is gone")
            if body is None:
                raise StoreError(f"the payload of delivery {delivery_id} is no longer kept")
            new, at = new_delivery_id(), to_us(now)
            made = self._database.execute(
                "INSERT INTO hookkit_deliveries (id, event_id, event_type, tenant, endpoint_id, profile, body, "
                "repeats, state, lane, created_at, active_at) "
                "SELECT ?, event_id, event_type, tenant, endpoint_id, profile, body, 1, 'held', 'recover', ?, ? "
                "FROM hookkit_deliveries WHERE id = ? RETURNING seq",
                (new, at, at, delivery_id),
            )
            self._deliveries.push(made[0][0], lines[endpoint_id], profile=profile, lane="recover", due_at=now)
            self._lines.save(lines.values(), now)
            return new

    def recover(
        self,
        endpoint_id: str,
        *,
        since: datetime,
        until: datetime,
        states: Collection[DeliveryState],
        now: datetime,
        dry_run: bool,
    ) -> int:
        """Make finished deliveries pending again."""
        wanted = [state for state in ("failed", "succeeded") if state in states]
        where = (
            f"endpoint_id = ? AND state IN ({marks(len(wanted))}) AND lane <> '' AND body IS NOT NULL "
            "AND active_at BETWEEN ? AND ?"
        )
        params = (endpoint_id, *wanted, to_us(since), to_us(until))
        with self._database.writing():
            self._deliveries.reap(now)
            standing = self._lines.load([endpoint_id]).get(endpoint_id)
            if standing is None:
                return 0
            rows: list[Row] = []
            for kind in ("attempted = 1", "attempted = 0 AND finished_at IS NOT NULL"):  # an index for each
                rows += self._database.execute(
                    "SELECT seq, profile, state, attempted, active_at FROM hookkit_deliveries "  # noqa: S608 - columns
                    f"WHERE {kind} AND {where}",
                    params,
                )
            if not dry_run:
                self._recover(endpoint_id, standing, rows, now)
            return len(rows)

    def _recover(self, endpoint_id: str, standing: tuple[Line, Endpoint], rows: Sequence[Row], now: datetime) -> None:
        with Counters(self._database) as counters:
            for seq, profile, state, attempted, active_at in rows:
                self._deliveries.push(seq, standing, profile=profile, lane="recover", due_at=now)
                if attempted:
                    counters.move(endpoint_id, active_at, state, "retrying")
        self._database.execute_each(
            "UPDATE hookkit_deliveries SET schedule_start = counted WHERE seq = ?", [(row[0],) for row in rows]
        )
        self._lines.save([standing], now)

    def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int:
        """Give held deliveries up that are too old."""
        with self._database.writing():
            self._deliveries.reap(now)
            rows = self._database.execute(
                "UPDATE hookkit_deliveries SET state = 'failed', reason = 'expired', finished_at = ?, due_at = NULL "
                "WHERE seq IN (SELECT seq FROM hookkit_deliveries WHERE state = 'held' AND lane <> '' "
                "AND created_at < ? LIMIT ?) RETURNING endpoint_id, attempted, active_at",
                (to_us(now), to_us(before), limit),
            )
            with Counters(self._database) as counters:
                for endpoint_id, attempted, active_at in rows:
                    if attempted:
                        counters.move(endpoint_id, active_at, "retrying", "failed")
            return len(rows)

    def ended(self, *, since: datetime) -> list[str]:
        """Return what failed without a settlement that said so."""
        said = ("", *SETTLED_REASONS)
        with foreign_errors():
            rows = self._database.execute(
                "SELECT id FROM hookkit_deliveries WHERE finished_at >= ? AND finished_at IS NOT NULL "  # noqa: S608
                f"AND state = 'failed' AND lane <> '' AND reason NOT IN ({marks(len(said))})",
                (to_us(since), *said),
            )
        return [row[0] for row in rows]

"""The queue of the SQLite store: claiming, and what changes a lease."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Final, Unpack

from hookkit.errors import NotFound, StoreError
from hookkit.fairness import Ask, Limits, Line, Slots, allocate, enough, shares
from hookkit.ids import new_id
from hookkit.model import Endpoint
from hookkit.stores.rows import optional_from_us
from hookkit.stores.sql import Row, from_us, marks, parts, to_us
from hookkit.stores.sqlite._database import Database
from hookkit.stores.sqlite._deliveries import Deliveries
from hookkit.stores.sqlite._lines import Lines
from hookkit.stores.unreadable import Unreadable
from hookkit.work import CLAIMED, OFFERED, Claim, ClaimOptions, Lane, taken_id

__all__ = ["SQLiteClaims"]

_DUE: Final = "seq, id, endpoint_id, due_at"
_LOOKS: Final = 10


class SQLiteClaims:
    """The claiming half of the :class:`~hookkit.protocols.DeliveryQueue` part."""

    _database: Database
    _lines: Lines
    _deliveries: Deliveries
    _unreadable: Unreadable

    def claim(
        self,
        *,
        now: datetime,
        lane: Lane,
        limit: int,
        limit_busy: int,
        limit_failing: int,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
        kind: str = CLAIMED,
    ) -> list[Claim]:
        """Lease due deliveries of one lane."""
        with self._database.writing():
            self._deliveries.reap(now)
            limits = Limits(limit, limit_busy, limit_failing)
            return self._claim(lane, limits, now, lease, owner, profiles, kind)

    def claim_lanes(
        self,
        *,
        now: datetime,
        asks: Sequence[Ask],
        slots: Slots,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[tuple[Lane, Claim]]:
        """Lease due deliveries of several lanes."""
        bounds = slots.bounds(asks)
        claims: list[tuple[Lane, Claim]] = []
        with self._database.writing():
            self._deliveries.reap(now)
            for place, (lane, _) in enumerate(asks):
                limits = bounds(place, claims)
                if limits.limit > 0:
                    found = self._claim(lane, limits, now, lease, owner, profiles, CLAIMED)
                    claims.extend((lane, one) for one in found)
        return claims

    def _claim(
        self,
        lane: Lane,
        limits: Limits,
        now: datetime,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
        kind: str,
    ) -> list[Claim]:
        ready, lines = self._servable(lane, profiles, now, limits)
        rooms = {one: lines[one][0].room(lines[one][1], now) for one in ready if one in lines}
        due: dict[str, list[Row]] = {}
        slots: dict[str, int] = {}
        for share in shares(limits.limit, len(rooms)):
            due = {one: self._due(one, lane, profiles, now, min(room, share)) for one, room in rooms.items() if room}
            slots = allocate(
                [lines[endpoint_id][0].candidate(len(rows)) for endpoint_id, rows in due.items()],
                limit=limits.limit,
                limit_busy=limits.limit_busy,
                limit_failing=limits.limit_failing,
            )
            if enough(slots, limits.limit, share):
                break
        wanted = {endpoint_id: due[endpoint_id][:count] for endpoint_id, count in slots.items()}
        return self._lease(wanted, lines, now, lease, owner, kind)

    def offer(self, **options: Unpack[ClaimOptions]) -> list[Claim]:
        """Lease due deliveries of one lane to whoever takes them."""
        return self.claim(**options, kind=OFFERED)

    def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim:
        """Lease one delivery."""
        with self._database.writing():
            self._deliveries.reap(now)
            rows = self._database.execute(
                f"SELECT {_DUE}, state FROM hookkit_deliveries WHERE id = ? AND lane <> ''",  # noqa: S608 - columns
                (delivery_id,),
            )
            if not rows:
                raise NotFound(f"no delivery {delivery_id!r}")
            state, endpoint_id = rows[0][4], rows[0][2]
            if state != "pending":
                raise StoreError(f"delivery {delivery_id} is {state}; only a pending one can be claimed")
            lines = self._lines.load([endpoint_id])
            if lines[endpoint_id][0].unreadable:
                raise StoreError(lines[endpoint_id][0].unreadable)
            return self._lease({endpoint_id: rows}, lines, now, lease, owner)[0]

    def take(self, offer_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim | None:
        """Make an offer a lease."""
        if not offer_id.startswith(OFFERED):
            return None
        with self._database.writing():
            self._deliveries.reap(now)
            rows = self._database.execute(
                "SELECT seq, endpoint_id FROM hookkit_deliveries WHERE claim_id = ?", (offer_id,)
            )
            if not rows:
                return None
            (seq, endpoint_id), lines = rows[0], self._lines.load([rows[0][1]])
            line, endpoint = lines.get(endpoint_id, (None, None))
            if line is None or endpoint is None or line.held or line.unreadable:
                self._give_back([offer_id], now)
                return None
            self._database.execute(
                "UPDATE hookkit_deliveries SET claim_id = ?, claimed_at = ?, lease_until = ?, owner = ? WHERE seq = ?",
                (taken_id(offer_id), to_us(now), to_us(now + lease), owner, seq),
            )
            failing = line.state.consecutive_failures > 0
            return self._claims({seq: (taken_id(offer_id), endpoint, True, failing)})[0]

    def outstanding(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """Return which are still held."""
        held: set[str] = set()
        with self._database.reading():
            for part in parts(claim_ids):
                rows = self._database.execute(
                    f"SELECT claim_id FROM hookkit_deliveries WHERE claim_id IN ({marks(len(part))}) "  # noqa: S608
                    "AND lease_until > ?",
                    (*part, to_us(now)),
                )
                held |= {row[0] for row in rows}
        return held

    def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]:
        """Prolong leases."""
        held: set[str] = set()
        with self._database.writing():
            self._deliveries.reap(now)
            for part in parts(claim_ids):
                rows = self._database.execute(
                    f"UPDATE hookkit_deliveries SET lease_until = ? WHERE claim_id IN ({marks(len(part))}) "  # noqa: S608
                    "RETURNING claim_id",
                    (to_us(now + lease), *part),
                )
                held |= {row[0] for row in rows}
        return held

    def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """End leases, the attempt uncounted."""
        with self._database.writing():
            self._deliveries.reap(now)
            return self._give_back(claim_ids, now)

    def _give_back(self, claim_ids: Collection[str], now: datetime) -> set[str]:
        rows: list[Row] = []
        for part in parts(claim_ids):
            rows += self._database.execute(
                f"SELECT claim_id, seq, endpoint_id, profile, lane FROM hookkit_deliveries "  # noqa: S608
                f"WHERE claim_id IN ({marks(len(part))})",
                part,
            )
        lines = self._lines.load({row[2] for row in rows})
        for _, seq, endpoint_id, profile, lane in rows:
            self._deliveries.release(lines.get(endpoint_id))
            self._deliveries.push(seq, lines.get(endpoint_id), profile=profile, lane=lane, due_at=now, uncount=True)
        self._lines.save(lines.values(), now)
        return {row[0] for row in rows}

    def next_due(self, *, now: datetime) -> datetime | None:
        """Return when a claim could next find something."""
        with self._database.reading():
            rows = self._database.execute(
                "SELECT min(at) FROM (SELECT min(ready_at) AS at FROM hookkit_heads WHERE ready_at IS NOT NULL "
                "UNION ALL SELECT min(lease_until) FROM hookkit_deliveries WHERE state = 'leased')"
            )
        return optional_from_us(rows[0][0])

    def _servable(
        self,
        lane: Lane,
        profiles: Collection[str],
        now: datetime,
        limits: Limits,
    ) -> tuple[list[str], dict[str, tuple[Line, Endpoint]]]:
        """Return the endpoints that could be served, the longest due first, and standings.

        Those whose secrets cannot be read are put off, and others looked for in their place: they use up no limit. One
        claim puts off a bounded number, so that it stays short even if nothing can be read at all.
        """
        ready: list[str] = []
        lines: dict[str, tuple[Line, Endpoint]] = {}
        for _ in range(_LOOKS):
            ready = self._ready(lane, profiles, now, limits)
            lines = self._lines.load(ready)
            unreadable = [(line, endpoint) for line, endpoint in lines.values() if line.unreadable]
            if not unreadable:
                break
            self._lines.save(unreadable, now)
            self._unreadable.met({endpoint.id: line.unreadable for line, endpoint in unreadable}, now)
        return ready, lines

    def _ready(
        self,
        lane: Lane,
        profiles: Collection[str],
        now: datetime,
        limits: Limits,
    ) -> list[str]:
        """Return the endpoints that could be served, the longest due first.

        Each kind that counts against a bound is a range of its own, read no further than its bound: what cannot be
        claimed is never looked at, and cannot use up the limit of what can.
        """
        found: list[tuple[int, str]] = []
        for profile, busy, failing in product(sorted(profiles), (0, 1), (0, 1)):
            most = min(
                limits.limit,
                limits.limit_busy if busy else limits.limit,
                limits.limit_failing if failing else limits.limit,
            )
            if most <= 0:
                continue
            rows = self._database.execute(
                "SELECT ready_at, endpoint_id FROM hookkit_heads WHERE lane = ? AND profile = ? AND busy = ? "
                "AND failing = ? AND ready_at <= ? ORDER BY ready_at LIMIT ?",
                (lane, profile, busy, failing, to_us(now), most),
            )
            found += [(row[0], row[1]) for row in rows]
        return list(dict.fromkeys(endpoint_id for _, endpoint_id in sorted(found)))

    def _due(self, endpoint_id: str, lane: Lane, profiles: Collection[str], now: datetime, room: int) -> list[Row]:
        """Return the rows of what this endpoint could be given now, earliest first."""
        rows: list[Row] = []
        for profile in sorted(profiles):
            rows += self._database.execute(
                f"SELECT {_DUE} FROM hookkit_deliveries WHERE endpoint_id = ? AND lane = ? AND profile = ? "  # noqa: S608
                "AND state = 'pending' AND lane <> '' AND due_at <= ? ORDER BY due_at, seq LIMIT ?",
                (endpoint_id, lane, profile, to_us(now), room),
            )
        return sorted(rows, key=lambda row: (row[3], row[0]))[:room]

    def _lease(
        self,
        wanted: dict[str, list[Row]],
        lines: dict[str, tuple[Line, Endpoint]],
        now: datetime,
        lease: timedelta,
        owner: str,
        kind: str = CLAIMED,
    ) -> list[Claim]:
        leases: dict[int, tuple[str, Endpoint, bool, bool]] = {}
        for endpoint_id, rows in wanted.items():
            line, endpoint = lines[endpoint_id]
            for row in rows:
                busy, failing = line.in_flight > 0, line.state.consecutive_failures > 0
                leases[row[0]] = (new_id(kind), endpoint, busy, failing)
                line.take(endpoint, now)
        at, until = to_us(now), to_us(now + lease)
        self._database.execute_each(
            "UPDATE hookkit_deliveries SET state = 'leased', due_at = NULL, counted = counted + 1, claim_id = ?, "
            "claimed_at = ?, lease_until = ?, owner = ? WHERE seq = ?",
            [(claim_id, at, until, owner, seq) for seq, (claim_id, *_) in leases.items()],
        )
        self._lines.save((lines[endpoint_id] for endpoint_id in wanted), now)
        return self._claims(leases)

    def _claims(self, leases: dict[int, tuple[str, Endpoint, bool, bool]]) -> list[Claim]:
        rows: dict[int, Row] = {}
        for part in parts(leases):
            rows |= {
                row[0]: row
                for row in self._database.execute(
                    "SELECT d.seq, d.id, d.event_id, d.event_type, b.body, d.profile, d.counted, d.tenant, "  # noqa: S608
                    "d.created_at, d.schedule_start, d.attempted FROM hookkit_deliveries d "
                    f"LEFT JOIN hookkit_bodies b ON b.seq = d.body WHERE d.seq IN ({marks(len(part))})",
                    part,
                )
            }
        before = self._deliveries.attempts([seq for seq, row in rows.items() if row[10]])
        return [
            Claim(
                claim_id=claim_id,
                delivery_id=rows[seq][1],
                event_id=rows[seq][2],
                event_type=rows[seq][3],
                body=rows[seq][4] or b"",
                profile=rows[seq][5],
                attempt_number=rows[seq][6],
                endpoint=endpoint,
                tenant=rows[seq][7],
                created_at=from_us(rows[seq][8]),
                attempts=tuple(before[seq]),
                schedule_start=rows[seq][9],
                busy=busy,
                failing=failing,
            )
            for seq, (claim_id, endpoint, busy, failing) in leases.items()
        ]

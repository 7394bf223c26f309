"""The queue of the PostgreSQL store: claiming."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import product
from typing import Final, NamedTuple

from hookkit.errors import NotFound, StoreError
from hookkit.fairness import NOTHING, Bounds, Limits, allocate, enough, shares
from hookkit.ids import new_id
from hookkit.model import Attempt, Endpoint
from hookkit.stores.postgres._changes import HEADS, STANDINGS, Changes, columns
from hookkit.stores.postgres._lines import STANDING_COLUMNS, STANDING_WIDTH, standing_from
from hookkit.stores.postgres._log import attempts_of
from hookkit.stores.postgres._opening import ARRIVALS, ARRIVING, Standings, arrive, opened, reap
from hookkit.stores.postgres._tables import CLOCK, Tables
from hookkit.stores.sql import Row, Steps, from_us, to_us
from hookkit.work import CLAIMED, Claim, Lane

__all__ = ["CLAIMED_COLUMNS", "Looked", "claim", "claim_from", "claim_one", "look", "next_due"]

_LOOKS: Final = 10


class Looked(NamedTuple):
    """What a claim has to do, as one statement sees it: a claim that finds nothing costs no more than that."""

    at: datetime
    """The time that counts."""
    expired: bool
    """Leases have run out."""
    arriving: bool
    """Deliveries have come in."""
    due: frozenset[str]
    """The lanes in which a claim could find something."""

    @property
    def vain(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.expired or self.arriving or self.due)

    def could(self, lane: Lane) -> bool:
        """Return whether a claim of this lane could find something now. What comes in is in the first one."""
        return self.expired or lane in self.due or (self.arriving and lane == "first")


def look(tables: Tables, now: datetime, lanes: Collection[Lane], profiles: Collection[str]) -> Steps[Looked]:
    """Look whether a claim of these lanes has anything to do."""
    rows = yield (tables.sql(_LOOK), (to_us(now), tables.own_clock, sorted(set(lanes)), sorted(profiles)))
    at, expired, arriving, due = rows[0]
    return Looked(from_us(at), expired, arriving, frozenset(due))


def claim(
    tables: Tables,
    looked: Looked,
    *,
    lanes: Sequence[Lane],
    bounds: Bounds,
    lease: timedelta,
    owner: str,
    profiles: Collection[str],
    kind: str = CLAIMED,
) -> Steps[list[tuple[Lane, Claim]]]:
    """Lease due deliveries, lane by lane. It waits for no lock.

    Args:
        tables: The store's tables.
        looked: What :func:`look` found.
        lanes: Which lanes, in this order.
        bounds: Each claim's bounds.
        lease: How long.
        owner: Who claims.
        profiles: The profiles' names.
        kind: Whether these are leases, or offers.
    """
    if looked.expired:
        yield from reap(tables, looked.at)
    if looked.arriving:
        yield from arrive(tables, looked.at)
    claims: list[tuple[Lane, Claim]] = []
    for place, lane in enumerate(lanes):
        limits = bounds(place, claims) if looked.could(lane) else NOTHING
        if limits.limit > 0:
            found = yield from _claim_lane(tables, lane, looked.at, limits, lease, owner, profiles, kind)
            claims.extend((lane, one) for one in found)
    return claims


def _claim_lane(
    tables: Tables,
    lane: Lane,
    now: datetime,
    limits: Limits,
    lease: timedelta,
    owner: str,
    profiles: Collection[str],
    kind: str,
) -> Steps[list[Claim]]:
    lines, due, share = yield from _servable(tables, lane, profiles, now, limits)
    slots = _allocate(lines, due, limits)
    if not enough(slots, limits.limit, share):
        lines, due = yield from _due(tables, list(lines), lane, profiles, now, limits.limit)
        slots = _allocate(lines, due, limits)
    wanted = {name: due[name][:count] for name, count in slots.items()}
    return (yield from _lease(tables, wanted, lines, now, lease, owner, kind))


def claim_one(tables: Tables, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Steps[Claim]:
    """Lease one delivery."""
    rows = yield (
        tables.sql("SELECT endpoint_id FROM {deliveries} WHERE id = ? AND lane <> ''"),
        (delivery_id,),
    )
    if not rows:
        raise NotFound(f"no delivery {delivery_id!r}")
    endpoint_id = rows[0][0]
    now, changes, _ = yield from opened(tables, now, endpoints=[endpoint_id])
    yield from changes.write(tables, now)
    rows = yield (tables.sql("SELECT seq, state FROM {deliveries} WHERE id = ?"), (delivery_id,))
    if not rows:
        raise NotFound(f"no delivery {delivery_id!r}")
    seq, state = rows[0]
    if state != "pending":
        raise StoreError(f"delivery {delivery_id} is {state}; only a pending one can be claimed")
    if endpoint_id not in changes.lines:
        raise StoreError(f"the webhook of delivery {delivery_id} is gone")
    unreadable = changes.lines[endpoint_id][0].unreadable
    if unreadable:
        raise StoreError(unreadable)
    claims = yield from _lease(tables, {endpoint_id: [seq]}, changes.lines, now, lease, owner)
    return claims[0]


def next_due(tables: Tables, *, now: datetime) -> Steps[datetime | None]:
    """Return when a claim could next find something, by the caller's clock."""
    rows = yield (tables.sql(_NEXT), ())
    found, at = rows[0]
    if found is None:
        return None
    return now + (from_us(found) - from_us(at)) if tables.own_clock else from_us(found)


def _allocate(lines: Standings, due: dict[str, list[int]], limits: Limits) -> dict[str, int]:
    return allocate(
        [lines[name][0].candidate(len(seqs)) for name, seqs in due.items()],
        limit=limits.limit,
        limit_busy=limits.limit_busy,
        limit_failing=limits.limit_failing,
    )


def _servable(
    tables: Tables, lane: Lane, profiles: Collection[str], now: datetime, limits: Limits
) -> Steps[tuple[Standings, dict[str, list[int]], int]]:
    """Return what :func:`_due` does of endpoints that could be served, which it locks; and up to how many of each.

    The longest due comes first. Those whose secrets cannot be read are put off, and others looked for in their place:
    they use up no limit. One claim puts off a bounded number, so that it stays short even if nothing can be read.
    """
    lines: Standings = {}
    due: dict[str, list[int]] = {}
    share = 0
    ranges = [
        (profile, busy, failing, most)
        for profile, busy, failing in product(sorted(profiles), (0, 1), (0, 1))
        if (
            most := min(
                limits.limit,
                limits.limit_busy if busy else limits.limit,
                limits.limit_failing if failing else limits.limit,
            )
        )
        > 0
    ]
    for _ in range(_LOOKS if ranges else 0):
        rows = yield (tables.sql(_READY), (*columns(ranges, 4), lane, to_us(now)))
        ready = list(dict.fromkeys(row[1] for row in sorted((row[0], row[1]) for row in rows)))
        share, _ = shares(limits.limit, len(ready))
        lines, due = yield from _due(tables, ready, lane, profiles, now, share)
        unreadable = {name: pair for name, pair in lines.items() if pair[0].unreadable}
        if not unreadable:
            break
        yield from Changes(unreadable).write(tables, now)
        tables.unreadable.met({name: line.unreadable for name, (line, _) in unreadable.items()}, now)
    return lines, due, share


def _due(
    tables: Tables, ready: Sequence[str], lane: Lane, profiles: Collection[str], now: datetime, most: int
) -> Steps[tuple[Standings, dict[str, list[int]]]]:
    """Return the standings of these endpoints, and what is due there: as much as there is room, and at most so many."""
    if not ready:
        return {}, {}
    rows = yield (tables.sql(_DUE), (sorted(profiles), lane, to_us(now), most, list(ready)))
    found = {row[0]: row for row in rows}
    lines = {name: standing_from(tables, found[name]) for name in ready if name in found}
    due = {name: found[name][STANDING_WIDTH][: line.room(endpoint, now)] for name, (line, endpoint) in lines.items()}
    return lines, due


def _lease(
    tables: Tables,
    wanted: dict[str, list[int]],
    lines: Standings,
    now: datetime,
    lease: timedelta,
    owner: str,
    kind: str = CLAIMED,
) -> Steps[list[Claim]]:
    leases: dict[int, tuple[str, Endpoint, bool, bool]] = {}
    for endpoint_id, seqs in wanted.items():
        line, endpoint = lines[endpoint_id]
        for seq in seqs:
            busy, failing = line.in_flight > 0, line.state.consecutive_failures > 0
            leases[seq] = (new_id(kind), endpoint, busy, failing)
            line.take(endpoint, now)
    if not leases:
        return []
    changes = Changes({name: lines[name] for name in wanted})
    rows = yield (
        tables.sql(_LEASE),
        (
            list(leases),
            [claim_id for claim_id, *_ in leases.values()],
            to_us(now),
            to_us(now + lease),
            owner,
            *changes.standings(now, list(leases)),
        ),
    )
    before = yield from attempts_of(tables, [row[0] for row in rows if row[10]])
    return [claim_from(row, *leases[row[0]], before.get(row[0], ())) for row in rows]


def claim_from(
    row: Row,
    claim_id: str,
    endpoint: Endpoint,
    busy: bool,  # noqa: FBT001 - as the row has it
    failing: bool,  # noqa: FBT001
    before: Sequence[Attempt],
) -> Claim:
    """Return the claim of a row, as :data:`CLAIMED_COLUMNS` has it."""
    return Claim(
        claim_id=claim_id,
        delivery_id=row[1],
        event_id=row[2],
        event_type=row[3],
        body=bytes(row[4] or b""),
        profile=row[5],
        attempt_number=row[6],
        endpoint=endpoint,
        tenant=row[7],
        created_at=from_us(row[8]),
        attempts=tuple(before),
        schedule_start=row[9],
        busy=busy,
        failing=failing,
    )


CLAIMED_COLUMNS: Final = (
    "l.seq, l.id, l.event_id, l.event_type, b.body, l.profile, l.counted, l.tenant, l.created_at, l.schedule_start, "
    "l.attempted"
)
"""Of deliveries ``l`` and bodies ``b``: what :func:`claim_from` reads."""

# ORDER BY and LIMIT, not EXISTS: for that the planner would read a table from end to end, expecting to find one soon.
# Nor min(), which takes longer to plan.
_LOOK: Final = f"""
SELECT t.at,
    coalesce((SELECT lease_until FROM {{deliveries}} WHERE state = 'leased' ORDER BY lease_until LIMIT 1) <= t.at,
        FALSE),
    (SELECT seq FROM {{deliveries}} WHERE {ARRIVING} ORDER BY seq LIMIT 1) IS NOT NULL,
    ARRAY(SELECT l.lane FROM unnest(p.lanes) AS l(lane) WHERE EXISTS (SELECT 1 FROM unnest(p.profiles) AS o(profile)
        CROSS JOIN (VALUES (0, 0), (0, 1), (1, 0), (1, 1)) AS k(busy, failing) CROSS JOIN LATERAL (
        SELECT 1 FROM {{heads}} h WHERE h.lane = l.lane AND h.profile = o.profile AND h.busy = k.busy
        AND h.failing = k.failing AND h.ready_at <= t.at ORDER BY h.ready_at LIMIT 1) h))
FROM (SELECT CASE WHEN c.own THEN {CLOCK} ELSE c.at END AS at
    FROM (SELECT CAST(? AS bigint) AS at, CAST(? AS boolean) AS own) c) t
CROSS JOIN (SELECT CAST(? AS text[]) AS lanes, CAST(? AS text[]) AS profiles) p
"""  # noqa: S608 - the clock

# Each kind that counts against a bound is a range of the index of its own, read no further than its bound; one that is
# locked by somebody else counts against none.
_READY: Final = """
SELECT h.ready_at, h.endpoint_id FROM unnest(CAST(? AS text[]), CAST(? AS smallint[]), CAST(? AS smallint[]),
    CAST(? AS integer[])) AS r(profile, busy, failing, most)
CROSS JOIN (SELECT CAST(? AS text) AS lane, CAST(? AS bigint) AS at) t
CROSS JOIN LATERAL (
    SELECT x.ready_at, x.endpoint_id FROM {heads} x JOIN {endpoints} e ON e.endpoint_id = x.endpoint_id
    WHERE x.lane = t.lane AND x.profile = r.profile AND x.busy = r.busy AND x.failing = r.failing AND x.ready_at <= t.at
    ORDER BY x.ready_at LIMIT r.most FOR UPDATE OF e SKIP LOCKED
) h
"""

# A statement of its own, which sees what the locks were waited for, if they were.
_DUE: Final = f"""
SELECT {STANDING_COLUMNS}, ARRAY(
    SELECT y.seq FROM unnest(t.profiles) AS p(profile) CROSS JOIN LATERAL (
        SELECT x.seq, x.due_at FROM {{deliveries}} x WHERE x.endpoint_id = e.endpoint_id AND x.lane = t.lane
        AND x.profile = p.profile AND x.state = 'pending' AND x.lane <> '' AND x.due_at <= t.at
        ORDER BY x.due_at, x.seq LIMIT least(t.most, greatest(w.max_in_flight - e.in_flight, 0))
    ) y ORDER BY y.due_at, y.seq)
FROM {{endpoints}} e JOIN {{webhooks}} w ON w.id = e.endpoint_id
CROSS JOIN (SELECT CAST(? AS text[]) AS profiles, CAST(? AS text) AS lane, CAST(? AS bigint) AS at,
    CAST(? AS integer) AS most) t
WHERE e.endpoint_id = ANY(CAST(? AS text[]))
"""  # noqa: S608 - columns

_LEASE: Final = f"""
WITH leased AS (
    UPDATE {{deliveries}} d SET state = 'leased', due_at = NULL, arrived = 1, counted = d.counted + 1,
        claim_id = v.claim_id, claimed_at = t.at, lease_until = t.until, owner = t.owner
    FROM unnest(CAST(? AS bigint[]), CAST(? AS text[])) AS v(seq, claim_id) CROSS JOIN (
        SELECT CAST(? AS bigint) AS at, CAST(? AS bigint) AS until, CAST(? AS text) AS owner) t
    WHERE d.seq = v.seq RETURNING d.*
), {STANDINGS}, moved AS ({HEADS})
SELECT {CLAIMED_COLUMNS} FROM leased l LEFT JOIN {{bodies}} b ON b.seq = l.body
"""  # noqa: S608 - columns

# What has come in is due when its endpoint may be served; unless so much has come in that this looks at a part only.
_NEXT: Final = f"""
SELECT least((SELECT min(ready_at) FROM {{heads}} WHERE ready_at IS NOT NULL),
    (SELECT min(lease_until) FROM {{deliveries}} WHERE state = 'leased'),
    (SELECT CASE WHEN count(*) < {ARRIVALS} THEN min(greatest(a.due_at, e.not_before)) FILTER (WHERE e.blocked = 0)
        ELSE min(a.due_at) END FROM (
        SELECT endpoint_id, due_at FROM {{deliveries}} WHERE {ARRIVING} ORDER BY seq LIMIT {ARRIVALS}) a
        LEFT JOIN {{endpoints}} e ON e.endpoint_id = a.endpoint_id)),
    {CLOCK}
"""  # noqa: S608 - a number and the clock

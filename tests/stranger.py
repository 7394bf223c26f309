"""A store as somebody writes it who has read the protocols' docstrings, and no other store.

Plain dicts behind one lock; a call that fails puts them back as they were. Nothing here is fast, and nothing needs to
be: ``test_stranger_store.py`` runs the contract kits over it, to show that the docstrings say enough.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import attrs

from hookkit.errors import InvalidEndpoint, NotFound, StoreError
from hookkit.events import patterns_for
from hookkit.fairness import Line, allocate
from hookkit.ids import delivery_id as new_delivery_id
from hookkit.model import Attempt, DeliveryState, Emission, Endpoint, Health, HealthBucket, LogEntry
from hookkit.work import (
    SETTLED_REASONS,
    Claim,
    EndpointState,
    HealthStep,
    Lane,
    Planned,
    Settled,
    Settlement,
    WebhookChange,
)

DAY = timedelta(hours=24)
SAID = ("", *SETTLED_REASONS)
TABLES = ("webhooks", "holds", "states", "tokens", "events", "rows", "recorded")


@attrs.frozen
class Row:
    """A delivery: its log entry, and what only the queue knows."""

    entry: LogEntry
    profile: str
    lane: Lane = "first"
    schedule_start: int = 0
    kept: bool = True
    claim_id: str = ""
    claimed_at: Any = None
    lease_until: Any = None


@attrs.frozen
class Stored:
    """An event that was stored."""

    emission: Emission
    key: str | None
    made_at: datetime


def place(entry: LogEntry) -> tuple[datetime, str]:
    """Return where `entry` stands in the log: by its last attempt, or without one, by its making."""
    return (entry.attempts[-1].started_at if entry.attempts else entry.created_at), entry.delivery_id


class StrangerStore:
    """All four store protocols, sync, in memory. There is no transaction to join."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.webhooks: dict[str, Endpoint] = {}
        self.holds: dict[str, bool] = {}
        self.states: dict[str, EndpointState] = {}
        self.tokens: dict[str, tuple[float, datetime | None]] = {}
        self.events: dict[tuple[str, str], Stored] = {}
        self.rows: dict[str, Row] = {}
        self.recorded: dict[str, LogEntry] = {}

    @contextmanager
    def change(self, now: datetime | None = None) -> Iterator[None]:
        """Make what happens inside atomic. With `now`, leases that have run out are found first."""
        with self.lock:
            for row in self.leased() if now is not None else []:
                if row.lease_until <= now:
                    lost = Attempt(len(row.entry.attempts) + 1, row.claimed_at, now - row.claimed_at, reason="lost")
                    self.wait(self.tried(row, lost), now, now)
            before = {table: dict(getattr(self, table)) for table in TABLES}
            try:
                yield
            except BaseException:
                vars(self).update(before)
                raise

    # --- WebhookStore -------------------------------------------------------------------------------------------------

    def add_webhook(self, endpoint: Endpoint) -> None:
        with self.lock:
            if endpoint.id in self.webhooks:
                raise InvalidEndpoint(f"id: there is a webhook {endpoint.id!r} already", "id")
            self.webhooks[endpoint.id] = endpoint

    def get_webhook(self, endpoint_id: str) -> Endpoint:
        with self.lock:
            if endpoint_id not in self.webhooks:
                raise NotFound(f"no webhook {endpoint_id!r}")
            return self.webhooks[endpoint_id]

    def list_webhooks(
        self, *, tenant: str | None = None, limit: int = 100, after: str | None = None
    ) -> Sequence[Endpoint]:
        with self.lock:
            found = [self.webhooks[id] for id in sorted(self.webhooks) if after is None or id > after]
        return [endpoint for endpoint in found if tenant in {None, endpoint.tenant}][:limit]

    def update_webhook(
        self, endpoint_id: str, change: WebhookChange, *, now: datetime, held: str = "deliver"
    ) -> Endpoint:
        with self.change(now):
            old = self.get_webhook(endpoint_id)
            new = self.webhooks[endpoint_id] = change(old)
            if old.enabled and not new.enabled:
                self.hold(endpoint_id, now=now)
            elif new.enabled and not old.enabled:
                self.release(endpoint_id, now=now, drop=held == "drop")
            return new

    def remove_webhook(self, endpoint_id: str, *, now: datetime) -> None:
        with self.change(now):
            self.get_webhook(endpoint_id)
            self.fail_pending(endpoint_id, reason="removed", now=now)
            for table in (self.webhooks, self.holds, self.states, self.tokens):
                table.pop(endpoint_id, None)

    def subscribers(self, tenant: str, event_type: str, *, tx: Any = None) -> Sequence[Endpoint]:
        self.refuse(tx)
        wanted = {*patterns_for(event_type)}
        return [one for one in self.list_webhooks(tenant=tenant, limit=len(self.webhooks)) if wanted & {*one.events}]

    # --- Outbox -------------------------------------------------------------------------------------------------------

    def refuse(self, tx: object) -> None:
        if tx is not None:
            raise TypeError(f"this store has no transaction to join; got tx={type(tx).__name__}")

    def enqueue(self, planned: Sequence[Planned], *, now: datetime, tx: Any = None) -> list[Emission]:
        self.refuse(tx)
        with self.change():
            return [self.enqueue_one(event, now) for event in planned]

    def enqueue_one(self, event: Planned, now: datetime) -> Emission:
        known = {id: stored for (tenant, id), stored in self.events.items() if tenant == event.tenant}
        keyed = [stored for stored in known.values() if stored.key is not None and stored.key == event.idempotency_key]
        first = keyed[0] if keyed else known.get(event.event_id)
        if first is not None:
            return attrs.evolve(first.emission, duplicate=True)
        deliveries = [one for one in event.deliveries if one.endpoint_id in self.webhooks]
        emission = Emission(event.event_id, tuple(one.delivery_id for one in deliveries))
        if event.deliveries or event.idempotency_key is not None:
            self.events[event.tenant, event.event_id] = Stored(emission, event.idempotency_key, now)
        for one in deliveries:
            ids = (one.delivery_id, event.event_id, event.event_type, one.endpoint_id, event.tenant)
            self.wait(Row(LogEntry(*ids, "pending", (), now, body=one.body), one.profile), now, now)
        return emission

    # --- How a delivery moves -----------------------------------------------------------------------------------------

    def put(self, row: Row, state: DeliveryState, *, due: datetime | None = None, **changes: Any) -> None:
        """Save `row` in a state that has no lease."""
        entry = attrs.evolve(row.entry, state=state, next_attempt_at=due, **changes)
        self.rows[entry.delivery_id] = attrs.evolve(row, entry=entry, claim_id="", claimed_at=None, lease_until=None)

    def wait(self, row: Row, now: datetime, due: datetime) -> None:
        """Save `row` as pending, or as what its webhook makes of that."""
        endpoint_id = row.entry.endpoint_id
        if endpoint_id not in self.webhooks:
            self.put(row, "failed", finished_at=now, reason="removed")
        elif self.is_held(endpoint_id):
            self.put(row, "held")
        else:
            self.put(row, "pending", due=due)

    def tried(self, row: Row, attempt: Attempt | None) -> Row:
        """Return `row` with its attempt, in the lane for the next."""
        attempts = row.entry.attempts if attempt is None else (*row.entry.attempts, attempt)
        lane: Lane = "recover" if row.lane == "recover" else "retry"
        return attrs.evolve(row, lane=lane, entry=attrs.evolve(row.entry, attempts=attempts))

    def of(self, endpoint_id: str, *states: DeliveryState) -> list[Row]:
        return [row for row in self.rows.values() if row.entry.endpoint_id == endpoint_id and row.entry.state in states]

    def leased(self, claim_ids: Collection[str] | None = None) -> list[Row]:
        leased = [row for row in self.rows.values() if row.entry.state == "leased"]
        return [row for row in leased if claim_ids is None or row.claim_id in claim_ids]

    def state(self, endpoint_id: str) -> EndpointState:
        webhook = self.webhooks[endpoint_id]
        state = self.states.get(endpoint_id) or EndpointState(endpoint_id, webhook.tenant)
        if webhook.enabled:
            return state
        return attrs.evolve(state, state="disabled", disabled_reason=webhook.disabled_reason)

    def is_held(self, endpoint_id: str) -> bool:
        return endpoint_id in self.holds or self.state(endpoint_id).state == "disabled"

    def line(self, endpoint_id: str) -> Line:
        in_flight = len(self.of(endpoint_id, "leased"))
        tokens, since = self.tokens.get(endpoint_id, (0.0, None))
        return Line(self.state(endpoint_id), self.is_held(endpoint_id), in_flight, tokens, since)

    # --- DeliveryQueue: leases ----------------------------------------------------------------------------------------

    def pending(self, wanted: Callable[[Row], bool]) -> dict[str, list[Row]]:
        """Return each endpoint's pending deliveries; everything in the order in which it is due."""
        pending: dict[str, list[Row]] = {}
        rows = [row for row in self.rows.values() if row.entry.state == "pending" and wanted(row)]
        for row in sorted(rows, key=lambda row: (row.entry.next_attempt_at, row.entry.delivery_id)):
            pending.setdefault(row.entry.endpoint_id, []).append(row)
        return pending

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
    ) -> list[Claim]:
        def due_now(row: Row) -> bool:
            return row.lane == lane and row.profile in profiles and row.entry.next_attempt_at <= now

        with self.change(now):
            due = self.pending(due_now)
            lines = {id: self.line(id) for id in due}
            rooms = {id: min(len(due[id]), lines[id].room(self.webhooks[id], now)) for id in due}
            candidates = [lines[id].candidate(rooms[id]) for id in due]
            slots = allocate(candidates, limit=limit, limit_busy=limit_busy, limit_failing=limit_failing)
            return [self.lease(row, now, lease) for id, count in slots.items() for row in due[id][:count]]

    def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim:
        with self.change(now):
            row = self.row(delivery_id)
            if row.entry.state != "pending":
                raise StoreError(f"{delivery_id} is {row.entry.state}; only a pending delivery can be leased")
            return self.lease(row, now, lease)

    def row(self, delivery_id: str) -> Row:
        if delivery_id not in self.rows:
            raise NotFound(f"no delivery {delivery_id!r}")
        return self.rows[delivery_id]

    def lease(self, row: Row, now: datetime, lease: timedelta) -> Claim:
        entry, claim_id = row.entry, uuid4().hex
        endpoint, line = self.webhooks[entry.endpoint_id], self.line(entry.endpoint_id)
        before = line.candidate(1)
        line.take(endpoint, now)
        self.tokens[endpoint.id] = (line.tokens, line.tokens_since)
        self.put(row, "leased")
        self.rows[entry.delivery_id] = attrs.evolve(
            self.rows[entry.delivery_id], claim_id=claim_id, claimed_at=now, lease_until=now + lease
        )
        event = (entry.event_id, entry.event_type, entry.body, row.profile)
        made = (entry.tenant, entry.created_at, entry.attempts, row.schedule_start)
        number = len(entry.attempts) + 1
        return Claim(claim_id, entry.delivery_id, *event, number, endpoint, *made, before.busy, before.failing)

    def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]:
        with self.change(now):
            held = self.leased(claim_ids)
            for row in held:
                self.rows[row.entry.delivery_id] = attrs.evolve(row, lease_until=now + lease)
            return {row.claim_id for row in held}

    def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        with self.change(now):
            held = self.leased(claim_ids)
            for row in held:
                self.wait(row, now, now)
            return {row.claim_id for row in held}

    def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        with self.change(now):
            claimed = {row.claim_id: row for row in self.leased()}
            held = [one for one in done if one.claim_id in claimed]
            settled: dict[str, Settled] = {}
            for one in sorted(held, key=lambda one: claimed[one.claim_id].entry.endpoint_id):
                settled[one.claim_id] = self.settle_one(claimed[one.claim_id], one, now, step)
            return [settled.get(one.claim_id, Settled(applied=False)) for one in done]

    def settle_one(self, row: Row, done: Settlement, now: datetime, step: HealthStep) -> Settled:
        tried, id = self.tried(row, done.attempt), row.entry.endpoint_id
        if done.state == "pending":
            self.wait(tried, now, done.due_at or now)
        else:
            self.put(tried, done.state, finished_at=now, reason=done.entry.reason)
        if done.attempt is None or id not in self.webhooks:
            return Settled(applied=True)
        old = self.state(id)
        self.states[id], notices = step(old, done.attempt, now)
        if self.states[id].state == "disabled" != old.state:
            reason = self.states[id].disabled_reason
            self.webhooks[id] = attrs.evolve(self.webhooks[id], enabled=False, disabled_reason=reason)
            self.hold(id, now=now)
        return Settled(applied=True, notices=notices)

    # --- DeliveryQueue: what people ask for ---------------------------------------------------------------------------

    def hold(self, endpoint_id: str, *, now: datetime) -> None:
        with self.change(now):
            if endpoint_id in self.webhooks:
                self.holds[endpoint_id] = True
            for row in self.of(endpoint_id, "pending"):
                self.put(row, "held")

    def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None:
        with self.change(now):
            self.holds.pop(endpoint_id, None)
            old = self.states.pop(endpoint_id, EndpointState(endpoint_id))
            if endpoint_id in self.webhooks:
                last = {"last_success_at": old.last_success_at, "last_failure_at": old.last_failure_at}
                self.states[endpoint_id] = EndpointState(endpoint_id, self.webhooks[endpoint_id].tenant, **last)
            for row in self.of(endpoint_id, "held"):
                if drop:
                    self.put(row, "failed", finished_at=now, reason="dropped")
                else:
                    self.wait(row, now, now)

    def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None:
        with self.change(now):
            for row in self.of(endpoint_id, "pending", "held"):
                self.put(row, "failed", finished_at=now, reason=reason)

    def redeliver(self, delivery_id: str, *, now: datetime) -> str:
        with self.change(now):
            row, new = self.row(delivery_id), new_delivery_id()
            self.get_webhook(row.entry.endpoint_id)
            if not row.kept:
                raise StoreError(f"{delivery_id}: its payload is no longer kept, so it cannot be sent again")
            fresh = {"delivery_id": new, "attempts": (), "created_at": now, "finished_at": None, "reason": ""}
            self.wait(Row(attrs.evolve(row.entry, **fresh), row.profile, "recover"), now, now)
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
        with self.change(now):
            rows = self.of(endpoint_id, "failed", "succeeded") if endpoint_id in self.webhooks else []
            rows = [row for row in rows if row.entry.state in states and row.kept]
            rows = [row for row in rows if since <= place(row.entry)[0] <= until]
            for row in [] if dry_run else rows:
                entry = attrs.evolve(row.entry, finished_at=None, reason="")
                again = attrs.evolve(row, entry=entry, lane="recover", schedule_start=len(entry.attempts))
                self.wait(again, now, now)
            return len(rows)

    def next_due(self, *, now: datetime) -> datetime | None:
        with self.change(now):
            times = [row.lease_until for row in self.leased()]
            for id, rows in self.pending(lambda _: True).items():
                opens = self.line(id).opens_at(self.webhooks[id], now)
                if opens is not None:
                    times.append(max(opens, rows[0].entry.next_attempt_at))
            return min(times, default=None)

    def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int:
        with self.change(now):
            held = [row for row in self.rows.values() if row.entry.state == "held" and row.entry.created_at < before]
            for row in held[:limit]:
                self.put(row, "failed", finished_at=now, reason="expired")
            return len(held[:limit])

    def ended(self, *, since: datetime) -> list[str]:
        with self.lock:
            failed = [row.entry for row in self.rows.values() if row.entry.state == "failed"]
        return [one.delivery_id for one in failed if one.finished_at >= since and one.reason not in SAID]

    # --- LogStore -----------------------------------------------------------------------------------------------------

    def entries(self) -> dict[str, LogEntry]:
        """Return every entry; of its own deliveries the queue knows best."""
        return {**self.recorded, **{id: row.entry for id, row in self.rows.items()}}

    def record(self, entries: Iterable[LogEntry]) -> None:
        with self.change():
            for entry in entries:
                old = self.recorded.get(entry.delivery_id)
                if old is None or len(old.attempts) <= len(entry.attempts):
                    self.recorded[entry.delivery_id] = entry

    def recent(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        window: timedelta = DAY,
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[LogEntry]:
        with self.lock:
            entries = self.entries()
        if before is not None and before not in entries:
            return []
        found = [entry for entry in entries.values() if entry.endpoint_id == endpoint_id]
        found = [entry for entry in found if entry.attempts or state in {"pending", "held"}]
        found = [entry for entry in found if state in {None, entry.state} and event in {None, entry.event_type}]
        found = [entry for entry in found if now - window <= place(entry)[0] <= now]
        found = [entry for entry in found if before is None or place(entry) < place(entries[before])]
        return sorted(found, key=place, reverse=True)[:limit]

    def entry(self, delivery_id: str) -> LogEntry:
        with self.lock:
            if delivery_id not in self.entries():
                raise NotFound(f"no delivery {delivery_id!r}")
            return self.entries()[delivery_id]

    def health(self, endpoint_ids: Collection[str], *, now: datetime, window: timedelta = DAY) -> dict[str, Health]:
        with self.lock:
            return {id: self.health_of(id, now - window, now) for id in endpoint_ids}

    def health_of(self, endpoint_id: str, since: datetime, until: datetime) -> Health:
        entries = [entry for entry in self.entries().values() if entry.endpoint_id == endpoint_id]
        counted = [entry for entry in entries if entry.attempts and since <= place(entry)[0] <= until]
        tries = [one for entry in entries for one in entry.attempts if one.reason != "lost"]
        durations = sorted(one.duration for one in tries if since <= one.started_at <= until)
        state = self.state(endpoint_id) if endpoint_id in self.webhooks else from_log(endpoint_id, tries)
        counts = tally(counted)
        edges = [since + (until - since) * index / 24 for index in range(25)]
        return Health(
            len(counted),
            **counts,
            pending=sum(not entry.attempts and entry.finished_at is None for entry in entries),
            success_rate=counts["succeeded"] / len(counted) if counted else None,
            state=state.state,
            since=since,
            until=until,
            buckets=tuple(
                HealthBucket(start, **tally(one for one in counted if start <= place(one)[0] < end))
                for start, end in zip(edges[:-1], [*edges[1:-1], until + timedelta.resolution], strict=True)
            ),
            last_success_at=state.last_success_at,
            last_failure_at=state.last_failure_at,
            consecutive_failures=state.consecutive_failures,
            latency_p50=durations[(len(durations) * 50 + 99) // 100 - 1] if durations else None,
            latency_p95=durations[(len(durations) * 95 + 99) // 100 - 1] if durations else None,
        )

    def prune(self, *, payloads_before: datetime, entries_before: datetime, limit: int) -> int:
        with self.change():
            ended = [entry for entry in self.entries().values() if entry.finished_at is not None]
            old = [one for one in ended if one.finished_at < entries_before]
            aged = [one for one in ended if entries_before <= one.finished_at < payloads_before and self.has_body(one)]
            for entry in [*old, *aged][:limit]:
                row = self.rows.pop(entry.delivery_id, None)
                self.recorded.pop(entry.delivery_id, None)
                tried = tuple(attrs.evolve(one, response_body=b"") for one in entry.attempts)
                bare = attrs.evolve(entry, body=b"", attempts=tried)
                if entry in aged and row is not None:
                    self.rows[entry.delivery_id] = attrs.evolve(row, entry=bare, kept=False)
                elif entry in aged:
                    self.recorded[entry.delivery_id] = bare
            for name, stored in [*self.events.items()]:
                firsts = stored.emission.delivery_ids
                kept = any(one in self.rows and self.rows[one].kept for one in firsts)
                if not kept and (firsts or stored.made_at < payloads_before):
                    del self.events[name]
            return len([*old, *aged][:limit])

    def has_body(self, entry: LogEntry) -> bool:
        return self.rows[entry.delivery_id].kept if entry.delivery_id in self.rows else entry.body != b""


def tally(entries: Iterable[LogEntry]) -> dict[str, int]:
    states = [entry.state if entry.state in {"succeeded", "failed"} else "retrying" for entry in entries]
    return {state: states.count(state) for state in ("succeeded", "failed", "retrying")}


def from_log(endpoint_id: str, tries: list[Attempt]) -> EndpointState:
    """Return what the log alone tells of an endpoint's health."""
    state = EndpointState(endpoint_id)
    for one in sorted(tries, key=lambda one: one.started_at):
        if one.reason:
            failures = state.consecutive_failures + 1
            state = attrs.evolve(state, consecutive_failures=failures, last_failure_at=one.started_at)
        else:
            state = attrs.evolve(state, consecutive_failures=0, last_success_at=one.started_at)
    return state

"""No statement of the SQLite store scans a table that grows: each finds its rows through an index."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hookkit import Attempt, Endpoint, LogEntry, health
from hookkit.stores.sqlite import SQLiteStore
from hookkit.work import Claim, Planned, PlannedDelivery, Settlement

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
ALLOWED = re.compile(r"SCAN (\d* ?CONSTANT ROWS?|hookkit_schema|sqlite_master|sqlite_schema|.*subquery.*|\(subquery.*)")


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Collects every statement that is run."""
    seen: set[str] = set()
    connect = sqlite3.connect

    def tracing(*args: object, **kwargs: object) -> sqlite3.Connection:
        connection = connect(*args, **kwargs)
        connection.set_trace_callback(seen.add)
        return connection

    monkeypatch.setattr(sqlite3, "connect", tracing)
    return seen


def settlement(claim: Claim, status: int) -> Settlement:
    """Return the outcome of an attempt that was answered with `status`."""
    attempt = Attempt(claim.attempt_number, NOW, 0.1, status, "" if status == 204 else "status")
    state = "succeeded" if status == 204 else "pending"
    entry = LogEntry(
        claim.delivery_id,
        claim.event_id,
        claim.event_type,
        claim.endpoint.id,
        "",
        state,
        (*claim.attempts, attempt),
        NOW,
    )
    return Settlement(claim.claim_id, attempt, state, NOW if state == "pending" else None, entry)


def exercise(store: SQLiteStore) -> None:
    """Call everything that a store can do."""
    for name in ("whk_1", "whk_2"):
        store.add_webhook(Endpoint("https://example.com/", ["user.*"], id=name, keys="k" * 32, rate_limit=(100, 1)))
    store.subscribers("", "user.created")
    body = b"{}"
    for number in range(8):
        deliveries = tuple(
            PlannedDelivery(f"dlv_{number}{name}", name, "standard", body) for name in ("whk_1", "whk_2")
        )
        store.enqueue([Planned(f"evt_{number}", "user.created", "", f"key{number}", deliveries)], now=NOW)
    store.enqueue([Planned("evt_0", "user.created", "", "key0", ())], now=NOW)
    again = {
        "limit_busy": 9,
        "limit_failing": 9,
        "lease": timedelta(seconds=30),
        "owner": "me",
        "profiles": {"standard"},
    }
    claims = store.claim(now=NOW, lane="first", limit=6, **again)
    store.extend([claims[0].claim_id], now=NOW, lease=DAY)
    store.give_back([claims[1].claim_id], now=NOW)
    store.settle(
        [settlement(claims[0], 204), settlement(claims[2], 500), settlement(claims[3], 410)], now=NOW, step=health.step
    )
    later = NOW + timedelta(minutes=1)
    retries = store.claim(now=later, lane="retry", limit=6, **again)
    store.settle([settlement(retries[0], 204)], now=later, step=health.step)
    store.claim_one(
        store.enqueue(
            [Planned("evt_9", "user.created", "", None, (PlannedDelivery("dlv_9", "whk_1", "standard", body),))],
            now=NOW,
        )[0].delivery_ids[0],
        now=later,
        lease=DAY,
        owner="me",
    )
    store.next_due(now=later)
    store.redeliver(claims[0].delivery_id, now=later)
    for dry_run in (True, False):
        store.recover("whk_1", since=NOW - DAY, until=later, states=("succeeded",), now=later, dry_run=dry_run)
    store.record([LogEntry("dlv_x", "evt_x", "user.created", "whk_1", "", "pending", (Attempt(1, NOW),), NOW)] * 2)
    for state in (None, "held", "failed"):
        store.recent("whk_1", now=later, state=state, event="user.created", before=claims[0].delivery_id)
    store.entry(claims[0].delivery_id)
    store.health(["whk_1", "whk_2"], now=later)
    store.hold("whk_1", now=later)
    store.expire_held(before=NOW - DAY, now=later, limit=10)
    store.release("whk_1", now=later)
    store.update_webhook("whk_1", lambda endpoint: endpoint, now=later)
    store.list_webhooks(tenant="", after="whk_0")
    store.fail_pending("whk_2", reason="dropped", now=later)
    store.remove_webhook("whk_2", now=later)
    store.ended(since=later)
    store.prune(payloads_before=later + DAY, entries_before=NOW, limit=10)
    store.prune(payloads_before=later + DAY, entries_before=later + DAY, limit=10)


def test_no_statement_scans_a_table(tmp_path: Path, statements: set[str]) -> None:
    """Whatever a store is asked, the planner finds an index for it: cost grows with the answer, not with the table."""
    path = tmp_path / "hookkit.db"
    with SQLiteStore(path) as store:
        exercise(store)
        plain = sqlite3.connect(path)
        scans = {
            f"{step[3]}: {statement}"
            for statement in sorted(statements)
            if re.match(r"(WITH|SELECT|UPDATE|DELETE|INSERT)\b", statement)
            for step in plain.execute(f"EXPLAIN QUERY PLAN {statement}")
            if (step[3].startswith("SCAN") and ALLOWED.match(step[3]) is None) or step[3].endswith("(body>?)")
        }
        plain.close()
    assert scans == set()

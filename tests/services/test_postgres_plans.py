"""What the queue asks of the server stays as cheap as it is, however much lies there that cannot be served."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from postgres_tables import FAST

from hookkit import health
from hookkit.fairness import Limits
from hookkit.stores.postgres import _claims, _leases, _settling
from hookkit.stores.sql import drive
from hookkit.testing.bench import Bench
from hookkit.testing.builders import settlement

ENDPOINTS, EACH = 2_000, 50
PAGES = 100
"""What a statement may touch at most, to find one delivery; the deliveries alone lie on thousands."""

BLOCKED = f"""
INSERT INTO {{}}.webhooks SELECT r.* FROM {{}}.webhooks w CROSS JOIN generate_series(1, {ENDPOINTS}) n
    CROSS JOIN LATERAL jsonb_populate_record(w, jsonb_build_object('id', 'whk_blocked' || n)) r;
INSERT INTO {{}}.endpoints SELECT r.* FROM {{}}.endpoints e CROSS JOIN generate_series(1, {ENDPOINTS}) n
    CROSS JOIN LATERAL jsonb_populate_record(e, jsonb_build_object('endpoint_id', 'whk_blocked' || n, 'in_flight', 4,
        'blocked', 1)) r;
INSERT INTO {{}}.heads SELECT r.* FROM {{}}.heads h CROSS JOIN generate_series(1, {ENDPOINTS}) n
    CROSS JOIN LATERAL jsonb_populate_record(h, jsonb_build_object('endpoint_id', 'whk_blocked' || n, 'busy', 1,
        'ready_at', NULL)) r;
INSERT INTO {{}}.deliveries OVERRIDING SYSTEM VALUE SELECT r.* FROM {{}}.deliveries d
    CROSS JOIN generate_series(1, {EACH}) m CROSS JOIN generate_series(1, {ENDPOINTS}) n
    CROSS JOIN LATERAL jsonb_populate_record(d, jsonb_build_object('seq', d.seq + m * {ENDPOINTS} + n,
        'id', 'dlv_blocked' || m || '_' || n, 'endpoint_id', 'whk_blocked' || n)) r
"""


@pytest.fixture
def blocked(tables):
    """A store with 100,000 deliveries of endpoints that are at their caps, and one endpoint that may be served."""
    with closing(tables.store()) as store:
        bench = Bench(store, store, store)
        to = bench.register()
        bench.emit(to)
        (claim,) = bench.claim()
        bench.queue.give_back([claim.claim_id], now=bench.now)
        tables.connection.execute(BLOCKED.replace("{}", tables.schema))
        for table in "deliveries endpoints heads webhooks".split():
            tables.connection.execute(f"VACUUM (FULL, ANALYZE) {tables.schema}.{table}")
        yield store, bench, to


def pages_of(plan) -> int:
    """Return how many pages a plan touched, whether or not they were in memory."""
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def nodes(plan):
    """Yield the nodes of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


class Measured:
    """Runs operations in one transaction, and notes what each of their statements touched."""

    def __init__(self, connection) -> None:
        self._connection = connection
        self.pages: list[tuple[int, str]] = []
        self.scanned: set[str] = set()

    def run(self, steps):
        """Run an operation."""
        return drive(steps, self._execute)

    def _execute(self, sql, params):
        with self._connection.transaction(force_rollback=True):
            explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}"
            ((found,),) = self._connection.execute(explain, params or None).fetchall()
        self.pages.append((pages_of(found[0]["Plan"]), sql))
        self.scanned |= {
            node["Relation Name"] for node in nodes(found[0]["Plan"]) if node["Node Type"].endswith("Seq Scan")
        }
        cursor = self._connection.execute(sql, params or None)
        return cursor.fetchall() if cursor.description else []


def test_what_is_blocked_costs_nothing(blocked, tables) -> None:
    """A claim and its settlement touch a few pages, and read none of the tables that grow from end to end."""
    store, bench, to = blocked
    assert tables.ask("SELECT count(*) FROM {}.deliveries WHERE state = 'pending'") == [(ENDPOINTS * EACH + 1,)]
    bench.emit(to)
    one, lease = store._tables, bench.later(60) - bench.now
    with closing(psycopg.connect(FAST)) as connection:
        measured = Measured(connection)
        looked = measured.run(_claims.look(one, bench.now, ["first", "retry"], ["standard"]))
        assert looked[1:] == (False, True, {"first"})
        found = measured.run(
            _claims.claim(
                one,
                looked._replace(expired=True),
                lanes=["first"],
                bounds=lambda _, __: Limits(32, 16, 16),
                lease=lease,
                owner="w",
                profiles=["standard"],
            )
        )
        claims = [claim for _, claim in found]
        assert {claim.endpoint.id for claim in claims} == {to}
        measured.run(_leases.extend(one, [claims[0].claim_id], now=bench.now, lease=lease))
        measured.run(_claims.next_due(one, now=bench.now))
        done = [settlement(claim, at=bench.now, status=200, due_at=None) for claim in claims]
        assert all(one.applied for one in measured.run(_settling.settle(one, done, now=bench.now, step=health.step)))
        assert measured.run(_claims.look(one, bench.now, ["first", "retry"], ["standard"])).vain
        connection.rollback()
    # Up to 1,000 endpoints are looked up at once: of so few as these, it is a fair choice to read all.
    assert measured.scanned <= {"endpoints"}
    assert max(measured.pages)[0] <= PAGES, max(measured.pages)

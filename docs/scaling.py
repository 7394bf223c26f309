"""Works ``docs/scaling.md`` out from ``benchmarks/results/workers.json``: ``python docs/scaling.py`` after a run."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_suffix(".md")
RESULTS = PAGE.parent.parent / "benchmarks" / "results" / "workers.json"
GOAL = 100_000
HEADROOM = 2
"""How much larger everything is made than it would have to be."""
NOTIFY_LIMIT = 5_000
"""Commits a second with a NOTIFY that one database is given here: they take one lock, one after the other."""
BODY_BYTES, LOG_BYTES = 1_024, 1_024
KEEP_PAYLOADS_DAYS, KEEP_LOG_DAYS = 7, 30
SLOTS = 32
RECEIVER_S = 0.2


def median(results: dict[str, Any], name: str, key: str) -> float:
    """Return the median of a figure over the runs."""
    return float(statistics.median(run[key] for run in results["runs"][name]))


def plan(results: dict[str, Any]) -> dict[str, float]:
    """Return every figure of the page."""
    # What a delivery costs is best seen where processes do not share more than the machine has processors.
    worker_ms, server_ms = (median(results, "postgres, http, 2", key) for key in ("worker_ms", "server_ms"))
    worker_cpus, server_cpus = (GOAL * each / 1000 for each in (worker_ms, server_ms))
    shard = max(median(results, f"postgres, http, {n}", "per_second") for n in (1, 2, 4))
    shards = math.ceil(GOAL * HEADROOM / shard)
    per_second = GOAL * HEADROOM
    processes = math.ceil(max(worker_cpus * HEADROOM, GOAL * RECEIVER_S / SLOTS * HEADROOM))
    return {
        "worker_ms": worker_ms,
        "server_ms": server_ms,
        "one": median(results, "postgres, http, 1", "per_second"),
        "two": median(results, "postgres, http, 2", "per_second"),
        "four": median(results, "postgres, http, 4", "per_second"),
        "shard": shard,
        "shards": shards,
        "worker_cpus": worker_cpus,
        "server_cpus": server_cpus,
        "in_flight": GOAL * RECEIVER_S,
        "processes": processes,
        "each": math.ceil(processes / shards),
        "connections": math.ceil(processes / shards) * 2,
        "notify_shards": math.ceil(per_second / NOTIFY_LIMIT),
        "payload_tb": GOAL * BODY_BYTES * 86_400 * KEEP_PAYLOADS_DAYS / 1e12,
        "log_tb": GOAL * LOG_BYTES * 86_400 * KEEP_LOG_DAYS / 1e12,
        "sockets": GOAL,
    }


def page(results: dict[str, Any]) -> str:
    """Return the whole page."""
    p, about = plan(results), results["about"]
    return f"""# To {GOAL:,} deliveries a second

A plan on paper. Nothing of this size was built or run: one machine was measured, and the rest is arithmetic, which
`docs/scaling.py` does anew from `benchmarks/results/workers.json` after every `nox -s bench-workers`
(`tests/test_scaling_page.py` compares). Neither Citus nor several shards were run.

## What was measured

PostgreSQL, workers and receivers share one machine: {about["processor"]}; Python {about["python"]}.
{about["runs"]} run(s) of {about["deliveries"]} deliveries over HTTP on loopback.

| worker processes | deliveries a second |
| ---: | ---: |
| 1 | {p["one"]:,.0f} |
| 2 | {p["two"]:,.0f} |
| 4 | {p["four"]:,.0f} |

A delivery costs {p["worker_ms"]:.2f} ms of a processor in a worker, and {p["server_ms"]:.2f} ms in PostgreSQL.
What bounds it is processors: a database with a machine of its own does more than is shown here.

## The arithmetic

Everything is made {HEADROOM} times as large as it would have to be.

| what | how it is reckoned | so many |
| --- | --- | ---: |
| processors for workers | {GOAL:,} × {p["worker_ms"]:.2f} ms | {p["worker_cpus"]:,.0f} |
| processors for PostgreSQL | {GOAL:,} × {p["server_ms"]:.2f} ms | {p["server_cpus"]:,.0f} |
| shards as large as the machine measured | {GOAL:,} × {HEADROOM} ÷ {p["shard"]:,.0f} | {p["shards"]:,} |
| under way at once, if a receiver takes {RECEIVER_S:g} s | {GOAL:,} × {RECEIVER_S:g} s | {p["in_flight"]:,.0f} |
| worker processes of {SLOTS} slots | the larger of processors and slots, × {HEADROOM} | {p["processes"]:,} |
| worker processes for each shard | {p["processes"]:,} ÷ {p["shards"]:,} | {p["each"]:,} |
| connections to each shard | one to work and one to listen for each process | {p["connections"]:,} |
| new TCP connections a second | one for each delivery | {p["sockets"]:,} |
| payloads of {BODY_BYTES:,} bytes, {KEEP_PAYLOADS_DAYS} days | {GOAL:,} × bytes × seconds | {p["payload_tb"]:,.0f} TB |
| log entries of {LOG_BYTES:,} bytes, {KEEP_LOG_DAYS} days | {GOAL:,} × bytes × seconds | {p["log_tb"]:,.0f} TB |

## Shards

A shard is a database, or a schema, with its own workers: `PostgresStore(dsn, schema=…)`. A tenant lives in one of them,
and the host knows which; a tenant's webhooks, events, caps and rates are then all in one place, and no shard knows of
another. A host that emits within its own transaction must have its own tables in the same database, so shards follow
the host's. Nothing in hookkit moves a tenant from one to another.

## Partitions

Within a shard finished deliveries are deleted in small batches, which costs writes and vacuum. At this size the log is
better kept elsewhere (`logs=`), and `keep_log` short. hookkit's tables are not partitioned.

## Engines

An engine such as NATS or Celery takes claims to more machines; it does not take the load off the database, which holds
the truth: [engines](engines.md).

## Connections

PgBouncer in transaction mode works if listening goes past it, or is off: [PostgreSQL](postgres.md#pgbouncer). A test
runs the store behind one where `pgbouncer` is installed, and is skipped aloud where it is not.

## What breaks first

1. Retention: {p["payload_tb"] + p["log_tb"]:,.0f} TB. Keep less, for a shorter time.
2. `NOTIFY`, which commits one after the other: reckoned at {NOTIFY_LIMIT:,} a second for a database (a guess, not
   measured), {p["notify_shards"]:,} databases would do. `listen=False` is the way round it, at the price of the poll.
3. One busy endpoint: its row is locked for every claim and settlement, so it is served by one process at a time.
4. Ephemeral ports: a machine has some 28,000 for each receiver's address, and each is kept for a minute after use.
5. Vacuum: a delivery's row changes three times, so {GOAL:,} deliveries leave at least {3 * GOAL:,} dead rows a
   second over all shards.
"""


if __name__ == "__main__":
    PAGE.write_text(page(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")

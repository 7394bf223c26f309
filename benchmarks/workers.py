"""Deliveries a second with 1, 2 and 4 worker processes on one database, and what bounds them.

Run it with ``nox -s bench-workers``. The deliveries are there before the workers begin. They are sent twice over: to
nowhere (a transport that answers 204 at once), which shows what store and worker can do, and over HTTP on loopback.
Processor time is read from ``/proc``: the workers' own, and that of the PostgreSQL on this machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from field import (
    STORES,
    Receiver,
    cell,
    keep,
    machine,
    opened,
    opened_again,
    page,
    postgres_version,
    present,
    spread,
    table,
)

from hookkit import Endpoint, Registry, Reply, Request, Worker
from hookkit.targets import LOOPBACK
from hookkit.testing.builders import planned
from hookkit.transports.httpx import HttpxTransport

ENDPOINTS, CAP, CONCURRENCY = 50, 100, 32
PROCESSES = (1, 2, 4)
TICKS = os.sysconf("SC_CLK_TCK")


class Nowhere:
    """A transport that answers 204 at once."""

    total_timeout = 5.0
    targets = LOOPBACK

    def send(self, request: Request) -> Reply:
        """Send nothing."""
        return Reply(204)


class Noting:
    """A transport that keeps the event ids of what it sends."""

    def __init__(self, inner: Nowhere | HttpxTransport) -> None:
        self.total_timeout = inner.total_timeout
        self.targets = LOOPBACK
        self.events: list[str] = []
        self._inner = inner

    def send(self, request: Request) -> Reply:
        """Send, and note it."""
        self.events.append(next(value for name, value in request.headers if name == "webhook-id"))
        return self._inner.send(request)


# --- One worker process -----------------------------------------------------------------------------------------------


def work(wire: str, kind: str, *where: str) -> None:
    """Open the store, wait for a line, work until nothing is left; tell what was sent, and when it was over."""
    store = opened_again(kind, *where)
    transport = Noting(Nowhere() if wire == "nowhere" else HttpxTransport(targets=LOOPBACK))
    worker = Worker(store, transport=transport, concurrency=CONCURRENCY)
    store.next_due(now=datetime.now(UTC))
    print("ready", flush=True)
    sys.stdin.readline()
    used = os.times()
    worker.start()
    while (due := store.next_due(now=datetime.now(UTC))) is not None and due < datetime.now(UTC) + timedelta(minutes=5):
        time.sleep(0.05)
    ended = time.monotonic()
    worker.stop()
    now = os.times()
    cpu = now.user + now.system - used.user - used.system
    print(json.dumps({"events": transport.events, "ended": ended, "cpu_s": cpu}), flush=True)
    store.close()


# --- The measurement --------------------------------------------------------------------------------------------------


def postgres_cpu_s() -> float:
    """Return the processor time of every PostgreSQL process of this machine, and of those that have ended."""
    total = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = path.read_text(encoding="utf-8").rsplit(")", 1)
        except OSError:  # it has ended
            continue
        if name.endswith("(postgres"):
            values = [int(value) for value in fields.split()[11:15]]
            total += sum(values)  # the ended ones are their parent's
    return total / TICKS


def fill(store: object, url: str, count: int) -> None:
    """Make webhooks, and deliveries to them."""
    registry = Registry(store, targets=LOOPBACK)  # type: ignore[arg-type]
    ids = [registry.create(Endpoint(f"{url}/well/{n}", "*", max_in_flight=CAP)).id for n in range(ENDPOINTS)]
    events = [planned(ids[n % ENDPOINTS]) for n in range(count)]
    for first in range(0, count, 500):
        store.enqueue(events[first : first + 500], now=datetime.now(UTC))  # type: ignore[attr-defined]


def measure(kind: str, wire: str, processes: int, count: int, url: str) -> dict[str, float]:
    """Return deliveries a second, those sent twice, and the processors that workers and server kept busy."""
    with opened(kind) as (store, where):
        fill(store, url, count)
        command = [sys.executable, __file__, "work", wire, *where]
        children = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # noqa: S603 - this file
            for _ in range(processes)
        ]
        for child in children:
            assert child.stdout is not None
            assert child.stdout.readline() == "ready\n"
        server, began = postgres_cpu_s(), time.monotonic()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        told = [json.loads(child.communicate()[0]) for child in children]
        server = postgres_cpu_s() - server
    seconds = max(one["ended"] for one in told) - began
    sent = [event for one in told for event in one["events"]]
    assert len(set(sent)) == count, f"{len(set(sent))} of {count} were sent"
    return {
        "per_second": count / seconds,
        "twice": len(sent) - count,
        "worker_cpus": sum(one["cpu_s"] for one in told) / seconds,
        "server_cpus": server / seconds if kind == "postgres" else 0.0,
        "worker_ms": sum(one["cpu_s"] for one in told) / count * 1000,
        "server_ms": server / count * 1000 if kind == "postgres" else 0.0,
    }


def rows_of(found: dict[str, list[dict[str, float]]]) -> Iterable[list[str]]:
    """Yield the rows of the table."""
    for name, all_runs in found.items():
        figures = {key: spread([run[key] for run in all_runs]) for key in all_runs[0]}
        yield [
            *name.split(", "),
            cell(figures["per_second"], 0),
            str(int(figures["twice"]["most"])),
            cell(figures["worker_cpus"]),
            cell(figures["server_cpus"]),
            cell(figures["worker_ms"]),
            cell(figures["server_ms"]),
        ]


def main() -> None:
    """Measure; with ``--write`` keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    parser.add_argument("--quick", action="store_true", help="only see whether it works")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--deliveries", type=int, default=5_000, help="how many in each run")
    given = parser.parse_args()
    runs, count = (1, 300) if given.quick else (given.runs, given.deliveries)
    kinds = present(STORES)
    about = machine(runs=runs, deliveries=count, endpoints=ENDPOINTS, slots=f"{CONCURRENCY} in each process")
    about |= {"quick": "only to see whether it works: no figures to go by"} if given.quick else {}
    about |= {"postgresql": postgres_version()} if "postgres" in kinds else {}
    receiver = Receiver()
    found: dict[str, list[dict[str, float]]] = {}
    for _ in range(runs):
        for kind in kinds:
            for wire in ("nowhere", "http"):
                for processes in PROCESSES:
                    one = measure(kind, wire, processes, count, receiver.url)
                    found.setdefault(f"{kind}, {wire}, {processes}", []).append(one)
    receiver.close()
    head = ("store", "sent to", "processes", "deliveries/s", "sent twice", "processors: workers", "… PostgreSQL")
    text = page(
        "Worker processes on one database",
        "nox -s bench-workers",
        about,
        table((*head, "ms of processor for each: workers", "… PostgreSQL"), list(rows_of(found))),
        "Where workers and PostgreSQL together keep all processors busy, it is those that bound it: more workers\n"
        "share them out, and add nothing. Else it is what each waits for: locks, disks, one writer at a time.",
    )
    print(text)
    if given.write:
        keep("workers", {"about": about, "runs": found}, text + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["work"]:
        work(*sys.argv[2:])
    else:
        main()

"""How long an event takes from ``emit`` to its receiver while nothing else is going on, beside a bare POST.

Run it with ``nox -s bench-latency``. Both go through the same transport to the same receiver, which is a process of its
own, and take turns: one POST, one event. What differs is storing, waking, claiming and signing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from itertools import count

from field import STORES, Receiver, cell, keep, machine, opened, page, percentile, present, spread, table

from hookkit import Endpoint, OutboxDispatcher, Registry, Request, Worker
from hookkit.targets import LOOPBACK
from hookkit.transports.httpx import HttpxTransport

BARS = {"p50": (0.5, 4.0), "p99": (0.99, 10.0)}
PAUSE_S = 0.01
_numbers = count(1)


def measure(kind: str, receiver: Receiver, pairs: int) -> dict[str, list[float]]:
    """Return the milliseconds of each, in turns, the first few left out."""
    took: dict[str, list[float]] = {"bare": [], "hookkit": []}
    with opened(kind) as (store, _), HttpxTransport(targets=LOOPBACK) as transport:
        Registry(store, targets=LOOPBACK).create(Endpoint(f"{receiver.url}/hooks", "*"))
        dispatcher = OutboxDispatcher(store)
        with Worker(store, transport=transport):
            body = b'{"type":"user.created","timestamp":"2026-01-31T09:30:00Z","data":{"id":"u_1"}}'

            def post(event_id: str) -> None:
                headers = (("content-type", "application/json"), ("webhook-id", event_id))
                transport.send(Request("POST", f"{receiver.url}/hooks", headers, body, 5))

            def emit(event_id: str) -> None:
                dispatcher.emit("user.created", {"id": "u_1"}, id=event_id)

            for number in range(pairs + 10):
                for name, send in (("bare", post), ("hookkit", emit)):
                    milliseconds = one(send, receiver)
                    if number >= 10:
                        took[name].append(milliseconds)
    return took


def one(send: Callable[[str], None], receiver: Receiver) -> float:
    """Send one, wait until it has arrived, let everything come to rest; return its milliseconds."""
    event_id = f"evt_{next(_numbers)}x{time.monotonic_ns()}"
    began = time.monotonic()
    send(event_id)
    arrived = receiver.wait_for(event_id)
    time.sleep(PAUSE_S)
    return (arrived - began) * 1000


def main() -> None:
    """Measure; with ``--write`` keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    parser.add_argument("--quick", action="store_true", help="only see whether it works")
    parser.add_argument("--pairs", type=int, default=500, help="how many of each in a run")
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    runs, pairs = (2, 40) if given.quick else (given.runs, given.pairs)
    about = machine(runs=runs, pairs=pairs)
    receiver = Receiver()
    kept: dict[str, object] = {"about": about, "milliseconds": {}}
    rows = []
    for kind in present(STORES):
        all_runs = [measure(kind, receiver, pairs) for _ in range(runs)]
        for bar, (share, most) in BARS.items():
            figures = {name: [percentile(run[name], share) for run in all_runs] for name in ("bare", "hookkit")}
            ratios = [ours / bare for ours, bare in zip(figures["hookkit"], figures["bare"], strict=True)]
            ratio = spread(ratios)
            met = "met" if ratio["median"] <= most else "missed"
            rows.append([kind, bar, cell(spread(figures["bare"])), cell(spread(figures["hookkit"])), cell(ratio)])
            rows[-1] += [f"≤ {most:g}", met]
            kept["milliseconds"] |= {f"{kind} {bar}": {**figures, "ratio": ratios}}  # type: ignore[operator]
    receiver.close()
    text = page(
        "From emit to the receiver, idle",
        "nox -s bench-latency",
        about,
        "Milliseconds on loopback; one at a time. The ratio is taken within each run.\n",
        table(("store", "", "a bare POST", "emit to receive", "ratio", "bar", ""), rows),
    )
    print(text)
    if given.write:
        keep("latency", kept, text)


if __name__ == "__main__":
    main()

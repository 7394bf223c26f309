"""What endpoints that hang cost the others: the healthy ones' time from ``emit`` to receipt, with and without them.

Run it with ``nox -s bench-fairness``. Three arms take turns: nobody hangs; five endpoints hang, with a backlog of ten
thousand; twelve hang, whose caps together exceed the worker's slots. In each the same healthy endpoints get the same
events at the same pace. The receivers are a process of their own.
"""

from __future__ import annotations

import argparse
import time
from itertools import count

from field import STORES, Receiver, cell, keep, machine, opened, page, percentile, present, spread, table

from hookkit import Endpoint, OutboxDispatcher, Registry, Worker
from hookkit.targets import LOOPBACK
from hookkit.testing.builders import planned

HEALTHY, CONCURRENCY, CAP = 38, 32, 4
ARMS = {"nobody hangs": 0, "5 hang": 5, "12 hang": 12}
BAR = 2.0
_numbers = count(1)


def arm(kind: str, receiver: Receiver, hanging: int, *, backlog: int, seconds: float, pace: float) -> dict[str, float]:
    """Return the healthy endpoints' median and p99 in milliseconds, and the most at once that a hanging one saw."""
    turn = next(_numbers)  # a path of its own: what an earlier worker left hanging is none of this one's
    with opened(kind) as (store, _):
        registry = Registry(store, targets=LOOPBACK)
        for n in range(HEALTHY):
            registry.create(Endpoint(f"{receiver.url}/well/{turn}/{n}", f"to.n{n}", max_in_flight=CAP))
        hung = [
            registry.create(Endpoint(f"{receiver.url}/hang/{turn}/{n}", f"hang.n{n}", max_in_flight=CAP)).id
            for n in range(hanging)
        ]
        if hung:
            events = [planned(hung[n % hanging], event_type=f"hang.n{n % hanging}") for n in range(backlog)]
            for first in range(0, backlog, 500):
                store.enqueue(events[first : first + 500], now=registry.get(hung[0]).created_at)
        dispatcher = OutboxDispatcher(store)
        worker = Worker(store, targets=LOOPBACK, concurrency=CONCURRENCY)
        worker.start()
        time.sleep(1)  # whoever hangs has taken what it can get by then
        sent: dict[str, float] = {}
        begins = time.monotonic()
        for n in range(int(seconds * pace)):
            time.sleep(max(begins + n / pace - time.monotonic(), 0))
            event_id = f"evt_{next(_numbers)}x{time.monotonic_ns()}"
            sent[event_id] = time.monotonic()
            dispatcher.emit(f"to.n{n % HEALTHY}", {"n": n}, id=event_id)
        for event_id in sent:
            receiver.wait_for(event_id)
        arrived, most = receiver.taken()
        worker.stop(timeout=0.1)
    took = [(arrived[event_id] - at) * 1000 for event_id, at in sent.items()]
    saw = max((found for path, found in most.items() if path.startswith(f"/hang/{turn}/")), default=0)
    return {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "at once": saw}


def main() -> None:
    """Measure; with ``--write`` keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="keep the results in benchmarks/results")
    parser.add_argument("--quick", action="store_true", help="only see whether it works")
    parser.add_argument("--runs", type=int, default=5, help="how often the three take turns")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each lasts")
    parser.add_argument("--pace", type=float, default=50.0, help="events a second")
    parser.add_argument("--backlog", type=int, default=10_000, help="what waits for those that hang")
    given = parser.parse_args()
    if given.quick:
        given.runs, given.seconds, given.pace, given.backlog = 1, 3.0, 15.0, 1_000
    options = {name: getattr(given, name) for name in ("runs", "seconds", "pace", "backlog")}
    about = machine(**options, healthy=HEALTHY, slots=CONCURRENCY, cap=f"{CAP} for each endpoint")
    receiver = Receiver()
    rows, kept = [], {}
    for kind in present(STORES):
        found: dict[str, list[dict[str, float]]] = {name: [] for name in ARMS}
        for _ in range(given.runs):
            for name, hanging in ARMS.items():
                one = arm(kind, receiver, hanging, backlog=given.backlog, seconds=given.seconds, pace=given.pace)
                found[name].append(one)
        without = [one["p99"] for one in found["nobody hangs"]]
        for name, all_runs in found.items():
            p50, p99 = ([one[key] for one in all_runs] for key in ("p50", "p99"))
            ratio = spread([with_them / alone for with_them, alone in zip(p99, without, strict=True)])
            bar = "" if name == "nobody hangs" else "met" if ratio["median"] <= BAR else "missed"
            most = int(max(one["at once"] for one in all_runs))
            rows.append([kind, name, cell(spread(p50)), cell(spread(p99)), cell(ratio), bar, f"{most} of {CAP}"])
        kept[kind] = found
    receiver.close()
    text = page(
        "What endpoints that hang cost the others",
        "nox -s bench-fairness",
        about,
        f"Milliseconds from emit to the healthy endpoints' receiver; the bar for the ratio of the p99 is {BAR:g},\n"
        "taken within each turn of the three.\n",
        table(
            ("store", "arm", "p50", "p99", "p99, times without", f"≤ {BAR:g}", "most at once at a hanging one"), rows
        ),
    )
    print(text)
    if given.write:
        keep("fairness", {"about": about, "milliseconds": kept}, text)


if __name__ == "__main__":
    main()

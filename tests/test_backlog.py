"""An endpoint that comes back with ten thousand pending: what its receiver sees at once, counted at a real socket."""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import closing
from datetime import timedelta

from hookkit import Worker
from hookkit.clock import SYSTEM_CLOCK
from hookkit.health import OPEN_AFTER, step
from hookkit.stores.sqlite import SQLiteStore
from hookkit.targets import LOOPBACK
from hookkit.testing import ScriptedReceiver
from hookkit.testing.bench import Bench
from hookkit.testing.builders import planned, settlement

BACKLOG, CAP, ENOUGH = 10_000, 4, 300


class Crowd:
    """Answers 204 after a moment, and counts how many are there at once, in the order of their coming."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, _: object) -> int:
        with self._lock:
            self._now += 1
            self.seen.append(self._now)
        time.sleep(0.005)
        with self._lock:
            self._now -= 1
        return 204


def test_an_endpoint_that_comes_back_never_sees_more_than_its_cap(empty_file, tmp_path) -> None:
    """Two workers with sixteen slots each: one probe, then one at a time, two, and never more than its cap."""
    path = shutil.copyfile(empty_file, tmp_path / "hooks.db")
    crowd = Crowd()
    with ScriptedReceiver(crowd) as receiver, closing(SQLiteStore(path, synchronous="NORMAL")) as store:
        bench = Bench(store, store, store)
        bench.now = SYSTEM_CLOCK.now() - timedelta(minutes=2)
        to = bench.register(url=receiver.url, max_in_flight=CAP)
        store.enqueue([planned(to) for _ in range(BACKLOG)], now=bench.now)
        for _ in range(OPEN_AFTER):
            (claim,) = bench.claim(limit=1)
            down = settlement(claim, at=bench.now, status=503, due_at=bench.later(3600))
            store.settle([down], now=bench.now, step=step)
        assert store.health([to], now=bench.now)[to].state == "failing"
        workers = [Worker(store, targets=LOOPBACK, concurrency=16) for _ in range(2)]
        for worker in workers:
            worker.start()
        receiver.wait(ENOUGH, timeout=60)
        for worker in workers:
            worker.stop()
        assert store.health([to], now=SYSTEM_CLOCK.now())[to].state == "healthy"
    assert max(crowd.seen) == CAP
    assert crowd.seen[:2] == [1, 1], "the probe, and the first of the ramp"

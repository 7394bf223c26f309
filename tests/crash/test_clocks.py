"""The wall clock is set while workers run: nothing is lost, nothing is sent without end, and no worker spins.

====== ================================================ ================================================================
set by what waits for a retry                           what is being sent
====== ================================================ ================================================================
−1 h   waits until the clock gets there again; what is  is settled as if nothing had happened
       emitted meanwhile does not
+1 day is due at once                                   its lease has run out: counted as lost, and sent once more
====== ================================================ ================================================================

A suspended machine is in ``test_stopped_workers.py``.
"""

from __future__ import annotations

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from inside import URL, working
from places import Place
from rounds import serve

from hookkit import OutboxDispatcher, RetryPolicy
from hookkit.testing.builders import KEY, endpoint
from worlds import Gate, eventually

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
WAITS = RetryPolicy([timedelta(minutes=20)] * 5, jitter=0)
MOST_CALLS_PER_S = 40
"""Of a worker with little to do: it looks twice a second, and after each thing that happens."""


class SetClock:
    """A wall clock that is set at will; its seconds go on evenly."""

    def __init__(self) -> None:
        self.off = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.off

    def monotonic(self) -> float:
        return time.monotonic()


@pytest.fixture(params=["sync", "async"])
def mode(request) -> str:
    return request.param


def prepare(place: Place) -> None:
    with closing(place.store()) as store:
        if place.path is None:
            store.migrate()
        for name in ("slow", "sick", "well"):
            to = endpoint(id=f"whk_{name}", url=f"{URL}/{name}", events=[name], keys=KEY, retry=WAITS, max_in_flight=2)
            store.add_webhook(to)


def emit(place: Place, clock: SetClock, name: str, *ids: str) -> None:
    with closing(place.store(**({} if place.path is not None else {"clock": clock}))) as store:
        for id in ids:
            OutboxDispatcher(store, clock=clock).emit(name, {"of": id}, id=id)


def state(place: Place, id: str) -> Any:
    return place.ask(
        "SELECT d.state, (SELECT count(*) FROM {}attempts a WHERE a.delivery = d.seq) FROM {}deliveries d "
        "WHERE event_id = ?",
        (id,),
    )[0]


@pytest.mark.parametrize("by", [-HOUR, DAY], ids=["back an hour", "on a day"])
def test_a_clock_is_set_while_a_worker_runs(tmp_path: Path, kind: str, mode: str, by: timedelta) -> None:
    """One delivery is being sent, one waits for a retry, one is emitted later: each ends as the table above says."""
    clock = SetClock()
    gate = Gate(204, asynchronous=mode == "async")
    refusals = iter([503])

    def answer(request: Any) -> Any:
        name = request.url.rpartition("/")[2]
        return gate(request) if name == "slow" else next(refusals, 204) if name == "sick" else 204

    with serve(tmp_path, kind) as (place, _):
        prepare(place)
        began = time.monotonic()
        with working(place, mode, answer, clock=clock, concurrency=4, lease=timedelta(seconds=20)) as worker:
            emit(place, clock, "slow", "evt_slow")
            emit(place, clock, "sick", "evt_sick")
            gate.wait_for()
            eventually(lambda: state(place, "evt_sick") == ("pending", 1))
            clock.off = by
            emit(place, clock, "well", "evt_well")
            eventually(lambda: state(place, "evt_well") == ("succeeded", 1))
            if by < timedelta(0):
                time.sleep(1.2)  # two polls
                assert state(place, "evt_sick") == ("pending", 1), "it waits"
                assert state(place, "evt_slow") == ("leased", 0), "it is still being sent"
                gate.open()
                eventually(lambda: state(place, "evt_slow") == ("succeeded", 1))
                clock.off = timedelta(minutes=21)
                eventually(lambda: state(place, "evt_sick") == ("succeeded", 2))
            else:
                eventually(lambda: state(place, "evt_sick") == ("succeeded", 2))
                eventually(lambda: state(place, "evt_slow") == ("leased", 1))  # lost, and claimed again
                gate.open()
                eventually(lambda: state(place, "evt_slow") == ("succeeded", 2))
            calls, took = worker.calls.total(), time.monotonic() - began
            sent = worker.sent()
        assert place.states() == {"succeeded": 3}
        again = 1 if by < timedelta(0) else 2
        assert sent == {("evt_slow", "slow"): again, ("evt_sick", "sick"): 2, ("evt_well", "well"): 1}
        assert calls <= MOST_CALLS_PER_S * (took + 1), worker.calls


def test_a_worker_whose_own_clock_is_wrong_moves_no_lease_of_postgresql(cluster, mode: str) -> None:
    """Leases go by the database's clock: a worker that is a day ahead takes nothing from one that is at work."""
    place = Place(cluster.dsn())
    prepare(place)
    clock, right = SetClock(), SetClock()
    clock.off = DAY
    gate = Gate(204, asynchronous=mode == "async")
    with working(place, mode, gate, concurrency=4, lease=timedelta(seconds=20)) as first:
        emit(place, right, "slow", "evt_slow")
        gate.wait_for()
        # Told of no clock, the store goes by the database's, whatever the worker's says.
        with closing(place.store()) as store:
            arguments = {"limit": 9, "limit_busy": 9, "limit_failing": 9, "lease": timedelta(seconds=20)}
            assert store.claim(now=clock.now(), lane="retry", owner="ahead", profiles=["standard"], **arguments) == []
            assert store.claim(now=clock.now(), lane="first", owner="ahead", profiles=["standard"], **arguments) == []
        gate.open()
        eventually(lambda: state(place, "evt_slow") == ("succeeded", 1))
        assert len(first.requests) == 1

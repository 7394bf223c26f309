"""Processes are killed again and again, at any moment: nothing acknowledged is lost, nothing rolled back is sent."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from processes import Emitter, Worker, receiving, unexpected
from reckoning import reckon
from rounds import delivered, kill_rounds, serve

from hookkit import StoreError
from worlds import eventually

ROUNDS = 15


def test_nothing_acknowledged_is_lost_whoever_is_killed(tmp_path: Path, kind: str, request, record_property) -> None:
    """Fifteen kills -9 of emitters and workers, and of PostgreSQL's own processes; what it all came to is printed.

    No event is lost and none is stored twice; what was rolled back, or killed before its commit, is never sent; every
    signature verifies; each delivery ends, within its policy; and no more arrives again than was in flight when its
    worker died, or when the server was away for as long as a lease.
    """
    seed = request.config.getoption("--kill-seed", 1)
    rounds, found, said = kill_rounds(tmp_path, kind, seed, ROUNDS)
    record_property("rounds", said)
    assert len(rounds.kills) == ROUNDS
    assert found.acknowledged > 100
    assert found.lost > 0, "some were killed in the middle of an attempt"
    assert found.duplicates <= found.lost <= rounds.in_flight
    logs = [path.read_text("utf-8") for path in tmp_path.glob("w*.log")]
    assert [name for log in logs for name in unexpected(log)] == [], "workers met nothing but StoreErrors"


def test_four_workers_deliver_each_once(tmp_path: Path, kind: str) -> None:
    """Where nobody is killed, no delivery is sent twice, whatever kind of workers share the store."""
    with serve(tmp_path, kind) as (place, _), receiving(tmp_path, slowness_ms=5) as receiver:
        place.prepare(receiver.url)
        emitter = Emitter(tmp_path, place, "e1", "sync", seed=1, count=150)
        workers = [Worker(tmp_path, place, f"w{n}", ("sync", "async")[n % 2]) for n in range(4)]
        owners: set[str] = set()

        def shared() -> bool:
            leased = place.ask("SELECT DISTINCT owner FROM {}deliveries WHERE owner IS NOT NULL")
            owners.update(owner for (owner,) in leased)
            return len(owners) > 1

        try:
            for process in (emitter, *workers):
                process.ready()
            eventually(shared)  # or there would be nobody to send anything twice
            emitter.wait()
            delivered(place)
            for worker in workers:
                worker.end()
        finally:
            for process in (emitter, *workers):
                process.discard()
        found = reckon(place, [emitter.notes], receiver.verdicts())
        assert (found.duplicates, found.lost) == (0, 0)
        assert found.acknowledged > 100


@pytest.mark.parametrize("word", ["acknowledged", "doomed", "prepared", "accepted", "signature", "twice"])
def test_the_reckoning_notices(tmp_path: Path, word: str) -> None:
    """Each promise that is broken on purpose is found: a check that sees nothing would prove nothing."""
    with serve(tmp_path, "sqlite") as (place, _), receiving(tmp_path, slowness_ms=0) as receiver:
        place.prepare(receiver.url)
        emitter = Emitter(tmp_path, place, "e1", "sync", seed=1, count=12)
        worker = Worker(tmp_path, place, "w1", "sync")
        try:
            for process in (worker, emitter):
                process.ready()
            emitter.wait()
            delivered(place)
            worker.end()
        finally:
            for process in (emitter, worker):
                process.discard()
        verdicts = receiver.verdicts()
        assert reckon(place, [emitter.notes], verdicts).acknowledged > 0
        first = next(event for found, event, _ in verdicts if found == "accepted")
        with emitter.notes.open("a", encoding="utf-8") as notes:
            if word == "acknowledged":
                notes.write("acknowledged evt_e1x999\n")
            elif word == "doomed":
                notes.write(f"doomed {first}\n")
            elif word == "prepared":
                (order,) = place.ask("SELECT event FROM orders LIMIT 1")[0]
                place.ask(f"DELETE FROM orders WHERE event = '{order}'")
        if word == "accepted":
            verdicts = [one for one in verdicts if one[1] != first]
        elif word == "signature":
            verdicts = [*verdicts, ("wrong:VerificationError", "?", "all")]
        elif word == "twice":
            verdicts = [*verdicts, ("accepted", first, "all")]
        with pytest.raises(AssertionError):
            reckon(place, [emitter.notes], verdicts)


def raising(error: type[Exception]) -> None:
    try:
        raise OSError("the disk")
    except OSError as cause:
        raise error("no") from cause


@pytest.mark.parametrize(("error", "seen"), [(StoreError, []), (TypeError, ["TypeError"]), (KeyError, ["KeyError"])])
def test_an_error_of_another_kind_is_seen_in_a_log(error: type[Exception], seen: list[str]) -> None:
    """A StoreError is one whatever it was raised from; anything else is none."""
    try:
        raising(error)
    except error:
        log = f"12 hookkit.worker housekeeping broke off\n{traceback.format_exc()}13 hookkit.worker goes on\n"
    assert unexpected(log * 2) == seen * 2

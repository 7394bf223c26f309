"""What is to be true after all the killing: of the emitters' notes, the receiver's, and the rows."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import attrs
from notes import read_notes
from places import PATHS, POLICY, Place

from clusters import programs

__all__ = ["Reckoning", "reckon"]


@attrs.frozen
class Reckoning:
    """What was found.

    Args:
        acknowledged: How many events were acknowledged.
        arrived: How many distinct deliveries were accepted.
        duplicates: How many were accepted once more.
        lost: How many attempts ended with their worker.
        most: How many attempts one delivery took at most.
    """

    acknowledged: int
    arrived: int
    duplicates: int
    lost: int
    most: int


def reckon(place: Place, notes: Iterable[Path], verdicts: list[tuple[str, str, str]]) -> Reckoning:
    """Check everything that was promised, and return what there was to count."""
    said: dict[str, set[str]] = {}
    for path in notes:
        for word, event in read_notes(path):
            said.setdefault(word, set()).add(event)
    tried, acknowledged = said.get("tried", set()), said.get("acknowledged", set())
    prepared, doomed = said.get("prepared", set()), said.get("doomed", set())
    accepted = Counter((event, path) for found, event, path in verdicts if found == "accepted")
    arrived = {event for event, _ in accepted}

    assert {found for found, _, _ in verdicts} <= {"accepted", "refused"}, "every signature and every body is right"
    stored = {event for (event,) in place.ask("SELECT id FROM {}events")}
    orders = {event for (event,) in place.ask("SELECT event FROM orders")}
    assert acknowledged - stored == set(), "what was acknowledged is stored"
    assert stored == arrived, "what is stored has arrived, and nothing else"
    assert arrived <= tried, "nothing arrives that nobody emitted"
    assert doomed & (arrived | orders) == set(), "what was rolled back never existed"
    assert prepared & orders == prepared & stored, "an event shares the fate of the host's row"
    assert orders <= stored, "likewise"
    assert set(accepted) == {(event, path) for event in stored for path in ("all", path_of(event))}, "every webhook"
    return _rows(place, accepted, len(acknowledged))


def path_of(event: str) -> str:
    """Return the path of the webhook that is told of an event, besides the one that is told of all."""
    return PATHS[1 + int(event.rpartition("x")[2]) % 3]


def _rows(place: Place, accepted: Counter[tuple[str, str]], acknowledged: int) -> Reckoning:
    """Check the rows, and whether they agree with what arrived."""
    assert place.states() == {"succeeded": len(accepted)}, "every delivery has ended well, and none is leased for ever"
    assert place.ask("SELECT count(*) FROM {}endpoints WHERE in_flight <> 0") == [(0,)]
    assert place.ask("SELECT count(*) FROM {}heads WHERE ready_at IS NOT NULL") == [(0,)]
    rows = place.ask(
        "SELECT d.event_id, d.endpoint_id, d.counted, count(*), min(a.number), max(a.number), "
        "sum(CASE WHEN a.reason = 'lost' THEN 1 ELSE 0 END), "
        "sum(CASE WHEN a.reason NOT IN ('', 'lost', 'status') THEN 1 ELSE 0 END) "
        "FROM {}deliveries d JOIN {}attempts a ON a.delivery = d.seq "
        "GROUP BY d.seq, d.event_id, d.endpoint_id, d.counted"
    )
    assert len(rows) == len(accepted), "each has its attempts"
    for event, endpoint, counted, made, first, last, lost, broken in rows:
        assert (first, last, counted) == (1, made, made), "attempts are counted, none twice"
        assert made <= len(POLICY.delays) + 1, "no more attempts than the policy says"
        again = accepted[event, endpoint.removeprefix("whk_")] - 1
        assert again <= lost + broken, "what arrives again was lost sight of before"
    intact(place)
    return Reckoning(
        acknowledged=acknowledged,
        arrived=len(accepted),
        duplicates=sum(accepted.values()) - len(accepted),
        lost=sum(int(row[6]) for row in rows),
        most=max(row[3] for row in rows),
    )


def intact(place: Place) -> None:
    """Have the database check itself."""
    if place.path is not None:
        assert place.ask("PRAGMA integrity_check") == [("ok",)]
        return
    program = programs() / "pg_amcheck"
    if program.exists():
        command = [str(program), "--install-missing", "--heapallindexed", f"--maintenance-db={place.name}", "postgres"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

"""Thousands of histories, each from a seed: whatever goes wrong, the rules hold, and every promise is kept.

A failure prints its seed and the end of its trace; ``pytest tests/simulation --seed N`` runs that history again, the
same to the last step.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from door import Faults
from ledger import Broken
from sabotage import ON_SQLITE, SABOTAGES

from simulation import CALM, run

pytestmark = pytest.mark.simulation

SQLITE_EVERY = 10
"""Every so many seeds are run on SQLite, which takes longer; the others in memory."""


def test_no_history_breaks_a_rule(seeds: range, ran: list[int], folder: Path) -> None:
    """Crashes, pauses, clock jumps, failing stores and networks, an operator with every verb: the rules hold."""
    ran += [run(seed, folder if seed % SQLITE_EVERY == 0 else None).scheduler.steps for seed in seeds]


@pytest.mark.parametrize("place", ["memory", "sqlite"])
def test_the_seed_that_was_asked_for(one_seed: int, place: str, ran: list[int], folder: Path) -> None:
    """``--seed`` runs one history alone."""
    ran.append(run(one_seed, folder if place == "sqlite" else None).scheduler.steps)


@pytest.mark.parametrize("place", ["memory", "sqlite"])
@pytest.mark.parametrize("seed", range(6))
def test_one_seed_is_one_history(seed: int, place: str, folder: Path) -> None:
    """The same seed gives the same trace, to the last step; another one gives another."""
    folders = [None, None, None]
    if place == "sqlite":
        folders = [folder / name for name in ("first", "again", "other")]
        for one in folders:
            one.mkdir()
    first, again, other = (run(number, one) for number, one in zip((seed, seed, seed + 100), folders, strict=True))
    assert len(first.trace) > 20
    assert first.trace == again.trace
    assert first.scheduler.steps == again.scheduler.steps
    assert first.trace != other.trace


@pytest.mark.parametrize("place", ["memory", "sqlite"])
def test_a_crash_at_every_step_of_a_history(place: str, folder: Path) -> None:
    """One small history, again and again, each time with a crash one step later: no step is a bad one to die at."""
    kept = folder if place == "sqlite" else None
    seed, lasts_s = 83, 30.0
    whole = run(seed, kept, faults=CALM, lasts_s=lasts_s)
    assert whole.scheduler.steps > 200
    assert sum(row.state == "succeeded" for row in whole.ledger.seen.rows.values()) >= 3
    crashes = 0
    for step in range(1, whole.scheduler.steps):
        for path in folder.iterdir():
            path.unlink()
        one = run(seed, kept, faults=CALM, lasts_s=lasts_s, crash_at=step)
        crashes += any(line[-1] == "crashes" for line in one.trace)
    assert crashes > whole.scheduler.steps / 2  # the others were steps of the network


@pytest.mark.parametrize(("sabotage", "rules"), SABOTAGES.items(), ids=lambda one: getattr(one, "__name__", ""))
def test_it_sees(sabotage, rules: frozenset[str], folder: Path) -> None:
    """With hookkit broken in one place, some history breaks the very rule that the place was for."""
    place = folder if sabotage in ON_SQLITE else None
    with sabotage(), pytest.raises(Broken) as found:
        [run(seed, place) for seed in range(400)]
    assert found.value.rule in rules
    told = str(found.value)
    assert told.startswith("seed ")
    assert 5 < len(told.splitlines()) <= 41


def test_every_fault_happens() -> None:
    """What a history may hold does come: none of it is only written down."""
    hopes = {
        "crashes",
        "stands still",
        "is refused",
        "seems to fail",
        "(stale)",
        "the wall clock is set -",
        "the wall clock is set +",
        "was answered timeout",
        "was answered connection_lost",
        "was answered connect",
        "was answered 429",
        "was answered 503",
        "was answered 301",
        "was answered 410",
        "was answered 404",
        "redeliver",
        "recover",
        "remove_webhook",
        "give_back 1",
        "not all was finished",
    }
    for seed in range(300):
        trace = "\n".join(line[-1] for line in run(seed, None).trace)
        hopes -= {hope for hope in hopes if hope in trace}
        if not hopes:
            break
    assert not hopes


def test_a_host_rolls_back_now_and_then(folder: Path) -> None:
    """On SQLite some events are rolled back, some are committed, and some meet a file that is locked."""
    states, locked = set(), False
    for seed in range(40):
        one = run(seed, folder)
        states |= {told.state for told in one.ledger.told.values()}
        locked = locked or any("locked" in line[-1] for line in one.trace)
    assert {"committed", "rolled back"} <= states
    assert locked


def test_without_faults_nothing_is_sent_twice() -> None:
    """Where nothing goes wrong, everything that is accepted is accepted once (the verdict of each history says so)."""
    calm = [run(seed, None, faults=Faults()) for seed in range(20)]
    assert sum(row.state == "succeeded" for one in calm for row in one.ledger.seen.rows.values()) > 100

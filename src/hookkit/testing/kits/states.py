"""The contract of a store: the table of deliveries' states, move by move; each test is made from its rows."""

from __future__ import annotations

from contextlib import suppress

import attrs
import pytest

from hookkit.errors import NotFound, StoreError
from hookkit.model import DeliveryState, LogEntry
from hookkit.protocols import LogStore
from hookkit.states import EFFECTS, HAPPENINGS, MOVES, Happening, Move, Standing, move_for
from hookkit.testing.bench import LEASE, Bench
from hookkit.testing.builders import settlement
from hookkit.testing.kits.fixtures import StoreFixtures
from hookkit.work import Claim

__all__ = ["StateTableRules"]

_PLACES: tuple[tuple[DeliveryState | None, Standing], ...] = (
    (None, "served"),
    (None, "disabled"),
    (None, "removed"),
    ("pending", "served"),
    ("held", "disabled"),
    *(
        (state, standing)
        for state in ("leased", "succeeded", "failed")
        for standing in ("served", "disabled", "removed")
    ),
)
"""Where a delivery may be: nothing is pending to a webhook that is not served, and nothing held to one that is."""

_BECOMES: dict[Happening, Standing] = {
    "webhook disabled": "disabled",
    "webhook enabled": "served",
    "held dropped": "served",
    "webhook removed": "removed",
}
_BEFORE: dict[Happening, Standing] = {
    "webhook disabled": "served",
    "webhook enabled": "disabled",
    "held dropped": "disabled",
}
_OUTCOMES: dict[Happening, tuple[int, float | None, bool, str]] = {
    "accepted": (200, None, False, ""),
    "put off": (500, 0, False, ""),
    "refused": (400, None, False, ""),
    "exhausted": (500, None, False, "exhausted"),
    "gone": (410, None, False, "gone"),
    "given up": (500, None, True, "exhausted"),
    "postponed": (500, 0, True, ""),
}
"""What a settlement says: the status, when it is tried again, whether nothing was sent, and the reason."""


class _Life:
    """One delivery, brought to a state.

    Args:
        bench: The queue.
        logs: The log.
        was: The state; None: no delivery yet, but an older one that is finished.
        standing: What its webhook is.
    """

    def __init__(self, bench: Bench, logs: LogStore, was: DeliveryState | None, standing: Standing) -> None:
        self.bench, self.logs = bench, logs
        self.to = bench.register()
        self.older = bench.finished(self.to) if was is None else None
        self.delivery = "dlv_none" if was is None else bench.emit(self.to)
        self.claim: Claim | None = None if was is None else bench.take(self.delivery)
        if self.claim is not None and was != "leased":
            status, retry_in = {"succeeded": (200, None), "failed": (500, None)}.get(was or "", (500, 0))
            bench.settle(self.claim, status, retry_in=retry_in)
        if standing == "disabled":
            bench.disable(self.to)
        elif standing == "removed":
            bench.remove(self.to)
        assert self.state == was, "the way to the state that the test begins in"

    @property
    def entry(self) -> LogEntry | None:
        """Its log entry, None if there is none."""
        with suppress(NotFound):
            return self.logs.entry(self.delivery)
        return None

    @property
    def state(self) -> DeliveryState | None:
        """Its state."""
        return None if self.entry is None else self.entry.state

    def meet(self, happening: Happening) -> None:
        """Have this happen, or be tried; what a store refuses has not happened."""
        with suppress(NotFound, StoreError):
            if happening in _OUTCOMES:
                self._settle(happening)
            elif happening in _BECOMES:
                self._turn(happening)
            else:
                self._call(happening)

    def _settle(self, happening: Happening) -> None:
        if self.claim is None:
            return
        status, retry_in, uncounted, reason = _OUTCOMES[happening]
        due_at = None if retry_in is None else self.bench.later(retry_in)
        done = settlement(
            self.claim, at=self.bench.now, status=status, due_at=due_at, uncounted=uncounted, reason=reason
        )
        self.bench.settle_all([done])

    def _turn(self, happening: Happening) -> None:
        if happening == "webhook disabled":
            self.bench.disable(self.to)
        elif happening == "webhook enabled":
            self.bench.enable(self.to)
        elif happening == "webhook removed":
            self.bench.remove(self.to)
        else:
            self.bench.webhooks.update_webhook(
                self.to,
                lambda stored: attrs.evolve(stored, enabled=True, disabled_reason=None),
                now=self.bench.now,
                held="drop",
            )

    def _call(self, happening: Happening) -> None:
        bench, queue, claims = self.bench, self.bench.queue, [] if self.claim is None else [self.claim.claim_id]
        if happening == "emitted" and self.older is not None:
            self.delivery = bench.emit(self.to)
        elif happening == "redelivered":
            again = queue.redeliver(self.older or self.delivery, now=bench.now)
            self.delivery = again if self.older is not None else self.delivery
        elif happening == "claimed":
            bench.take(self.delivery)
        elif happening == "given back":
            queue.give_back(claims, now=bench.now)
        elif happening == "extended":
            queue.extend(claims, now=bench.now, lease=LEASE)
        elif happening == "lost":
            bench.expire()
            bench.claim("recover")  # nothing is in that lane; to look for it is enough to find what is lost
        elif happening == "expired":
            queue.expire_held(before=bench.later(1), now=bench.now, limit=100)
        elif happening == "recovered":
            bench.recover(self.to, "failed", "succeeded")
        elif happening == "forgotten":
            while self.logs.prune(payloads_before=bench.later(1), entries_before=bench.later(1), limit=100):
                pass


def _named(move: Move) -> str:
    return f"{move.was or 'none'} {move.happening} {move.standing}".replace(" ", "-")


class StateTableRules(StoreFixtures):
    """Every move of :data:`hookkit.states.MOVES` is made, and no other."""

    @pytest.mark.parametrize("move", MOVES, ids=_named)
    def test_each_move_of_the_table_is_made(self, bench: Bench, logs: LogStore, move: Move) -> None:
        """To that state, for that reason, with that attempt in the log."""
        life = _Life(bench, logs, move.was, _BEFORE.get(move.happening, _before(move)))
        attempts = () if life.entry is None else life.entry.attempts
        life.meet(move.happening)
        entry = life.entry
        assert (None if entry is None else entry.state) == move.to
        if entry is not None:
            added = [attempt.reason == "lost" for attempt in entry.attempts[len(attempts) :]]
            assert added == {"kept": [False], "lost": [True], "": []}[EFFECTS.get(move.happening, "")]
            assert entry.reason == (move.reason if move.to == "failed" else "")
            assert (entry.finished_at is not None) == (move.to in {"succeeded", "failed"})

    @pytest.mark.parametrize(("was", "standing"), _PLACES, ids=lambda one: str(one).lower())
    def test_no_other_move_is_made(
        self, bench: Bench, logs: LogStore, was: DeliveryState | None, standing: Standing
    ) -> None:
        """Whatever else is tried, by whomever, a delivery stays where it is."""
        for happening in HAPPENINGS:
            then = standing if standing == "removed" else _BECOMES.get(happening, standing)
            if move_for(was, happening, then) is None:
                life = _Life(bench, logs, was, standing)
                life.meet(happening)
                assert (happening, life.state) == (happening, was)


def _before(move: Move) -> Standing:
    """Return what the webhook is before it is removed: what a pending or a held delivery's can be."""
    if move.happening != "webhook removed":
        return move.standing
    return "disabled" if move.was == "held" else "served"

"""The life of a delivery, as a table: from which state, on what happening, it goes where.

Every store moves deliveries so, and no other way: :class:`hookkit.testing.StoreContract` makes each of these moves, and
tries all that are not here. ``docs/states.md`` is drawn from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, get_args

import attrs

from hookkit.model import DeliveryState

__all__ = ["EFFECTS", "HAPPENINGS", "MOVES", "STANDINGS", "Effect", "Happening", "Move", "Standing", "move_for"]

Standing = Literal["served", "disabled", "removed"]
"""What the delivery's webhook is: enabled, disabled or on hold, or gone."""

Happening = Literal[
    "emitted",
    "redelivered",
    "claimed",
    "accepted",
    "put off",
    "refused",
    "exhausted",
    "gone",
    "given up",
    "postponed",
    "given back",
    "lost",
    "extended",
    "webhook disabled",
    "webhook enabled",
    "held dropped",
    "webhook removed",
    "expired",
    "recovered",
    "forgotten",
]

Effect = Literal["", "kept", "lost"]

STANDINGS: Final[tuple[Standing, ...]] = get_args(Standing)

HAPPENINGS: Final[Mapping[Happening, str]] = {
    "emitted": "an event is stored",
    "redelivered": "somebody asks for the same bytes once more; this is the new delivery",
    "claimed": "a worker takes the lease, or a relay offers it to an engine; the attempt is counted",
    "accepted": "the receiver answered 2xx",
    "put off": "the attempt failed, and is to be made again",
    "refused": "an answer, or a target, that is not tried again",
    "exhausted": "the attempt failed, and the schedule has run out",
    "gone": "the receiver answered 410",
    "given up": "the schedule had run out already, by attempts that were lost: nothing is sent, nothing is counted",
    "postponed": "its worker does not know its profile: nothing is sent, nothing is counted",
    "given back": "a worker stops before it is finished, or an offer is not taken; the attempt is uncounted",
    "lost": "the lease has run out",
    "extended": "the lease is renewed",
    "webhook disabled": "by an operator, by 410, or by its health",
    "webhook enabled": "and what was held is to be delivered",
    "held dropped": "the webhook is enabled, and what was held is not to be delivered",
    "webhook removed": "for good",
    "expired": "it was held for too long",
    "recovered": "an operator has what is finished delivered again",
    "forgotten": "what is finished is deleted, after the time that logs are kept",
}
"""What may happen to a delivery, in words."""

EFFECTS: Final[Mapping[Happening, Effect]] = {
    "accepted": "kept",
    "put off": "kept",
    "refused": "kept",
    "exhausted": "kept",
    "gone": "kept",
    "lost": "lost",
}
"""What a happening adds to the log: the attempt as it was, or one that is marked as lost; all others add nothing."""


@attrs.frozen
class Move:
    """One move of a delivery.

    Args:
        was: The state it leaves; None: there is no such delivery yet.
        happening: What happens.
        standing: What its webhook is by then.
        to: The state it comes to; None: there is no such delivery any more.
        reason: The reason in the log, where the last attempt does not say it.
    """

    was: DeliveryState | None
    happening: Happening
    standing: Standing
    to: DeliveryState | None
    reason: str = ""


_WAITING: Final[Mapping[Standing, tuple[DeliveryState, str]]] = {
    "served": ("pending", ""),
    "disabled": ("held", ""),
    "removed": ("failed", "removed"),
}


def _wait(was: DeliveryState | None, happening: Happening, standings: tuple[Standing, ...]) -> list[Move]:
    """Return the moves of what is to be sent, now or later: held, or failed, where nothing is sent any more."""
    return [Move(was, happening, standing, *_WAITING[standing]) for standing in standings]


def _end(was: DeliveryState, happening: Happening, to: DeliveryState | None, reason: str = "") -> list[Move]:
    """Return moves that ask nothing of the webhook."""
    return [Move(was, happening, standing, to, reason) for standing in STANDINGS]


MOVES: Final[tuple[Move, ...]] = (
    *_wait(None, "emitted", ("served", "disabled")),
    *_wait(None, "redelivered", ("served", "disabled")),
    Move("pending", "claimed", "served", "leased"),
    Move("pending", "webhook disabled", "disabled", "held"),
    Move("pending", "webhook removed", "removed", "failed", "removed"),
    *_end("leased", "accepted", "succeeded"),
    *_end("leased", "refused", "failed"),
    *_end("leased", "exhausted", "failed", "exhausted"),
    *_end("leased", "gone", "failed", "gone"),
    *_end("leased", "given up", "failed", "exhausted"),
    *_wait("leased", "put off", STANDINGS),
    *_wait("leased", "postponed", STANDINGS),
    *_wait("leased", "given back", STANDINGS),
    *_wait("leased", "lost", STANDINGS),
    Move("held", "webhook enabled", "served", "pending"),
    Move("held", "held dropped", "served", "failed", "dropped"),
    Move("held", "webhook removed", "removed", "failed", "removed"),
    Move("held", "expired", "disabled", "failed", "expired"),
    *_wait("failed", "recovered", ("served", "disabled")),
    *_wait("succeeded", "recovered", ("served", "disabled")),
    *_end("failed", "forgotten", None),
    *_end("succeeded", "forgotten", None),
)
"""Every move there is. What is not here leaves a delivery where it is."""


def move_for(was: DeliveryState | None, happening: Happening, standing: Standing) -> Move | None:
    """Return the move that is made, None if the delivery stays where it is."""
    wanted = (was, happening, standing)
    return next((move for move in MOVES if (move.was, move.happening, move.standing) == wanted), None)

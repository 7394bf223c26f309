"""The simulated network: receivers with moods, and everything that can happen to a request on its way."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime, timedelta
from email.utils import format_datetime
from random import Random
from typing import Any, Final

import attrs
from ledger import Ledger
from scheduler import Process

from hookkit import Reply, Request
from hookkit.testing.transport import ANY_TARGET
from hookkit.work import Claim

__all__ = ["ATTEMPTING", "MOODS", "Network", "SimulatedTransport", "number_in", "url_of"]

ATTEMPTING: Final[ContextVar[Claim | None]] = ContextVar("ATTEMPTING", default=None)
"""The claim that this task is attempting: set by the simulation around :meth:`AsyncCourier.attempt`."""

TOTAL_TIMEOUT_S: Final = 15.0

MOODS: Final[dict[str, dict[str, int]]] = {
    "well": {"ok": 1},
    "shaky": {"ok": 10, "error": 4, "lost reply": 4, "refused": 2, "hangs": 2, "slow": 4},
    "down": {"error": 3, "refused": 3, "hangs": 3, "broken reply": 1},
    "slow": {"slow": 4, "hangs": 1, "accepts and hangs": 1},
    "busy": {"ok": 1, "wait": 2, "wait until": 1},
    "moved": {"redirect": 1},
    "confused": {"not found": 2, "ok": 1},
    "gone": {"gone": 1},
}
"""What a receiver does while it is in a mood, by weight."""

STATUSES: Final = {
    "ok": 200,
    "slow": 204,
    "error": 500,
    "wait": 429,
    "wait until": 503,
    "redirect": 301,
    "not found": 404,
    "gone": 410,
}


@attrs.frozen
class Fate:
    """What becomes of one request.

    Args:
        status: What the receiver answers, None: it never gets the request.
        arrives_s: When it gets it, in seconds from now.
        ends_s: When the sender knows.
        reply: What the sender gets.
    """

    status: int | None
    arrives_s: float
    ends_s: float
    reply: Reply


def url_of(endpoint_id: str, path: int = 0) -> str:
    """Return an endpoint's URL; it may move to another path."""
    return f"https://receiver.example.com/{endpoint_id}/{path}"


class Network:
    """All receivers.

    Args:
        random: Decides.
        ledger: Is told.
        world: The process in which time goes on whatever happens to senders.
        wall: The wall clock.
        note: Takes a line for the trace.
    """

    def __init__(
        self,
        random: Random,
        ledger: Ledger,
        world: Process,
        wall: Callable[[], datetime],
        note: Callable[[str, str], None],
    ) -> None:
        self.moods: dict[str, str] = {}
        self.ledger = ledger
        self.world = world
        self.note = note
        self._random = random
        self._wall = wall

    def fate(self, endpoint_id: str, deadline_s: float) -> Fate:
        """Draw what becomes of a request."""
        mood = MOODS[self.moods.get(endpoint_id, "well")]
        what = self._random.choices(list(mood), list(mood.values()))[0]
        before, after = self._random.uniform(0.0, 0.3), self._random.uniform(0.0, 0.3)
        if what == "refused":
            return Fate(None, before, before, Reply(None, reason="connect", elapsed=before))
        if what == "hangs":
            return Fate(None, before, deadline_s, Reply(None, reason="timeout", elapsed=deadline_s))
        if what == "accepts and hangs":
            return Fate(200, before, deadline_s, Reply(None, reason="timeout", elapsed=deadline_s))
        ends = before + after if what != "slow" else self._random.uniform(1.0, deadline_s)
        if what in ("lost reply", "broken reply"):
            status = 200 if what == "lost reply" else 500
            return Fate(status, before, ends, Reply(None, reason="connection_lost", elapsed=ends))
        status = STATUSES[what]
        reply = Reply(status, self._headers(what), reason="redirect" if status == 301 else "", elapsed=ends)
        return Fate(status, min(before, ends), ends, reply)

    def _headers(self, what: str) -> tuple[tuple[str, str], ...]:
        wait = self._random.choice((0, 1, 7, 40, 200))
        if what == "wait":
            return (("Retry-After", str(wait)), ("x-wait-s", str(wait)))
        if what == "wait until":
            until = (self._wall() + timedelta(seconds=wait)).replace(microsecond=0)
            return (("retry-after", format_datetime(until, usegmt=True)), ("x-wait-until", until.isoformat()))
        return ()


class SimulatedTransport:
    """The network, for one process. An :class:`hookkit.protocols.AsyncTransport`."""

    def __init__(self, process: Process, network: Network) -> None:
        self.targets = ANY_TARGET
        self.total_timeout = TOTAL_TIMEOUT_S
        self._process = process
        self._network = network

    async def send(self, request: Request) -> Reply:
        """Send `request`."""
        network, claim = self._network, ATTEMPTING.get()
        endpoint_id = request.url.split("/")[3]
        number = number_in(request.body)
        sent = network.ledger.leaves(self._process, request, claim, endpoint_id, number)
        fate = network.fate(endpoint_id, min(TOTAL_TIMEOUT_S, request.deadline.total_seconds()))
        future = self._process.create_future()
        name = claim.delivery_id if claim is not None else endpoint_id
        network.note(self._process.name, f"sends event {number} as {name}")

        def arrive() -> None:
            if fate.status is not None:
                network.note("receiver", f"{name}: event {number}, answers {fate.status}")
                network.ledger.arrives(endpoint_id, number, accepted=200 <= fate.status < 300)

        def answer() -> None:
            if not future.done():
                future.set_result(None)

        network.world.call_later(fate.arrives_s, arrive)
        network.world.call_later(fate.ends_s, answer)
        await future
        network.note(self._process.name, f"{name} was answered {fate.reply.status or fate.reply.reason}")
        if sent is not None:
            network.ledger.replied(sent, fate.reply)
        return fate.reply


def number_in(body: bytes) -> int:
    """Return the number of the event in a body."""
    found: Any = re.search(rb'"n":\s*(\d+)', body)
    return int(found[1])

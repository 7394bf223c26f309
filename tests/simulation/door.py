"""The store as one simulated process has it: async over a sync one, slow, failing, and never sure of its last word."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

import attrs
from ledger import Ledger
from scheduler import Dead, Process

from hookkit.errors import HookkitError, StoreError

__all__ = ["Door", "Faults"]


@attrs.frozen
class Faults:
    """How much goes wrong. Each is a probability.

    Args:
        refused: Of a call on the store that fails before it does anything.
        unknown: Of one that fails after it took effect.
        slow: Of one that takes seconds.
        crash: Of a process that ends, at each of its steps.
        pause: Of a process that stands still for up to two minutes, at each of its steps.
    """

    refused: float = 0.0
    unknown: float = 0.0
    slow: float = 0.0
    crash: float = 0.0
    pause: float = 0.0


WRITING: Final = frozenset(
    """add_webhook update_webhook remove_webhook enqueue claim claim_lanes claim_one extend give_back settle redeliver
    recover expire_held prune""".split()
)
READING: Final = frozenset("get_webhook list_webhooks subscribers next_due ended record recent entry health".split())


class Door:
    """An :class:`hookkit.protocols.AsyncStore` for one process.

    Args:
        store: The sync store.
        process: Whose it is; once that has crashed, nothing goes through.
        random: Decides.
        faults: What goes wrong, as of now.
        ledger: Is told of every effect.
        note: Takes a line for the trace.
    """

    def __init__(
        self,
        store: Any,
        process: Process,
        random: Random,
        faults: Callable[[], Faults],
        ledger: Ledger,
        note: Callable[[str, str], None],
    ) -> None:
        self.store = store
        self.process = process
        self._random = random
        self._faults = faults
        self._ledger = ledger
        self._note = note

    async def call(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Call a method of the store."""
        faults, draw = self._faults(), self._random.random()
        await self._wait(faults)
        if draw < faults.refused:
            self._say(f"{name} is refused")
            raise StoreError("simulated: refused")
        error, outcome = self.effect(name, args, options)
        await self._wait(faults)
        if error is not None:
            raise error
        if draw > 1 - faults.unknown:
            self._say(f"{name} seems to fail")
            raise StoreError("simulated: nothing is known of the outcome")
        return outcome

    def effect(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[HookkitError | None, Any]:
        """Have the store do it, and tell the ledger before anything else can happen."""
        if not self.process.alive:
            raise Dead
        error, outcome = None, None
        try:
            outcome = getattr(self.store, name)(*args, **options)
        except HookkitError as raised:
            error = raised
        if name in WRITING:
            seen = outcome
            if name == "claim_lanes":
                name, seen = "claim", [claim for _, claim in outcome or ()]
            told = options.get("tx") is None  # what is written in a host's transaction is seen when that commits
            if seen or error is not None or name not in ("claim", "prune", "expire_held"):
                self._say(f"{name}{_brief(name, args, seen)}{'' if error is None else f': {error}'}")
            if told:
                self._ledger.effect(self.process, name, args, options, seen)
        return error, outcome

    async def _wait(self, faults: Faults) -> None:
        draw = self._random.random()
        if draw < faults.slow:
            await asyncio.sleep(self._random.uniform(0.5, 25.0))
        elif draw < 0.4:
            await asyncio.sleep(self._random.uniform(0.0, 0.02))
        elif draw < 0.7:
            await asyncio.sleep(0)

    def _say(self, what: str) -> None:
        self._note(self.process.name, what)


def _brief(name: str, args: tuple[Any, ...], outcome: Any) -> str:
    """Return what the trace says of a call besides its name."""
    if name == "claim":
        return "".join(f" {claim.delivery_id}#{claim.attempt_number}" for claim in outcome or ())
    if name == "settle":
        applied = [one.applied for one in outcome or ()]
        return "".join(
            f" {one.entry.delivery_id}:{one.state}{'' if good else ' (stale)'}"
            for one, good in zip(args[0], applied, strict=False)
        )
    if name == "enqueue":
        return "".join(f" {delivery_id}" for one in outcome or () for delivery_id in one.delivery_ids)
    if name in ("extend", "give_back"):
        return f" {len(outcome or ())} of {len(args[0])}"
    return f" {args[0]}" if args and isinstance(args[0], str) else ""


def _method(name: str) -> Callable[..., Any]:
    async def method(self: Door, *args: Any, **options: Any) -> Any:
        return await self.call(name, args, options)

    method.__name__ = name
    return method


for _name in WRITING | READING:
    setattr(Door, _name, _method(_name))

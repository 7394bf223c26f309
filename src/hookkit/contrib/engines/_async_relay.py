"""The relay, for asyncio: offer what is due, hand the tickets over, watch what becomes of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from hookkit._async.loop import AsyncTurns, Flags, claim
from hookkit._async.running import AsyncRunner
from hookkit.clock import SYSTEM_CLOCK
from hookkit.contrib.engines._tickets import WATCH_MAX_S, WATCH_MIN_S, check_window, names, ticket_of
from hookkit.kinds import check_async_handover, check_called, check_store
from hookkit.model import as_duration
from hookkit.profiles import BUILTIN
from hookkit.work import taken_id
from hookkit.working import Settings

if TYPE_CHECKING:
    from hookkit.profiles import Profile
    from hookkit.protocols import AsyncHandoverQueue, AsyncLogStore, AsyncStore, Clock
    from hookkit.work import Claim

__all__ = ["AsyncRelay"]

Hand = Callable[[Sequence[str]], Awaitable[object]]


class AsyncRelay(AsyncRunner):
    """Hands what is due to an engine, in an event loop. It sends nothing itself, and keeps house as a worker does.

    Caps, rates, breakers and shares hold as for a worker: an offer counts as a lease. Run as many relays as you like;
    one is enough. Stopped or killed, it leaves nothing behind but offers, which the engine's workers take, or which run
    out.

    Args:
        store: Where deliveries are offered; it must be able to (:class:`hookkit.protocols.AsyncHandoverQueue`), as the
            shipped ones are.
        hand: Awaited with tickets. When it returns, the engine has them; when it raises, it is
            taken to have none: the offers are given back, and made again after a pause.
        logs: Where log entries go besides; None: the store's own log is the log.
        profiles: The known profiles by name: those that the engine's workers know.
        window: How many deliveries may be with the engine at once: as many as its workers can send at the same time,
            and a few that wait. Shares are shares of this.
        patience: How long an offer stands; a timedelta, or seconds. A ticket that is lost costs that much time.
        clock: The time.
        housekeeping: How often old payloads and log entries are deleted; a timedelta, or seconds.
        keep_payloads: How long after its end a delivery keeps its payload.
        keep_log: How long after its end a delivery stays in the log.
        keep_held: How old a held delivery may grow; then it fails (``expired``).

    Raises:
        TypeError: `store` is sync, or cannot hand over.
        ValueError: `window` is less than 1, `patience` less than a second, or `housekeeping` is not positive.
    """

    def __init__(
        self,
        store: AsyncStore,
        hand: Hand,
        *,
        logs: AsyncLogStore | None = None,
        profiles: Mapping[str, Profile] = BUILTIN,
        window: int = 64,
        patience: timedelta | float = timedelta(seconds=60),
        clock: Clock = SYSTEM_CLOCK,
        housekeeping: timedelta | float = timedelta(hours=1),
        keep_payloads: timedelta | float = timedelta(days=7),
        keep_log: timedelta | float = timedelta(days=30),
        keep_held: timedelta | float = timedelta(days=30),
    ) -> None:
        check_store("AsyncRelay", store)
        self._queue: Final[AsyncHandoverQueue] = check_async_handover("AsyncRelay", store)
        check_called("AsyncRelay", "hand", hand)
        check_window(window, patience)
        super().__init__(store, "hookkit-relay")
        self._hand = hand
        self._settings: Settings[AsyncStore, AsyncLogStore] = Settings(
            store=store,
            log=store if logs is None else logs,
            profiles=profiles,
            concurrency=window,
            lease=as_duration(patience),
            owner=f"relay {socket.gethostname()}:{os.getpid()}",
            on_notice=None,
            clock=clock,
            keep_payloads=as_duration(keep_payloads),
            keep_log=as_duration(keep_log),
            keep_held=as_duration(keep_held),
            housekeeping=as_duration(housekeeping),
        )

    async def run_once(self) -> int:
        """Offer what is due, at most a window of it, hand it over, and return how many tickets that were.

        What was handed over before is not asked after: for tests, and for hosts with a loop of their own.
        """
        return await AsyncRelayLoop(self._settings, Flags(), self._queue, self._hand).once()

    async def _serve(self, flags: Flags) -> None:
        await AsyncRelayLoop(self._settings, flags, self._queue, self._hand).serve()


class AsyncRelayLoop(AsyncTurns):
    """Offers, hands over, and watches, until it is stopped.

    Args:
        settings: The relay's; ``concurrency`` is its window, and ``lease`` its patience.
        flags: The relay's.
        queue: The store, as what can offer.
        hand: Gives tickets to the engine.
    """

    def __init__(
        self, settings: Settings[AsyncStore, AsyncLogStore], flags: Flags, queue: AsyncHandoverQueue, hand: Hand
    ) -> None:
        super().__init__(settings, flags)
        self._queue = queue
        self._hand = hand
        self._watch_s = WATCH_MIN_S

    async def once(self) -> int:
        """Offer and hand over once; return how many."""
        return len(await self._claim())

    async def _turn(self) -> float:
        wait = await super()._turn()
        return min(wait, self._watch_s) if self._slots.taken else wait

    async def _renew(self) -> None:
        """Let go of the offers that have run out or been given back, and of those that were taken and are settled."""
        if not self._slots.taken:
            return
        standing = await self._queue.outstanding(names(self._slots.taken), now=self._settings.clock.now())
        over = [one for one in self._slots.taken if one not in standing and taken_id(one) not in standing]
        for offer_id in over:
            self._slots.give(offer_id)
        self._eager = self._eager or bool(over)
        self._watch_s = WATCH_MIN_S if over else min(2 * self._watch_s, WATCH_MAX_S)

    async def _settle(self) -> None:
        """Do nothing: who takes an offer settles it."""

    async def _claim(self) -> list[Claim]:
        return await claim(self._settings, self._slots, ask=self._queue.offer, begin=self._send)

    async def _send(self, claims: Sequence[Claim]) -> None:
        try:
            await self._hand([ticket_of(each) for each in claims])
        except BaseException:
            for each in claims:
                self._slots.give(each.claim_id)
            await self._queue.give_back([each.claim_id for each in claims], now=self._settings.clock.now())
            raise
        self._watch_s = WATCH_MIN_S

    async def _end(self) -> None:
        """Leave what is with the engine to its workers."""

    def _is_over(self) -> bool:
        return self._flags.stopping

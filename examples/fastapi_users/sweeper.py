"""The sweeper: it emits what was committed, in the background, until nothing is left.

Copy it as it is. Any number of processes may run one: what two of them emit at the same time has the same idempotency
key, and is sent once.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from models import Untold
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from hookkit import AsyncDispatcher, Event, HookkitError

EVERY = float(os.environ.get("SWEEP_EVERY", "1"))  # seconds; how long an event waits of which no hook tells
BATCH = 200
MOST = 10_000  # what is kept in memory while the store is away

log = logging.getLogger(__name__)


class Sweeper:
    """Emits untold events. No method of it that a hook calls waits for anything, or can fail."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], dispatcher: AsyncDispatcher) -> None:
        self._sessions = sessions
        self._dispatcher = dispatcher
        self._asked: deque[Event] = deque()
        self._awake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Have it look at once."""
        self._awake.set()

    def tell(self, type: str, data: dict[str, Any]) -> None:
        """Take an event that belongs to no change of the database. It is in memory until it is emitted."""
        if len(self._asked) >= MOST:
            log.warning("a %s is told to nobody: too many wait already", type)
            return
        self._asked.append(Event(type, data, occurred_at=datetime.now(UTC), idempotency_key=str(uuid.uuid4())))
        self.wake()

    def stop(self) -> None:
        """Have :meth:`run` sweep once more, and return."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Sweep when something happens, and every now and then: the latter finds what a crash has left."""
        while True:
            stopping = self._stopping
            self._awake.clear()
            try:
                await self.sweep()
            except (HookkitError, SQLAlchemyError) as error:
                # It stays where it is. If it was stored after all, its key makes the next try a repeat.
                log.warning("webhooks are not told yet; trying again in a moment: %s", error)
            if stopping:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._awake.wait(), EVERY)

    async def sweep(self) -> None:
        """Emit all there is, and only then forget it."""
        async with self._sessions() as session:  # it is closed before emitting, which may have to wait
            found = (await session.scalars(select(Untold).order_by(Untold.occurred_at).limit(BATCH))).all()
        if found:
            await self._dispatcher.emit_many([note.event() for note in found])
            async with self._sessions.begin() as session:
                await session.execute(delete(Untold).where(Untold.key.in_([note.key for note in found])))
        while self._asked:
            await self._dispatcher.emit(self._asked[0])
            self._asked.popleft()
        if len(found) == BATCH:
            self.wake()

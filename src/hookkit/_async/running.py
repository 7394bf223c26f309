"""Starting and stopping what runs a loop in a task: the worker, and the relay to an engine."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from typing import Self

from hookkit._async.loop import Flags
from hookkit.wakeups import listen

__all__ = ["AsyncRunner"]


class AsyncRunner(ABC):
    """Runs a loop in a task of its own or in the caller's, until it is stopped.

    Args:
        store: What the loop serves: it is woken when something was emitted there.
        name: The task's.
    """

    def __init__(self, store: object, name: str) -> None:
        self._served = store
        self._name = name
        self._flags: Flags | None = None
        self._first: Flags | None = Flags()  # the first run's: this task may not have begun when it is stopped
        self._running: asyncio.Task[None] | None = None

    @abstractmethod
    async def _serve(self, flags: Flags) -> None:
        """Serve until the flags say otherwise."""

    async def _close(self) -> None:  # noqa: B027 - a relay makes nothing
        """Release what was made for that; repeating it is harmless."""

    async def start(self) -> None:
        """Run in a task of its own until :meth:`stop`. Starting it twice is harmless."""
        if not self._is_running():
            flags = self._flags = Flags()
            self._first = None
            self._running = asyncio.create_task(self._pump(flags), name=self._name)

    async def run(self) -> None:
        """Run until :meth:`stop` is called, or until this task is cancelled: then leases are given back.

        A stop that came before the first run counts: this returns at once then, and runs when it is called again.

        Raises:
            RuntimeError: It is running already.
        """
        if self._is_running():
            raise RuntimeError("it is running already")
        self._flags, self._first, self._running = self._first or Flags(), None, None
        await self._pump(self._flags)

    def _is_running(self) -> bool:
        # A task that was cancelled before it began, by an event loop that ended, has left its flags behind.
        return self._flags is not None and not (self._running is not None and self._running.done())

    async def stop(self, timeout: float | None = None) -> bool:
        """Claim nothing more, wait for what is being sent, and give back what was not finished, uncounted.

        What was sent and cannot be stored, because the store fails, is tried a few times, and then left to be sent
        again when its lease has run out.

        Args:
            timeout: How long to wait, in seconds; None: as long as the attempts take, which have a deadline each.

        Returns:
            True if everything was finished in time.
        """
        flags, finished = self._flags, True
        if flags is not None and self._is_running():
            flags.stopping = True
            flags.signal.set()
            try:
                await asyncio.wait_for(flags.ended.wait(), timeout)
            except TimeoutError:
                finished = False
                flags.abandoned = True
                flags.signal.set()
                await flags.ended.wait()
        elif self._first is not None:
            self._first.stopping = True
        await self._close()
        return finished

    async def _pump(self, flags: Flags) -> None:
        events = asyncio.get_running_loop()

        def look() -> None:
            # The emitter may be on any thread, and may outlive this event loop.
            with contextlib.suppress(RuntimeError):
                events.call_soon_threadsafe(flags.signal.set)

        forget = listen(self._served, look)
        try:
            await self._serve(flags)
        finally:
            forget()
            await self._close()
            self._flags = None
            flags.ended.set()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

"""Simulated processes: event loops without clocks, threads or sockets, which a scheduler lets run one step at a time.

A :class:`Process` is an asyncio event loop, so the shells run in it unchanged, in the order that asyncio promises them.
Which process has the next turn is drawn from a seeded :class:`random.Random`; time moves only when none can go on. A
process may end at any step (:meth:`Process.crash`) or stand still for a while (:attr:`Process.stands_until`), as real
ones do.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import inspect
from collections import deque
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

__all__ = ["Dead", "Process", "Scheduler"]


class Dead(BaseException):
    """A process that has crashed does nothing more. No ``except Exception`` catches it."""


class Process(asyncio.AbstractEventLoop):
    """One process, with nothing in it yet.

    Args:
        name: For people.
        scheduler: Whose time it has.
        complain: Called with whatever would otherwise only be logged: exceptions that nobody took.
    """

    def __init__(self, name: str, scheduler: Scheduler, complain: Callable[[str], None]) -> None:
        self.name = name
        self.alive = True
        self.stands_until = 0.0
        self.restart: Callable[[], None] = lambda: None
        self._scheduler = scheduler
        self._complain = complain
        self._ready: deque[asyncio.Handle] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._most_tasks = 32

    # --- What the scheduler asks --------------------------------------------------------------------------------------

    def can_run(self) -> bool:
        """Return whether it could go on now."""
        now, ready, timers = self._scheduler.now_s, self._ready, self._timers
        while timers and timers[0][0] <= now:
            ready.append(heapq.heappop(timers)[2])
        while ready and ready[0]._cancelled:
            ready.popleft()
        return bool(ready) and now >= self.stands_until

    def next_s(self) -> float | None:
        """Return when it could go on if nothing happens, None: never."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if self._ready:
            return self.stands_until
        return max(self._timers[0][0], self.stands_until) if self._timers else None

    def run_one(self) -> None:
        """Run one callback: a task, up to its next ``await`` that has to wait."""
        handle = self._ready.popleft()
        asyncio._set_running_loop(self)
        try:
            handle._run()
        finally:
            asyncio._set_running_loop(None)

    def crash(self) -> None:
        """End it here. What it was doing is broken off, and nothing that it still tries has any effect."""
        self.alive = False
        self._ready.clear()
        self._timers.clear()
        tasks, self._tasks = self._tasks, []
        asyncio._set_running_loop(self)
        try:
            for task in tasks:
                task._log_destroy_pending = False
                _close(task.get_coro())
        finally:
            asyncio._set_running_loop(None)

    # --- What asyncio asks --------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self._scheduler.now_s

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if self.alive:
            self._ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if self.alive:
            heapq.heappush(self._timers, (when, self._scheduler.next_number(), handle))
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        task = asyncio.Task(coro, loop=self, **options)
        self._tasks.append(task)
        if len(self._tasks) > self._most_tasks:
            self._tasks = [one for one in self._tasks if not one.done()]
            self._most_tasks = 2 * len(self._tasks) + 32
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if self.alive:
            self._complain(f"{context.get('message')}: {context.get('exception')!r}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Leave it in the heap; it is passed over when its time comes."""


def _close(coroutine: Any) -> None:
    """Close a coroutine whose ``finally`` blocks may try to wait for something, as one that is collected would be."""
    for _ in range(20):
        with contextlib.suppress(BaseException):  # nobody hears what a dead process says
            coroutine.close()
        if inspect.getcoroutinestate(coroutine) == inspect.CORO_CLOSED:
            return
    raise AssertionError(f"{coroutine} does not end")


class Scheduler:
    """Time, and whose turn it is.

    Args:
        random: Decides.
    """

    def __init__(self, random: Random) -> None:
        self.now_s = 0.0
        self.steps = 0
        self.processes: list[Process] = []
        self._random = random
        self._number = 0

    def next_number(self) -> int:
        """Return a number greater than every one before: timers of the same moment keep their order."""
        self._number += 1
        return self._number

    def step(self) -> Process | None:
        """Let one process run one step, and return it; None: nothing will ever happen again."""
        ready = [process for process in self.processes if process.can_run()]
        while not ready:
            times = [when for process in self.processes if (when := process.next_s()) is not None]
            if not times:
                return None
            self.now_s = max(self.now_s, min(times))
            ready = [process for process in self.processes if process.can_run()]
        process = ready[0] if len(ready) == 1 else self._random.choice(ready)
        self.steps += 1
        process.run_one()
        return process

"""The simulation: workers, emitters and an operator over one store, in one thread, from one seed.

Everything that is drawn is drawn from the seed, and everything that could differ between two runs (time, ids, jitter)
is simulated, so one seed is one history. It has two parts. First the chaos: faults, crashes, clock jumps, changes of
mind. Then faults stop, receivers find themselves, the clock runs on, and everything that was promised has to be kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random as global_random
import sqlite3
from collections.abc import Callable, Coroutine, Generator
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, Final
from unittest import mock

from actors import Emitter, Operator, work
from door import Door, Faults
from ledger import Broken, Ledger, short
from network import ATTEMPTING, Network
from rows import MemoryRows, SQLiteRows
from scheduler import Process, Scheduler
from verdict import Verdict

import hookkit._async.loop
import hookkit._async.worker
import hookkit.stores.sqlite._database
import hookkit.working
from hookkit import ids
from hookkit._async.courier import AsyncCourier
from hookkit.errors import StoreError
from hookkit.stores.memory import MemoryStore
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing.clock import START

__all__ = ["CALM", "Simulation", "Wall", "run", "simulated"]

CALM: Final = Faults()
SHARES: Final = {"calm": 1, "store": 2, "crashes": 3, "everything": 6}
"""What kind of chaos a seed has, by weight."""

POLL_CHAOS_S: Final = 20.0
POLL_END_S: Final = 86_400.0
"""Once faults have stopped nothing new comes in from elsewhere, so that whatever is due has to be known, not found."""
HORIZON_S: Final = 20 * 86_400.0
"""By when, after the chaos, everything must have come to an end. A dead receiver's breaker probes once an hour."""


class Wall:
    """The wall clock of the machine: a :class:`hookkit.protocols.Clock`. It can be set; the scheduler's time cannot."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.offset_s = 0.0
        self._scheduler = scheduler

    def now(self) -> datetime:
        """Return what the clock on the wall says."""
        return START + timedelta(seconds=self._scheduler.now_s + self.offset_s)

    def monotonic(self) -> float:
        """Return seconds that never jump."""
        return self._scheduler.now_s


class Simulation:
    """One history.

    Args:
        seed: Decides everything.
        folder: Where a SQLite file may be made; None: the store is in memory.
        faults: What goes wrong in the first part; None: the seed decides.
        lasts_s: How long the first part lasts, in seconds; None: the seed decides.
        crash_at: The step at which the process that has just run crashes, besides what `faults` say; None: none.

    Attributes:
        trace: What happened, one tuple for each line.
    """

    def __init__(
        self,
        seed: int,
        folder: Path | None,
        *,
        faults: Faults | None = None,
        lasts_s: float | None = None,
        crash_at: int | None = None,
    ) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.scheduler = Scheduler(self.random)
        self.wall = Wall(self.scheduler)
        self.trace: list[tuple[int, float, datetime, str, str]] = []
        self.path = None if folder is None else folder / f"{seed}.db"
        self.chaos = _chaos(self.random) if faults is None else faults
        self.faults = CALM
        self.in_chaos = True
        self.emitted = count(1)
        self._crash_at = crash_at
        self._number = count(1)
        self._lasts_s = self.random.uniform(40.0, 240.0) if lasts_s is None else lasts_s
        self._memory = MemoryStore() if self.path is None else None
        self._opened: dict[Process, list[Any]] = {}

    def _open(self) -> None:
        self.world = self.start_process("world")
        store = self.open_store(self.world)
        if self.path is not None:
            self.connect(self.world).execute("CREATE TABLE orders (n INTEGER PRIMARY KEY)")
        self.rows = MemoryRows(store) if self.path is None else SQLiteRows(self.path)
        self.ledger = Ledger(self.rows.read, self.wall.now)
        self.network = Network(self.random, self.ledger, self.world, self.wall.now, self.note)

    # --- Processes ----------------------------------------------------------------------------------------------------

    def start_process(self, name: str) -> Process:
        """Return a new process with nothing in it."""
        process = Process(name, self.scheduler, self._complain)
        self.scheduler.processes.append(process)
        self._opened[process] = []
        return process

    def open_store(self, process: Process) -> Any:
        """Open the store in a process; it is closed when that ends."""
        if self._memory is not None or self.path is None:
            return self._memory
        store = SQLiteStore(self.path, synchronous="NORMAL")
        self._opened[process].append(store)
        return store

    def connect(self, process: Process) -> sqlite3.Connection:
        """Return a connection of the host's own to the database; the system closes it when the process ends."""
        assert self.path is not None
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        self._opened[process].append(connection)
        return connection

    def door(self, process: Process) -> Door:
        """Return the store as a process has it."""
        return Door(self.open_store(process), process, self.random, lambda: self.faults, self.ledger, self.note)

    def launch(self, name: str, main: Callable[[Simulation, Process], Coroutine[Any, Any, None]]) -> None:
        """Start a process that runs `main`, and starts again some time after it has crashed."""
        process = self.start_process(f"{name}/{next(self._number)}")
        process.restart = lambda: self.launch(name, main)

        async def guarded() -> None:
            try:
                await main(self, process)
            except Exception as error:  # noqa: BLE001 - a process may not end by itself
                self.ledger.breaks("nothing escapes", repr(error))

        asyncio._set_running_loop(process)
        try:
            process.create_task(guarded())
        finally:
            asyncio._set_running_loop(None)

    def crash(self, process: Process) -> None:
        """End a process where it stands, and start it again later."""
        self.note(process.name, "crashes")
        self._end(process)
        self.ledger.crashed(process)
        self.world.call_later(self.random.uniform(0.0, 40.0) if self.in_chaos else 1.0, process.restart)

    def _end(self, process: Process) -> None:
        process.crash()
        self.scheduler.processes.remove(process)
        for opened in self._opened.pop(process):
            opened.close()

    # --- Running ------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Run it to its end.

        Raises:
            Broken: A rule was broken.
        """
        with simulated(self):
            self._open()
            try:
                with listening(self.ledger):
                    self._run()
            finally:
                for process in list(self.scheduler.processes):
                    self._end(process)
                self.rows.close()

    def _run(self) -> None:
        operator = Operator(self)
        operator.begin()
        workers = self.random.choice((1, 2, 2, 3))
        for index in range(workers):
            self.launch(f"worker{index}", work)
        self.launch("emitter", Emitter().main)
        self.launch("operator", operator.main)
        self._set_jumps()
        self.faults = self.chaos
        while self.scheduler.now_s < self._lasts_s:
            self._step()
        self.note("world", "faults stop")
        self.in_chaos, self.faults = False, CALM
        hookkit.working.POLL_S = POLL_END_S
        self._heal()
        ends = self.scheduler.now_s + HORIZON_S
        while not self._is_over():
            self._step()
            if self.scheduler.now_s > ends:
                raise Broken("everything comes to an end", " ".join(map(short, self._unfinished())))
        Verdict(self).give()
        self._raise()

    def _step(self) -> None:
        process = self.scheduler.step()
        assert process is not None  # the workers poll for ever
        self._raise()
        if process is self.world:
            return
        if self.scheduler.steps == self._crash_at:
            self.crash(process)
        elif self.in_chaos and process.alive:
            draw, faults = self.random.random(), self.faults
            if draw < faults.crash:
                self.crash(process)
            elif draw < faults.crash + faults.pause:
                process.stands_until = self.scheduler.now_s + self.random.uniform(1.0, 120.0)
                self.note(process.name, f"stands still until {process.stands_until:.3f}")

    def _raise(self) -> None:
        if self.ledger.broken is not None:
            raise self.ledger.broken

    def _set_jumps(self) -> None:
        if self.chaos == CALM:
            return
        for _ in range(self.random.choice((0, 0, 1, 2))):
            by = self.random.choice((-3600.0, 86_400.0, -30.0, 90.0))
            self.world.call_later(self.random.uniform(0.0, self._lasts_s), self._jump, by)

    def _jump(self, by: float) -> None:
        self.wall.offset_s += by
        self.ledger.jumped()
        self.note("world", f"the wall clock is set {by:+.0f} s")

    def _heal(self) -> None:
        """Have receivers find themselves: most are well from now on, some answer nothing good for ever."""
        for endpoint_id in list(self.network.moods):
            mood = self.random.choices(("well", "down", "moved"), (9, 1, 1))[0]
            self.network.moods[endpoint_id] = mood
            self.note("receiver", f"{endpoint_id} is {mood} from now on")
        for process in self.scheduler.processes:
            process.stands_until = min(process.stands_until, self.scheduler.now_s + 60.0)

    def _unfinished(self) -> list[str]:
        return [row.id for row in self.ledger.seen.rows.values() if row.state in ("pending", "leased")]

    def _is_over(self) -> bool:
        quiet = not self.in_chaos and self.scheduler.steps % 16 == 0 and self.ledger.is_quiet()
        return quiet and not self._unfinished()

    # --- Telling ------------------------------------------------------------------------------------------------------

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append((self.scheduler.steps, self.scheduler.now_s, self.wall.now(), who, what))

    def story(self, lines: int = 40) -> str:
        """Return the last lines of the trace, for people."""
        return "\n".join(
            f"  {step:>6}  {now:>12.3f} s  {wall:%d %H:%M:%S}  {who:<12} {' '.join(map(_legible, what.split(' ')))}"
            for step, now, wall, who, what in self.trace[-lines:]
        )

    def _complain(self, what: str) -> None:
        self.ledger.breaks("nothing escapes", what)


def _legible(word: str) -> str:
    return short(word) if word.startswith(("dlv_", "evt_", "whk_", "clm_")) else word


def _chaos(random: Random) -> Faults:
    kind = random.choices(list(SHARES), list(SHARES.values()))[0]
    if kind == "calm":
        return CALM
    level = random.choice((0.3, 1.0, 2.0))
    store = kind in ("store", "everything")
    crashes = kind in ("crashes", "everything")
    return Faults(
        refused=0.02 * level * store,
        unknown=0.02 * level * store,
        slow=0.01 * level * store,
        crash=0.002 * level * crashes,
        pause=0.002 * level * crashes,
    )


class _Listener(logging.Handler):
    """Hears what hookkit logs: an exception that it swallowed, and that no store raised, is a fault."""

    def __init__(self, ledger: Ledger) -> None:
        super().__init__(logging.ERROR)
        self._ledger = ledger

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None or not isinstance(error, StoreError):
            self._ledger.breaks("nothing unexpected is swallowed", f"{record.getMessage()} {error!r}")


@contextlib.contextmanager
def listening(ledger: Ledger) -> Generator[None, None, None]:
    """Hear what hookkit logs within a block, and let nobody else."""
    log, listener = logging.getLogger("hookkit"), _Listener(ledger)
    level, propagate = log.level, log.propagate
    log.addHandler(listener)
    log.setLevel(logging.ERROR)
    log.propagate = False
    try:
        yield
    finally:
        log.removeHandler(listener)
        log.setLevel(level)
        log.propagate = propagate


async def _attempt(self: AsyncCourier, claim: Any) -> Any:
    ATTEMPTING.set(claim)
    try:
        return await _REAL_ATTEMPT(self, claim)
    finally:
        ATTEMPTING.set(None)


_REAL_ATTEMPT = AsyncCourier.attempt


@contextlib.contextmanager
def simulated(simulation: Simulation) -> Generator[None, None, None]:
    """Have the shells live in simulated time within a block, with ids that are counted and jitter from the seed."""
    numbers = count(1)
    time = SimpleNamespace(monotonic=simulation.wall.monotonic)
    before = global_random.getstate()
    global_random.seed(simulation.seed)
    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (ids, "_uuid7", lambda: next(numbers)),
            (hookkit._async.loop, "time", time),
            (hookkit._async.worker, "time", time),
            (hookkit._async.loop, "POLL_S", POLL_CHAOS_S),
            (hookkit.working, "POLL_S", POLL_CHAOS_S),
            (hookkit.stores.sqlite._database, "BUSY_TIMEOUT_S", 0.0),
            (AsyncCourier, "attempt", _attempt),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        try:
            yield
        finally:
            global_random.setstate(before)


def run(seed: int, folder: Path | None, **options: Any) -> Simulation:
    """Run one seed to its end, and return what happened.

    Raises:
        Broken: A rule was broken. The message has the seed and the end of the trace.
    """
    simulation = Simulation(seed, folder, **options)
    try:
        simulation.run()
    except Broken as broken:
        where = "memory" if folder is None else "SQLite"
        broken.args = (f"seed {seed} ({where}): {broken}\n{simulation.story()}",)
        raise
    return simulation

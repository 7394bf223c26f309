"""Who acts in the simulation: workers, an emitter, and an operator with their finger on every verb."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from network import MOODS, SimulatedTransport, url_of
from scheduler import Process

from hookkit import AsyncOutboxDispatcher, AsyncRegistry, AsyncWorker, Endpoint, RetryPolicy, SigningKey
from hookkit.errors import HookkitError, NotFound, StoreError

if TYPE_CHECKING:
    from simulation import Simulation

__all__ = ["Emitter", "Operator", "work"]

POLICIES = (
    RetryPolicy((1, 4, 15)),
    RetryPolicy((1, 4, 15)),
    RetryPolicy((0, 30), jitter=1),
    RetryPolicy((5, 300, 1800)),
    RetryPolicy((2,), statuses=range(500, 600)),
    RetryPolicy(()),
)
KEYS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")


# --- Workers ----------------------------------------------------------------------------------------------------------


async def work(simulation: Simulation, process: Process) -> None:
    """Deliver in one of the ways a host may, a loop or calls; now and then stop in good order, and begin anew."""
    random = simulation.random
    concurrency, lease = random.choice((1, 2, 4, 8)), random.choice((16.5, 20.0, 60.0))
    while True:
        worker = AsyncWorker(
            simulation.door(process),
            transport=SimulatedTransport(process, simulation.network),
            concurrency=concurrency,
            lease=lease,
            clock=simulation.wall,
            keep_payloads=timedelta(days=60),
            keep_log=timedelta(days=90),
            keep_held=timedelta(days=60),
            housekeeping=timedelta(days=1),
        )
        if simulation.in_chaos and random.random() < 0.2:
            await _call_now_and_then(simulation, worker)
            continue
        running = asyncio.create_task(worker.run())
        await asyncio.sleep(random.uniform(5.0, 300.0))
        if not simulation.in_chaos:
            await running  # for ever
        await asyncio.sleep(random.uniform(0.0, 20.0))
        timeout = random.choice((None, 0.0, 0.2, 5.0))
        finished = await worker.stop(timeout)
        simulation.note(process.name, f"stopped, and {'all' if finished else 'not all'} was finished")
        await running
        await asyncio.sleep(random.uniform(0.0, 10.0))


async def _call_now_and_then(simulation: Simulation, worker: AsyncWorker) -> None:
    for _ in range(simulation.random.randint(1, 10)):
        with contextlib.suppress(StoreError):
            await worker.run_once()
        await asyncio.sleep(simulation.random.uniform(0.0, 8.0))
        rows = list(simulation.ledger.seen.rows)
        if rows and simulation.random.random() < 0.2:
            with contextlib.suppress(StoreError, NotFound):
                await worker.deliver(simulation.random.choice(rows))


# --- The emitter ------------------------------------------------------------------------------------------------------


class Emitter:
    """A host's application: it emits, within its transactions where it has a database, and repeats what is unknown."""

    async def main(self, simulation: Simulation, process: Process) -> None:
        """Emit now and then, until the chaos ends; then wait."""
        random = simulation.random
        dispatcher = AsyncOutboxDispatcher(simulation.door(process), clock=simulation.wall)
        while simulation.in_chaos:
            await asyncio.sleep(random.choice((0.0, 1.0, 5.0, 10.0, 30.0)))
            number = next(simulation.emitted)
            if simulation.path is not None and random.random() < 0.6:
                await self._in_transaction(simulation, process, dispatcher, number)
            else:
                await self._alone(simulation, process, dispatcher, number)
            simulation.ledger.told[number].busy = False
        await asyncio.Event().wait()

    async def _alone(
        self, simulation: Simulation, process: Process, dispatcher: AsyncOutboxDispatcher, number: int
    ) -> None:
        keyed = simulation.random.random() < 0.7
        simulation.ledger.emits(process, number, tx=False)
        for _ in range(8 if keyed else 1):
            try:
                emission = await dispatcher.emit(
                    "user.created", {"n": number}, idempotency_key=f"event-{number}" if keyed else None
                )
            except StoreError:
                await asyncio.sleep(simulation.random.uniform(0.1, 3.0))
                continue
            simulation.note(process.name, f"has emitted {number}")
            simulation.ledger.acknowledged(number, emission)
            if not keyed or simulation.random.random() < 0.8:
                break

    async def _in_transaction(
        self, simulation: Simulation, process: Process, dispatcher: AsyncOutboxDispatcher, number: int
    ) -> None:
        random, ledger = simulation.random, simulation.ledger
        ledger.emits(process, number, tx=True)
        commits, emission = random.random() < 0.7, None
        with contextlib.closing(simulation.connect(process)) as connection:
            try:
                connection.execute(random.choice(("BEGIN", "BEGIN IMMEDIATE")))
                connection.execute("INSERT INTO orders VALUES (?)", (number,))
                await asyncio.sleep(random.choice((0.0, 0.0, 0.01)))
                emission = await dispatcher.emit("user.created", {"n": number}, tx=connection)
                await asyncio.sleep(random.choice((0.0, 0.0, 0.05)))
                if commits:
                    connection.execute("COMMIT")
            except (StoreError, sqlite3.OperationalError) as error:
                simulation.note(process.name, f"cannot emit {number}: {error}")
                emission = None
            if emission is None or not commits:
                simulation.note(process.name, f"rolls {number} back")
                ledger.rolled_back(number)
                return  # closing rolls back
        ledger.effect(process, "commit", (), {}, None)
        simulation.note(process.name, f"has committed {number}")
        ledger.acknowledged(number, emission)
        await asyncio.sleep(random.choice((0.0, 0.2)))
        dispatcher.wake()


# --- The operator -----------------------------------------------------------------------------------------------------


class Operator:
    """A host's administration: it adds, changes, disables, enables and removes webhooks, and asks for things again."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._made = 0

    def begin(self) -> None:
        """Add the first webhooks, before anything can go wrong."""
        door = self._simulation.door(self._simulation.world)
        for _ in range(self._simulation.random.choice((1, 2, 2, 3))):
            endpoint = self._draw()
            door.effect("add_webhook", (endpoint,), {})

    def _draw(self) -> Endpoint:
        random = self._simulation.random
        self._made += 1
        id = f"whk_{self._made:04}"
        self._simulation.network.moods[id] = random.choice(("well", "well", "shaky", "down", "slow"))
        profile = random.choice(("standard", "standard", "standard", "logto"))
        return Endpoint(
            url_of(id),
            ["user.*"],
            id=id,
            keys=[SigningKey(random.choice(KEYS))],
            profile=profile,
            retry=None if profile == "logto" or random.random() < 0.05 else random.choice(POLICIES),
            max_in_flight=random.choice((1, 1, 2, 4)),
            rate_limit=random.choice((None, None, None, (2, timedelta(seconds=10)))),
        )

    async def main(self, simulation: Simulation, process: Process) -> None:
        """Do something now and then; at the end, perhaps, enable what is disabled."""
        random = simulation.random
        transport = SimulatedTransport(process, simulation.network)
        registry = AsyncRegistry(simulation.door(process), transport=transport, clock=simulation.wall)
        while simulation.in_chaos:
            await asyncio.sleep(random.choice((1.0, 5.0, 15.0, 40.0)))
            for endpoint_id in list(simulation.network.moods):
                if random.random() < 0.3:
                    simulation.network.moods[endpoint_id] = random.choice(list(MOODS))
            await self._try(random.choice(self._verbs(registry)))
        if random.random() < 0.5:
            for endpoint_id in list(simulation.ledger.seen.standings):
                await self._try(lambda id=endpoint_id: registry.enable(id))
        await asyncio.Event().wait()

    async def _try(self, verb: Callable[[], Awaitable[Any]]) -> None:
        with contextlib.suppress(HookkitError):
            await verb()

    def _verbs(self, registry: AsyncRegistry) -> list[Callable[[], Awaitable[Any]]]:
        random, seen = self._simulation.random, self._simulation.ledger.seen
        wall = self._simulation.wall
        id = random.choice([*seen.standings, "whk_none"])
        delivery_id = random.choice([*seen.rows, "dlv_none"])
        return [
            lambda: registry.disable(id),
            lambda: registry.enable(id),
            lambda: registry.enable(id),
            lambda: registry.enable(id, held=random.choice(("deliver", "drop"))),
            lambda: registry.remove(id) if random.random() < 0.3 else registry.get(id),
            lambda: registry.create(self._draw()),
            lambda: registry.rotate_key(id, overlap=random.choice((0, 20, 3600))),
            lambda: registry.update(id, url=url_of(id, random.randint(1, 9))),
            lambda: registry.update(id, max_in_flight=random.choice((1, 2, 4)), retry=random.choice(POLICIES)),
            lambda: registry.redeliver(delivery_id),
            lambda: registry.recover(
                id,
                since=wall.now() - timedelta(seconds=random.choice((60, 600))),
                states=random.choice((("failed",), ("failed", "succeeded"))),
            ),
        ]

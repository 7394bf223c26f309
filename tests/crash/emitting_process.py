"""An emitter in a process of its own, which notes on the disk what it was told of each event.

Arguments: the place, a name, a seed, the file for its notes, ``sync`` or ``async``, and how many events (0: until its
standard input is closed). Each event has an id of its own making, and one of these notes or several:

============ ===============================================================================================
note         what it says
============ ===============================================================================================
tried        it may be stored by now, or not
acknowledged the emit has returned, and the transaction, if there was one, has been committed
prepared     it was emitted within a transaction of the host's, which is about to be committed
doomed       it is about to be emitted within a transaction of the host's that will be rolled back
repeated     it was emitted again, and was known
============ ===============================================================================================
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys
import threading
import time
from contextlib import closing, suppress
from typing import Any

from notes import Notes
from places import Place

from hookkit import AsyncOutboxDispatcher, Event, OutboxDispatcher, StoreError

PAUSE_S = 0.05
AT_ONCE = 4


class Emitter:
    """Emits in every way there is, one after the other, as its chance will have it."""

    def __init__(self, place: Place, name: str, seed: int, notes: Notes, count: int) -> None:
        self.place, self.name, self.notes = place, name, notes
        self.chance = random.Random(seed)
        self.left = count or sys.maxsize
        self.numbers = iter(range(1, sys.maxsize))
        self.ended = threading.Event()

    def event(self) -> Event:
        """Make the next event."""
        number = next(self.numbers)
        id, pad = f"evt_{self.name}x{number}", "é" * self.chance.randrange(1500)
        data = {"of": id, "pad": pad, "digest": hashlib.sha256(pad.encode()).hexdigest()}
        return Event(f"to.n{number % 3}", data, id=id)

    def goes_on(self) -> bool:
        """Wait for a moment; return whether to go on."""
        time.sleep(self.chance.uniform(0, 0.03))
        self.left -= 1
        return self.left >= 0 and not self.ended.is_set()

    def run(self) -> None:
        """Emit, synchronously."""
        ways = [self.alone, self.together, self.within, self.within, self.rolled_back]
        with closing(self.place.store()) as store:
            dispatcher = OutboxDispatcher(store)
            while self.goes_on():
                self.chance.choice(ways)(dispatcher)

    def alone(self, dispatcher: OutboxDispatcher) -> None:
        event = self.event()
        self.notes.add("tried", event.id)
        self.insist(lambda: dispatcher.emit(event))
        self.notes.add("acknowledged", event.id)
        if self.chance.random() < 0.2:
            assert self.insist(lambda: dispatcher.emit(event)).duplicate
            self.notes.add("repeated", event.id)

    def together(self, dispatcher: OutboxDispatcher) -> None:
        events = [self.event() for _ in range(3)]
        for event in events:
            self.notes.add("tried", event.id)
        self.insist(lambda: dispatcher.emit_many(events))
        for event in events:
            self.notes.add("acknowledged", event.id)

    def insist(self, emit: Any) -> Any:
        """Emit until it works: after an error it is not known, and a repeat with the same id is harmless."""
        while True:
            try:
                return emit()
            except StoreError:
                time.sleep(PAUSE_S)

    def within(self, dispatcher: OutboxDispatcher, *, commit: bool = True) -> None:
        """Emit within a transaction of the host's. It is not repeated: what becomes of it the host's table says."""
        event = self.event()
        self.notes.add("tried" if commit else "doomed", event.id)
        with suppress(StoreError, self.place.errors):
            connection = self.place.connect()
            try:
                connection.execute("BEGIN" if self.place.path is None else "BEGIN IMMEDIATE")
                connection.execute(f"INSERT INTO orders VALUES ('{event.id}')")
                dispatcher.emit(event, tx=connection)
                time.sleep(self.chance.uniform(0, 0.004))
                if commit:
                    self.notes.add("prepared", event.id)
                    connection.execute("COMMIT")
                    self.notes.add("acknowledged", event.id)
                else:
                    connection.execute("ROLLBACK")
            finally:
                connection.close()

    def rolled_back(self, dispatcher: OutboxDispatcher) -> None:
        self.within(dispatcher, commit=False)

    async def run_async(self) -> None:
        """Emit several at once, which may share a commit."""
        store = self.place.async_store()
        dispatcher = AsyncOutboxDispatcher(store)

        async def emit(event: Event) -> None:
            self.notes.add("tried", event.id)
            while True:
                try:
                    await dispatcher.emit(event)
                    break
                except StoreError:
                    await asyncio.sleep(PAUSE_S)
            self.notes.add("acknowledged", event.id)

        while self.goes_on():
            await asyncio.gather(*(emit(self.event()) for _ in range(AT_ONCE)))
            await asyncio.sleep(self.chance.uniform(0, 0.08))
        await store.aclose()


def main(place: str, name: str, seed: str, path: str, kind: str, count: str) -> None:
    emitter = Emitter(Place(place), name, int(seed), Notes(path), int(count))

    def end() -> None:
        sys.stdin.read()
        emitter.ended.set()

    threading.Thread(target=end, daemon=True).start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if kind == "sync":
        emitter.run()
    else:
        asyncio.run(emitter.run_async())


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Kill rounds: emitters and workers in processes of their own, one of which is killed at a random moment each round."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import attrs
from places import Place
from processes import Emitter, Process, Receiver, Worker, receiving
from reckoning import Reckoning, reckon

from clusters import Cluster

__all__ = ["Rounds", "delivered", "kill_rounds", "serve"]

KINDS = ("sync", "async")
PATIENCE_S = 120.0


def delivered(place: Place) -> None:
    """Wait until every delivery has ended well; if they do not, say how they stand."""
    ends = time.monotonic() + PATIENCE_S
    while (states := place.states()).keys() != {"succeeded"}:
        if time.monotonic() > ends:
            rows = place.ask("SELECT * FROM {}endpoints") + place.ask("SELECT * FROM {}heads")
            raise AssertionError(f"not all was delivered: {states}, {rows}")
        time.sleep(0.05)


class Rounds:
    """Two emitters and two workers, sync and async, around one database; and a receiver that survives.

    Args:
        folder: Where all files are.
        place: The database, in which nothing is yet.
        receiver: Where everything goes.
        seed: Says who is killed, and when.
        cluster: The server, if it is to be harmed as well.
    """

    def __init__(
        self, folder: Path, place: Place, receiver: Receiver, seed: int, cluster: Cluster | None = None
    ) -> None:
        self.folder, self.place, self.receiver, self.cluster = folder, place, receiver, cluster
        self.chance = random.Random(seed)
        self.notes: list[Path] = []
        self.made = 0
        self.in_flight = 0
        """How much was in flight, at most, at all kills together."""
        self.kills: list[str] = []
        place.prepare(receiver.url)
        self.emitters = {kind: self.emitter(kind) for kind in KINDS}
        self.workers = {kind: self.worker(kind) for kind in KINDS}
        for process in self.processes():
            process.ready()

    def processes(self) -> list[Process]:
        return [*self.emitters.values(), *self.workers.values()]

    def emitter(self, kind: str) -> Emitter:
        self.made += 1
        made = Emitter(self.folder, self.place, f"e{self.made}", kind, seed=self.chance.randrange(10**6))
        self.notes.append(made.notes)
        return made

    def worker(self, kind: str) -> Worker:
        self.made += 1
        return Worker(self.folder, self.place, f"w{self.made}", kind)

    # --- Who is killed

    def kill_emitter(self) -> None:
        kind = self.chance.choice(KINDS)
        self.emitters[kind].kill()
        self.emitters[kind] = self.emitter(kind)
        self.emitters[kind].ready()

    def kill_worker(self) -> None:
        kind = self.chance.choice(KINDS)
        self.workers[kind].kill()
        self.in_flight += Worker.CONCURRENCY
        self.workers[kind] = self.worker(kind)
        self.workers[kind].ready()

    def kill_all(self) -> None:
        for process in self.processes():
            process.kill()
        self.in_flight += Worker.CONCURRENCY * len(KINDS)
        self.emitters = {kind: self.emitter(kind) for kind in KINDS}
        self.workers = {kind: self.worker(kind) for kind in KINDS}
        for process in self.processes():
            process.ready()

    def terminate_backends(self) -> None:
        """End some of the server's connections, as an administrator or a failover does."""
        share = self.chance.choice([0.3, 1.0])
        self.place.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' "
            f"AND pid <> pg_backend_pid() AND random() < {share}"
        )

    def kill_backend(self) -> None:
        """Kill a process of the server's, after which it throws everybody out, and recovers as from a crash."""
        sql = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        backends = self.place.ask(sql)
        if backends:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.chance.choice(backends)[0], signal.SIGKILL)
        self.server_was_away()

    def restart_fast(self) -> None:
        self.restart("fast")

    def restart_immediate(self) -> None:
        self.restart("immediate")

    def restart(self, mode: str) -> None:
        self.cluster.stop(mode)
        self.cluster.start()
        self.server_was_away()

    def server_was_away(self) -> None:
        """Everybody's leases may have run out meanwhile."""
        self.in_flight += Worker.CONCURRENCY * len(KINDS)
        self.place.ask("SELECT 1")

    # --- Rounds

    def ways(self) -> list[Callable[[], None]]:
        """Return what may happen in a round; each as often as it is in the list."""
        ours = [self.kill_worker, self.kill_emitter, self.kill_worker, self.kill_emitter, self.kill_all]
        if self.cluster is None:
            return ours
        return [*ours, self.terminate_backends, self.kill_backend, self.restart_fast, self.restart_immediate]

    def run(self, count: int) -> None:
        """Kill so many times, at moments of chance; everything there is to happen happens before it happens again."""
        left: list[Callable[[], None]] = []
        for _ in range(count):
            left = left or self.chance.sample(self.ways(), len(self.ways()))
            time.sleep(self.chance.uniform(0.05, 0.6))
            way = left.pop()
            self.kills.append(way.__name__)
            way()

    def finish(self) -> Reckoning:
        """Have everything delivered, and reckon."""
        for emitter in self.emitters.values():
            emitter.end()
        delivered(self.place)
        for worker in self.workers.values():
            worker.end()
        return reckon(self.place, self.notes, self.receiver.verdicts())

    def close(self) -> None:
        for process in self.processes():
            process.discard()


@contextmanager
def serve(folder: Path, kind: str) -> Iterator[tuple[Place, Any]]:
    """Yield an empty database, and its server if it has one."""
    if kind == "sqlite":
        yield Place(f"sqlite:{folder / 'hooks.db'}"), None
        return
    with Cluster() as cluster:
        yield Place(cluster.dsn()), cluster


def kill_rounds(folder: Path, kind: str, seed: int, count: int) -> tuple[Rounds, Reckoning, str]:
    """Run so many rounds on one database; return them, what they came to, and a line that says so."""
    sys.stdout.write(f"{kind}, seed {seed}, {count} rounds\n")  # also if it does not end well
    with ExitStack() as stack:
        place, cluster = stack.enter_context(serve(folder, kind))
        receiver = stack.enter_context(receiving(folder))
        rounds = stack.enter_context(closing(Rounds(folder, place, receiver, seed, cluster)))
        rounds.run(count)
        found = rounds.finish()
    counts = ", ".join(f"{name} {count}" for name, count in attrs.asdict(found).items())
    said = f"{kind}, seed {seed}, {count} rounds: {counts}, in flight at the kills at most {rounds.in_flight}"
    return rounds, found, said

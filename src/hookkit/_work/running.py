"""A worker as a process: it starts when its store answers, shows that it lives, and stops when it is told to.

The worker's loop runs on a thread of its own; the main thread waits for signals. Everything is said through
:mod:`logging`, which whoever calls this has set up.
"""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from hookkit import __version__
from hookkit._sync.worker import Worker
from hookkit._work.signs import Signs
from hookkit._work.watched import Watched, summary_line
from hookkit.clock import SYSTEM_CLOCK
from hookkit.errors import StoreError
from hookkit.plaintext import plain
from hookkit.working import pause_s

if TYPE_CHECKING:
    from hookkit.protocols import Store
    from hookkit.targets import TargetPolicy

__all__ = ["Options", "leave", "run_worker"]

TICK_S: Final = 1.0
_DRAIN_TICK_S: Final = 0.05
STUCK_S: Final = 120.0
"""How long nothing may be heard of the loop, in seconds: longer than it waits by itself, or for a pool."""

_log: Final = logging.getLogger("hookkit.worker")


@attrs.frozen
class Options:
    """How a worker is to run.

    Args:
        name: What the log calls the store; it must show no password.
        drain: Stop when nothing is due, or the store has not answered for `start_timeout`.
        concurrency: How many deliveries at once.
        lease: How long a claim lasts if this process dies.
        targets: Which URLs may be called; None: public HTTPS only.
        start_timeout: How long to wait for the store at the start, in seconds.
        stop_timeout: How long a stop waits for what is being sent, in seconds, before it is cut off and given back.
        summary: How often a line says what was done, in seconds.
        health_file: Where to show that it lives; None for nowhere.
        further: Further arguments of :class:`~hookkit.Worker`.
    """

    name: str = "its store"
    drain: bool = False
    concurrency: int = 32
    lease: timedelta = timedelta(seconds=60)
    targets: TargetPolicy | None = None
    start_timeout: float = 30.0
    stop_timeout: float = 25.0
    summary: float = 60.0
    health_file: Path | None = None
    further: Mapping[str, Any] = attrs.field(factory=dict)


def run_worker(store: Store, options: Options, *, prepare: Callable[[], object] | None = None) -> int:
    """Run a worker until it is told to stop, and return the exit status.

    SIGTERM or SIGINT: it claims nothing more, waits for what is being sent, and gives back, uncounted, what does not
    finish in time. A second one: what is being sent is cut off and given back at once. The handlers are put back
    afterwards; on a thread other than the main one there are none.

    Args:
        store: A sync store; whoever opened it closes it.
        options: How.
        prepare: Called before it starts, such as to make the tables; repeated if it raises StoreError.

    Returns:
        0; 1 if the store did not answer, or the worker ended by itself.

    Raises:
        ValueError: The options do not fit together.
    """
    watched = Watched(store, options.lease.total_seconds())
    worker = Worker(
        cast("Store", watched),
        targets=options.targets,
        concurrency=options.concurrency,
        lease=options.lease,
        **options.further,
    )
    signals: SimpleQueue[str] = SimpleQueue()  # its put() may be called from a signal handler
    signs = Signs(options.health_file)
    try:
        with _listening(signals):
            status = _reach(watched, prepare, options.start_timeout, signals, signs)
            if status is None:
                status = _Service(watched, worker, options, signals, signs).run()
            return status
    finally:
        signs.end()


def leave(status: int) -> int:
    """Return the status; or end the process now, if threads that were cut off would keep it from ending."""
    if any(thread.name.startswith("hookkit-send") and thread.is_alive() for thread in threading.enumerate()):
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)
    return status


@contextmanager
def _listening(signals: SimpleQueue[str]) -> Generator[None, None, None]:
    """Put SIGTERM and SIGINT into the queue."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda number, _: signals.put(signal.Signals(number).name))
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _reach(
    store: Watched, prepare: Callable[[], object] | None, timeout: float, signals: SimpleQueue[str], signs: Signs
) -> int | None:
    """Wait until the store answers; return the exit status if it does not, or if a signal came first."""
    ends, failures, said = time.monotonic() + timeout, 0, ""
    while True:
        signs.show("starting")
        try:
            if prepare is not None:
                prepare()
            store.next_due(now=SYSTEM_CLOCK.now())
        except StoreError as error:
            text = plain(str(error))
        else:
            return None
        failures += 1
        left = ends - time.monotonic()
        if left <= 0:
            _log.error("the store cannot be used: %s", text)
            return 1
        if text != said:
            _log.warning("the store cannot be used yet, and is tried for %.0f s more: %s", left, text)
            said = text
        try:
            _log.info("%s: stopped before it started", signals.get(timeout=min(left, pause_s(failures, random.random))))
        except Empty:
            continue
        return 0


class _Service:
    """The main thread's part: signals, signs of life and summaries, while the loop runs on another."""

    def __init__(
        self, store: Watched, worker: Worker, options: Options, signals: SimpleQueue[str], signs: Signs
    ) -> None:
        self._store = store
        self._worker = worker
        self._options = options
        self._signals = signals
        self._signs = signs
        self._told = 0
        self._failure: BaseException | None = None
        self._counted = store.counts
        self._counted_at = self._began_at = time.monotonic()

    def run(self) -> int:
        """Run until the loop ends; return the exit status."""
        _log.info(
            "hookkit %s works on %s, process %d, %d at once, %s",
            __version__,
            plain(self._options.name),
            os.getpid(),
            self._options.concurrency,
            "until nothing is due" if self._options.drain else "until it is told to stop",
        )
        loop = threading.Thread(target=self._work, name="hookkit-worker", daemon=True)
        loop.start()
        while loop.is_alive():
            self._tick()
            try:
                name = self._signals.get(timeout=_DRAIN_TICK_S if self._options.drain else TICK_S)
            except Empty:
                continue
            if name:
                self._tell(name)
        counts = self._store.counts
        self._summary(whole=True)
        if self._failure is not None:
            if isinstance(self._failure, StoreError):
                _log.error("the worker has ended: %s", plain(str(self._failure)))
            else:
                _log.error("the worker has ended", exc_info=self._failure)
            return 1
        _log.info("stopped; %d given back", counts.given_back)
        return 0

    def _work(self) -> None:
        try:
            self._worker.run()
        except BaseException as error:  # noqa: BLE001 - told by the main thread, which then ends the process
            self._failure = error
        finally:
            self._signals.put("")

    def _tell(self, name: str) -> None:
        """Stop on the first signal; on the second, without waiting."""
        self._told += 1
        if self._told == 1:
            self._signs.show("stopping")  # at once: it may be over before the next tick
            _log.info(
                "%s: claims nothing more, and waits for what is being sent, %.0f s at most",
                name,
                self._options.stop_timeout,
            )
            self._stop(self._options.stop_timeout)
        elif self._told == 2:
            _log.info("%s: gives back what is being sent", name)
            self._stop(0.0)

    def _stop(self, timeout: float) -> None:
        # Not on this thread: it must hear the second signal, and show that the process lives.
        threading.Thread(target=self._worker.stop, args=(timeout,), name="hookkit-stop", daemon=True).start()

    def _tick(self) -> None:
        if time.monotonic() - self._store.turned_at < STUCK_S or self._told:
            self._signs.show("stopping" if self._told else "ready" if self._store.answers else "waiting")
        if time.monotonic() - self._counted_at >= self._options.summary:
            self._summary()
        if self._options.drain and not self._told:
            silent = time.monotonic() - self._store.answered_at > self._options.start_timeout
            if silent and not self._store.answers:
                self._failure = StoreError("the store does not answer any more")
            if self._failure is not None or self._store.is_idle:
                self._told = 1
                self._stop(self._options.stop_timeout)

    def _summary(self, *, whole: bool = False) -> None:
        now, counts = time.monotonic(), self._store.counts
        done = counts if whole else counts.since(self._counted)
        seconds = now - (self._began_at if whole else self._counted_at)
        lag_s = self._store.lag_s
        _log.info(
            "%s",
            summary_line(done, seconds, lag_s),
            extra={"counts": {**attrs.asdict(done), "attempted": done.attempted, "due_for_s": lag_s}},
        )
        self._counted, self._counted_at = counts, now

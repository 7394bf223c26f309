"""Starting and stopping what runs a loop in a thread: the worker, and the relay to an engine."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from typing import Self

from hookkit._sync.loop import Flags
from hookkit.wakeups import listen

__all__ = ["Runner"]


class Runner(ABC):
    """Runs a loop on a thread of its own or on the caller's, until it is stopped.

    Args:
        store: What the loop serves: it is woken when something was emitted there.
        name: The thread's.
    """

    def __init__(self, store: object, name: str) -> None:
        self._served = store
        self._name = name
        self._flags = Flags()
        self._lock = threading.RLock()  # a signal handler may stop it while this thread holds it
        self._running: threading.Thread | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    def _serve(self, flags: Flags) -> None:
        """Serve until the flags say otherwise."""

    def _close(self, *, wait: bool) -> None:  # noqa: B027 - a relay makes nothing
        """Release what was made for that; repeating it is harmless."""

    def start(self) -> None:
        """Run in a thread of its own until :meth:`stop`. Starting it twice is harmless."""
        with self._lock:
            if self._is_running():
                return
            flags = self._flags = Flags()
            self._running = self._thread = threading.Thread(
                target=self._pump, args=(flags,), name=self._name, daemon=True
            )
            self._thread.start()

    def run(self) -> None:
        """Run on this thread until :meth:`stop` is called, from another thread or from a signal handler.

        A stop that came before the first run counts: this returns at once then, and runs when it is called again.

        Raises:
            RuntimeError: It is running already.
        """
        with self._lock:
            if self._is_running():
                raise RuntimeError("it is running already")
            if self._running is not None:  # else a signal may have come between the making and the running
                self._flags = Flags()
            self._running = threading.current_thread()
            flags = self._flags
        self._pump(flags)

    def _is_running(self) -> bool:
        running = self._running  # its thread does not live on in a forked child
        return running is not None and running.is_alive() and not self._flags.ended.is_set()

    def stop(self, timeout: float | None = None) -> bool:
        """Claim nothing more, wait for what is being sent, and give back what was not finished, uncounted.

        Called on the worker's own thread, such as from a signal handler, it does not wait: :meth:`run` returns when all
        is finished. What was sent and cannot be stored, because the store fails, is tried a few times, and then left to
        be sent again when its lease has run out.

        Args:
            timeout: How long to wait, in seconds; None: as long as the attempts take, which have a deadline each.

        Returns:
            True if everything was finished in time.
        """
        flags, finished = self._flags, True
        flags.stopping = True
        flags.ring()
        if self._is_running():
            if self._running is threading.current_thread():
                return False
            finished = flags.ended.wait(timeout)
            if not finished:
                flags.abandoned = True
                flags.ring()
                flags.ended.wait()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._close(wait=finished)
        return finished

    def _pump(self, flags: Flags) -> None:
        forget = listen(self._served, flags.ring)
        try:
            self._serve(flags)
        finally:
            forget()
            self._close(wait=not flags.abandoned)
            flags.ended.set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

"""Group commit for threads: whoever comes while a transaction is under way shares the next one."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from hookkit.errors import StoreError

__all__ = ["GroupCommit"]

T = TypeVar("T")
R = TypeVar("R")


class _Waiting(Generic[T, R]):
    """Somebody's part of the next transaction."""

    def __init__(self, item: T) -> None:
        self.item = item
        self.woken = threading.Event()  # it is done, or its thread is to carry out the next transaction
        self.result: R | None = None
        self.error: Exception | None = None
        self.done = False

    def give(self, result: R) -> None:
        self.result, self.done = result, True

    def fail(self, error: Exception) -> None:
        self.error, self.done = error, True

    def take(self) -> R:
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]  # it is done


class GroupCommit(Generic[T, R]):
    """Carries parts of transactions out, as many in one as there are at the time.

    There is no thread for that: one of the callers does it for all, and hands it on.

    Args:
        commit: Stores these parts in one transaction and returns a result for each; if it raises, nothing is stored.
        is_common: Returns whether what `commit` raised concerns all parts alike, as a full disk does. If not, each is
            tried alone, so that one cannot spoil the rest.
    """

    def __init__(self, commit: Callable[[Sequence[T]], Sequence[R]], is_common: Callable[[Exception], bool]) -> None:
        self._commit = commit
        self._is_common = is_common
        self._lock = threading.Lock()
        self._waiting: list[_Waiting[T, R]] = []
        self._led = False

    def __call__(self, item: T) -> R:
        """Store `item`, alone or with others, and return its result.

        Raises:
            StoreError: The thread that was to store it was interrupted.
        """
        mine: _Waiting[T, R] = _Waiting(item)
        with self._lock:
            self._waiting.append(mine)
            leads, self._led = not self._led, True
        try:
            if not leads:
                mine.woken.wait()
            if not mine.done:
                self._lead()
        except BaseException:
            self._leave(mine)
            raise
        return mine.take()

    def _lead(self) -> None:
        """Carry out what waits by now, and appoint who carries out what has come in meanwhile."""
        batch: list[_Waiting[T, R]] = []
        try:
            with self._lock:
                batch, self._waiting = self._waiting, []
            self._store(batch)
        finally:
            interrupted = StoreError(
                "the thread that was to store this was interrupted: whether it was stored is not known"
            )
            with self._lock:
                for one in batch:
                    if not one.done:
                        one.fail(interrupted)
                    one.woken.set()
                self._appoint()

    def _store(self, batch: Sequence[_Waiting[T, R]]) -> None:
        try:
            results = self._commit([one.item for one in batch])
        except Exception as error:  # noqa: BLE001 - it reaches those whom it concerns
            if len(batch) == 1 or self._is_common(error):
                for one in batch:
                    one.fail(_copy(error) if len(batch) > 1 else error)
            else:
                for one in batch:
                    self._store([one])
            return
        for one, result in zip(batch, results, strict=True):
            one.give(result)

    def _appoint(self) -> None:
        self._led = bool(self._waiting)
        if self._waiting:
            self._waiting[0].woken.set()

    def _leave(self, mine: _Waiting[T, R]) -> None:
        """Withdraw, if it is not too late; and if this one was to lead, have another do it."""
        with self._lock:
            if mine in self._waiting:
                first = self._waiting[0] is mine
                self._waiting.remove(mine)
                if first and mine.woken.is_set():
                    self._appoint()


def _copy(error: Exception) -> Exception:
    """Return the same error once more: each thread that raises one adds its own frames to it."""
    again = copy.copy(error)
    again.__cause__ = error.__cause__
    return again

"""LISTEN: a worker learns at once of what other processes emit.

It takes a connection of its own, on which nothing else is done, and a thread that waits on it: for asyncio, too, so
that there is one way. It is a shortcut only. A worker polls all the same, so nothing is lost where this does not work:
behind PgBouncer in transaction mode, say, or while the connection is being made again.
"""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import psycopg

from hookkit.plaintext import plain
from hookkit.stores.postgres._source import OPTIONS, Line

__all__ = ["follow"]

_log: Final = logging.getLogger("hookkit.stores.postgres")
_PAUSE_S: Final = 1.0
_END_S: Final = 1.0
_PAUSE_MAX_S: Final = 60.0

_Selector: Final[type[selectors.BaseSelector]] = getattr(selectors, "PollSelector", selectors.SelectSelector)
"""``poll``: unlike ``select`` it takes descriptors above 1023, and unlike ``epoll`` it needs none of its own."""


def follow(line: Line, channel: str, changed: Callable[[], None]) -> Callable[[], None]:
    """Have `changed` called whenever something is notified on `channel`; return what ends that.

    Args:
        line: How to connect.
        channel: The channel's name.
        changed: Must return at once, and raise nothing. It is called once more whenever the connection was made anew.
    """
    ours, theirs = socket.socketpair()
    listener = _Listener(line, channel, changed, theirs)
    thread = threading.Thread(target=listener.run, name="hookkit-listen", daemon=True)
    thread.start()
    pid = os.getpid()

    def stop() -> None:
        if os.getpid() == pid:
            with suppress(OSError):  # it was closed already
                ours.shutdown(socket.SHUT_RDWR)  # closing alone ends nothing while a forked child has a copy
            ours.close()
            thread.join(_END_S)  # it ends at once, unless it is just trying to connect

    return stop


class _Listener:
    def __init__(self, line: Line, channel: str, changed: Callable[[], None], stop: socket.socket) -> None:
        self._line = line
        self._channel = channel
        self._changed = changed
        self._stop = stop

    def run(self) -> None:
        """Listen until the other end of the socket is closed."""
        pause = _PAUSE_S
        with self._stop:
            while True:
                try:
                    options = {**self._line.options, **OPTIONS}
                    with psycopg.Connection[Any].connect(self._line.dsn, **options) as connection:
                        connection.execute(f'LISTEN "{self._channel}"'.encode())
                        pause = _PAUSE_S
                        self._changed()
                        if self._serve(connection):
                            return
                except psycopg.Error as error:
                    _log.info(
                        "not listening, so a worker finds the events of others at its poll; tried again in %.0f s: %s",
                        pause,
                        plain(error.diag.message_primary or type(error).__name__),
                    )
                if _readable(pause, self._stop.fileno()):
                    return
                pause = min(pause * 2, _PAUSE_MAX_S)

    def _serve(self, connection: psycopg.Connection[Any]) -> bool:
        """Tell of what is notified; return whether to stop."""
        while True:
            # With a time limit, so that a connection that has quietly died is noticed.
            ready = _readable(_PAUSE_MAX_S, connection.fileno(), self._stop.fileno())
            if self._stop.fileno() in ready:
                return True
            if not ready:
                connection.execute("SELECT 1")
            heard = 0
            for _ in connection.notifies(timeout=0):
                heard += 1
            if heard or not ready:
                self._changed()


def _readable(seconds: float, *descriptors: int) -> set[int]:
    """Wait for that long at most, and return which can be read."""
    with _Selector() as selector:
        for each in descriptors:
            selector.register(each, selectors.EVENT_READ)
        return {key.fd for key, _ in selector.select(seconds)}

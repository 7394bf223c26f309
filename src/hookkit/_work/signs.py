"""Signs of life, for whoever looks after the process: a file for probes, and what systemd wants to be told."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from pathlib import Path
from typing import Final

__all__ = ["Signs"]

_log: Final = logging.getLogger("hookkit.worker")


class Signs:
    """Shows how the worker is. What cannot be shown is said once in the log, and stops nothing.

    The file holds one word (``starting``, ``ready``, ``waiting``: for the store, ``stopping``) and is written again and
    again while the worker's loop turns, so that its age says whether the process still works; it is removed at the end.
    systemd is told where it asks for it (``Type=notify``, ``WatchdogSec=``).

    Args:
        file: The file; None for none.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._socket = os.environ.get("NOTIFY_SOCKET", "")
        self._state = ""
        self._complained = False

    def show(self, state: str) -> None:
        """Show that the process lives, and how it is."""
        news, self._state = state != self._state, state
        if self._file is not None:
            try:
                # A probe must never find it empty.
                part = self._file.with_name(f"{self._file.name}.{os.getpid()}")
                part.write_text(f"{state}\n", "utf-8")
                part.replace(self._file)
            except OSError as error:
                if not self._complained:
                    _log.error("the health file cannot be written: %s", error.strerror)
                self._complained = True
        words = ["WATCHDOG=1"]
        if news:
            words += [f"STATUS={state}", *{"ready": ["READY=1"], "stopping": ["STOPPING=1"]}.get(state, [])]
        self._notify("\n".join(words))

    def end(self) -> None:
        """Take the file away."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _notify(self, text: str) -> None:
        """Tell systemd (sd_notify(3)): a datagram to the socket that it names; ``@`` stands for an abstract one."""
        if not self._socket:
            return
        with contextlib.suppress(OSError, AttributeError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(text.encode(), self._socket.replace("@", "\0", 1))

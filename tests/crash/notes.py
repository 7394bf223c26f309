"""Notes that outlive their writer: one line each, on the disk before the writer goes on."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["Notes", "read_notes"]


class Notes:
    """Appends to a file; for one process at a time.

    Args:
        path: The file.
        sync: Wait for the disk at each line; a process that is never killed need not.
    """

    def __init__(self, path: str | Path, *, sync: bool = True) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._sync = sync

    def add(self, *words: object) -> None:
        """Note one line."""
        os.write(self._descriptor, f"{' '.join(map(str, words))}\n".encode())
        if self._sync:
            os.fsync(self._descriptor)


def read_notes(path: Path) -> list[list[str]]:
    """Return the words of each line; one that was cut off is none."""
    if not path.exists():
        return []
    return [line.split() for line in path.read_text("utf-8").splitlines(keepends=True) if line.endswith("\n")]

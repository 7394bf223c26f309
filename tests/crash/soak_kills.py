"""As many kills as asked for, from seeds that nobody has run: ``nox -s soak-crash -- 200``.

Twenty rounds share a database, SQLite and PostgreSQL by turns. Another first seed may be given after the number.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import count
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # clusters.py is next door

from rounds import kill_rounds

TOGETHER = 20
KINDS = ("sqlite", "postgres")


def main(wanted: int, first: int) -> None:
    """Run seeds from `first` on, until `wanted` rounds are done."""
    done = 0
    for seed in count(first):
        rounds = min(TOGETHER, wanted - done)
        with tempfile.TemporaryDirectory() as folder:
            *_, said = kill_rounds(Path(folder), KINDS[seed % 2], seed, rounds)
        done += rounds
        print(f"{said}; {done} rounds by now", flush=True)  # noqa: T201
        if done >= wanted:
            return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 1_000_000_000)

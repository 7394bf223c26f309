"""As many steps as asked for, from seeds that nobody has run: ``nox -s soak -- 1000000``.

It prints its first seed, and how far it has come; another first seed may be given after the number of steps.
"""

from __future__ import annotations

import sys
import tempfile
import time
from itertools import count
from pathlib import Path

from simulation import run

SQLITE_EVERY = 4
TELL_EVERY_S = 10.0


def main(wanted: int, first: int) -> None:
    """Run seeds from `first` on, until `wanted` steps are done."""
    print(f"first seed {first}", flush=True)  # noqa: T201
    steps, told = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        for seed in count(first):
            steps += run(seed, Path(folder) if seed % SQLITE_EVERY == 0 else None).scheduler.steps
            for path in Path(folder).iterdir():
                path.unlink()
            if steps >= wanted or time.monotonic() > told + TELL_EVERY_S:
                print(f"{seed - first + 1} seeds, {steps} steps", flush=True)  # noqa: T201
                told = time.monotonic()
            if steps >= wanted:
                return


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else time.time_ns() % 1_000_000_000)

"""A receiver that lives while everybody else is killed: it verifies what arrives, and notes it before it answers.

Arguments: the file for its notes, how many milliseconds an answer takes at most, and, if the wall clock is to be set
while it lives, a file that says how many seconds it is off. Its standard output says where it listens.
It lives until its standard input is closed. Every 25th request is refused, so that there are retries.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import sys
import time
from pathlib import Path

from notes import Notes

from hookkit import VerificationError, verify_signature
from hookkit.testing import ScriptedReceiver
from hookkit.testing.builders import KEY

REFUSED_EVERY = 25


def verdict(request, off_s: float) -> tuple[str, str]:
    """Return what there is to say of a request, and its event's id."""
    try:
        verified = verify_signature(request.body, request.headers, KEY, now=time.time() + off_s)
        data = json.loads(request.body)["data"]
    except (VerificationError, ValueError, KeyError) as error:
        return f"wrong:{type(error).__name__}", "?"
    whole = data["of"] == verified.id and data["digest"] == hashlib.sha256(data["pad"].encode()).hexdigest()
    return ("accepted" if whole else "wrong:body"), verified.id


def main(path: str, slowness: str, clock: str = "") -> None:
    notes, count = Notes(path, sync=False), itertools.count(1)

    def answer(request) -> int:
        found, event = verdict(request, float(Path(clock).read_text("utf-8")) if clock else 0)
        if found == "accepted" and next(count) % REFUSED_EVERY == 0:
            found = "refused"
        time.sleep(random.uniform(0, float(slowness) / 1000))
        notes.add(found, event, request.target.rpartition("/")[2])
        return 204 if found == "accepted" else 503

    with ScriptedReceiver(answer) as receiver:
        sys.stdout.write(f"{receiver.url}\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])

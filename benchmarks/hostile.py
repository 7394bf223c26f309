"""What hostile servers cost a sender: time, memory and outcome, for plain httpx and for hookkit's transport.

Run it with ``nox -s bench-hostile``, or with hookkit and trustme installed: ``python benchmarks/hostile.py --write``.
The servers are those of ``tests/hostile``, where the same is asserted of hookkit. Each visit is made in a process of
its own, which gets 1 GB of address space and is killed after 6 seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import ssl
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
sys.path[:0] = [str(HERE.parent / "tests" / room) for room in ("hostile", "transports")]

DEADLINE_S = 1.0
SLACK_S = 0.5
LIMITS = {"limit_s": 6.0, "limit_bytes": 1_000_000_000}
GROWN_MB = 32.0
SENDERS = {"httpx": "plain", "hookkit": "sync"}

Row = dict[str, Any]


def visit_all() -> list[Row]:
    """Visit every exhibit with every sender, and return a row for each exhibit."""
    from museum import EXHIBITS, GOOD
    from opening import Museum
    from visitor import Visitor

    rows: list[Row] = []
    with Museum() as museum, Visitor(museum.authority) as visitor:
        for exhibit in (GOOD, *EXHIBITS):
            row: Row = {"fact": exhibit.fact, "server": exhibit.name}
            for sender, mode in SENDERS.items():
                job = {"mode": mode, "family": "httpx", "size": exhibit.size, "deadline": DEADLINE_S, "times": 1}
                row[sender] = summary(visitor.visit(museum.url(exhibit), **job, **LIMITS))
            rows.append(row)
            print(line(row), flush=True)
    return rows


def summary(visit: dict[str, Any]) -> Row:
    """Return what counts of a visit: seconds, megabytes, outcome."""
    if visit.get("killed"):
        return {"seconds": LIMITS["limit_s"], "mb": visit["grown"] / 1e6, "outcome": "killed"}
    return {"seconds": visit["seconds"][0], "mb": visit["grown"] / 1e6, "outcome": outcome(visit)}


def outcome(visit: dict[str, Any]) -> str:
    """Return how a visit ended: the status, or the exception of httpx, or hookkit's reason."""
    if "error" in visit:
        return visit["error"]
    if "replies" not in visit:
        return str(visit["status"])
    (reply,) = visit["replies"]
    return f"{reply['status'] or reply['reason']}{', cut' if reply['truncated'] else ''}"


# --- What comes of it -------------------------------------------------------------------------------------------------


def about() -> dict[str, str]:
    """Return what the figures depend on, and nothing that names the machine."""
    return {
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        **{name: version(name) for name in ("hookkit", "httpx", "httpcore", "h11")},
        "machine": f"{platform.machine()}, {os.cpu_count()} processors",
    }


def line(row: Row) -> str:
    """Return a row of the table."""
    cells = [row["fact"], row["server"]]
    for sender in SENDERS:
        visit = row[sender]
        cells += [f"{visit['seconds']:.2f}", f"{visit['mb']:.1f}", visit["outcome"]]
    return "| " + " | ".join(cells) + " |"


def totals(rows: list[Row], sender: str) -> dict[str, float]:
    """Return how often a sender went beyond what a visit may cost, and how far."""
    visits = [row[sender] for row in rows]
    return {
        "later than its timeout": sum(visit["seconds"] > DEADLINE_S + SLACK_S for visit in visits),
        "still there when killed": sum(visit["outcome"] == "killed" for visit in visits),
        f"grown by {GROWN_MB:.0f} MB or more": sum(visit["mb"] >= GROWN_MB for visit in visits),
        "most memory, MB": round(max(visit["mb"] for visit in visits), 1),
    }


def table(rows: list[Row], versions: dict[str, str]) -> str:
    """Return all of it as Markdown."""
    sums = {sender: totals(rows, sender) for sender in SENDERS}
    lines = [
        "# Hostile servers",
        "",
        "Made by `nox -s bench-hostile`.",
        "",
        *(f"- {name}: {value}" for name, value in versions.items()),
        "",
        f"One POST to each server of `tests/hostile`: by `httpx.Client.post` with `timeout={DEADLINE_S}`, and by",
        f"`HttpxTransport` with a deadline of {DEADLINE_S} s. Memory is what the process grew by at its peak.",
        f"It is killed after {LIMITS['limit_s']:.0f} s.",
        "",
        f"| of {len(rows)} visits | " + " | ".join(SENDERS) + " |",
        "| --- |" + " ---: |" * len(SENDERS),
        *(
            f"| {what} | " + " | ".join(f"{sums[sender][what]:g}" for sender in SENDERS) + " |"
            for what in sums["httpx"]
        ),
        "",
        "| fact | server |" + "".join(f" {sender}: s | MB | outcome |" for sender in SENDERS),
        "| --- | --- |" + " ---: | ---: | --- |" * len(SENDERS),
        *map(line, rows),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Visit, print the table, and keep it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="keep the figures in benchmarks/results")
    options = parser.parse_args()
    versions, rows = about(), visit_all()
    text = table(rows, versions)
    print(text)
    if options.write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "hostile.md").write_text(text, encoding="utf-8")
        kept = {"about": versions, "deadline_s": DEADLINE_S, **LIMITS, "rows": rows}
        (RESULTS / "hostile.json").write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

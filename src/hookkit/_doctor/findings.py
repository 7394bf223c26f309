"""What the doctor makes of what it has read: each check is a plain function from values to a finding. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple

import attrs

from hookkit.plaintext import plain

__all__ = [
    "Finding",
    "Vacuumed",
    "backlog",
    "clock",
    "endpoints",
    "file",
    "held",
    "integrity",
    "leases",
    "readable",
    "schema",
    "seals",
    "vacuum",
]

LATE_S: Final = 60.0
"""How long something may be due, or a lease over, before that is a problem, in seconds."""
SKEW_S: Final = 5.0
WAL_BYTES: Final = 256 * 2**20
FREE_BYTES: Final = 256 * 2**20
DEAD_ROWS: Final = 100_000
TRANSACTION_S: Final = 3600.0
_SHARES: Final = ("nfs", "cifs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "sshfs", "gpfs", "ocfs2", "beegfs")
_SHOWN: Final = 3


@attrs.frozen
class Finding:
    """What one check found.

    Args:
        check: Its name.
        level: ``ok``; ``note``: worth knowing; ``problem``: something is to be done.
        says: What was found.
        do: What to do about it; "" for nothing.
    """

    check: str
    level: Literal["ok", "note", "problem"]
    says: str
    do: str = ""


class Vacuumed(NamedTuple):
    """A table of PostgreSQL's: its name, its rows, those that are dead, and whether its autovacuum was switched off."""

    table: str
    live: int
    dead: int
    off: bool


def schema(version: int | None, usable_from: int, known: int) -> Finding:
    """Say whether this code can use the tables.

    Args:
        version: Of the tables; None: there are none.
        usable_from: The oldest code that can use them.
        known: What this code knows.
    """
    if version is None:
        make = "`hookkit worker --migrate` or the store's migrate() makes them; `hookkit schema` prints them"
        return Finding("schema", "problem", "there are no tables", make)
    if usable_from > known:
        says = f"version {version} needs a hookkit that knows {usable_from}; this one knows {known}"
        return Finding("schema", "problem", says, "upgrade hookkit")
    if version < known:
        do = "run `hookkit worker --migrate`, or the store's migrate()"
        return Finding("schema", "problem", f"version {version}; this hookkit needs {known}", do)
    newer = ", which is newer than this hookkit, and can be used" if version > known else ""
    return Finding("schema", "ok", f"version {version}{newer}")


def leases(leased: int, expired: int, oldest_s: float | None) -> Finding:
    """Say whether leases that have run out are taken back.

    Args:
        leased: Deliveries under way.
        expired: Those whose lease has run out.
        oldest_s: How long ago the first of them did, in seconds.
    """
    if oldest_s is not None and oldest_s > LATE_S:
        says = f"{expired} of {leased} ran out, the first {_span(oldest_s)} ago, and nobody took them back"
        return Finding("leases", "problem", says, "start `hookkit worker`: any worker takes them back at once")
    return Finding("leases", "ok", f"{leased} under way, {expired} of them just run out")


def backlog(due_s: float | None, pending: int, seen_s: float | None) -> Finding:
    """Say whether what is due is delivered.

    Args:
        due_s: How long the delivery that is due longest has been, in seconds; None: nothing is due.
        pending: How many wait, due or not.
        seen_s: How long ago a worker was last seen to claim or finish something, in seconds; None: never.
    """
    waiting = f"{pending} pending"
    if due_s is None or due_s <= LATE_S:
        return Finding("backlog", "ok", f"{waiting}, {'nothing' if due_s is None else 'nothing for long'} due")
    says = f"{waiting}, the longest due for {_span(due_s)}"
    if seen_s is None or seen_s > LATE_S:
        last = "none was ever seen" if seen_s is None else f"one was last seen {_span(seen_s)} ago"
        return Finding("backlog", "problem", f"{says}; no worker seems to run: {last}", "start `hookkit worker`")
    do = "run more workers, or raise --concurrency; or a webhook's max_in_flight, if all is for one"
    return Finding("backlog", "problem", f"{says}; workers run, and do not keep up", do)


def held(count: int, oldest_s: float | None) -> Finding:
    """Say how much waits for disabled webhooks."""
    if count == 0 or oldest_s is None:
        return Finding("held", "ok", "nothing is held")
    says = f"{count} held for disabled webhooks, the oldest for {_span(oldest_s)}"
    return Finding("held", "note", says, "enable the webhook, or drop what is held: they expire after 30 days")


def endpoints(states: Mapping[str, int]) -> Finding:
    """Say how webhooks are.

    Args:
        states: How many are ``healthy``, ``failing``, or disabled by each reason: ``gone``, ``failing``, ``by hand``.
    """
    total = sum(states.values())
    ill = [f"{count} {state}" for state, count in sorted(states.items()) if state != "healthy" and count]
    says = f"{total} webhooks" + (f": {', '.join(ill)}" if ill else "")
    if not ill:
        return Finding("webhooks", "ok", says)
    return Finding("webhooks", "note", says, "ask their owners; Registry.health() and recent() say how each one fails")


def seals(counts: Mapping[str, int], known: Sequence[str] | None) -> Finding:
    """Say whether signing keys and custom headers are sealed.

    Args:
        counts: How many webhooks each vault key has sealed; under "" those that are not.
        known: The keys that were given, the first of which seals; None: none were.
    """
    plain_ones = counts.get("", 0)
    sealed = {key_id: count for key_id, count in counts.items() if key_id and count}
    if known is None:
        if sealed:
            says = f"{sum(sealed.values())} webhooks are sealed, and no keys were given: whether they open is not known"
            return Finding("seals", "note", says, "set HOOKKIT_VAULT_KEYS, or give --keys-file")
        says = f"{plain_ones} webhooks have keys and headers that are not sealed" if plain_ones else "nothing to seal"
        return Finding("seals", "note" if plain_ones else "ok", says, "see docs/secrets.md" if plain_ones else "")
    missing = sorted(set(sealed) - set(known))
    if missing:
        says = ", ".join(f"{sealed[key_id]} webhooks are sealed with {plain(key_id)}" for key_id in missing)
        return Finding(
            "seals", "problem", f"{says}, which was not given", "give workers that key, too, behind the first"
        )
    stale = plain_ones + sum(count for key_id, count in sealed.items() if key_id != known[0])
    if stale:
        says = f"{stale} webhooks are not sealed with {plain(known[0])}, the first key"
        return Finding("seals", "note", says, "run `hookkit rekey`")
    return Finding("seals", "ok", f"all {sum(sealed.values())} webhooks are sealed with {plain(known[0])}")


def readable(reasons: Sequence[str], count: int) -> Finding:
    """Say whether the secrets of every webhook open.

    Args:
        reasons: Why some do not, a sentence each, which names no secret.
        count: How many were looked at.
    """
    if not reasons:
        return Finding("secrets", "ok", f"those of {count} webhooks open")
    more = f"; and {len(reasons) - _SHOWN} more" if len(reasons) > _SHOWN else ""
    says = (
        f"{len(reasons)} webhooks wait, because their secrets do not open: {plain('; '.join(reasons[:_SHOWN]))}{more}"
    )
    return Finding("secrets", "problem", says, "give the missing key, or rotate the webhook's key and headers")


def clock(ahead_s: float) -> Finding:
    """Say how far the database's clock is ahead of this machine's, in seconds."""
    if abs(ahead_s) > SKEW_S:
        says = f"the database's clock is {_span(abs(ahead_s))} {'ahead of' if ahead_s > 0 else 'behind'} this machine's"
        do = "have both on NTP: receivers refuse what is signed by a clock that is minutes off"
        return Finding("clock", "problem", says, do)
    return Finding("clock", "ok", "this machine's and the database's agree")


# --- SQLite -----------------------------------------------------------------------------------------------------------


def integrity(answers: Sequence[str]) -> Finding:
    """Say what SQLite's ``quick_check`` found."""
    if list(answers) == ["ok"]:
        return Finding("integrity", "ok", "quick_check finds nothing wrong")
    says = f"quick_check: {plain('; '.join(answers[:_SHOWN]))}"
    return Finding("integrity", "problem", says, "stop every process that uses the file, and restore a backup")


def file(*, mode: str, kind: str, wal_bytes: int, free_bytes: int, open_to_all: bool) -> list[Finding]:
    """Say whether a SQLite file lies where it may.

    Args:
        mode: Its journal mode.
        kind: The kind of the file system; "" if that is not known.
        wal_bytes: How long its write-ahead log is.
        free_bytes: How much room is left beside it.
        open_to_all: Everybody on this machine may read it.
    """
    found: list[Finding] = []
    if mode != "wal":
        do = "open it with SQLiteStore, which changes that, and let nothing else change it back"
        found.append(Finding("file", "problem", f"its journal mode is {mode}, not wal", do))
    if any(share in kind for share in _SHARES):
        do = "move it to a local disk, or use PostgreSQL: locks do not hold there, and workers on two machines ruin it"
        found.append(Finding("file", "problem", f"it lies on a network share ({plain(kind)})", do))
    if wal_bytes > WAL_BYTES:
        says = f"its write-ahead log has grown to {wal_bytes // 2**20} MiB"
        found.append(Finding("file", "note", says, "look for a process that keeps a transaction open on it"))
    if free_bytes < FREE_BYTES:
        says = f"{free_bytes // 2**20} MiB are free beside it"
        found.append(Finding("file", "problem", says, "make room: on a full disk nothing can be emitted"))
    if open_to_all:
        found.append(Finding("file", "note", "everybody on this machine can read it", "chmod o= it, and seal its keys"))
    return found or [Finding("file", "ok", f"in wal mode{f', on {plain(kind)}' if kind else ''}")]


# --- PostgreSQL -------------------------------------------------------------------------------------------------------


def vacuum(tables: Sequence[Vacuumed], *, enabled: bool, oldest_s: float | None) -> list[Finding]:
    """Say whether dead rows are cleared away.

    Args:
        tables: The busiest tables.
        enabled: The server's autovacuum is on.
        oldest_s: How long the oldest transaction that keeps dead rows alive has been open, in seconds.
    """
    found: list[Finding] = []
    off = [one.table for one in tables if one.off]
    if not enabled or off:
        says = f"autovacuum is off for {', '.join(off)}" if enabled else "autovacuum is off"
        found.append(Finding("vacuum", "problem", says, "switch it on: a queue without it becomes slower and slower"))
    full = [one for one in tables if one.dead > DEAD_ROWS and one.dead > one.live]
    if full:
        says = "more dead rows than live ones: " + ", ".join(f"{one.table} {one.dead} to {one.live}" for one in full)
        found.append(Finding("vacuum", "problem", says, "VACUUM them, and look why autovacuum does not keep up"))
    if oldest_s is not None and oldest_s > TRANSACTION_S:
        says = f"a transaction has been open for {_span(oldest_s)}, and keeps dead rows from being cleared away"
        found.append(Finding("vacuum", "problem", says, "find it in pg_stat_activity, by backend_xmin, and end it"))
    return found or [Finding("vacuum", "ok", f"{sum(one.dead for one in tables)} dead rows, and autovacuum is on")]


def _span(seconds: float) -> str:
    """Return a duration in one unit."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"

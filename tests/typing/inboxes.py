"""What type checkers see of inboxes, challenges and explanations. Checked by mypy and pyright, never run."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, assert_type

from hookkit import Verified
from hookkit.challenges import Answer, cloudevents_handshake, okta_verification, zoom_url_validation
from hookkit.explain import Explanation, Finding, explain
from hookkit.inbox import (
    AsyncInbox,
    AsyncMemoryInbox,
    AsyncPostgresInbox,
    AsyncSQLiteInbox,
    Inbox,
    MemoryInbox,
    PostgresInbox,
    Receipt,
    SQLiteInbox,
    ThreadedInbox,
)


def receiving(verified: Verified, inbox: Inbox[sqlite3.Connection], db: sqlite3.Connection) -> int:
    """The block gets a Receipt, with the host's connection or without."""
    with inbox.receive(verified, source="auth", lease=30) as receipt:
        assert_type(receipt, Receipt)
    with inbox.receive(verified, source="auth", now=datetime.now().astimezone(), tx=db) as receipt:
        assert_type(receipt.first, bool)
    assert_type(receipt.headers, Mapping[str, str])
    return receipt.status


async def awaiting(verified: Verified, inbox: AsyncInbox[Any]) -> None:
    """The same, awaited."""
    async with inbox.receive(verified, source="auth") as receipt:
        assert_type(receipt, Receipt)
    assert_type(await inbox.finish(receipt), bool)


class Nowhere(Inbox[None]):
    """One of a host's own: four steps, and ``receive`` is there."""

    @property
    def keep(self) -> timedelta:
        return timedelta(days=1)

    def claim(self, source: str, key: str, *, now: datetime, lease: timedelta | float = 60, tx: None = None) -> Receipt:
        return Receipt(source, key, "first", "claim")

    def finish(self, receipt: Receipt) -> bool:
        return True

    def release(self, receipt: Receipt, *, tx: None = None) -> bool:
        return True

    def prune(self, *, now: datetime, limit: int = 1000) -> int:
        return 0


sync: list[Inbox[Any]] = [MemoryInbox(), SQLiteInbox("a.db", keep=timedelta(days=30)), Nowhere()]
sync += [PostgresInbox("postgresql://db/app", schema="hooks", keep=timedelta(days=30), tolerance=60)]
asynchronous: list[AsyncInbox[Any]] = [AsyncMemoryInbox(), AsyncSQLiteInbox("a.db"), ThreadedInbox(Nowhere())]
asynchronous += [AsyncPostgresInbox("postgresql://db/app"), ThreadedInbox(PostgresInbox("postgresql://db/app"))]


def explaining(body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """Findings are values, and what was verified is there if it was."""
    explanation = explain(body, headers, ["whsec_x"], tolerance=60)
    assert_type(explanation, Explanation)
    assert_type(explanation.findings, tuple[Finding, ...])
    assert_type(explanation.verified, Verified | None)


def answering(verified: Verified, headers: Mapping[str, str]) -> None:
    """An answer, or none."""
    assert_type(okta_verification(headers), Answer | None)
    assert_type(zoom_url_validation(verified, "key"), Answer | None)
    assert_type(cloudevents_handshake(headers, origins="*"), Answer | None)
    cloudevents_handshake(headers, origins=["a.example"], rate=5)

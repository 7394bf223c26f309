"""Handle each event once: an inbox remembers what has arrived.

Senders repeat themselves, after a lost answer for one; and within the tolerance anybody who has recorded a request can
send it again. Both times it verifies. An inbox tells a repeat by the event's :attr:`~hookkit.Verified.dedupe_key`, and
does so while the first one is still being handled, too:

>>> from hookkit import verify_signature
>>> from hookkit.inbox import MemoryInbox
>>> from hookkit.testing import sign_request
>>> body, key = b"{}", "whsec_" + 32 * "MfKQ"
>>> headers = sign_request(body, key)
>>> inbox = MemoryInbox()
>>> def answer():
...     verified = verify_signature(body, headers, key)
...     with inbox.receive(verified, source="auth") as receipt:
...         if receipt.first:
...             print("handled", receipt.key)
...     return receipt.status
>>> answer(), answer()
handled evt_test
(204, 204)

What is guaranteed:

* While an event is being handled, a repeat is answered 503, which a sender takes as "later". It never gets a 2xx for
  what may yet fail.
* What raises is not handled: the sender's next attempt is the first again. So is one that comes after a process died
  with the event, once the lease has run out. Nothing is lost that the sender repeats.
* Without ``tx=`` that means *at least* once: a process can die after it handled an event and before that was noted, and
  handling can outlast its lease. Make it harmless, or make it part of a transaction.
* With ``tx=``, the host's own connection to the same database, the entry is committed or rolled back with what the
  handler did in it: *exactly* once, as far as the database goes. A mail that was sent is not unsent.
* Entries are kept for ``keep``, seven days unless you say otherwise, and never less than twice the tolerance, the
  longest that a recorded request verifies. A sender whose signature covers no time (GitHub, Logto) can be replayed for
  ever: there the inbox is the only defence, as long as it remembers.
* A claim forgets some old entries, so that an inbox needs no housekeeping.

Inboxes are there in memory, in a SQLite file, and in a PostgreSQL database (with the extra ``postgres``). One of your
own, in whatever else, derives from :class:`Inbox` or :class:`AsyncInbox`; ``hookkit.testing.InboxContract`` tests it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hookkit.inbox._async import AsyncInbox as AsyncInbox
    from hookkit.inbox._inbox import Inbox as Inbox
    from hookkit.inbox._memory import MemoryInbox as MemoryInbox
    from hookkit.inbox._receipt import Receipt as Receipt
    from hookkit.inbox._sqlite import SQLiteInbox as SQLiteInbox
    from hookkit.inbox._threaded import AsyncMemoryInbox as AsyncMemoryInbox
    from hookkit.inbox._threaded import AsyncSQLiteInbox as AsyncSQLiteInbox
    from hookkit.inbox._threaded import ThreadedInbox as ThreadedInbox
    from hookkit.inbox.postgres import AsyncPostgresInbox as AsyncPostgresInbox
    from hookkit.inbox.postgres import PostgresInbox as PostgresInbox

_HOMES = {
    "AsyncInbox": "_async",
    "AsyncMemoryInbox": "_threaded",
    "AsyncPostgresInbox": "postgres",
    "AsyncSQLiteInbox": "_threaded",
    "Inbox": "_inbox",
    "MemoryInbox": "_memory",
    "PostgresInbox": "postgres",
    "Receipt": "_receipt",
    "SQLiteInbox": "_sqlite",
    "ThreadedInbox": "_threaded",
}

__all__ = [
    "AsyncInbox",
    "AsyncMemoryInbox",
    "AsyncPostgresInbox",
    "AsyncSQLiteInbox",
    "Inbox",
    "MemoryInbox",
    "PostgresInbox",
    "Receipt",
    "SQLiteInbox",
    "ThreadedInbox",
]


def __getattr__(name: str) -> object:
    # Loaded when first used, so that an inbox in memory loads neither SQLite nor asyncio, and only that in PostgreSQL
    # needs psycopg.
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The contract of a LogStore, put together."""

from __future__ import annotations

from hookkit.testing.kits.log_entries import LogEntryRules
from hookkit.testing.kits.log_health import LogHealthRules

__all__ = ["LogStoreContract"]


class LogStoreContract(LogEntryRules, LogHealthRules):
    """Checks a :class:`hookkit.protocols.LogStore`. Override the fixture ``store`` (or ``logs``).

    The log is filled by ``record``, as a courier does; a store that is the queue as well is checked by
    :class:`StoreContract` for what its own deliveries write.
    """

"""For tests of a Django project."""

from __future__ import annotations

from hookkit.contrib.django._configured import configured
from hookkit.contrib.django._migrating import empty

__all__ = ["empty_tables"]


def empty_tables(using: str | None = None) -> None:
    """Delete every webhook, delivery, event and inbox entry: for the ``tearDown`` of a ``TransactionTestCase``.

    That one deletes the rows of models, and hookkit's tables have none. A ``TestCase`` rolls all of it back by itself.

    Args:
        using: The database's alias; None: ``HOOKKIT["DATABASE"]``, or else ``default``.
    """
    empty(using or configured().database)

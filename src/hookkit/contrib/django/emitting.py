"""Emitting from Django: store, registry and dispatcher over Django's own connection, in its transactions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, transaction

from hookkit import OutboxDispatcher, Registry
from hookkit.contrib.django._configured import configured

if TYPE_CHECKING:
    from hookkit.protocols import Store
    from hookkit.vault import Vault

__all__ = ["DjangoDispatcher", "dispatcher_for", "registry_for", "store_for", "worker_store_for"]


def store_for(using: str | None = None, *, vault: Vault | None = None) -> Store:
    """Return the store in one of Django's databases, which speaks through Django's own connection to it.

    Whatever it does belongs to the ``atomic`` block it is done in, and is seen and rolled back with it: in a view under
    ``ATOMIC_REQUESTS``, and in a ``TestCase``, too. Outside of one each call is a transaction of its own. It follows
    Django to a test's database, so it may be made when a module is imported. Nothing is connected to yet.

    Args:
        using: The database's alias; None: ``HOOKKIT["DATABASE"]``, or else ``default``.
        vault: Seals signing keys and custom headers; None: ``HOOKKIT["VAULT"]``.

    Raises:
        ImproperlyConfigured: The database is neither PostgreSQL, by psycopg 3, nor SQLite.
    """
    chosen = configured()
    alias = using or chosen.database
    sealer = vault or chosen.vault
    if _vendor(alias) == "sqlite":
        from hookkit.contrib.django._sqlite import LentSQLiteStore

        return LentSQLiteStore(alias, vault=sealer)
    from hookkit.contrib.django._postgres import LentPostgresStore

    return LentPostgresStore(alias, vault=sealer)


def worker_store_for(using: str | None = None, *, vault: Vault | None = None) -> Any:
    """Return a store of its own connections to one of Django's databases, for a worker. Whoever opens it closes it.

    Args:
        using: As for :func:`store_for`.
        vault: Likewise.

    Raises:
        ImproperlyConfigured: As for :func:`store_for`.
        StoreError: The database is in memory, where nobody else finds it; or it has no tables.
    """
    chosen = configured()
    alias = using or chosen.database
    sealer = vault or chosen.vault
    if _vendor(alias) == "sqlite":
        from hookkit.contrib.django._sqlite import open_sqlite

        return open_sqlite(alias, sealer)
    from hookkit.contrib.django._postgres import open_postgres

    return open_postgres(alias, sealer)


def registry_for(using: str | None = None, *, vault: Vault | None = None) -> Registry:
    """Return the registry of one of Django's databases: what ``HOOKKIT`` says, over :func:`store_for`.

    Args:
        using: As for :func:`store_for`.
        vault: Likewise.
    """
    chosen = configured()
    return Registry(
        store_for(using, vault=vault), catalog=chosen.catalog, targets=chosen.targets, profiles=chosen.profiles
    )


class DjangoDispatcher(OutboxDispatcher):
    """An :class:`~hookkit.OutboxDispatcher` that joins the ``atomic`` block it is called in, without being told.

    Rolled back with the block, an event never existed; committed, it is delivered at least once, and the workers of
    this process are woken after the commit. Outside of a block it is stored at once. ``tx=`` is needed for a connection
    of another kind only.

    In an async view call ``await sync_to_async(dispatcher.emit)(…)``, or with it the function that has the block.

    Args:
        using: The alias of the store's database.
        store: The store, as :func:`store_for` returns it.
        options: Of :class:`~hookkit.OutboxDispatcher`.
    """

    def __init__(self, using: str, store: Store, **options: Any) -> None:
        super().__init__(store, **options)
        self._using = using

    def wake(self) -> None:
        """Have the workers of this process look, after the commit of the block this is called in."""
        if connections[self._using].in_atomic_block:
            transaction.on_commit(partial(OutboxDispatcher.wake, self), using=self._using)
        else:
            super().wake()


def dispatcher_for(using: str | None = None, *, vault: Vault | None = None) -> DjangoDispatcher:
    """Return the dispatcher of one of Django's databases: what ``HOOKKIT`` says, over :func:`store_for`.

    Args:
        using: As for :func:`store_for`.
        vault: Likewise.
    """
    chosen = configured()
    alias = using or chosen.database
    return DjangoDispatcher(alias, store_for(alias, vault=vault), catalog=chosen.catalog, profiles=chosen.profiles)


def _vendor(alias: str) -> str:
    vendor = connections[alias].vendor
    if vendor not in ("postgresql", "sqlite"):
        raise ImproperlyConfigured(f"hookkit stores in PostgreSQL and SQLite; the database {alias!r} is {vendor}")
    return vendor

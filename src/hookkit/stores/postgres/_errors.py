"""What psycopg and its pool raise, as :class:`~hookkit.StoreError`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import psycopg
import psycopg_pool

from hookkit.errors import StoreError
from hookkit.stores.hosts._refusals import QUOTING

__all__ = ["NOTHING", "UNKNOWN", "foreign_errors"]

NOTHING: Final = "nothing was stored"
UNKNOWN: Final = "whether it was stored is not known: repeat it, an emit with its idempotency_key"


def _is_lost(error: psycopg.Error) -> bool:
    """Return whether the connection is gone, or going."""
    state = error.sqlstate or ""
    return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) and (
        not state or state[:2] == "08" or state[:3] == "57P"
    )


@contextmanager
def foreign_errors(lost: str) -> Generator[None, None, None]:
    """Turn what psycopg raises into StoreError, with no value in its message.

    Args:
        lost: What is known of the outcome if the connection is lost.
    """
    try:
        yield
    except psycopg_pool.PoolTimeout:
        raise StoreError(
            "PostgreSQL: no connection could be had in time: it cannot be reached (see the log of psycopg.pool), or "
            "all of the pool's are in use; nothing was stored"
        ) from None
    except psycopg_pool.PoolClosed:
        raise StoreError("the store's pool of connections is closed") from None
    except psycopg.Error as error:
        state, said = error.sqlstate or "", error.diag.message_primary
        if state[:2] in QUOTING:
            # The server's message, its details and psycopg's own quote what was to be stored.
            raise StoreError(f"PostgreSQL: {type(error).__name__} ({state}); {NOTHING}") from None
        if isinstance(error, psycopg.DataError):
            raise StoreError("PostgreSQL: text with a NUL cannot be stored or looked up") from None
        message = f"PostgreSQL: {said} ({state})" if said else f"psycopg: {error}"
        raise StoreError(f"{message}; {lost if _is_lost(error) else NOTHING}") from error
    except UnicodeEncodeError:
        raise StoreError("PostgreSQL: text with a lone surrogate cannot be stored or looked up") from None

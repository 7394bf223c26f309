"""What PostgreSQL refuses, in words that may be logged."""

from __future__ import annotations

from typing import Final, NoReturn

from hookkit.errors import StoreError

__all__ = ["QUOTING", "refuse"]

QUOTING: Final = frozenset({"22", "23"})
"""Classes of states whose messages may quote a value: data exceptions, and violated constraints."""


def refuse(error: Exception, state: str, said: str) -> NoReturn:
    """Raise StoreError for what the server answered, without its details, and without its message if that may quote.

    Args:
        error: What the driver raised.
        state: The server's SQLSTATE.
        said: The first line of the server's message.
    """
    if state[:2] in QUOTING:
        raise StoreError(f"PostgreSQL: {type(error).__name__} ({state})") from None
    raise StoreError(f"PostgreSQL: {said} ({state})") from error

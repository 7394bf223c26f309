"""Events: what happened in the auth server, before anybody is told of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import attrs

from hookkit.errors import PayloadError
from hookkit.jsontext import check_json

if TYPE_CHECKING:
    from hookkit.protocols import EventType

__all__ = ["DATA_DEPTH", "MAX_TYPE_CHARS", "Event", "check_id", "check_type", "is_text", "is_type", "type_name"]

MAX_TYPE_CHARS = 128
MAX_TEXT_CHARS = 256
DATA_DEPTH = 1  # every format puts the data into an object, and a receiver counts that level, too
_TYPE = re.compile(r"[A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*")
_ID = re.compile(r"[!-\-/-~]{1,128}")  # printable ASCII without space and full stop
_NOT_TEXT = re.compile("[\0\ud800-\udfff]")  # what UTF-8 cannot carry, and what Postgres cannot hold

_NOT_CONTEXT = {  # a format that lifts the context to the top level of its body has these there
    "event": "it is the event's type",
    "createdAt": "it is the event's occurred_at",
    "hookId": "it is the webhook's id",
    "data": "give it as the event's data",
}


def type_name(value: str | EventType) -> str:
    """Return the plain name of an event type, given as text, as a ``StrEnum`` member or as an ``EventType``.

    Raises:
        PayloadError: It is neither.
    """
    name = value if isinstance(value, str) else getattr(value, "name", None)
    if not isinstance(name, str):
        raise PayloadError(f"type: {type(value).__name__}; use the event's name, such as 'user.created'")
    return str.__str__(name)  # of an enum member this is its value, never "Events.CREATED"


def is_type(name: str) -> bool:
    """Return whether an event could have this name."""
    return len(name) <= MAX_TYPE_CHARS and _TYPE.fullmatch(name) is not None


def check_type(value: str | EventType) -> str:
    """Return the plain name of an event type, or raise :class:`PayloadError` if no event could have it."""
    name = type_name(value)
    if not is_type(name):
        raise PayloadError(
            f"type: {name[:140]!r} is not letters, digits and underscores, joined by single full stops, "
            f"{MAX_TYPE_CHARS} characters at most"
        )
    return name


def check_id(value: str, path: str = "id") -> str:
    """Return `value`, or raise :class:`PayloadError` if it could not serve as a ``webhook-id``.

    Standard Webhooks, "Signature scheme": the id is joined to what follows by a full stop, so it must not hold one.
    """
    if not isinstance(value, str) or _ID.fullmatch(value) is None:
        raise PayloadError(f"{path}: 1 to 128 printable ASCII characters without space or full stop")
    return value


def _event_id(value: str) -> str:
    return value if value == "" else check_id(value)


def _aware(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise PayloadError(f"occurred_at: {type(value).__name__}; use an aware datetime")
    if value.utcoffset() is None:
        raise PayloadError("occurred_at: a naive datetime; use an aware one, such as datetime.now(UTC)")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise PayloadError("occurred_at: beyond the years 1 to 9999 in UTC") from None


def is_text(value: object, *, at_least: int = 0) -> bool:
    """Return whether `value` is text that every store can hold, of at most 256 characters."""
    return isinstance(value, str) and at_least <= len(value) <= MAX_TEXT_CHARS and _NOT_TEXT.search(value) is None


def _tenant(value: str) -> str:
    if not is_text(value):
        raise PayloadError("tenant: text of at most 256 characters, without NUL and lone surrogates")
    return value


def _key(value: str | None) -> str | None:
    if value is not None and not is_text(value, at_least=1):
        raise PayloadError("idempotency_key: text of 1 to 256 characters, without NUL and lone surrogates, or None")
    return value


def _context(value: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise PayloadError(f"context: {type(value).__name__}; use a dict")
    context = dict(value)
    for key, meaning in _NOT_CONTEXT.items():
        if key in context:
            raise PayloadError(f"context.{key}: a body has this key already; {meaning}")
    check_json(context, "context")
    return context


def _data(value: object) -> object:
    check_json(value, "data", DATA_DEPTH)
    return value


def _unshown(value: object) -> str:
    """Return what a ``repr`` shows of a payload, which tells of persons: whether there is one."""
    return "<not shown>" if value else repr(value)


@attrs.frozen
class Event:
    """One thing that happened.

    Args:
        type: Its name, ``user.created`` or ``PostSignIn``: letters, digits and underscores, joined by single full
            stops, 128 characters at most. A ``StrEnum`` member or an ``EventType`` stands for its name.
        data: Any JSON value: None, bool, int, finite float, str, list, tuple, dict with str keys.
        id: The ``webhook-id`` that receivers use to recognise a repeat. Empty: one is made. A repeated id within a
            tenant is the first emission again.
        occurred_at: When it happened, as an aware datetime. None: when it is emitted.
        tenant: Whose event it is; only this tenant's webhooks are told. Text of at most 256 characters.
        context: Facts of the request that caused it (``ip``, ``userAgent``, ``path`` …). STANDARD does not send it;
            LOGTO lifts it to the top level of its body, so it has no key ``event``, ``createdAt``, ``hookId`` or
            ``data``.
        idempotency_key: Unique per tenant: a second emit with the same key stores nothing and returns the first
            :class:`~hookkit.Emission`.

    Raises:
        PayloadError: One of these is not as described. The message names the path: ``data.user.created_at: datetime;
            use .isoformat()``.
    """

    type: str = attrs.field(converter=check_type)
    data: Any = attrs.field(default=None, converter=_data, repr=_unshown)
    id: str = attrs.field(default="", converter=_event_id, kw_only=True)
    occurred_at: datetime | None = attrs.field(default=None, converter=_aware, kw_only=True)
    tenant: str = attrs.field(default="", converter=_tenant, kw_only=True)
    context: Mapping[str, Any] = attrs.field(factory=dict, converter=_context, repr=_unshown, kw_only=True)
    idempotency_key: str | None = attrs.field(default=None, converter=_key, kw_only=True)

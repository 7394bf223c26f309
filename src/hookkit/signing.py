"""Signing keys as a host holds them, and what a verified request is.

What the text of a key means is the scheme's affair: :mod:`hookkit.keys` reads those of Standard Webhooks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar, final

import attrs

from hookkit.errors import HookkitError, InvalidKey, PayloadError
from hookkit.keys import Ed25519Secret, same, standard_key

if TYPE_CHECKING:
    from hookkit.event import Event

__all__ = ["MAX_KEYS", "SigningKey", "Verified", "as_keys", "live_keys", "signing_keys"]

MAX_KEYS = 16

_T = TypeVar("_T")


@final
class _KeyText:
    """Holds the text of a key where neither repr, nor asdict, nor pickle shows it."""

    __slots__ = ("parsed", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.parsed: dict[str, Any] = {}  # what a scheme made of it, so that it is parsed once

    def __repr__(self) -> str:
        return "'***'"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _KeyText):
            return NotImplemented
        ours, theirs = (key.text.encode("utf-8", "surrogatepass") for key in (self, other))
        return same(ours, theirs)

    def __hash__(self) -> int:
        return hash(self.text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a SigningKey is not pickled; store its value sealed, and make it anew")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _: object) -> Self:
        return self


def _key_text(value: str | _KeyText) -> _KeyText:
    if isinstance(value, _KeyText):
        return value
    if not isinstance(value, str):
        raise TypeError(f"a signing key is text, not {type(value).__name__}")
    if not value.strip():
        raise InvalidKey("the signing key is empty; is its setting missing?")
    return _KeyText(value)


def _aware(value: datetime | None) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime):
        raise TypeError(f"a key's time is an aware datetime, not {type(value).__name__}")
    if value.utcoffset() is None:
        raise ValueError("a key's time is a naive datetime; use an aware one, such as datetime.now(UTC)")
    return value.astimezone(UTC)


@attrs.frozen
class SigningKey:
    """A signing key: text whose meaning the scheme gives it.

    Its text is shown by nothing but :attr:`value`: not by ``repr``, ``attrs.asdict`` or a traceback; and it is never
    pickled.

    Args:
        value: Non-empty text: ``whsec_…`` (HMAC), ``whsk_…`` (Ed25519, secret), ``whpk_…`` (Ed25519, public), or
            whatever a vendor issues.
        created_at: When it was made, an aware datetime.
        expires_at: From when on it neither signs nor verifies, an aware datetime; None: never.

    Raises:
        InvalidKey: `value` is empty or blank.
        ValueError: A time without a time zone.
    """

    _value: _KeyText = attrs.field(converter=_key_text, alias="value")
    created_at: datetime | None = attrs.field(default=None, converter=_aware, kw_only=True)
    expires_at: datetime | None = attrs.field(default=None, converter=_aware, kw_only=True)

    @property
    def value(self) -> str:
        """The key's text. A secret, unless it begins with ``whpk_``."""
        return self._value.text

    @property
    def public(self) -> SigningKey:
        """The ``whpk_`` key that belongs to this ``whsk_`` key: what receivers are given.

        Raises:
            InvalidKey: This is no ``whsk_`` key, or it is damaged.
        """
        if not self.value.strip().startswith("whsk_"):
            raise InvalidKey("only a whsk_ key has a public half; receivers share any other key with the sender")
        secret = self.parsed("standard", standard_key)
        assert isinstance(secret, Ed25519Secret)  # noqa: S101 - its prefix says so
        return SigningKey(secret.public, created_at=self.created_at, expires_at=self.expires_at)

    def expired(self, at: datetime) -> bool:
        """Return whether the key is past its :attr:`expires_at` at this time, an aware datetime."""
        return self.expires_at is not None and self.expires_at <= at

    def parsed(self, form: str, parse: Callable[[str], _T]) -> _T:
        """Return what `parse` makes of the key's text, computed once. For schemes: ours, or a host's own.

        Args:
            form: A name for what `parse` makes: the same name is the same function.
            parse: Takes the key's text. What it raises is raised here, and nothing is kept.
        """
        forms = self._value.parsed
        found: _T | None = forms.get(form)
        if found is None:
            found = forms[form] = self._parse(parse)
        return found

    def _parse(self, parse: Callable[[str], _T]) -> _T:
        """Return what `parse` makes of the text. What it raises comes without its frames: they hold the text."""
        failure: HookkitError
        try:
            return parse(self._value.text)
        except HookkitError as error:
            failure = error
            failure.__cause__ = failure.__context__ = None
        try:
            raise failure.with_traceback(None)
        finally:
            del failure  # or it and this frame would hold each other


def as_keys(keys: str | SigningKey | Iterable[str | SigningKey]) -> tuple[SigningKey, ...]:
    """Return 1 to 16 keys, however a host gave them.

    Raises:
        InvalidKey: None, more than 16, or one that is blank.
        TypeError: Something that is no key.
    """
    if isinstance(keys, SigningKey):
        return (keys,)
    if isinstance(keys, str):
        return (SigningKey(keys),)
    if keys is None:
        raise InvalidKey("no signing key (None); is its setting missing?")
    if isinstance(keys, (bytes, bytearray, memoryview, Mapping)) or not isinstance(keys, Iterable):
        raise TypeError(f"keys: {type(keys).__name__}; give a str, a SigningKey, or a list of them")
    found = tuple([key if isinstance(key, SigningKey) else SigningKey(key) for key in islice(keys, MAX_KEYS + 1)])
    if not found:
        raise InvalidKey("no signing key; without one nothing can be signed or verified")
    if len(found) > MAX_KEYS:
        raise InvalidKey(f"more than {MAX_KEYS} signing keys; drop those that are no longer in use")
    return found


def live_keys(keys: Iterable[SigningKey], at: datetime) -> tuple[SigningKey, ...]:
    """Return the keys that have not expired at this time, in their order.

    Raises:
        InvalidKey: There is none.
    """
    live = tuple(key for key in keys if not key.expired(at))
    if not live:
        raise InvalidKey("every signing key has expired; give one that is still valid")
    return live


def signing_keys(keys: str | SigningKey | Iterable[str | SigningKey], at: datetime) -> tuple[SigningKey, ...]:
    """Return the keys that are to sign at this time, however a host gave them: as :func:`as_keys`, :func:`live_keys`.

    Raises:
        InvalidKey: None, more than 16, one that is blank, or none that has not expired.
        TypeError: Something that is no key.
    """
    if type(keys) is tuple and 0 < len(keys) <= MAX_KEYS:
        for key in keys:
            if type(key) is not SigningKey or key.expires_at is not None:
                break
        else:  # as deliveries have them: nothing to make, nothing to leave out
            return keys
    return live_keys(as_keys(keys), at)


# --- What was verified ------------------------------------------------------------------------------------------------


@attrs.frozen(init=False)
class Verified:
    """A request that verified. It exists only if it did.

    Args:
        id: The sender's id of the event, None if the signature does not cover one.
        timestamp: When the attempt was signed, None if the signature does not cover it.
        body: The raw bytes. The signature covers them, in every scheme but a static token's.
        dedupe_key: The same for every attempt of one event: process each only once.
    """

    id: str | None
    timestamp: datetime | None
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    dedupe_key: str

    def __init__(self, id: str | None, timestamp: datetime | None, body: bytes, dedupe_key: str) -> None:
        _set_id(self, id)
        _set_timestamp(self, timestamp)
        _set_body(self, body)
        _set_dedupe_key(self, dedupe_key)

    def json(self) -> Any:
        """Parse the body strictly. :class:`~hookkit.PayloadError` if it is not JSON, repeats a name, or is too deep."""
        from hookkit.jsontext import parse_json

        return parse_json(self.body)

    def event(self) -> Event:
        """Return the event that the body tells of, in the STANDARD or the LOGTO payload format.

        STANDARD bodies have ``type``, ``timestamp`` and ``data``; LOGTO bodies ``event``, ``createdAt`` and ``data``,
        and what else they hold is the event's context, except ``hookId``, which names the webhook and not the event.
        The event's ``id`` is the one that was verified, empty if there was none.

        Raises:
            PayloadError: The body is not JSON, or in neither of these formats. :meth:`json` reads any other.
        """
        from hookkit.event import Event

        body = self.json()
        if not isinstance(body, dict):
            raise PayloadError("the body is no JSON object; read it with .json()")
        members: dict[str, Any] = dict(body)
        if "event" in members and "createdAt" in members:
            members.pop("hookId", None)
            name, at = members.pop("event"), _instant(members.pop("createdAt"), "createdAt")
            data = members.pop("data", None)
            return Event(name, data, id=self.id or "", occurred_at=at, context=members)
        if "type" in members and "timestamp" in members:
            at = _instant(members["timestamp"], "timestamp")
            return Event(members["type"], members.get("data"), id=self.id or "", occurred_at=at)
        raise PayloadError("the body is neither a STANDARD nor a LOGTO payload; read it with .json()")


# One is made for every request, and these are faster than the generated way around a frozen class's own __setattr__.
_set_id, _set_timestamp, _set_body, _set_dedupe_key = (
    vars(Verified)[name].__set__ for name in ("id", "timestamp", "body", "dedupe_key")
)

_RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,12})?(?:Z|[+-]\d\d:\d\d)"


def _instant(value: object, path: str) -> datetime:
    if isinstance(value, str) and re.fullmatch(_RFC_3339, value, re.ASCII):
        try:
            return datetime.fromisoformat(value)  # the Event puts it in UTC
        except ValueError:  # no such day
            pass
    raise PayloadError(f"{path}: no RFC 3339 time with a zone, such as 2026-01-31T09:30:00Z")

"""Signing keys, the two algorithms, and what a verified request is.

HMAC-SHA256 (RFC 2104) and Ed25519 (RFC 8032) over bytes; no scheme, no header. ``cryptography`` is imported only where an
Ed25519 key is used.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn, Self, final

import attrs

from hookkit.errors import InvalidKey
from hookkit.jsontext import parse_json

if TYPE_CHECKING:
    from hookkit.event import Event

__all__ = ["SigningKey", "Verified"]


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
        return hmac.compare_digest(self.text.encode("utf-8", "surrogatepass"), other.text.encode("utf-8", "surrogatepass"))

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


@attrs.frozen
class SigningKey:
    """A signing key: text whose meaning the scheme gives it.

    Its text is shown by nothing but :attr:`value`: not by ``repr``, ``attrs.asdict`` or a traceback; and it is never
    pickled.

    Args:
        value: Non-empty text: ``whsec_…`` (HMAC), ``whsk_…`` (Ed25519, secret), ``whpk_…`` (Ed25519, public), or whatever
            a vendor issues.
        created_at: When it was made.
        expires_at: From when on it neither signs nor verifies; None: never.

    Raises:
        InvalidKey: `value` is empty or blank.
    """

    _value: _KeyText = attrs.field(converter=_key_text, alias="value")
    created_at: datetime | None = attrs.field(default=None, kw_only=True)
    expires_at: datetime | None = attrs.field(default=None, kw_only=True)

    @property
    def value(self) -> str:
        """The key's text. A secret, unless it begins with ``whpk_``."""
        return self._value.text


@attrs.frozen
class Verified:
    """A request that verified. It exists only if it did.

    Args:
        id: The sender's id of the event, None if the signature does not cover one.
        timestamp: When the attempt was signed, None if the signature does not cover it.
        body: The raw bytes that the signature covers.
        dedupe_key: The same for every attempt of one event: process each only once.
    """

    id: str | None
    timestamp: datetime | None
    body: bytes = attrs.field(repr=lambda body: f"<{len(body)} bytes>")
    dedupe_key: str

    def json(self) -> Any:
        """Parse the body strictly. :class:`~hookkit.PayloadError` if it is not JSON, repeats a name, or is too deep."""
        return parse_json(self.body)

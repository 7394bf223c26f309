"""Standard Webhooks 1.0, the scheme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final, final

import attrs
from attrs.validators import in_, min_len, optional

from hookkit.checks import (
    NO_MATCH,
    Claim,
    Reader,
    Scheme,
    check_id,
    header_name,
    header_text,
    is_id,
    raw_body,
    read_stamp,
    unix_time,
)
from hookkit.errors import InvalidKey, VerificationError
from hookkit.keys import Ed25519Public, Ed25519Secret, HmacKey, same, standard_key
from hookkit.signing import MAX_KEYS, SigningKey, Verified, signing_keys

__all__ = ["STANDARD", "StandardScheme"]

_V1_CHARS = len("v1,") + 44  # the base64 of 32 bytes


def _families(families: Iterable[str]) -> tuple[str, ...]:
    if isinstance(families, str):
        raise TypeError("families: a tuple of header prefixes, such as ('webhook',)")
    found = tuple(header_name(family) for family in families)
    if not found:
        raise ValueError("families: at least one header prefix")
    return found


def _sets(families: tuple[str, ...]) -> Sequence[tuple[str, str, str]]:
    return [(f"{name}-id", f"{name}-timestamp", f"{name}-signature") for name in families]


@final
@attrs.frozen
class StandardScheme(Scheme):
    """Standard Webhooks 1.0: ``v1`` (HMAC-SHA256) and ``v1a`` (Ed25519) signatures of id, timestamp and body.

    Args:
        families: Prefixes of the three headers. Signing uses the first. Verifying takes a full set of the first, else a
            full set of the next; never a mix, which would let a sender choose per header which proxy rule it escapes.
        separator: What is written between signatures: a space, or ``", "``. Both are read.
        key_separator: What stands between keys that come as one text, such as ``|``; None: a text is one key.
        tolerance: How far a timestamp may lie from now, either way.
    """

    families: tuple[str, ...] = attrs.field(default=("webhook",), converter=_families)
    separator: str = attrs.field(default=" ", kw_only=True, validator=in_([" ", ", "]))
    key_separator: str | None = attrs.field(default=None, kw_only=True, validator=optional(min_len(1)))
    _sets: Sequence[tuple[str, str, str]] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(lambda self: _sets(self.families), takes_self=True)
    )
    _seconds: float = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: self.tolerance.total_seconds(), takes_self=True),
    )

    @property
    def header_names(self) -> frozenset[str]:
        """The three headers that :meth:`sign` adds."""
        return frozenset(self._sets[0])

    def sign(
        self,
        body: bytes,
        keys: Sequence[SigningKey | str],
        *,
        id: str,
        at: datetime,
        method: str = "POST",
        url: str | None = None,
    ) -> dict[str, str]:
        """Return the three headers, with one signature for each live key, newest first.

        Args:
            body: The bytes that will be sent.
            keys: 1 to 16 keys, newest first: ``whsec_`` or bare base64 gives ``v1``, ``whsk_`` gives ``v1a``. Expired
                ones do not sign.
            id: The event's id: the same on every attempt.
            at: The attempt's time, an aware datetime; it is sent in whole seconds.
            method: Not signed.
            url: Not signed.

        Raises:
            InvalidKey: No key is left, one cannot be read, or one is a ``whpk_`` key.
            ValueError: An id or a time that would not verify.
        """
        stamp = unix_time(at, "s")
        message = f"{check_id(id)}.{stamp}.".encode(), body if type(body) is bytes else raw_body(body)
        live, text = signing_keys(keys, at), ""
        for key in live if self.key_separator is None else self._apart(live):
            signature = _signer(key).sign(message).decode()
            text = f"{text}{self.separator}{signature}" if text else signature
        id_name, stamp_name, signature_name = self._sets[0]
        return {id_name: id, stamp_name: stamp, signature_name: text}

    def quick(
        self,
        body: bytes,
        headers: Mapping[str, object],
        keys: Sequence[SigningKey],
        now: int,
        tolerance: timedelta | None,
    ) -> Verified | None:
        """Return the verified request if it is the most ordinary one; None: let :meth:`verify` look at it.

        That is one ``v1`` signature in three headers of lower-case names, with no white space and nothing else that
        would have to be overlooked. It says yes to nothing that :meth:`verify` refuses (the tests compare the two), and
        never says why not.

        Args:
            body: The raw body.
            headers: The host's own dict, whatever it holds; or every value of each name, as :meth:`verify` takes them.
            keys: 1 to 16 keys, none of them expired.
            now: The time in whole unix seconds.
            tolerance: How far the timestamp may lie from `now`, either way; None: the scheme's own.

        Raises:
            InvalidKey: A key that this scheme cannot verify with.
        """
        try:
            names = "".join(headers)
        except TypeError:  # one of them is no text
            return None
        if names != names.lower() or "wsgi.version" in headers or self.key_separator is not None:
            return None
        id_name, stamp_name, signature_name = self._sets[0]
        event_id, stamp, text = headers.get(id_name), headers.get(stamp_name), headers.get(signature_name)
        if isinstance(event_id, list) and isinstance(stamp, list) and isinstance(text, list):
            if not len(event_id) == len(stamp) == len(text) == 1:
                return None
            event_id, stamp, text = event_id[0], stamp[0], text[0]
        if type(event_id) is not str or type(stamp) is not str or type(text) is not str or not is_id(event_id):
            return None
        if len(text) != _V1_CHARS or text[:3] != "v1," or not text.isascii():
            return None
        try:
            seconds, at = read_stamp(stamp, "s")
        except VerificationError:
            return None
        allowed = self._seconds if tolerance is None else tolerance.total_seconds()
        if not -allowed <= now - seconds <= allowed:
            return None
        message, signature = (f"{event_id}.{stamp}.".encode(), body), text.encode()
        accepted = False
        for key in keys:  # each of them, since one that cannot be read is an error even beside a good one
            reader = key.parsed("standard reader", _reader)
            if type(reader) is HmacKey and same(reader.sign(message), signature):
                accepted = True
        return Verified(event_id, at, body, event_id) if accepted else None

    def _apart(self, keys: Sequence[SigningKey]) -> Sequence[SigningKey]:
        """Return each key by itself, where several come as one text."""
        if self.key_separator is None:
            return keys
        split = partial(_split, separator=self.key_separator)
        apart = [one for key in keys for one in key.parsed(f"apart at {self.key_separator!r}", split)]
        if len(apart) > MAX_KEYS:
            raise InvalidKey(f"more than {MAX_KEYS} signing keys; drop those that are no longer in use")
        return apart

    def _readers(self, keys: Sequence[SigningKey]) -> Sequence[Reader]:
        return super()._readers(self._apart(keys))

    def _reader(self, key: SigningKey) -> Reader:
        return key.parsed("standard reader", _reader)

    def _names(self, headers: Mapping[str, Sequence[str]]) -> Sequence[str]:
        if len(self._sets) > 1:
            for names in self._sets:
                if all(any(value.strip(" \t") for value in headers.get(name, ())) for name in names):
                    return names
        return self._sets[0]

    def _claim(self, values: Sequence[str], body: bytes, method: str | None, url: str | None) -> Claim:
        event_id, stamp, signatures = values
        return event_id, stamp, (header_text(f"{event_id}.{stamp}."), body), _tokens(header_text(signatures))

    def _hint(self, signatures: Sequence[bytes], readers: Sequence[Reader], keys: Sequence[SigningKey]) -> str:
        if any(signature.startswith(reader.prefix) for reader in readers for signature in signatures):
            return NO_MATCH
        if any(signature.startswith(b"v1a,") for signature in signatures):
            return "it is signed with Ed25519 (v1a) only: give the sender's whpk_ key"
        if any(signature.startswith(b"v1,") for signature in signatures):
            return "it is signed with HMAC (v1) only: give the endpoint's whsec_ key"
        return "the signature header holds no v1 or v1a signature"


def _tokens(text: bytes) -> Sequence[bytes]:
    # Supabase Auth joins signatures with ", ", which leaves a comma behind all but the last.
    return [token.removesuffix(b",") for token in text.replace(b"\t", b" ").split(b" ") if token]


def _split(text: str, *, separator: str) -> Sequence[SigningKey]:
    return [SigningKey(one) for one in text.split(separator)]


def _reader(text: str) -> Reader:
    reader = standard_key(text)
    if isinstance(reader, Ed25519Secret):
        raise InvalidKey("a whsk_ key signs; give receivers the whpk_ key that belongs to it (SigningKey.public)")
    return reader


def _signer(key: SigningKey) -> HmacKey | Ed25519Secret:
    signer = key.parsed("standard", standard_key)
    if isinstance(signer, Ed25519Public):
        raise InvalidKey("a whpk_ key verifies; sign with the whsk_ key that it belongs to")
    return signer


STANDARD: Final[StandardScheme] = StandardScheme()
"""Standard Webhooks 1.0, ``v1`` and ``v1a``: ``webhook-id``, ``webhook-timestamp``, ``webhook-signature``. OpenAI and
many others."""

"""Standard Webhooks 1.0, the scheme."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import final

import attrs

from hookkit.checks import UNKNOWN, Claim, Reader, Scheme, check_id, header_name, raw_body, signature_text, unix_time
from hookkit.errors import InvalidKey
from hookkit.keys import Ed25519Public, Ed25519Secret, HmacKey, standard_key
from hookkit.signing import SigningKey, as_keys, live_keys

__all__ = ["StandardScheme"]


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
        tolerance: How far a timestamp may lie from now, either way.
    """

    families: tuple[str, ...] = attrs.field(default=("webhook",), converter=_families)
    _sets: Sequence[tuple[str, str, str]] = attrs.field(
        init=False, repr=False, eq=False, default=attrs.Factory(lambda self: _sets(self.families), takes_self=True)
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
        signers = [_signer(key) for key in live_keys(as_keys(keys), at)]
        stamp = unix_time(at, "s")
        message = _message(check_id(id), stamp, raw_body(body))
        signatures = " ".join(f"{signer.version},{signer.sign(message).decode('ascii')}" for signer in signers)
        return dict(zip(self._sets[0], (id, stamp, signatures), strict=True))

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
        tokens = signatures.replace("\t", " ").split(" ")
        found = [_signature(token) for token in tokens if token]
        return Claim(event_id, stamp, "s", _message(event_id, stamp, body), found)

    def _hint(self, offered: set[str], readers: Sequence[Reader], keys: Sequence[SigningKey]) -> str:
        wanted = {reader.version for reader in readers}
        if not offered & {"v1", "v1a"}:
            return "the signature header holds no v1 or v1a signature"
        if not offered & wanted:
            if "v1a" in offered:
                return "it is signed with Ed25519 (v1a) only: give the sender's whpk_ key"
            return "it is signed with HMAC (v1) only: give the endpoint's whsec_ key"
        return super()._hint(offered, readers, keys)


def _message(event_id: str, stamp: str, body: bytes) -> Sequence[bytes]:
    return f"{event_id}.{stamp}.".encode("utf-8", "surrogatepass"), body


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


def _signature(token: str) -> tuple[str, bytes]:
    # Supabase Auth joins signatures with ", ", which leaves a comma behind all but the last.
    version, _, text = token.removesuffix(",").partition(",")
    return (version, signature_text(text)) if text and "," not in text else UNKNOWN

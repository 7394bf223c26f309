"""Static tokens: what senders send that sign nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import final

import attrs

from hookkit.checks import MAX_HEADER_CHARS, Claim, Reader, Scheme, header_name, header_text, raw_body, since_epoch
from hookkit.errors import InvalidKey
from hookkit.keys import same
from hookkit.signing import SigningKey, signing_keys

__all__ = ["TokenScheme"]

_TOKEN = re.compile(r"[!-~](?:[ -~]*[!-~])?")


@final
@attrs.frozen
class TokenScheme(Scheme):
    """A secret that the sender repeats in a header of each request.

    It proves that the sender knows the secret, and nothing more: **the body is not covered**. Whoever sees one request
    can send any other. A :class:`~hookkit.Verified` has neither id nor timestamp then, and its ``dedupe_key`` is the
    hash of the body. Prefer any scheme that signs.

    The key is the header's whole value, printable ASCII: ``Bearer s3cret`` if the sender is set to send that.

    Args:
        name: What to call it.
        header: The header that holds the secret.
    """

    name: str
    header: str = attrs.field(default="authorization", converter=header_name)

    @property
    def header_names(self) -> frozenset[str]:
        """The header that :meth:`sign` adds."""
        return frozenset({self.header})

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
        """Return the header, with the newest key in it.

        Args:
            body: Not signed.
            keys: 1 to 16 keys, newest first; the first one that has not expired is sent.
            id: Not signed.
            at: The attempt's time, an aware datetime. It is not sent.
            method: Not signed.
            url: Not signed.

        Raises:
            InvalidKey: No key is left, or it cannot be a header's value.
        """
        raw_body(body)
        since_epoch(at)  # not sent, but a mistake shows here as it does in every other scheme
        return {self.header: self._reader(signing_keys(keys, at)[0]).prefix.decode()}

    def _reader(self, key: SigningKey) -> Reader:
        return key.parsed("token", _Token)

    def _names(self, headers: Mapping[str, Sequence[str]]) -> Sequence[str]:
        return (self.header,)

    def _claim(self, values: Sequence[str], body: bytes, method: str | None, url: str | None) -> Claim:
        return None, None, (), [header_text(value) for value in values]

    def _hint(self, signatures: Sequence[bytes], readers: Sequence[Reader], keys: Sequence[SigningKey]) -> str:
        return f"{self.header} holds another token; the key is the whole value, with 'Bearer ' if the sender sends that"


@final
class _Token:
    """A key that is a token."""

    __slots__ = ("prefix",)

    def __init__(self, text: str) -> None:
        if len(text) > MAX_HEADER_CHARS or _TOKEN.fullmatch(text) is None:
            raise InvalidKey(
                "a token is printable ASCII without white space around it, as a header's value has to be: "
                "look for a line break where it is set"
            )
        self.prefix: bytes = text.encode()

    def accepts(self, message: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Return whether one of these is the token, comparing in constant time."""
        return any(same(self.prefix, signature) for signature in signatures)

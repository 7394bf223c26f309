"""Secrets at rest: signing keys and custom header values, sealed with AES-256-GCM (NIST SP 800-38D)."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NoReturn, Self, final

from hookkit.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Vault"]

_KEY_BYTES = 32
_NONCE_BYTES = 12
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@final
class Vault:
    """Seals what a store keeps secret. Give it to a store as ``vault=``.

    Each value is bound to its row: a sealed value that was moved to another row does not open. ``docs/secrets.md`` has
    the whole story: making keys, changing them, losing them.

    Args:
        keys: Key ids, each with 32 random bytes. The first seals; all open, so that a new one can be put in front while
            the old ones are still needed.

    Raises:
        ValueError: No key, an empty id, or a key that is not 32 bytes.
    """

    __slots__ = ("_ciphers", "_sealing")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        wrong = _wrong(keys)
        if wrong:
            keys = {}  # some tools show the variables of a traceback
            raise ValueError(wrong)
        self._ciphers: dict[str, AESGCM] = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._sealing = next(iter(keys))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Return the vault of a text such as ``k2=<base64>,k1=<base64>``, from the environment or from a file.

        Args:
            text: An id and the base64 of 32 random bytes for each key (RFC 4648 §4, padding included), separated by
                commas or line breaks. The first seals. An id is 1 to 64 of ``A-Z a-z 0-9 _ . -``. Empty entries, and
                lines that begin with ``#``, are skipped.

        Raises:
            ValueError: It has no entry, or one that is not of this form. The message counts the entries and quotes
                nothing: what stands in the place of an id may be a key.
        """
        keys, wrong = _keys_in(text)
        if wrong:
            text, keys = "", {}  # as above
            raise ValueError(wrong)
        return cls(keys)

    @property
    def key_ids(self) -> tuple[str, ...]:
        """The ids of the keys; the first seals."""
        return tuple(self._ciphers)

    def __repr__(self) -> str:
        return f"Vault(keys={list(self._ciphers)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Vault holds keys and is not pickled")

    def seal(self, plain: bytes, *, bound_to: bytes) -> tuple[str, bytes]:
        """Return the id of the sealing key, and `plain` sealed.

        Args:
            plain: What to hide.
            bound_to: Associated data: the same bytes are needed to unseal.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return self._sealing, nonce + self._ciphers[self._sealing].encrypt(nonce, plain, bound_to)

    def unseal(self, sealed: bytes, *, key_id: str, bound_to: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            StoreError: The key is not in this vault, or the value was changed, moved, or sealed with another key.
        """
        from cryptography.exceptions import InvalidTag

        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise StoreError(
                f"sealed with the vault key {key_id!r}, which this vault does not have; give it that key as well"
            )
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise StoreError(
                f"does not open with the vault key {key_id!r}: it was changed or moved, "
                "or sealed with another key of that id"
            ) from None


def _wrong(keys: Mapping[str, bytes]) -> str:
    """Return what is wrong with a vault's keys, or nothing. No id is quoted: where the two were swapped it is a key."""
    if not keys:
        return "a vault needs at least one key"
    for number, (key_id, key) in enumerate(keys.items(), start=1):
        if not isinstance(key_id, str) or not key_id or not isinstance(key, bytes) or len(key) != _KEY_BYTES:
            return f"vault key {number}: a non-empty id, and 32 random bytes such as os.urandom(32)"
    return ""


def _keys_in(text: str) -> tuple[dict[str, bytes], str]:
    """Return the keys of a text as :meth:`Vault.from_text` takes it, and what is wrong with it, or nothing."""
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    entries = [entry.strip() for line in lines for entry in line.split(",") if entry.strip()]
    keys: dict[str, bytes] = {}
    for number, entry in enumerate(entries, start=1):
        key_id, equals, value = entry.partition("=")
        key = _decoded(value.strip())
        if not equals or key is None or not _KEY_ID.fullmatch(key_id.strip()):
            return {}, f"vault keys: entry {number} is not an id, '=' and the base64 of {_KEY_BYTES} bytes"
        if key_id.strip() in keys:
            return {}, f"vault keys: entry {number} repeats the id of another"
        keys[key_id.strip()] = key
    return keys, ""


def _decoded(text: str) -> bytes | None:
    """Return the key that `text` is the base64 of, None if it is not that of one."""
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:  # not chained: the error may quote it
        return None
    return key if len(key) == _KEY_BYTES else None

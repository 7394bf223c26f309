"""Secrets at rest: signing keys and custom header values, sealed with AES-256-GCM (NIST SP 800-38D)."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, NoReturn, final

from hookkit.errors import StoreError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Vault"]

_KEY_BYTES = 32
_NONCE_BYTES = 12


@final
class Vault:
    """Seals what a store keeps secret. Give it to a store as ``vault=``.

    Each value is bound to its row: a sealed value that was moved to another row does not open.

    Args:
        keys: Key ids, each with 32 random bytes. The first seals; all open, so that a new one can be put in front while
            the old ones are still needed.

    Raises:
        ValueError: No key, an empty id, or a key that is not 32 bytes.
    """

    __slots__ = ("_ciphers", "_sealing")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if not keys:
            raise ValueError("a vault needs at least one key")
        for key_id, key in keys.items():
            if not key_id or len(key) != _KEY_BYTES:
                raise ValueError(f"vault key {key_id!r}: a non-empty id and 32 random bytes, such as os.urandom(32)")
        self._ciphers: dict[str, AESGCM] = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._sealing = next(iter(keys))

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
            raise StoreError(f"sealed with the vault key {key_id!r}, which this vault does not have")
        try:
            return cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], bound_to)
        except (InvalidTag, ValueError):
            raise StoreError(f"does not open with the vault key {key_id!r}: it was changed or moved") from None

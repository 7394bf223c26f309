"""Hashes of passwords, with the standard library alone. In earnest, argon2-cffi does this better."""

from __future__ import annotations

import hashlib
import hmac
import secrets


def hashed(password: str, salt: bytes | None = None) -> str:
    """Return what is stored of a password."""
    salt = secrets.token_bytes(16) if salt is None else salt
    return f"{salt.hex()}${hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=5).hex()}"


NOBODYS = hashed(secrets.token_hex())


def matches(password: str, stored: str | None) -> bool:
    """Return whether it is the password. Without a stored one it takes as long, so that nobody learns who is here."""
    salt = bytes.fromhex((stored or NOBODYS).partition("$")[0])
    return hmac.compare_digest(hashed(password, salt), stored or "")

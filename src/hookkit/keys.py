"""The two algorithms over bytes, and what the text of a Standard Webhooks key means.

HMAC (RFC 2104) and Ed25519 (RFC 8032); no scheme, no header. ``cryptography`` is imported only where an Ed25519 key is
used, so whoever verifies HMAC signatures never loads it. New keys take their randomness as an argument.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from binascii import a2b_base64, b2a_base64, hexlify
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Literal, final

from hookkit.errors import InvalidKey

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = [
    "MIN_KEY_BYTES",
    "Ed25519Public",
    "Ed25519Secret",
    "HmacKey",
    "StandardKey",
    "new_ed25519_pair",
    "new_logto_key",
    "new_standard_key",
    "same",
    "standard_key",
]

MIN_KEY_BYTES = 24  # Standard Webhooks, "Signature scheme": random, between 24 and 64 bytes

same: Final = hmac.compare_digest
"""Compare bytes in constant time. Every secret and every signature in hookkit is compared by this name."""


# --- Keys that sign and verify ----------------------------------------------------------------------------------------

# RFC 2104 §2: the key, filled up to a block of the hash (64 bytes for both of ours), is XORed with one repeated byte.
_BLOCK_BYTES = 64
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


@final
class HmacKey:
    """A secret that both sides share (RFC 2104). It signs in text: a prefix, and the MAC in base64 or lower-case hex.

    Args:
        secret: At least one byte.
        digest: The hash beneath.
        encoding: How the MAC is written.
        prefix: What stands before it, ASCII: ``v1,``, ``sha256=`` …
    """

    __slots__ = ("_hex", "_inner", "_length", "_outer", "prefix")

    def __init__(
        self,
        secret: bytes,
        *,
        digest: Literal["sha256", "sha1"] = "sha256",
        encoding: Literal["base64", "hex"] = "base64",
        prefix: str = "",
    ) -> None:
        block = secret if len(secret) <= _BLOCK_BYTES else hashlib.new(digest, secret).digest()
        block = block.ljust(_BLOCK_BYTES, b"\0")
        # RFC 2104 §4: with the key absorbed once, each message costs two blocks less. These two are only ever copied.
        self._inner = hashlib.new(digest, block.translate(_INNER)).copy
        self._outer = hashlib.new(digest, block.translate(_OUTER)).copy
        self._hex = encoding == "hex"
        self.prefix: bytes = prefix.encode("ascii")
        self._length = len(self.sign(()))

    def sign(self, message: Iterable[bytes]) -> bytes:
        """Return the signature, as ASCII text, of a message given in parts."""
        inner = self._inner()
        for part in message:
            inner.update(part)
        outer = self._outer()
        outer.update(inner.digest())
        mac = outer.digest()
        return self.prefix + (hexlify(mac) if self._hex else b2a_base64(mac, newline=False))

    def accepts(self, message: Iterable[bytes], signatures: Iterable[bytes]) -> bool:
        """Return whether one of these texts signs the message: the canonical text, and no other spelling of it.

        The MAC is computed only if one of them looks like a signature.
        """
        expected = b""
        for signature in signatures:
            if len(signature) == self._length and signature.startswith(self.prefix):
                expected = expected or self.sign(message)
                if same(expected, signature):
                    return True
        return False


@final
class Ed25519Secret:
    """The secret half of an Ed25519 pair (RFC 8032): it signs, and nothing else.

    Args:
        raw: The seed of 32 bytes, or the seed and the 32 bytes of its public key.

    Raises:
        InvalidKey: Another length, or a public key that does not belong to the seed.
    """

    __slots__ = ("_key", "prefix", "public")

    def __init__(self, raw: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        if len(raw) not in {32, 64}:
            raise InvalidKey(f"a whsk_ key holds 32 or 64 bytes, this one {len(raw)}")
        self._key: Ed25519PrivateKey = Ed25519PrivateKey.from_private_bytes(raw[:32])
        public = self._key.public_key().public_bytes_raw()
        if len(raw) == 64 and not same(public, raw[32:]):
            raise InvalidKey("the public half of this whsk_ key does not belong to its secret half; it was damaged")
        self.public: str = "whpk_" + _base64(public)
        self.prefix: bytes = b"v1a,"

    def sign(self, message: Iterable[bytes]) -> bytes:
        """Return the signature of a message given in parts: ``v1a,`` and base64."""
        return self.prefix + b2a_base64(self._key.sign(b"".join(message)), newline=False)


@final
class Ed25519Public:
    """The public half of an Ed25519 pair (RFC 8032): it verifies, and nothing else.

    Args:
        raw: 32 bytes.

    Raises:
        InvalidKey: Another length, or a point of small order, for which anybody can make signatures.
    """

    __slots__ = ("_key", "prefix")

    def __init__(self, raw: bytes) -> None:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if len(raw) != 32:
            raise InvalidKey(f"a whpk_ key holds 32 bytes, this one {len(raw)}")
        if _y_of(raw) in _SMALL_ORDER:
            raise InvalidKey("this whpk_ key is a point of small order: anybody can sign for it")
        self._key: Ed25519PublicKey = Ed25519PublicKey.from_public_bytes(raw)
        self.prefix: bytes = b"v1a,"

    def accepts(self, message: Iterable[bytes], signatures: Iterable[bytes]) -> bool:
        """Return whether one of these texts, ``v1a,`` and base64, is a signature of the message."""
        texts = [text.removeprefix(self.prefix) for text in signatures if text.startswith(self.prefix)]
        if not texts:
            return False
        whole = b"".join(message)
        return any(self._accepts(whole, text) for text in texts)

    def _accepts(self, message: bytes, text: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            signature = a2b_base64(text)
        except binascii.Error:
            return False
        # One signature has one spelling, as for a MAC: the decoder overlooks foreign characters and stray bits.
        if len(signature) != 64 or b2a_base64(signature, newline=False) != text:
            return False
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            return False
        return True


# The y coordinates of the points of order 1, 2, 4 and 8 (Curve25519's cofactor is 8); a key gives y modulo 2^255 - 19.
_P = 2**255 - 19
_ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER = frozenset({0, 1, _P - 1, _ORDER_8, _P - _ORDER_8})


def _y_of(raw: bytes) -> int:
    return (int.from_bytes(raw, "little") & (2**255 - 1)) % _P


# --- Standard Webhooks keys -------------------------------------------------------------------------------------------

StandardKey = HmacKey | Ed25519Secret | Ed25519Public

_BASE64 = re.compile(r"([A-Za-z0-9+/]*)(={0,2})")
_reported: set[int] = set()  # hashes of the short keys that were logged, of this process


def standard_key(text: str) -> StandardKey:
    """Return the key that this text is in Standard Webhooks, "Signature scheme" (``whsec_``, ``whsk_``, ``whpk_``).

    Args:
        text: Base64 after one of the prefixes; without a prefix it is HMAC, too. Space around it, and the ``v1,`` that
            Supabase puts in front, are dropped. Padding may be missing.

    Raises:
        InvalidKey: It cannot be read, or is empty.
    """
    text = text.strip().removeprefix("v1,")
    if text.startswith("whsk_"):
        return Ed25519Secret(_decoded(text[5:]))
    if text.startswith("whpk_"):
        return Ed25519Public(_decoded(text[5:]))
    secret = _decoded(text.removeprefix("whsec_"))
    if len(secret) < MIN_KEY_BYTES:
        _report_short(secret)
    return HmacKey(secret, prefix="v1,")


def _decoded(text: str) -> bytes:
    found = _BASE64.fullmatch(text)
    if found is None:
        raise InvalidKey(_why_no_base64(text))
    digits, padding = found.groups()
    if not digits:
        raise InvalidKey("the signing key is empty after its prefix; is its setting cut off?")
    missing = -len(digits) % 4
    if missing == 3 or (padding and len(padding) != missing):
        raise InvalidKey("the signing key is no base64: it has the wrong length; is its setting cut off?")
    return a2b_base64(digits + "=" * missing)


def _why_no_base64(text: str) -> str:
    if "|" in text or "," in text or " " in text:
        return "the signing key has a separator in it; give several keys as a list"
    if "-" in text or "_" in text:
        return "the signing key has '-' or '_' in it: it is URL-safe base64, or a key of another kind"
    return "the signing key is no base64; a plain-text key belongs to another scheme, such as hookkit.schemes.LOGTO"


def _report_short(secret: bytes) -> None:
    mark = hash(secret)
    if mark in _reported:
        return
    if len(_reported) >= 1024:
        _reported.clear()
    _reported.add(mark)
    import logging  # whose keys are long enough need not load it

    logging.getLogger(__name__).warning(
        "a signing key of %d bytes is in use; Standard Webhooks asks for %d to 64: ask for a longer one",
        len(secret),
        MIN_KEY_BYTES,
    )


def _base64(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode()


# --- New keys ---------------------------------------------------------------------------------------------------------

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def new_standard_key(random: Callable[[int], bytes]) -> str:
    """Return a new HMAC key: ``whsec_`` and the base64 of 32 random bytes.

    Args:
        random: Returns so many unpredictable bytes: :func:`secrets.token_bytes`, or a fixed sequence in a test.
    """
    return "whsec_" + _base64(_drawn(random, 32))


def new_logto_key(random: Callable[[int], bytes]) -> str:
    """Return a new key as Logto makes them: 32 of ``[0-9A-Za-z]`` (Logto, ``generateStandardSecret``).

    Args:
        random: Returns so many unpredictable bytes: :func:`secrets.token_bytes`, or a fixed sequence in a test.
    """
    # 512 bits for a number below 62^32 (191 bits): what the remainder favours is less than one part in 2^320.
    number = int.from_bytes(_drawn(random, 64), "big")
    return "".join(_LETTERS[number // 62**place % 62] for place in range(32))


def new_ed25519_pair(random: Callable[[int], bytes]) -> tuple[str, str]:
    """Return a new Ed25519 pair: the ``whsk_`` key that signs, and the ``whpk_`` key to give to receivers.

    Args:
        random: Returns so many unpredictable bytes: :func:`secrets.token_bytes`, or a fixed sequence in a test.
    """
    seed = _drawn(random, 32)
    public = Ed25519Secret(seed).public
    # The secret key in the form that holds both halves (RFC 8032 libraries' 64 bytes), which Svix reads as well.
    return "whsk_" + _base64(seed + a2b_base64(public.removeprefix("whpk_"))), public


def _drawn(random: Callable[[int], bytes], count: int) -> bytes:
    drawn = bytes(random(count))
    if len(drawn) != count:
        raise ValueError(f"the source of randomness gave {len(drawn)} bytes instead of {count}")
    return drawn

"""What may have happened to a key between the sender's page and the check.

Never tried: a ``whpk_`` key as anything but one. It is public, so anybody could sign with its text, and being told that
"it works that way" would be the worst advice there is.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final

import attrs

from hookkit.errors import InvalidKey
from hookkit.explain._case import Case, Experiment
from hookkit.explain._findings import Finding
from hookkit.keys import MIN_KEY_BYTES
from hookkit.schemes import StandardScheme
from hookkit.signing import MAX_KEYS, SigningKey

__all__ = ["expired_experiments", "key_experiments", "key_guesses", "kinds", "readable"]

_PREFIXES: Final = ("whsec_", "whsk_", "whpk_")
_NAME: Final = re.compile(r"(?:export +)?[A-Z][A-Z0-9_]* *= *(?=.)", re.DOTALL)
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2})+")
_SEPARATORS: Final = re.compile(r"[|,;\s]+")
_SHOWN: Final = "Give it exactly as the sender shows it"


def kinds(keys: Sequence[SigningKey]) -> str:
    """Return what kinds of keys these are, by their prefixes alone."""
    found = [next((p for p in _PREFIXES if key.value.strip().startswith(p)), "no prefix") for key in keys]
    return ", ".join(found)


def readable(case: Case) -> tuple[SigningKey, ...]:
    """Return the keys that the scheme can read."""
    return tuple(key for key in case.keys if attrs.evolve(case, keys=(key,)).outcome() != "unusable")


def expired_experiments(case: Case, expired: Sequence[SigningKey]) -> Iterator[Experiment]:
    """Try the keys that are not tried because they have expired."""
    for key in expired:
        assert key.expires_at is not None  # noqa: S101 - which is why it is here
        text = f"it was signed with a key that expired at {key.expires_at:%Y-%m-%d %H:%M:%S} UTC: drop its expires_at, "
        text += "or have the sender use the new key"
        yield Experiment("key_expired", text, attrs.evolve(case, keys=(SigningKey(key.value),)))


def key_experiments(case: Case) -> Iterator[Experiment]:
    """Undo what people, shells and settings do to a key."""
    standard = isinstance(case.scheme, StandardScheme)
    for number, key in enumerate(case.keys, start=1):
        which = "the key" if len(case.keys) == 1 else f"key {number}"
        readings = _standard(key.value) if standard else _verbatim(key.value)
        for code, text, texts in (*_around(key.value), *readings):
            others = _keys(texts)
            if others and others != (key,):
                yield Experiment(code, f"{which} {text}", attrs.evolve(case, keys=others))


def _keys(texts: Sequence[str]) -> tuple[SigningKey, ...]:
    with suppress(InvalidKey):
        return tuple(SigningKey(text) for text in texts[:MAX_KEYS])
    return ()


_Change = tuple[str, str, Sequence[str]]


def _around(text: str) -> Iterator[_Change]:
    """Yield what stands around a key, or between two."""
    bare = text.strip().strip("\ufeff\u200b").removesuffix("\\n").strip("\"'` \t\r\n")
    bare = _NAME.sub("", bare, count=1).removeprefix("Bearer ").strip("\"'` \t\r\n;,")
    wrapped = "has something around it (white space, quotes, a name, a line end) that does not belong to it. "
    yield "key_wrapped", wrapped + _SHOWN, [bare]
    yield "key_wrapped", "has white space or line ends within it. " + _SHOWN, ["".join(text.split())]
    parts = [part for part in _SEPARATORS.split(text.strip()) if part and part != "v1"]
    if len(parts) > 1:
        yield "keys_joined", "is several keys in one text. Give them as a list", parts


def _standard(text: str) -> Iterator[_Change]:
    """Yield how a key of Standard Webhooks may be spelled wrongly."""
    bare = text.strip().removeprefix("v1,")
    if bare.startswith("whsk_"):
        with suppress(InvalidKey):
            public = SigningKey(bare).public.value
            yield (
                "private_key",
                "is the sender's private key. Give the whpk_ key, and leave whsk_ to the sender",
                [public],
            )
        return
    if bare.startswith("whpk_"):
        with suppress(InvalidKey):
            public = SigningKey("whsk_" + bare[5:]).public.value
            yield "private_key", "is a private key that says whpk_. Give the real whpk_ key, and renew both", [public]
        return
    rest = bare.removeprefix("whsec_")
    yield "key_prefix", "is the public key of an Ed25519 pair. Give it with the prefix whpk_", ["whpk_" + rest]
    raw = "is used by the sender as it stands, not as base64: give whsec_ and the base64 of {}"
    yield "key_not_decoded", raw.format("its text"), _whsec(rest.encode("utf-8", "surrogatepass"))
    yield "key_not_decoded", raw.format("its whole text, prefix and all"), _whsec(bare.encode("utf-8", "surrogatepass"))
    decoded = "was base64-decoded before it was given: it is decoded here, and that is once too often. " + _SHOWN
    for spelling in (text, rest):
        yield "key_decoded_twice", decoded, _whsec(_latin_1(spelling))
    if _HEX.fullmatch(rest):
        yield "key_hex", "is in hex. Give whsec_ and the base64 of its bytes", _whsec(bytes.fromhex(rest))
    urlsafe = "is in the URL-safe form of base64. Give '+' for '-', and '/' for '_'"
    yield "key_urlsafe", urlsafe, ["whsec_" + rest.replace("-", "+").replace("_", "/")]
    with suppress(ValueError):
        once = _decoded(rest).decode("ascii")
        yield "key_encoded_twice", "was base64-encoded once more. " + _SHOWN, [once.strip()]


def _verbatim(text: str) -> Iterator[_Change]:
    """Yield how a key that is used as it stands may be spelled wrongly."""
    bare = text.strip().removeprefix("v1,")
    if bare.startswith(("whsk_", "whpk_")):
        return
    rest = bare.removeprefix("whsec_")
    yield "key_prefix", "has a prefix (v1, or whsec_) that this sender leaves out. Give what follows it", [rest]
    yield "key_prefix", "lacks the prefix whsec_, which counts with this sender. " + _SHOWN, ["whsec_" + rest]
    yield (
        "key_prefix",
        "lacks the word Bearer, which this sender sends before it. Give both",
        ["Bearer " + text.strip()],
    )
    with suppress(ValueError):
        once = _decoded(rest).decode("utf-8")
        yield "key_encoded_twice", "was base64-encoded: this sender uses the text that was. Give that", [once]
    with suppress(ValueError):
        once = bytes.fromhex(rest).decode("utf-8")
        yield "key_hex", "was written in hex: this sender uses the text that was. Give that", [once]
    for raw in {_latin_1(text), _latin_1(rest), rest.encode("utf-8", "surrogatepass")}:
        decoded = "was decoded before it was given, and this sender uses it undecoded. " + _SHOWN
        yield "key_decoded_twice", decoded, [binascii.b2a_base64(raw, newline=False).decode("ascii")]


def _latin_1(text: str) -> bytes:
    return text.encode("latin-1", "replace")


def _decoded(text: str) -> bytes:
    """Return what base64 stands for. ValueError (binascii.Error is one) if it is none."""
    return binascii.a2b_base64(text.encode("ascii") + b"=" * (-len(text) % 4), strict_mode=True)


def _whsec(raw: bytes) -> list[str]:
    """Return the key of these bytes; none of no bytes, for anybody could sign with that."""
    # RFC 2104 §2 fills a key up with zeros, so these are the same key: long enough not to be reported as a short one.
    padded = binascii.b2a_base64(raw.ljust(MIN_KEY_BYTES, b"\0"), newline=False).decode("ascii")
    return ["whsec_" + padded] if raw.strip(b"\0") else []


def key_guesses(case: Case) -> Iterator[Finding]:
    """Yield which keys the scheme cannot read, and why."""
    for number, key in enumerate(case.keys, start=1):
        trouble = attrs.evolve(case, keys=(key,)).key_trouble()
        if trouble is not None:
            which = "the key" if len(case.keys) == 1 else f"key {number}"
            yield Finding("unreadable_key", f"{which} cannot be used: {trouble}", certain=False)

"""Secrets with a mark, one for every place where hookkit is given one, and how to find them again.

A new kind of secret is a row of :data:`CANARIES`. It is looked for as it is and in the forms that programs give to text
and bytes: base64 at any offset, hexadecimal, quoted for URLs, escaped by ``repr`` and by JSON.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from urllib.parse import quote

from hookkit.keys import new_ed25519_pair

__all__ = ["CANARIES", "KEYS", "PAIR", "found"]

WHSEC_RAW = b"canary of a whsec key, 32 bytes!"
SEED = b"canary of a whsk_ key, 32 bytes!"
PAIR = new_ed25519_pair(lambda _: SEED)

CANARIES: dict[str, tuple[str | bytes, ...]] = {
    "whsec": ("whsec_" + base64.b64encode(WHSEC_RAW).decode(), WHSEC_RAW),
    "whsk": (PAIR[0], SEED),
    "logto": ("CanaryOfALogtoKey0123456789abcde",),
    "plain": ("canary-of-a-plain-key",),
    "header": ("Bearer canary/of+a-header", "canary/of+a-header"),
    "path": ("canary-in-the-path-of-a-url",),
    "query": ("canary-in-the-query",),
    "password": ("canary-in-the-userinfo",),
    "vault": (b"canary of a vault key, 32 bytes!", b"canary of its next key, 32 bytes"),
    "proxy": ("canary-of-a-proxy-password",),
    "client": ("canary-of-the-password-of-the-hosts-client",),
    "dsn": ("canary-of-a-database-password",),
    "cookie": ("canary-of-the-receivers-own-session",),
    "payload": ("canary in a payload",),
}
"""Place: the texts and bytes of which none may show."""

KEYS = {name: str(CANARIES[name][0]) for name in ("whsec", "whsk", "logto", "plain")}


def _alignments(raw: bytes) -> Iterable[bytes]:
    """Yield what base64 makes of the bytes at any place in a longer text, without what their neighbours touch."""
    for offset in range(3):
        encoded = base64.b64encode(b"\0" * offset + raw).rstrip(b"=")
        yield encoded[(0, 2, 3)[offset] : len(encoded) - (1 if (len(raw) + offset) % 3 else 0)]


def _forms(secret: str | bytes) -> set[bytes]:
    raw = secret.encode() if isinstance(secret, str) else secret
    bare = raw.removeprefix(b"whsec_").removeprefix(b"whsk_")
    forms: set[bytes] = set()
    for one in {raw, bare}:
        text = one.decode("latin-1")
        forms |= {one, one.hex().encode(), quote(text, safe="").encode(), *_alignments(one)}
        forms |= {base64.urlsafe_b64encode(one).rstrip(b"="), repr(text)[1:-1].encode(), repr(one)[2:-1].encode()}
        forms |= {json.dumps(text)[1:-1].encode(), one.replace(b"/", rb"\/")}
    return {form for form in forms if len(form) >= 8}


FORMS = {place: set().union(*map(_forms, secrets)) for place, secrets in CANARIES.items()}


def found(shown: str | bytes, places: Iterable[str] = CANARIES) -> list[str]:
    """Return the places whose secret is in what is shown."""
    raw = shown.encode("utf-8", "surrogatepass") if isinstance(shown, str) else shown
    return [place for place in places if any(form in raw for form in FORMS[place])]

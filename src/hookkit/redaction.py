"""What a receiver's answer must not bring into the log: our own secrets, echoed.

A receiver may answer with the request that it got, signature and credentials included (a debugging page does, and so
does somebody who wants to find out what is stored). The log is shown to more people than the keys are.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from hookkit.model import Endpoint, Request

__all__ = ["MASK", "Secrets", "redacted", "redacted_headers", "secrets_of"]

MASK: Final = b"***"
MIN_BYTES: Final = 8
"""What is shorter is found by chance, and guessed anyway; so much of a secret at the end of a text is taken for it."""
_MIN_SIGNATURE: Final = 16
_MIN_SEGMENT: Final = 16
_ROUNDS: Final = 3  # JSON within JSON, a URL within a URL; what is escaped more often is not searched for
_FEW_ALIKE: Final = 8
_FEW_HEADS: Final = 64
_NOT_SIGNATURES: Final = frozenset({"content-type", "user-agent"})
_SEPARATORS: Final = re.compile(r"[\s,;=]+")
_NAMED: Final = {b"amp": b"&", b"apos": b"'", b"gt": b">", b"lt": b"<", b"quot": b'"'}
# Percent (RFC 3986 §2.1), JSON (RFC 8259 §7) and what is like it, HTML; and the beginning of one that the end cut off.
_ESCAPE: Final = re.compile(
    rb"%([0-9a-f]{2})|\\x([0-9a-f]{2})|\\u([0-9a-f]{4})|\\([^ux])|&#0*([0-9]{1,5});|&#x0*([0-9a-f]{1,4});"
    rb"|&(amp|apos|gt|lt|quot);|(?:%[0-9a-f]?|\\(?:u[0-9a-f]{0,3}|x[0-9a-f]?)?|&#?[0-9a-z]{0,7})\Z"
)

Secrets = Sequence[bytes]
"""Texts to look for, in lower case, each at least 8 bytes long."""


def secrets_of(endpoint: Endpoint, request: Request | None, *, event_id: str) -> Secrets:
    """Return what must not be stored of an answer to `request`, in every form in which it is searched for.

    These are the endpoint's signing keys (their text, the part after the prefix, the bytes that it stands for, those in
    hexadecimal), the values of its custom headers, what looks like a credential in its URL (values of the query, long
    segments of the path), and the signatures of the request.

    Args:
        endpoint: The webhook.
        request: What was sent; None: nothing was, so there is no signature.
        event_id: The event's id, which is sent beside the signature and is no secret.
    """
    found = [form for key in endpoint.keys for form in key.parsed("redaction", _key_forms)]
    texts = [text for name, value in endpoint.headers.items() for text in _credentials(name, value)]
    texts += _url_credentials(endpoint.url)
    if request is not None:
        custom = {name.lower() for name in endpoint.headers} | _NOT_SIGNATURES
        sent = [value for name, value in request.headers if name.lower() not in custom and value != event_id]
        texts += [text for value in sent for text in _signatures(value) if text != event_id]
    found += [_folded(text) for text in texts]
    return tuple(dict.fromkeys(form for form in found if len(form) >= MIN_BYTES))


def _folded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").lower()


def _key_forms(text: str) -> tuple[bytes, ...]:
    """Return the forms of a signing key; none of a public one."""
    bare = text.strip().removeprefix("v1,")
    if bare.startswith("whpk_"):
        return ()
    inner = bare.removeprefix("whsec_").removeprefix("whsk_")
    forms = [text.strip(), bare, bare.rstrip("="), inner, inner.rstrip("="), inner.replace("+", "-").replace("/", "_")]
    try:
        raw = binascii.a2b_base64(inner + "=" * (-len(inner) % 4))
    except (ValueError, binascii.Error):  # no base64: a key that is text
        raw = inner.encode("utf-8", "surrogatepass")
    halves = (raw, raw[:32]) if len(raw) == 64 else (raw,)  # a whsk_ key may hold its public half, too
    whole = [bare.encode("utf-8", "surrogatepass"), inner.encode("utf-8", "surrogatepass"), *halves]
    binary = [form for one in whole for form in (one, binascii.hexlify(one), b64encode(one).rstrip(b"="))]
    return tuple(dict.fromkeys([*map(_folded, forms), *(form.lower() for form in binary)]))


def _credentials(name: str, value: str) -> Iterator[str]:
    """Yield a custom header's value, and its words: of ``Bearer …`` an answer may hold the token alone."""
    if name.lower() != "content-type":  # which LOGTO lets a host replace, and every answer has
        yield str(value)
        yield from str(value).split()


def _url_credentials(url: str) -> Iterator[str]:
    path, _, query = url.partition("?")
    yield from (segment for segment in path.split("/")[3:] if len(segment) >= _MIN_SEGMENT)
    for field in query.split("&"):
        value = field.partition("=")[2] or field
        yield value
        yield unquote(value)


def _signatures(value: str) -> Iterator[str]:
    """Yield what is long enough to be a signature of a header's value: itself, its words, and the parts of those."""
    parts = (value, *value.split(), *_SEPARATORS.split(value))
    return (part for part in parts if len(part) >= _MIN_SIGNATURE)


# --- Searching --------------------------------------------------------------------------------------------------------


def redacted(text: bytes, secrets: Secrets) -> bytes:
    """Return `text` with ``***`` in place of every secret.

    They are found in any case, and behind the escapes of URLs, JSON and HTML, up to three of them inside each other. At
    the end of the text the first 8 bytes of a secret, or more, are taken for it: the answer may have been cut there.
    Where more than eight secrets begin alike, as much is masked as the longest of them has.
    What is compressed or encrypted is not looked into. The work is linear in the text, whatever the secrets are: a
    customer chooses both.

    Args:
        text: A body, or a header's value.
        secrets: See :func:`secrets_of`.
    """
    return _redacted(text, _alike(secrets))


class _Alike(NamedTuple):
    """Secrets that begin with the same 8 bytes; or, if they are many, how long the longest of them is."""

    secrets: Sequence[bytes]
    reach: int


_Heads = Mapping[bytes, _Alike]


def _alike(secrets: Secrets) -> _Heads:
    heads: dict[bytes, list[bytes]] = {}
    for secret in secrets:
        heads.setdefault(secret[:MIN_BYTES], []).append(secret)
    return {
        head: _Alike(alike, 0) if len(alike) <= _FEW_ALIKE else _Alike((), max(map(len, alike)))
        for head, alike in heads.items()
    }


def _redacted(text: bytes, heads: _Heads) -> bytes:
    if len(text) < MIN_BYTES or not heads:
        return text
    view: bytes = text.lower()
    origin: Sequence[int] = range(len(text) + 1)
    spans = list(_spans(view, origin, heads))
    for _ in range(_ROUNDS):
        if _ESCAPE.search(view) is None:
            break
        view, origin = _unescaped(view, origin)
        spans += _spans(view, origin, heads)
    return _masked(text, sorted(spans)) if spans else text


def _spans(view: bytes, origin: Sequence[int], heads: _Heads) -> Iterator[tuple[int, int]]:
    """Yield where secrets stand in the text that `view` was made from."""
    for at, (alike, reach) in _places(view, heads):
        rest = len(view) - at
        if reach:  # Which of many it is would take long to say, so as much is masked as the longest of them has.
            yield origin[at], origin[at + min(rest, reach)]
        for secret in alike:
            if view.startswith(secret, at):
                yield origin[at], origin[at + len(secret)]
            elif rest < len(secret) and secret.startswith(view[at:]):
                yield origin[at], origin[-1]


def _places(view: bytes, heads: _Heads) -> Iterator[tuple[int, _Alike]]:
    """Yield where a secret may begin, and which."""
    if len(heads) > _FEW_HEADS:  # one look at each place takes less time than one search for each of them
        for at in range(len(view) - MIN_BYTES + 1):
            alike = heads.get(view[at : at + MIN_BYTES])
            if alike is not None:
                yield at, alike
        return
    for head, alike in heads.items():
        at = view.find(head)
        while at >= 0:
            yield at, alike
            at = view.find(head, at + 1)


def _unescaped(view: bytes, origin: Sequence[int]) -> tuple[bytes, Sequence[int]]:
    """Return `view` with one layer of escapes undone, and where each of its bytes came from."""
    parts: list[bytes] = []
    places: list[int] = []
    done = 0
    for found in _ESCAPE.finditer(view):
        start, end = found.span()
        meant = _meaning(found)
        parts += [view[done:start], meant]
        places += origin[done:start]
        places += [origin[start]] * len(meant)
        done = end
    parts.append(view[done:])
    places += origin[done:]
    # The end stays the end, though what the cut left of an escape means nothing.
    return b"".join(parts), places


def _meaning(found: re.Match[bytes]) -> bytes:
    percent, short, long, plain, decimal, hexadecimal, named = found.groups()
    if plain is not None:
        return bytes(plain)
    if named is not None:
        return _NAMED[named]
    if percent is not None:
        return bytes([int(percent, 16)]).lower()
    if decimal is not None:
        return chr(int(decimal)).encode("utf-8", "surrogatepass").lower()
    digits = short or long or hexadecimal
    return b"" if digits is None else chr(int(digits, 16)).encode("utf-8", "surrogatepass").lower()


def _masked(text: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
    parts: list[bytes] = []
    done = 0
    for start, end in spans:
        if start >= done:
            parts += [text[done:start], MASK]
        done = max(done, end)
    parts.append(text[done:])
    return b"".join(parts)


def redacted_headers(headers: Iterable[tuple[str, str]], secrets: Secrets) -> tuple[tuple[str, str], ...]:
    """Return headers with ``***`` in place of every secret, in names and in values: see :func:`redacted`."""
    pairs, heads = tuple(headers), _alike(secrets)
    # Nearly every answer has nothing of ours in its headers, which one look over all of them shows.
    if not _may_hold("\n".join([text for pair in pairs for text in pair]), heads):
        return pairs
    return tuple((_redacted_text(name, heads), _redacted_text(value, heads)) for name, value in pairs)


def _may_hold(text: str, heads: _Heads) -> bool:
    """Return False if no secret, and no beginning of one, stands in `text`, and no escape that could hide one."""
    try:
        view = text.encode("latin-1").lower()
    except UnicodeEncodeError:
        return True
    return _ESCAPE.search(view) is not None or next(_places(view, heads), None) is not None


def _redacted_text(text: str, heads: _Heads) -> str:
    try:
        return _redacted(text.encode("latin-1"), heads).decode("latin-1")  # as they came over the wire
    except UnicodeEncodeError:  # a host's own transport
        return _redacted(text.encode("utf-8", "surrogatepass"), heads).decode("utf-8", "surrogatepass")

"""Twilio's scheme, which signs a URL and the fields of a form."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import final

import attrs

from hookkit.checks import Claim, Reader, Scheme, header_text, raw_body, request_part, since_epoch
from hookkit.errors import VerificationError
from hookkit.keys import HmacKey
from hookkit.schemes._hmac import text_key
from hookkit.signing import SigningKey, signing_keys

__all__ = ["TwilioScheme"]

_HEADER = "x-twilio-signature"
_MAX_FIELDS = 1000
_AUTHORITY = re.compile(rb"(https?)(://(?:[^/?#@]*@)?(?:\[[^]/?#@]*\]|[^]:/?#@[]*))(:[0-9]*)?(?=[/?#]|\Z)")
_PORTS = {b"http": b":80", b"https": b":443"}


@final
@attrs.frozen
class TwilioScheme(Scheme):
    """Base64 HMAC-SHA1, under the account's auth token, of the URL and the fields of the form (Twilio, "Security").

    A form's fields follow the URL, sorted by name, each name directly before its value. A body that is no form is not
    signed itself: Twilio puts ``bodySHA256`` into the URL, and without it the body would be anybody's. The URL is tried
    with and without its port, as Twilio's own libraries do, because proxies change it.

    Three weaknesses are Twilio's own. There is no id and no timestamp, so process each ``dedupe_key`` once. Nothing
    stands between the parts: a text moved from a value to the next name, or from the query to the first field, changes
    nothing of the signature. So give the URL that you have set at Twilio, not one put together from the request's own
    ``Host``; and do not let a field's name alone decide what happens.
    """

    @property
    def header_names(self) -> frozenset[str]:
        """The header that :meth:`sign` adds."""
        return frozenset({_HEADER})

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
        """Return the header, signed with the newest key.

        Args:
            body: The bytes that will be sent: a form, or anything if the URL holds its ``bodySHA256``.
            keys: 1 to 16 auth tokens, newest first; the first one that has not expired signs.
            id: Not signed, and not sent.
            at: The attempt's time, an aware datetime. It is not sent.
            method: Not signed.
            url: The URL that will be called, in full.

        Raises:
            InvalidKey: No key is left, or it cannot be used.
            ValueError: There is no URL, or the signature would not cover the body.
        """
        key = _parsed(signing_keys(keys, at)[0])
        since_epoch(at)  # not sent, but a mistake shows here as it does in every other scheme
        called = _called(url)
        try:
            fields = _fields(raw_body(body), called)
            _check_digest(body, called)
        except VerificationError as error:
            raise ValueError(f"{error.hint}; it is the lower-case hex SHA-256 of the body") from None
        return {_HEADER: key.sign((called, fields)).decode()}

    def _reader(self, key: SigningKey) -> Reader:
        return _AnyUrl(_parsed(key))

    def _names(self, headers: Mapping[str, Sequence[str]]) -> Sequence[str]:
        return (_HEADER,)

    def _claim(self, values: Sequence[str], body: bytes, method: str | None, url: str | None) -> Claim:
        called = _called(url)
        message = (_fields(body, called), *_with_and_without_port(called))
        return None, None, message, [header_text(value) for value in values]

    def _proven(self, body: bytes, url: str | None) -> str | None:
        _check_digest(body, _called(url))
        return None


@final
class _AnyUrl:
    """A key that verifies with any of several URLs."""

    __slots__ = ("_key", "prefix")

    def __init__(self, key: HmacKey) -> None:
        self._key = key
        self.prefix: bytes = key.prefix

    def accepts(self, message: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Return whether one of the texts signs the form's fields, which come first, behind one of the URLs."""
        fields, *urls = message
        return any(self._key.accepts((url, fields), signatures) for url in urls)


def _parsed(key: SigningKey) -> HmacKey:
    return key.parsed("twilio", _key)


def _key(text: str) -> HmacKey:
    return HmacKey(text_key(text, "twilio"), digest="sha1")


def _called(url: str | None) -> bytes:
    return request_part("twilio", "url", url)


def _with_and_without_port(url: bytes) -> Sequence[bytes]:
    found = _AUTHORITY.match(url)
    if found is None:
        return (url,)
    scheme, host, port = found.groups()
    rest = url[found.end() :]
    other = b"" if port is not None else _PORTS[scheme]
    return (url, scheme + host + other + rest)


def _fields(body: bytes, url: bytes) -> bytes:
    """Return what is signed behind the URL: each name and its value, sorted, equal pairs once."""
    if not body or _digests(url):
        return b""
    from urllib.parse import parse_qsl  # which takes its time to load

    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError:
        raise VerificationError(
            "bad_digest", f"the body is no form of at most {_MAX_FIELDS} fields, and the URL holds no bodySHA256"
        ) from None
    return "".join([name + value for name, value in sorted(set(pairs))]).encode()


def _check_digest(body: bytes, url: bytes) -> None:
    digests = _digests(url)
    if digests and digests != [hashlib.sha256(body).hexdigest().encode()]:
        raise VerificationError("bad_digest", "the URL's bodySHA256 is not the body's")


def _digests(url: bytes) -> list[bytes]:
    query = url.partition(b"#")[0].partition(b"?")[2]
    pairs = [pair.partition(b"=") for pair in query.split(b"&")]
    return [value for name, _, value in pairs if name == b"bodySHA256"]

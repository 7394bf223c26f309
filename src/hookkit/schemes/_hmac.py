"""HMAC schemes: what vendors do differently, as parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Literal, final

import attrs
from attrs.validators import in_

from hookkit.checks import (
    NO_MATCH,
    Claim,
    Reader,
    Scheme,
    Unit,
    bad_id,
    check_id,
    header_name,
    header_text,
    raw_body,
    request_part,
    unix_time,
)
from hookkit.errors import InvalidKey, PayloadError, VerificationError
from hookkit.keys import HmacKey
from hookkit.schemes._template import Template, read_template
from hookkit.signing import SigningKey, signing_keys

__all__ = ["HmacScheme", "text_key"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_VISIBLE = re.compile(r"[ -~]*")  # what a header's value can hold, and a MAC's prefix with it


def _optional_name(name: str | None) -> str | None:
    return None if name is None else header_name(name)


def text_key(text: str, scheme: str, prefix: str = "") -> bytes:
    """Return the key that a text is, as it stands.

    Args:
        text: The key's text.
        scheme: The name of the scheme, for the message.
        prefix: What the text may begin with that is not part of the key.

    Raises:
        InvalidKey: It is an Ed25519 key, no proper text, or nothing but the prefix.
    """
    if text.lstrip().startswith(("whpk_", "whsk_")):
        raise InvalidKey(f"an Ed25519 key is no HMAC key; {scheme} takes the secret text that the sender shows")
    if _SURROGATE.search(text):  # the codec's own error would hold the key
        raise InvalidKey("the signing key holds a lone surrogate; read its setting as UTF-8")
    secret = text.removeprefix(prefix).encode()
    if not secret:
        raise InvalidKey(f"the signing key is empty after {prefix}; is its setting cut off?")
    return secret


@final
@attrs.frozen
class HmacScheme(Scheme):
    """An HMAC under the key's text, as most vendors send it; the parameters say where they write what.

    Keys are used as they stand, as UTF-8: ``whsec_`` means nothing here, and white space counts. Signing uses the first
    live key, because one header has room for one signature only. What the MAC does not cover is neither required nor
    reported.

    Args:
        name: What to call it.
        header: The header that holds the signature.
        signed: What the MAC covers: text with ``{body}`` and, where the vendor signs them, ``{timestamp}``, ``{id}``,
            ``{method}`` and ``{url}``.
        encoding: How the MAC is written: base64, or lower-case hex.
        digest: The hash beneath.
        prefix: What stands before the MAC, such as ``sha256=``.
        separator: What stands between several signatures or fields in the header; a comma if there are fields.
        timestamp_field: The field of the header that holds the timestamp, as Stripe's ``t`` in ``t=…,v1=…``.
        signature_field: The field of the header that holds a signature, as Stripe's ``v1``. Others are passed over.
        timestamp_header: The header that holds the timestamp, as Slack's ``x-slack-request-timestamp``.
        timestamp_json: The member of the JSON body that holds it, an integer, as Linear's ``webhookTimestamp``.
        timestamp_unit: Whether a timestamp counts seconds or milliseconds.
        id_header: The header that holds the event's id. Signing always sends it.
        key_prefix: What a key's text begins with that is not part of the key; one that lacks it is taken whole.
        tolerance: How far a timestamp may lie from now, either way.

    Raises:
        ValueError: Parameters that contradict each other, or leave the body or a timestamp without cover.
    """

    name: str
    header: str = attrs.field(converter=header_name)
    signed: str = attrs.field(default="{body}", kw_only=True)
    encoding: Literal["hex", "base64"] = attrs.field(default="hex", kw_only=True, validator=in_(["hex", "base64"]))
    digest: Literal["sha256", "sha1"] = attrs.field(default="sha256", kw_only=True, validator=in_(["sha256", "sha1"]))
    prefix: str = attrs.field(default="", kw_only=True)
    separator: str | None = attrs.field(default=None, kw_only=True)
    timestamp_field: str | None = attrs.field(default=None, kw_only=True)
    signature_field: str | None = attrs.field(default=None, kw_only=True)
    timestamp_header: str | None = attrs.field(default=None, converter=_optional_name, kw_only=True)
    timestamp_json: str | None = attrs.field(default=None, kw_only=True)
    timestamp_unit: Unit = attrs.field(default="s", kw_only=True, validator=in_(["s", "ms"]))
    id_header: str | None = attrs.field(default=None, converter=_optional_name, kw_only=True)
    key_prefix: str = attrs.field(default="", kw_only=True)
    _template: Template = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: read_template(self.signed), takes_self=True),
    )

    def __attrs_post_init__(self) -> None:
        covered = self._template.covered
        headers = [name for name in (self.header, self.timestamp_header, self.id_header) if name is not None]
        beside_body = [place for place in (self.timestamp_field, self.timestamp_header) if place is not None]
        written = "".join(filter(None, (self.prefix, self.separator, self.timestamp_field, self.signature_field)))
        contradictions = {
            "header, timestamp_header and id_header are different headers": len(set(headers)) != len(headers),
            "signed: without {body} in it, the body could be anything": "body" not in covered,
            "signed: {id} needs an id_header": "id" in covered and self.id_header is None,
            "a timestamp is in one place: timestamp_field, timestamp_header or timestamp_json": (
                len(beside_body) + (self.timestamp_json is not None) > 1
            ),
            "signed: {timestamp} goes with timestamp_field or timestamp_header; unsigned, neither proves anything": (
                ("timestamp" in covered) != bool(beside_body)
            ),
            "a timestamp_field needs a signature_field beside it": (
                self.timestamp_field is not None and self.signature_field is None
            ),
            "prefix, separator and fields are printable ASCII, as a header has to be": (
                _VISIBLE.fullmatch(written) is None
            ),
        }
        for message, wrong in contradictions.items():
            if wrong:
                raise ValueError(message)

    @property
    def header_names(self) -> frozenset[str]:
        """The headers that :meth:`sign` adds."""
        return frozenset(filter(None, (self.header, self.timestamp_header, self.id_header)))

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
        """Return the headers, signed with the newest key.

        Args:
            body: The bytes that will be sent.
            keys: 1 to 16 keys, newest first; the first one that has not expired signs.
            id: The event's id, sent if there is an `id_header`.
            at: The attempt's time, an aware datetime.
            method: The request's method.
            url: The request's URL; needed if it is signed.

        Raises:
            InvalidKey: No key is left, or it cannot be used.
            ValueError: An id, a time or a URL that would not verify.
        """
        key = self._reader(signing_keys(keys, at)[0])
        stamp = unix_time(at, self.timestamp_unit)
        headers = {} if self.id_header is None else {self.id_header: check_id(id)}
        if not self._template.seams.isdisjoint(id):
            raise ValueError(f"id: {self.name} joins it with a character that it holds")
        signature = key.sign(self._message(raw_body(body), id, stamp, method, url)).decode()
        if self.timestamp_header is not None:
            headers[self.timestamp_header] = stamp
        if self.timestamp_field is not None:
            signature = f"{self.timestamp_field}={stamp}{self.separator or ','}{signature}"
        headers[self.header] = signature
        return headers

    def _reader(self, key: SigningKey) -> HmacKey:
        return key.parsed(f"{self.digest} {self.encoding} {self._mark!r} {self.key_prefix!r}", self._key)

    @property
    def _mark(self) -> str:
        """What each signature begins with."""
        return self.prefix if self.signature_field is None else f"{self.signature_field}={self.prefix}"

    def _key(self, text: str) -> HmacKey:
        secret = text_key(text, self.name, self.key_prefix)
        return HmacKey(secret, digest=self.digest, encoding=self.encoding, prefix=self._mark)

    @property
    def _unit(self) -> Unit:
        return self.timestamp_unit

    def _names(self, headers: Mapping[str, Sequence[str]]) -> Sequence[str]:
        names = [self.header]
        if self.timestamp_header is not None:
            names.append(self.timestamp_header)
        if self.id_header is not None and "id" in self._template.covered:
            names.append(self.id_header)
        return names

    def _claim(self, values: Sequence[str], body: bytes, method: str | None, url: str | None) -> Claim:
        text, *others = values
        event_id = others.pop() if "id" in self._template.covered else None
        stamp = others.pop() if others else None
        if event_id is not None and not self._template.seams.isdisjoint(event_id):
            raise bad_id()
        if self.signature_field is not None:
            stamp, signatures = self._read_fields(text, stamp)
        else:
            signatures = self._items(text) if self.separator else [text]
        message = self._message(body, event_id, stamp, method, url)
        return event_id, stamp, message, [header_text(signature) for signature in signatures]

    def _read_fields(self, text: str, stamp: str | None) -> tuple[str | None, list[str]]:
        """Return the timestamp, and what else there is, of a header that is written as ``t=…,v1=…``."""
        fields = [item for item in self._items(text) if "=" in item]
        if self.timestamp_field is None:
            others = fields
        else:
            mark = self.timestamp_field + "="
            others = [item for item in fields if not item.startswith(mark)]
            if len(fields) - len(others) != 1:
                raise VerificationError("malformed_signature", f"{self.header} must hold one {mark}")
            stamp = next(item for item in fields if item.startswith(mark)).removeprefix(mark)
        if not others:
            raise VerificationError("malformed_signature", f"{self.header} holds no {self.signature_field}=")
        return stamp, others

    def _items(self, text: str) -> list[str]:
        mark = (self.separator or ",").strip()
        items = text.split(mark) if mark else text.replace("\t", " ").split(" ")
        return [trimmed for item in items if (trimmed := item.strip(" \t"))]

    def _message(
        self, body: bytes, id: str | None, stamp: str | None, method: str | None, url: str | None
    ) -> Sequence[bytes]:
        given = {"id": id, "timestamp": stamp, "method": method, "url": url}
        parts: list[bytes] = []
        for literal, field in self._template.parts:
            parts.append(literal)
            if field == "body":
                parts.append(body)
            elif field:
                parts.append(request_part(self.name, field, given[field]))
        return parts

    def _proven(self, body: bytes, url: str | None) -> str | None:
        if self.timestamp_json is None:
            return None
        from hookkit.jsontext import parse_json  # few schemes need it

        try:
            members = parse_json(body, max_bytes=len(body))
        except PayloadError:
            members = None
        count = members.get(self.timestamp_json) if isinstance(members, dict) else None
        if isinstance(count, bool) or not isinstance(count, int):
            raise VerificationError("invalid_timestamp", f"the body is no JSON with an integer {self.timestamp_json!r}")
        return str(count)

    def _hint(self, signatures: Sequence[bytes], readers: Sequence[Reader], keys: Sequence[SigningKey]) -> str:
        if any(key.value != key.value.strip() for key in keys):
            return "no key matches, and one has white space around it, which counts: take it away where the key is set"
        return NO_MATCH

"""HMAC schemes: what vendors do differently, as parameters."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Literal, NamedTuple, final

import attrs
from attrs.validators import in_

from hookkit.checks import (
    UNKNOWN,
    Claim,
    Reader,
    Scheme,
    Unit,
    bad_id,
    check_id,
    header_name,
    raw_body,
    signature_text,
    unix_time,
)
from hookkit.errors import InvalidKey, PayloadError, VerificationError
from hookkit.jsontext import parse_json
from hookkit.keys import HmacKey
from hookkit.signing import SigningKey, as_keys, live_keys

__all__ = ["HmacScheme"]

_FIELDS = frozenset({"body", "id", "timestamp", "method", "url"})
_MAC = "mac"
_SURROGATE = re.compile("[\ud800-\udfff]")


def _optional_name(name: str | None) -> str | None:
    return None if name is None else header_name(name)


class _Template(NamedTuple):
    """What a MAC covers.

    Args:
        parts: Literal bytes, and the field after them ('' at the end).
        covered: The names of the fields.
        seams: Characters that join the id to its neighbours: an id that held one could move the seam.
    """

    parts: tuple[tuple[bytes, str], ...]
    covered: frozenset[str]
    seams: frozenset[str]


def _read_template(signed: str) -> _Template:
    """Read a template such as ``{timestamp}.{body}``, or raise ValueError."""
    parts: list[tuple[str, str]] = []
    before = ""
    for literal, field, spec, conversion in string.Formatter().parse(signed):
        if spec or conversion or (field is not None and field not in _FIELDS):
            raise ValueError(f"signed: {signed!r} holds a field other than {', '.join(sorted(_FIELDS))}")
        before += literal
        if field is not None:  # None: a doubled brace, or the end
            parts.append((before, field))
            before = ""
    parts.append((before, ""))
    fields = [field for _, field in parts if field]
    if len(set(fields)) != len(fields):
        raise ValueError(f"signed: {signed!r} holds a field twice")
    encoded = tuple((literal.encode("utf-8"), field) for literal, field in parts)
    return _Template(encoded, frozenset(fields), _id_seams(signed, parts))


def _id_seams(signed: str, parts: list[tuple[str, str]]) -> frozenset[str]:
    # A literal at the very beginning or end has no variable neighbour, so an id may hold what it holds.
    for index, ((before, field), (after, next_field)) in enumerate(pairwise(parts)):
        if field == "id":
            has_left, has_right = index > 0, next_field != ""
            if (has_left and not before) or (has_right and not after):
                raise ValueError(f"signed: {signed!r} has nothing between {{id}} and the field beside it")
            return frozenset((before[-1] if has_left else "") + (after[0] if has_right else ""))
    return frozenset()


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
    _template: _Template = attrs.field(
        init=False,
        repr=False,
        eq=False,
        default=attrs.Factory(lambda self: _read_template(self.signed), takes_self=True),
    )

    def __attrs_post_init__(self) -> None:
        covered = self._template.covered
        headers = [name for name in (self.header, self.timestamp_header, self.id_header) if name is not None]
        beside_body = [place for place in (self.timestamp_field, self.timestamp_header) if place is not None]
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
        key = self._reader(live_keys(as_keys(keys), at)[0])
        stamp = unix_time(at, self.timestamp_unit)
        headers = {} if self.id_header is None else {self.id_header: check_id(id)}
        if not self._template.seams.isdisjoint(id):
            raise ValueError(f"id: {self.name} joins it with a character that it holds")
        signature = self.prefix + key.sign(self._message(raw_body(body), id, stamp, method, url)).decode("ascii")
        if self.timestamp_header is not None:
            headers[self.timestamp_header] = stamp
        fields = {self.timestamp_field: stamp, self.signature_field: signature}
        written = [f"{field}={value}" for field, value in fields.items() if field is not None]
        headers[self.header] = (self.separator or ",").join(written) if written else signature
        return headers

    def _reader(self, key: SigningKey) -> HmacKey:
        return key.parsed(f"{self.digest} {self.encoding}", self._key)

    def _key(self, text: str) -> HmacKey:
        if text.lstrip().startswith(("whpk_", "whsk_")):
            raise InvalidKey(f"an Ed25519 key is no HMAC key; {self.name} takes the secret text that the sender shows")
        if _SURROGATE.search(text):  # the codec's own error would hold the key
            raise InvalidKey("the signing key holds a lone surrogate; read its setting as UTF-8")
        return HmacKey(text.encode("utf-8"), digest=self.digest, encoding=self.encoding, version=_MAC)

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
            signatures = [self._signature(item) for item in (self._items(text) if self.separator else [text])]
        message = self._message(body, event_id, stamp, method, url)
        return Claim(event_id, stamp, self.timestamp_unit, message, signatures)

    def _read_fields(self, text: str, stamp: str | None) -> tuple[str | None, list[tuple[str, bytes]]]:
        """Return the timestamp and the signatures of a header that is written as ``t=…,v1=…``."""
        fields = [(name, value) for name, equals, value in (i.partition("=") for i in self._items(text)) if equals]
        rest = [(name, value) for name, value in fields if name != self.timestamp_field]
        if self.timestamp_field is not None:
            if len(fields) - len(rest) != 1:
                raise VerificationError("malformed_signature", f"{self.header} must hold one {self.timestamp_field}=")
            stamp = dict(fields)[self.timestamp_field]
        if not rest:
            raise VerificationError("malformed_signature", f"{self.header} holds no {self.signature_field}=")
        return stamp, [self._signature(value) if name == self.signature_field else UNKNOWN for name, value in rest]

    def _items(self, text: str) -> list[str]:
        mark = (self.separator or ",").strip(" \t")
        items = text.split(mark) if mark else text.replace("\t", " ").split(" ")
        return [trimmed for item in items if (trimmed := item.strip(" \t"))]

    def _signature(self, text: str) -> tuple[str, bytes]:
        return (_MAC, signature_text(text[len(self.prefix) :])) if text.startswith(self.prefix) else UNKNOWN

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
                parts.append(self._request_part(field, given[field]))
        return parts

    def _request_part(self, field: str, value: str | None) -> bytes:
        if value is None:
            raise ValueError(f"{self.name} signs the request's {field}: give {field}=")
        if not isinstance(value, str):
            raise TypeError(f"{field}: {type(value).__name__}; give text")
        return value.encode("utf-8", "surrogatepass")

    def _stamp_in(self, body: bytes) -> str | None:
        if self.timestamp_json is None:
            return None
        try:
            members = parse_json(body, max_bytes=len(body))
        except PayloadError:
            members = None
        count = members.get(self.timestamp_json) if isinstance(members, dict) else None
        if isinstance(count, bool) or not isinstance(count, int):
            raise VerificationError("invalid_timestamp", f"the body is no JSON with an integer {self.timestamp_json!r}")
        return str(count)

    def _hint(self, offered: set[str], readers: Sequence[Reader], keys: Sequence[SigningKey]) -> str:
        if any(key.value != key.value.strip() for key in keys):
            return "no key matches, and one has white space around it, which counts: take it away where the key is set"
        return super()._hint(offered, readers, keys)

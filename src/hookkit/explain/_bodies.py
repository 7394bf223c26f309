"""What may have happened to a body between the wire and the check."""

from __future__ import annotations

import binascii
import json
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Final
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

import attrs

from hookkit.explain._case import Case, Experiment
from hookkit.explain._findings import Finding
from hookkit.explain._rewriting import looks_dumped, rewritings

__all__ = ["body_experiments", "body_guesses", "rewriting_experiments", "text_experiments"]

_BOM: Final = b"\xef\xbb\xbf"
_RAW: Final = "Give the raw bytes as they arrived, before anything decodes or parses them."
_CHARSETS: Final = ("cp1252", "latin-1", "utf-16", "utf-16-le")
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]{8,}={0,2}\s*")
_REPR: Final = re.compile(rb"""b'(.*)'|b"(.*)\"""", re.DOTALL)
_ESCAPE: Final = re.compile(rb"\\(x[0-9a-f]{2}|[\\'nrt])")
_ESCAPES: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
_MAX_FIELDS: Final = 1000


def _changes(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    """Yield what the sender may have signed instead, and how this body came of it."""
    yield from _edges(body)
    yield from _wrappings(body)
    yield from _charsets(body)
    yield from _forms(body)


def _edges(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    for end, name in ((b"\n", "line feed"), (b"\r\n", "line end (CR LF)")):
        yield "line_ending", f"a {name} was cut off its end (a shell, an editor, or strip())", body + end
        yield "line_ending", f"a {name} was added to its end (an editor, echo, or print())", body.removesuffix(end)
    yield "line_ending", "white space was added around it", body.strip()
    yield "line_ending", "its line ends were changed from LF to CR LF", body.replace(b"\r\n", b"\n")
    yield "line_ending", "its line ends were changed from CR LF to LF", re.sub(rb"(?<!\r)\n", b"\r\n", body)
    yield "byte_order_mark", "a byte order mark was put before it", body.removeprefix(_BOM)
    yield "byte_order_mark", "its byte order mark was cut off", _BOM + body


def _wrappings(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    if _BASE64.fullmatch(body):
        with suppress(binascii.Error):
            text = "it is still in base64: decode it where the event says isBase64Encoded (AWS Lambda, Vercel)"
            yield "base64_body", text, binascii.a2b_base64(body)
    if body.startswith(b'"'):
        with suppress(ValueError):
            inner = json.loads(body)
            text = "it was written as JSON once more, as a string"
            yield "json_string", text, str(inner).encode("utf-8", "surrogatepass")
    found = _REPR.fullmatch(body)
    if found is not None:
        inner = _ESCAPE.sub(_unescaped, found[1] if found[1] is not None else found[2])
        yield "bytes_repr", "it is the text of Python bytes, b'…': str() was used on it instead of nothing", inner
    if body.startswith(b"\x1f\x8b"):
        with suppress(zlib.error):
            unpacked = zlib.decompressobj(31).decompress(body, max(1_048_576, len(body)))
            yield "compressed_body", "it is compressed (gzip), and was signed before that", unpacked


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes.fromhex(code[1:].decode("ascii")) if code.startswith(b"x") else _ESCAPES.get(code, code)


def _charsets(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    for charset in _CHARSETS:
        with suppress(UnicodeError):
            read = f"its bytes were read as {charset}, and written again as UTF-8"
            yield "charset", read, body.decode("utf-8").encode(charset)
        with suppress(UnicodeError):
            yield "charset", f"its text was written again as {charset} instead of UTF-8", body.decode(charset).encode()


def _forms(body: bytes) -> Iterator[tuple[str, str, bytes]]:
    wrapped = b"payload=" + quote_plus(body).encode("ascii")
    yield "form_field", "it is the form's field `payload` alone, and all of the form was signed", wrapped
    with suppress(ValueError):  # too many fields, or not UTF-8
        text = body.decode("ascii")
        fields = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_FIELDS, errors="strict"
        )
        for written in (urlencode(fields), urlencode(fields, quote_via=quote), urlencode(fields, safe="*-._")):
            yield "rewritten_form", "the form was parsed, and written again", written.encode("ascii")


def body_experiments(case: Case) -> Iterator[Experiment]:
    """Undo what frameworks, shells and proxies do to a body."""
    for code, text, body in _changes(case.body):
        if body != case.body:
            yield Experiment(
                code, f"the signature is right for another body: {text}. {_RAW}", attrs.evolve(case, body=body)
            )


def rewriting_experiments(case: Case) -> Iterator[Experiment]:
    """Undo parsing and writing again."""
    for who, body in rewritings(case.body):
        text = f"the body was parsed and written again: the signature is right for the same JSON if it is {who}. {_RAW}"
        yield Experiment("reserialised_json", text, attrs.evolve(case, body=body))


def text_experiments(case: Case, body: str) -> Iterator[Experiment]:
    """Turn text that was given instead of bytes back into what it may have been."""
    for charset in ("utf-8", *_CHARSETS):
        with suppress(UnicodeError):
            text = f"the body is text, decoded as {charset}: the signature is right for its bytes. {_RAW}"
            yield Experiment("text_body", text, attrs.evolve(case, body=body.encode(charset)))


def body_guesses(case: Case) -> Iterator[Finding]:
    """Yield what looks wrong about a body that nothing above could mend."""
    body, length = case.body, case.value("content-length")
    if length.isascii() and length.isdigit() and len(length) < 16 and int(length) != len(body):
        text = (
            f"content-length says {int(length)} bytes, and the body given has {len(body)}: it was changed, or cut off"
        )
        yield Finding("body_length", text, certain=False)
    if not body:
        text = "the body is empty: was it read before (a form, a stream), or is it a GET?"
        yield Finding("empty_body", text, certain=False)
    if b"\xef\xbf\xbd" in body:
        text = f"the body has U+FFFD in it: it was decoded with the wrong charset, and what was there is lost. {_RAW}"
        yield Finding("charset", text, certain=False)
    if case.value("content-encoding").lower() not in {"", "identity"}:
        text = "the body came with a content-encoding: a proxy or a framework may have unpacked it since it was signed"
        yield Finding("content_encoding", text, certain=False)
    if re.match(rb"\s*\{'", body):
        text = f"the body is the text of a Python dict, not what arrived. {_RAW}"
        yield Finding("python_repr", text, certain=False)
    elif looks_dumped(body):
        text = f"the body looks like Python's json.dumps: was it parsed and written again? {_RAW}"
        yield Finding("reserialised_json", text, certain=False)

"""JSON as other programs write it, to see whether a body was parsed and written again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, final

import attrs

from hookkit.errors import PayloadError
from hookkit.jsontext import parse_json

__all__ = ["MAX_BYTES", "looks_dumped", "rewritings"]

MAX_BYTES: Final = 131_072  # rewriting is slow, and development bodies are small


@final
class _Number(str):
    """A number as it was spelled."""

    __slots__ = ()


@attrs.frozen
class _Style:
    """How a program writes JSON: who does, what stands around members, how deep it indents, how it escapes strings."""

    who: str
    escape: Callable[[str], str]
    comma: str = ","
    colon: str = ":"
    indent: int = 0
    ordered: bool = False
    end: str = ""


def _plain(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _slashes(text: str) -> str:
    return json.dumps(text).replace("/", "\\/")


def _upper(text: str) -> str:
    return re.sub(r"\\u[0-9a-f]{4}", lambda found: "\\u" + found[0][2:].upper(), json.dumps(text))


def _go(text: str) -> str:
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", _plain(text))


def _dotnet(text: str) -> str:
    quoted = _upper(text)[1:-1].replace('\\"', "\\u0022")
    return '"' + re.sub("[<>&'+`]", lambda found: f"\\u{ord(found[0]):04X}", quoted) + '"'


_STYLES: Final = (
    _Style("compact, as JavaScript's JSON.stringify writes it", _plain),
    _Style("spaced after commas and colons, as Python's json.dumps writes it", json.dumps, ", ", ": "),
    _Style("compact and in ASCII, as Python's json.dumps writes it with separators=(',', ':')", json.dumps),
    _Style("spaced, and not in ASCII, as Python's json.dumps writes it with ensure_ascii=False", _plain, ", ", ": "),
    _Style("compact with escaped slashes, as PHP's json_encode writes it", _slashes),
    _Style("compact with <, > and & escaped, as Go's json.Marshal writes it", _go),
    _Style("compact with <, > and & escaped and a line feed at its end, as Go's json.Encoder writes it", _go, end="\n"),
    _Style("compact with upper-case escapes, as .NET's System.Text.Json writes it", _dotnet),
    _Style("compact and in ASCII with upper-case escapes", _upper),
    _Style("indented by two", _plain, ",", ": ", 2),
    _Style("indented by two and in ASCII", json.dumps, ",", ": ", 2),
    _Style("indented by four", _plain, ",", ": ", 4),
    _Style("indented by four and in ASCII", json.dumps, ",", ": ", 4),
    _Style("compact, with sorted names", _plain, ordered=True),
    _Style("compact and in ASCII, with sorted names", json.dumps, ordered=True),
    _Style("spaced, with sorted names", json.dumps, ", ", ": ", ordered=True),
    _Style("spaced and not in ASCII, with sorted names", _plain, ", ", ": ", ordered=True),
)


def rewritings(body: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the same JSON as other programs write it, and who does so; nothing if it is none, or is too large.

    Numbers keep their spelling, and members their order: what a rewriting lost of those cannot be told from here.
    """
    value = _read(body)
    if value is None:
        return
    for style in _STYLES:
        written = (_written(value, style, 0) + style.end).encode("utf-8", "surrogatepass")
        if written != body:
            yield style.who, written


def looks_dumped(body: bytes) -> bool:
    """Return whether the body is written exactly as Python's ``json.dumps`` would."""
    value = _read(body)
    return isinstance(value, (dict, list)) and bool(value) and _written(value, _STYLES[1], 0).encode("utf-8") == body


def _read(body: bytes) -> Any:
    if len(body) > MAX_BYTES:
        return None
    try:
        parse_json(body)  # it bounds the depth, and takes no name twice
        return json.loads(body.decode("utf-8"), parse_int=_Number, parse_float=_Number)
    except PayloadError:
        return None


def _written(value: Any, style: _Style, level: int) -> str:
    if isinstance(value, _Number):
        return value
    if isinstance(value, str):
        return style.escape(value)
    if isinstance(value, dict):
        members = sorted(value.items()) if style.ordered else value.items()
        inner = [style.escape(name) + style.colon + _written(member, style, level + 1) for name, member in members]
        return _around("{", inner, "}", style, level)
    if isinstance(value, list):
        return _around("[", [_written(member, style, level + 1) for member in value], "]", style, level)
    return json.dumps(value)


def _around(opening: str, inner: list[str], closing: str, style: _Style, level: int) -> str:
    if not inner:
        return opening + closing
    if not style.indent:
        return opening + style.comma.join(inner) + closing
    outer = "\n" + " " * (style.indent * level)
    deeper = outer + " " * style.indent
    return opening + deeper + (style.comma + deeper).join(inner) + outer + closing

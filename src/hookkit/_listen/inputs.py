"""What the commands read: keys, headers and bodies. Keys come from the environment or from files, not as arguments."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from hookkit.errors import InvalidKey, PayloadError
from hookkit.jsontext import parse_json
from hookkit.signing import SigningKey

__all__ = ["MAX_BODY", "Problem", "body_from", "headers_from", "keys_from", "shows_a_key", "time_of"]

MAX_BODY: Final = 1_048_576
_MAX_KEY: Final = 8192
_MAX_HEADERS: Final = 262_144
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]{0,63}")
# The second is the keys of a vault: k2=<base64 of 32 bytes>,k1=<base64>
_KEY: Final = re.compile(r"whsec_|whsk_|(?:^|[,=])[\w.-]+=[A-Za-z0-9+/]{43}=(?:,|$)")
_REQUEST_LINE: Final = re.compile(r"(?:[A-Z]+ \S+ )?HTTP/[0-9]")
_COPIED: Final = re.compile(r"^[<>] ?")  # as curl -v shows them


class Problem(Exception):
    """Something that cannot be read, in a sentence for whoever called the command."""


def shows_a_key(arguments: Sequence[str]) -> bool:
    """Return whether a key stands on the command line, where everybody on the machine can read it."""
    return any(_KEY.search(argument) for argument in arguments)


def keys_from(variables: Sequence[str], files: Sequence[str]) -> list[SigningKey]:
    """Return the keys in these environment variables and files, one in each.

    A line feed at the end of a file does not belong to its key; other white space does, as some schemes count it.

    Raises:
        Problem: One is not there, or blank.
    """
    texts = [_variable(name) for name in variables]
    texts += [_file(path) for path in files]
    try:
        return [SigningKey(text) for text in texts]
    except InvalidKey as error:
        raise Problem(str(error)) from None


def _variable(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        # What is not the name of a variable may be the key itself.
        shown = f"{name} is not set" if _VARIABLE.fullmatch(name) else "it wants the name of an environment variable"
        raise Problem(f"--key-env: {shown}")
    return value


def _file(path: str) -> str:
    raw = _read(path, _MAX_KEY, "--key-file")
    if len(raw) > _MAX_KEY:
        raise Problem(f"--key-file: more than {_MAX_KEY} bytes; it holds one key and nothing else")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Problem("--key-file: it is not text in UTF-8") from None
    return re.sub(r"\r?\n\Z", "", text)


def _read(path: str, limit: int, option: str) -> bytes:
    """Return at most `limit` bytes of a file, or of standard input, and one more if there is more."""
    try:
        if path == "-":
            return sys.stdin.buffer.read(limit + 1)
        with open(path, "rb") as file:  # noqa: PTH123 - a path from the command line, as it was typed
            return file.read(limit + 1)
    except (OSError, ValueError) as error:
        raise Problem(f"{option}: {getattr(error, 'strerror', None) or 'no such file'}") from None


def body_from(path: str) -> bytes:
    """Return the body in a file, byte for byte; one that is too long is cut one byte after the limit."""
    return _read(path, MAX_BODY, "--body")


def headers_from(path: str) -> list[tuple[str, str]]:
    """Return the headers in a file: lines as on the wire, or as ``curl -v`` shows them, or JSON.

    Raises:
        Problem: It cannot be read as either.
    """
    raw = _read(path, _MAX_HEADERS, "--headers")
    if len(raw) > _MAX_HEADERS:
        raise Problem(f"--headers: more than {_MAX_HEADERS} bytes")
    return _from_json(raw) if raw.lstrip()[:1] in {b"{", b"["} else _from_lines(raw.decode("latin-1"))


def _from_json(raw: bytes) -> list[tuple[str, str]]:
    try:
        content: Any = parse_json(raw)
    except PayloadError as error:
        raise Problem(f"--headers: {error}".replace("the body", "it")) from None
    pairs = list(content.items()) if isinstance(content, dict) else content
    found: list[tuple[str, str]] = []
    for pair in pairs:
        name, value = pair if isinstance(pair, (list, tuple)) and len(pair) == 2 else (None, None)
        values = value if isinstance(value, list) else [value]
        if not isinstance(name, str) or not all(isinstance(one, (str, int)) for one in values):
            raise Problem("--headers: JSON that is no object of texts, and no list of pairs")
        found += [(name, str(one)) for one in values]
    return found


def _from_lines(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        bare = _COPIED.sub("", line)
        if not bare.strip():
            if found:
                break  # a body may follow
            continue
        name, colon, value = bare.partition(":")
        if not colon:
            if not found and _REQUEST_LINE.match(bare):
                continue
            raise Problem(f"--headers: line {number} has no colon")
        found.append((name.strip(), value.strip()))
    return found


def time_of(text: str) -> datetime:
    """Return a time given as unix seconds or in ISO 8601 with a zone.

    Raises:
        ValueError: It is neither.
    """
    try:
        is_number = re.fullmatch(r"[0-9.]+", text)
        at = datetime.fromtimestamp(float(text), UTC) if is_number else datetime.fromisoformat(text)
    except (OSError, OverflowError):
        raise ValueError(text) from None
    if at.utcoffset() is None:
        raise ValueError(text)
    return at

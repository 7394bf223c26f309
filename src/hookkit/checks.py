"""The checks that every signature scheme passes through: caps, presence, grammar, comparison and window, in this order.

A scheme derives from :class:`Scheme` and says which headers matter, how to read them and what bytes are signed. It gets
no header that was not checked, compares no signature and judges no time: all of that happens here, once, so that no
scheme can forget it.
"""

from __future__ import annotations

import abc
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol, final

import attrs

from hookkit.errors import VerificationError
from hookkit.signing import SigningKey, Verified

__all__ = [
    "MAX_HEADER_CHARS",
    "MAX_SIGNATURES",
    "UNKNOWN",
    "Claim",
    "Reader",
    "Scheme",
    "Unit",
    "as_tolerance",
    "bad_id",
    "check_id",
    "header_name",
    "raw_body",
    "signature_text",
    "unix_time",
]

MAX_HEADER_CHARS = 4096
MAX_SIGNATURES = 16

_OWS = " \t"  # RFC 9110 §5.6.3
_ID = re.compile(r"[!-\-/-~]{1,128}").fullmatch  # printable ASCII without space and full stop, as hookkit.event has it
# ASCII digits, and one spelling of each number: what is signed is the text, so two spellings would be two messages.
_STAMPS = {"s": re.compile(r"0|[1-9][0-9]{0,11}").fullmatch, "ms": re.compile(r"0|[1-9][0-9]{0,14}").fullmatch}
_PER_SECOND = {"s": 1, "ms": 1000}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110 §5.6.2, in lower case
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Unit = Literal["s", "ms"]

UNKNOWN = ("", b"")  # a signature of no known form: it counts, and matches nothing


class Claim(NamedTuple):
    """What a request says of itself. Nothing in it is proven before a key has accepted a signature.

    Args:
        id: The event's id, if the signature covers one.
        stamp: The text of the timestamp, if the signature covers one that is not in the body.
        unit: What the timestamp counts.
        message: The signed bytes, in parts.
        signatures: Each candidate: its version, and its text. Those of no known form count, too.
    """

    id: str | None
    stamp: str | None
    unit: Unit
    message: Sequence[bytes]
    signatures: Sequence[tuple[str, bytes]]


class Reader(Protocol):
    """A key in the form that verifies: :class:`hookkit.keys.HmacKey` or :class:`hookkit.keys.Ed25519Public`."""

    @property
    def version(self) -> str:
        """Which signatures it can check."""
        ...

    def accepts(self, message: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Return whether one of the texts is its signature of the message, comparing in constant time."""
        ...


def as_tolerance(value: timedelta | float) -> timedelta:
    """Return how far a timestamp may lie from now, given as a timedelta or in seconds.

    Raises:
        ValueError: It is negative or over 24 hours: the window cannot be turned off.
    """
    if isinstance(value, bool) or not isinstance(value, (timedelta, int, float)):
        raise TypeError(f"tolerance: {type(value).__name__}; give a timedelta, or seconds")
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if not 0 <= seconds <= 86_400:  # a NaN ends here, too
        raise ValueError("tolerance: 0 seconds to 24 hours; the window cannot be turned off")
    return timedelta(seconds=seconds)


@attrs.frozen
class Scheme(abc.ABC):
    """A signature scheme: how requests are signed and verified.

    Args:
        tolerance: How far a timestamp may lie from now, either way, both ends included: a timedelta, or seconds.
            Standard Webhooks leaves it open; its libraries use five minutes. At most 24 hours.
    """

    tolerance: timedelta = attrs.field(default=timedelta(seconds=300), converter=as_tolerance, kw_only=True)

    @final
    def verify(
        self,
        body: bytes,
        headers: Mapping[str, Sequence[str]],
        keys: Sequence[SigningKey],
        *,
        now: int,
        tolerance: timedelta | None,
        method: str | None,
        url: str | None,
    ) -> Verified:
        """Return the verified request, as :class:`hookkit.protocols.Verifier` describes it.

        Raises:
            VerificationError: It does not verify.
            InvalidKey: A key that this scheme cannot verify with.
            ValueError: The scheme signs the method or the URL, and it was not given.
        """
        readers = [self._reader(key) for key in keys]
        values = _values(headers, self._names(headers))
        event_id, stamp, unit, message, signatures = self._claim(values, body, method, url)
        if event_id is not None and not _ID(event_id):
            raise bad_id()
        if stamp is not None and not _STAMPS[unit](stamp):
            raise _bad_stamp(unit)
        if len(signatures) > MAX_SIGNATURES:
            raise VerificationError("too_large", f"more than {MAX_SIGNATURES} signatures")
        for reader in readers:
            texts = [text for version, text in signatures if version == reader.version]
            if texts and reader.accepts(message, texts):  # no text of its version: no cryptography
                break
        else:
            raise VerificationError("bad_signature", self._hint({version for version, _ in signatures}, readers, keys))
        if stamp is None:
            stamp = self._proven_stamp(body, unit)
        at = None if stamp is None else _in_window(stamp, unit, now, self.tolerance if tolerance is None else tolerance)
        # An id that the signature does not cover could be renewed by whoever replays the request; the body could not.
        return Verified(event_id, at, body, event_id or hashlib.sha256(body).hexdigest())

    def _proven_stamp(self, body: bytes, unit: Unit) -> str | None:
        stamp = self._stamp_in(body)
        if stamp is not None and not _STAMPS[unit](stamp):
            raise _bad_stamp(unit)
        return stamp

    def _stamp_in(self, body: bytes) -> str | None:
        """Return the text of the timestamp in a body that has been verified; None if the scheme keeps none there."""
        return None

    def _hint(self, offered: set[str], readers: Sequence[Reader], keys: Sequence[SigningKey]) -> str:
        """Return what to look at when no signature was accepted."""
        return (
            "no key matches: is the body the raw bytes as they arrived, not parsed and serialised again, "
            "and is the key this endpoint's own?"
        )

    @abc.abstractmethod
    def _reader(self, key: SigningKey) -> Reader:
        """Return the key in the form that verifies, or raise InvalidKey."""

    @abc.abstractmethod
    def _names(self, headers: Mapping[str, Sequence[str]]) -> Sequence[str]:
        """Return the lower-case names of the headers that matter in this request."""

    @abc.abstractmethod
    def _claim(self, values: Sequence[str], body: bytes, method: str | None, url: str | None) -> Claim:
        """Read the headers that matter: the trimmed value of each, never empty, in the order of :meth:`_names`."""


def _values(headers: Mapping[str, Sequence[str]], names: Sequence[str]) -> list[str]:
    """Return the one trimmed value of each header."""
    trimmed: list[str] = []
    for name in names:
        values = headers.get(name)
        if not values or len(values) > 1 or len(values[0]) > MAX_HEADER_CHARS:
            raise _fault(headers, names)
        value = values[0].strip(_OWS)
        if not value:
            raise _fault(headers, names)
        trimmed.append(value)
    return trimmed


def _fault(headers: Mapping[str, Sequence[str]], names: Sequence[str]) -> VerificationError:
    """Return what is wrong with these headers: sizes first, then presence."""
    found = {name: headers.get(name, ()) for name in names}
    for name, values in found.items():
        if any(len(value) > MAX_HEADER_CHARS for value in values):
            return VerificationError("too_large", f"{name} is longer than {MAX_HEADER_CHARS} characters")
    for name, values in found.items():
        if len(values) > 1:
            return VerificationError("duplicate_header", f"{name} came {len(values)} times; it must come once")
    missing = [name for name, values in found.items() if not values or not values[0].strip(_OWS)]
    return VerificationError("missing_header", f"missing or empty: {', '.join(missing)}")


def _in_window(stamp: str, unit: Unit, now: int, allowed: timedelta) -> datetime:
    count = int(stamp)
    age = now - count // _PER_SECOND[unit]
    if abs(age) > allowed.total_seconds():
        raise _outside(age, allowed)
    return _moment(count, unit)


@lru_cache(maxsize=64)  # requests of one second share it; making it takes longer than checking the window
def _moment(count: int, unit: Unit) -> datetime:
    return _EPOCH + (timedelta(seconds=count) if unit == "s" else timedelta(milliseconds=count))


def bad_id() -> VerificationError:
    """Return the error for an id that could be confused with what is signed beside it."""
    return VerificationError("invalid_id", "an id is 1 to 128 printable ASCII characters without space or '.'")


def _bad_stamp(unit: Unit) -> VerificationError:
    what = "seconds" if unit == "s" else "milliseconds"
    return VerificationError("invalid_timestamp", f"the timestamp is no plain number of unix {what}")


def _outside(age: int, allowed: timedelta) -> VerificationError:
    window = f"{allowed.total_seconds():g} s are allowed"
    if age > 0:
        hint = f"it was signed {age} s ago, {window}: delivered late, replayed, or this machine's clock is ahead"
        return VerificationError("timestamp_too_old", hint)
    hint = f"it was signed {-age} s in the future, {window}: this machine's clock is behind, or the sender's ahead"
    return VerificationError("timestamp_too_new", hint)


def check_id(value: str) -> str:
    """Return an id that is to be signed, or raise ValueError if it would not verify."""
    if not _ID(value):
        raise ValueError("id: 1 to 128 printable ASCII characters without space or '.'")
    return value


def unix_time(at: datetime, unit: Unit) -> str:
    """Return an attempt's time as the text of a timestamp.

    Args:
        at: An aware datetime, 1970 or later.
        unit: Seconds or milliseconds, rounded down.

    Raises:
        ValueError: It is naive, or before 1970.
    """
    if at.utcoffset() is None:
        raise ValueError("at: a naive datetime; use an aware one, such as datetime.now(UTC)")
    count = (at - _EPOCH) // timedelta(milliseconds=1000 // _PER_SECOND[unit])
    if count < 0:
        raise ValueError("at: before 1970; no receiver would accept it")
    return str(count)


def raw_body(body: bytes) -> bytes:
    """Return the body that is to be signed, or raise TypeError if it is not bytes."""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"body: {type(body).__name__}; sign the very bytes that will be sent")
    return bytes(body)


# --- Reading and writing headers --------------------------------------------------------------------------------------


def header_name(name: str) -> str:
    """Return a header's name in lower case, or raise ValueError if it is none."""
    lower = name.lower()
    if _TOKEN.fullmatch(lower) is None:
        raise ValueError(f"{name!r} is no header name")
    return lower


def signature_text(text: str) -> bytes:
    """Return a signature's text as bytes to compare. What is not ASCII becomes '?', which no signature holds."""
    return text.encode("ascii", "replace")

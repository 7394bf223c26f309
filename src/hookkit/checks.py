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
from typing import Final, Literal, Protocol, final

import attrs

from hookkit.errors import VerificationError
from hookkit.signing import SigningKey, Verified

__all__ = [
    "MAX_HEADER_CHARS",
    "MAX_SIGNATURES",
    "NO_MATCH",
    "Claim",
    "Reader",
    "Scheme",
    "Unit",
    "as_tolerance",
    "bad_id",
    "check_id",
    "header_name",
    "header_text",
    "is_id",
    "raw_body",
    "read_stamp",
    "request_part",
    "since_epoch",
    "unix_time",
]

MAX_HEADER_CHARS = 4096
MAX_SIGNATURES = 16

_OWS = " \t"  # RFC 9110 §5.6.3
_MAX_ID_CHARS = 128
_MAX_DIGITS = {"s": 12, "ms": 15}
_PER_SECOND = {"s": 1, "ms": 1000}
_LAST_MS = 253_402_300_799_999
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110 §5.6.2, in lower case
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Unit = Literal["s", "ms"]

Claim = tuple[str | None, str | None, Sequence[bytes], Sequence[bytes]]
"""What a request says of itself. Nothing in it is proven before a key has accepted a signature.

1. The event's id, if the signature covers one.
2. The text of the timestamp, if the signature covers one that is not in the body.
3. The signed bytes, in parts.
4. The texts of the signatures. Those of no known form count, too. (A plain tuple: this is the hottest path.)
"""


NO_MATCH: Final = (
    "no key matches: is the body the raw bytes as they arrived, not parsed and serialised again, "
    "and is the key this endpoint's own?"
)
"""What to look at when a signature was not accepted, and nothing more can be said of it."""


class Reader(Protocol):
    """A key in the form that verifies: :class:`hookkit.keys.HmacKey` or :class:`hookkit.keys.Ed25519Public`."""

    @property
    def prefix(self) -> bytes:
        """What the signatures begin with that it can check."""
        ...

    def accepts(self, message: Sequence[bytes], signatures: Sequence[bytes]) -> bool:
        """Return whether one of the texts is its signature of the message, comparing in constant time.

        Nothing is computed over the message if none of them has the form of a signature.
        """
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
        readers = self._readers(keys)
        values = _values(headers, self._names(headers))
        event_id, stamp, message, signatures = self._claim(values, body, method, url)
        if event_id is not None and not is_id(event_id):
            raise bad_id()
        at = None if stamp is None else read_stamp(stamp, self._unit)
        if len(signatures) > MAX_SIGNATURES:
            raise VerificationError("too_large", f"more than {MAX_SIGNATURES} signatures")
        if not any(reader.accepts(message, signatures) for reader in readers):
            raise VerificationError("bad_signature", self._hint(signatures, readers, keys))
        proven = self._proven(body, url)
        if proven is not None:
            at = read_stamp(proven, self._unit)
        signed_at = None if at is None else _within(at, now, self.tolerance if tolerance is None else tolerance)
        # An id that the signature does not cover could be renewed by whoever replays the request; the body could not.
        return Verified(event_id, signed_at, body, event_id or hashlib.sha256(body).hexdigest())

    @property
    def _unit(self) -> Unit:
        """What a timestamp counts."""
        return "s"

    def _readers(self, keys: Sequence[SigningKey]) -> Sequence[Reader]:
        """Return the keys in the form that verifies."""
        return tuple(map(self._reader, keys))

    def _proven(self, body: bytes, url: str | None) -> str | None:
        """Look into a request that has been verified: return the text of the timestamp in its body, if it has one."""
        return None

    def _hint(self, signatures: Sequence[bytes], readers: Sequence[Reader], keys: Sequence[SigningKey]) -> str:
        """Return what to look at when no signature was accepted."""
        return NO_MATCH

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


def is_id(value: str) -> bool:
    """Return whether this is 1 to 128 printable ASCII characters without space and full stop."""
    return (
        0 < len(value) <= _MAX_ID_CHARS
        and value.isascii()
        and value.isprintable()
        and " " not in value
        and "." not in value
    )


@lru_cache(maxsize=64)  # requests of one second share theirs; what raises is not kept
def read_stamp(stamp: str, unit: Unit) -> tuple[int, datetime]:
    """Return a timestamp in whole unix seconds, and as a time.

    Each number has one spelling: what is signed is the text, so two spellings would be two messages.

    Raises:
        VerificationError: It is no plain number, or one of too many digits.
    """
    try:
        count = int(stamp) if len(stamp) <= _MAX_DIGITS[unit] else -1
    except ValueError:
        count = -1
    if count < 0 or str(count) != stamp:
        what = "seconds" if unit == "s" else "milliseconds"
        raise VerificationError("invalid_timestamp", f"the timestamp is no plain number of unix {what}")
    # No window reaches beyond the last second that datetime can hold, so nobody sees a timestamp that was cut there.
    since = timedelta(milliseconds=min(count * 1000 // _PER_SECOND[unit], _LAST_MS))
    return count // _PER_SECOND[unit], _EPOCH + since


def _within(at: tuple[int, datetime], now: int, allowed: timedelta) -> datetime:
    """Return the time of a timestamp that lies in the window, or raise VerificationError."""
    age = now - at[0]
    if abs(age) <= allowed.total_seconds():
        return at[1]
    window = f"{allowed.total_seconds():g} s are allowed"
    if age > 0:
        hint = f"it was signed {age} s ago, {window}: delivered late, replayed, or this machine's clock is ahead"
        raise VerificationError("timestamp_too_old", hint)
    hint = f"it was signed {-age} s in the future, {window}: this machine's clock is behind, or the sender's ahead"
    raise VerificationError("timestamp_too_new", hint)


def bad_id() -> VerificationError:
    """Return the error for an id that could be confused with what is signed beside it."""
    return VerificationError("invalid_id", "an id is 1 to 128 printable ASCII characters without space or '.'")


def check_id(value: str) -> str:
    """Return an id that is to be signed, or raise ValueError if it would not verify."""
    if not is_id(value):
        raise ValueError("id: 1 to 128 printable ASCII characters without space or '.'")
    return value


def since_epoch(at: datetime) -> timedelta:
    """Return how long after the beginning of 1970 an attempt is.

    Raises:
        TypeError: It is no datetime.
        ValueError: The time is naive, or before 1970.
    """
    try:
        since = at - _EPOCH
    except TypeError:
        if not isinstance(at, datetime):
            raise TypeError(f"at: {type(at).__name__}; give an aware datetime") from None
        raise ValueError("at: a naive datetime; use an aware one, such as datetime.now(UTC)") from None
    if since.days < 0:
        raise ValueError("at: before 1970; no receiver would accept it")
    return since


def unix_time(at: datetime, unit: Unit) -> str:
    """Return an attempt's time as the text of a timestamp.

    Args:
        at: An aware datetime, 1970 or later.
        unit: Seconds or milliseconds, rounded down.

    Raises:
        ValueError: It is naive, or before 1970.
    """
    since = since_epoch(at)
    count = since.days * 86_400 + since.seconds  # whole numbers: a float would round far away from now
    return str(count) if unit == "s" else str(count * 1000 + since.microseconds // 1000)


def raw_body(body: bytes) -> bytes:
    """Return the body that is to be signed, or raise TypeError if it is not bytes."""
    if not isinstance(body, (bytes, bytearray, memoryview)):
        raise TypeError(f"body: {type(body).__name__}; sign the very bytes that will be sent")
    return bytes(body)  # which is the same object if it was bytes


# --- Reading and writing headers --------------------------------------------------------------------------------------


def header_name(name: str) -> str:
    """Return a header's name in lower case, or raise ValueError if it is none."""
    lower = name.lower()
    if _TOKEN.fullmatch(lower) is None:
        raise ValueError(f"{name!r} is no header name")
    return lower


def header_text(text: str) -> bytes:
    """Return a header's text as bytes to sign or compare: different texts are different bytes, whatever they hold."""
    return text.encode("utf-8", "surrogatepass")


def request_part(scheme: str, field: str, value: str | None) -> bytes:
    """Return a part of the request that a scheme signs: its method, or its URL.

    Raises:
        ValueError: The program did not give it; that must not look like a forgery.
        TypeError: It is no text.
    """
    if value is None:
        raise ValueError(f"{scheme} signs the request's {field}: give {field}=")
    if not isinstance(value, str):
        raise TypeError(f"{field}: {type(value).__name__}; give text")
    return header_text(value)

"""A request as a scheme gets it, and what it would be if something were otherwise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple, NoReturn

import attrs

from hookkit.errors import InvalidKey, VerificationError
from hookkit.protocols import Verifier
from hookkit.signing import SigningKey

__all__ = ["Case", "Experiment", "Lens"]

_MATCHED = frozenset({"", "timestamp_too_old", "timestamp_too_new"})  # the window is looked at last


@attrs.frozen
class Case:
    """What :meth:`hookkit.protocols.Verifier.verify` is given, as one value.

    Args:
        scheme: Which scheme.
        body: The raw body.
        headers: Lower-case names, each with every value it came with.
        keys: The keys.
        now: Unix seconds.
        tolerance: How far the timestamp may lie from `now`; None: the scheme's own.
        method: The request's method.
        url: The URL that was called.
    """

    scheme: Verifier
    body: bytes = attrs.field(repr=False)
    headers: Mapping[str, Sequence[str]] = attrs.field(repr=False)
    keys: tuple[SigningKey, ...]
    now: int
    tolerance: timedelta | None
    method: str | None
    url: str | None

    def outcome(self) -> str:
        """Return the reason why it does not verify, ``unusable`` for a wrong key or URL, nothing if it does."""
        try:
            self._verify()
        except VerificationError as error:
            return error.reason
        except (InvalidKey, ValueError):
            return "unusable"
        return ""

    def key_trouble(self) -> str | None:
        """Return what is wrong with the keys; None if the scheme can read them."""
        try:
            self._verify()
        except InvalidKey as error:
            return str(error)
        except (VerificationError, ValueError):
            pass
        return None

    def _verify(self) -> None:
        self.scheme.verify(
            self.body,
            self.headers,
            self.keys,
            now=self.now,
            tolerance=self.tolerance,
            method=self.method,
            url=self.url,
        )

    def matches(self) -> bool:
        """Return whether the signature is right, whatever the time."""
        return self.outcome() in _MATCHED

    def value(self, name: str) -> str:
        """Return a header's value, trimmed; nothing if it is not there, or there several times."""
        values = self.headers.get(name, ())
        return values[0].strip(" \t") if len(values) == 1 else ""

    def with_headers(self, changes: Mapping[str, str]) -> Case:
        """Return the case with other values of some headers."""
        return attrs.evolve(self, headers={**self.headers, **{name: [value] for name, value in changes.items()}})


class Experiment(NamedTuple):
    """What the request would be if a mistake were undone.

    Args:
        code: The mistake's name.
        text: What to tell the developer if the request then verifies.
        case: The request.
    """

    code: str
    text: str
    case: Case


class Lens:
    """Stands in for a scheme, to see what :func:`~hookkit.verify_signature` makes of a request's headers and options.

    Attributes:
        header_names: The scheme's.
        case: What the scheme would have been given; None if it was not asked.
    """

    def __init__(self, scheme: Verifier) -> None:
        self.header_names = scheme.header_names
        self.case: Case | None = None
        self._scheme = scheme

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
    ) -> NoReturn:
        """Note what is asked, and answer nothing."""
        self.case = Case(self._scheme, body, headers, tuple(keys), now, tolerance, method, url)
        raise VerificationError("seen")

"""What every adapter takes, and what all of them do with it once they have the raw body."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, Self, TypeAlias, TypedDict, TypeVar

import attrs

from hookkit.checks import as_tolerance
from hookkit.errors import VerificationError
from hookkit.schemes import STANDARD
from hookkit.signing import SigningKey, Verified, as_keys
from hookkit.verify import verify_signature

if TYPE_CHECKING:
    from hookkit.protocols import Verifier

__all__ = ["AsyncKeys", "Keys", "Options", "Settings"]

_R = TypeVar("_R")

_Keys: TypeAlias = str | SigningKey | Iterable[str | SigningKey]
Keys: TypeAlias = _Keys | Callable[[_R], _Keys]
"""A key, or 1 to 16 of them; or a function of the request that returns them, for tenants and for rotation."""
AsyncKeys: TypeAlias = _Keys | Callable[[_R], _Keys | Awaitable[_Keys]]
"""The same, where the function may be a coroutine function, too."""


class Options(TypedDict, Generic[_R], total=False):
    """What every adapter takes beside the keys; each has a default.

    Args:
        scheme: How the sender signs: one of :mod:`hookkit.schemes`.
        tolerance: How far the signed timestamp may lie from now, either way: a timedelta, or seconds.
        url: For schemes that sign the URL: the public one that the sender calls, behind a proxy too. Text, to which the
            request's query is added unless it has one; or a function of the request that returns all of it.
        max_body_bytes: A longer body is answered with 413. Where its length is announced, none of it is read.
    """

    scheme: Verifier
    tolerance: timedelta | float | None
    url: str | Callable[[_R], str] | None
    max_body_bytes: int


def _keys(keys: Any) -> Any:
    """Return a function as it is, and anything else as keys: one that is missing is found when the host starts."""
    return keys if callable(keys) else as_keys(keys)


@attrs.frozen
class Settings(Generic[_R]):
    """The keys and the options of one receiver, checked.

    Raises:
        InvalidKey: No key, or one that is blank.
        TypeError: An option that there is not.
        ValueError: A tolerance that would switch the window off.
    """

    keys: AsyncKeys[_R] = attrs.field(converter=_keys)
    scheme: Verifier = attrs.field(default=STANDARD, kw_only=True)
    tolerance: timedelta | None = attrs.field(
        default=None, converter=attrs.converters.optional(as_tolerance), kw_only=True
    )
    url: str | Callable[[_R], str] | None = attrs.field(default=None, kw_only=True)
    max_body_bytes: int = attrs.field(default=1_048_576, kw_only=True)

    @classmethod
    def of(cls, keys: AsyncKeys[_R], options: Options[_R]) -> Self:
        """Return the settings that an adapter was given."""
        return cls(keys, **options)

    def check_length(self, announced: str | int | None) -> None:
        """Refuse a body by the length that its request announces, before any of it is read.

        Args:
            announced: The ``content-length``. None, or one that is no number, is the server's to judge: what is read
                is counted all the same.

        Raises:
            VerificationError: It is too large.
        """
        if isinstance(announced, str):
            announced = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 19 else None
        if announced is not None and announced > self.max_body_bytes:
            raise self.too_large(announced)

    def too_large(self, size: int | None = None) -> VerificationError:
        """Return the error for a body that is longer than allowed."""
        what = "the body is too long" if size is None else f"the body has {size} bytes"
        return VerificationError("too_large", f"{what}, max_body_bytes is {self.max_body_bytes}")

    def verify(self, request: _R, body: bytes, headers: Any, *, method: str, query: str) -> Verified:
        """Verify a request.

        Args:
            request: What the functions given as ``keys`` and ``url`` get.
            body: The raw body.
            headers: As :func:`hookkit.verify_signature` takes them.
            method: The request's method.
            query: The query of the URL that was called, as it was sent.

        Raises:
            VerificationError: It does not verify.
            TypeError: The keys come from a coroutine function, which nobody awaits here.
        """
        keys = self.keys(request) if callable(self.keys) else self.keys
        if inspect.isawaitable(keys):
            if inspect.iscoroutine(keys):
                keys.close()  # no warning that it was never awaited: the error says so
            raise TypeError("keys: a coroutine function; this code is not async, so give a plain function")
        return self._verify(request, body, headers, keys, method, query)

    async def verify_async(self, request: _R, body: bytes, headers: Any, *, method: str, query: str) -> Verified:
        """As :meth:`verify`; the keys may be awaited."""
        keys = self.keys(request) if callable(self.keys) else self.keys
        return self._verify(request, body, headers, await keys if inspect.isawaitable(keys) else keys, method, query)

    def _verify(self, request: _R, body: bytes, headers: Any, keys: Any, method: str, query: str) -> Verified:
        return verify_signature(
            body,
            headers,
            keys,
            scheme=self.scheme,
            tolerance=self.tolerance,
            method=method,
            url=self._public_url(request, query),
            max_body_bytes=self.max_body_bytes,
        )

    def _public_url(self, request: _R, query: str) -> str | None:
        if callable(self.url):
            return self.url(request)
        return f"{self.url}?{query}" if self.url is not None and query and "?" not in self.url else self.url

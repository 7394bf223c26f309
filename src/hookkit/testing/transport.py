"""Transports that call nobody: they answer from a script, and remember what they were asked to send."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, Final, Self, TypeAlias, final

import attrs

from hookkit.model import Reply, Request
from hookkit.targets import TargetPolicy

__all__ = ["ANY_TARGET", "REASONS", "Answer", "AsyncFakeTransport", "AsyncScript", "FakeTransport", "Script"]

REASONS: Final = frozenset(
    {
        "dns",
        "connect",
        "connect_timeout",
        "timeout",
        "connection_lost",
        "protocol_error",
        "too_large",
        "target_refused",
        "tls_expired",
        "tls_not_yet_valid",
        "tls_self_signed",
        "tls_unknown_ca",
        "tls_hostname",
        "tls_protocol",
        "tls_other",
    }
)
"""Why a reply may have no status: see :class:`hookkit.protocols.Transport`."""

Answer: TypeAlias = int | Reply | str
"""A status, a whole Reply, or one of :data:`REASONS`."""
Step: TypeAlias = Answer | Callable[[Request], Answer]
Script: TypeAlias = Step | Iterable[Step]
AsyncStep: TypeAlias = Answer | Callable[[Request], Answer | Awaitable[Answer]]
AsyncScript: TypeAlias = AsyncStep | Iterable[AsyncStep]


@attrs.frozen(kw_only=True)
class _AnyName(TargetPolicy):
    """Lets single labels and internal suffixes pass, too."""

    def _check_name(self, host: str) -> None:
        """Refuse no name that is one."""


ANY_TARGET: Final[TargetPolicy] = _AnyName(schemes=("https", "http"), ports=None, allow_networks=("0.0.0.0/0", "::/0"))
"""Any http or https URL, to any name and any address: for transports that call nobody."""


def _is_step(script: object) -> bool:
    return isinstance(script, (int, str, Reply)) or callable(script)


class _Playback:
    """Hands out the steps of a script, one at a time; the last one repeats."""

    def __init__(self, script: Any) -> None:
        self._steps: Iterator[Any] = iter((script,) if _is_step(script) else script)
        self._step: Any = None

    def next(self) -> Any:
        self._step = next(self._steps, self._step)
        return self._step


def _reply(answer: Any) -> Reply:
    if isinstance(answer, Reply):
        return answer
    if isinstance(answer, int) and 100 <= answer <= 999:
        return Reply(answer, reason="redirect" if 300 <= answer < 400 else "")
    if isinstance(answer, str) and answer in REASONS:
        return Reply(None, reason=answer)
    raise ValueError(f"{answer!r} is no answer; give a status from 100 to 999, a Reply, or one of {sorted(REASONS)}")


class _Fake:
    """What the twins share: the record, the script, and what a worker asks of its transport."""

    def __init__(self, script: Any) -> None:
        self.requests: list[Request] = []
        self.targets: TargetPolicy = ANY_TARGET
        self.total_timeout: float = 15.0
        self._lock = threading.Lock()
        self._playback = _Playback(script)

    def _take(self, request: Request) -> Any:
        with self._lock:
            self.requests.append(request)
            step = self._playback.next()
        return step(request) if callable(step) else step


@final
class FakeTransport(_Fake):
    """A :class:`hookkit.protocols.Transport` for tests. It may be used from several threads.

    Args:
        script: How it answers: a status such as 200; a :class:`hookkit.Reply`; a reason such as ``"timeout"``; a
            callable that takes the :class:`hookkit.Request` and returns one of those; or several of all these, each
            used once, the last one from then on. A status of 3xx is answered with the reason ``redirect``, as a real
            transport does.

    Attributes:
        requests: Every Request it was given, oldest first.
        targets: :data:`ANY_TARGET`, so that a registry takes any URL; a test of what must not be called gives its own.
        total_timeout: 15 seconds, for the worker's reckoning; nothing here waits.

    Raises:
        ValueError: From :meth:`send`: the script is empty, or its step is no answer.
    """

    def __init__(self, script: Script = 200) -> None:
        super().__init__(script)

    def send(self, request: Request) -> Reply:
        """Remember `request` and return the script's next answer."""
        return _reply(self._take(request))

    def close(self) -> None:
        """Do nothing: there is nothing to close."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@final
class AsyncFakeTransport(_Fake):
    """The async twin of :class:`FakeTransport`; a callable in its script may return an awaitable, too."""

    def __init__(self, script: AsyncScript = 200) -> None:
        super().__init__(script)

    async def send(self, request: Request) -> Reply:
        """Remember `request` and return the script's next answer."""
        answer = self._take(request)
        return _reply(await answer if inspect.isawaitable(answer) else answer)

    async def aclose(self) -> None:
        """Do nothing: there is nothing to close."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

"""The pytest plugin: fixtures for the tests of whoever receives webhooks, or emits them.

pytest loads it wherever hookkit is installed, so it imports nothing of hookkit until a fixture is asked for. To do
without it: ``-p no:hookkit``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from hookkit.testing import (
        AsyncRecordingDispatcher,
        ManualClock,
        RecordingDispatcher,
        ScriptedReceiver,
        SignedRequest,
    )


@pytest.fixture
def hookkit_signed_request() -> Callable[..., SignedRequest]:
    """Return a function that makes signed requests, to post to your receiver: :func:`hookkit.testing.signed_request`.

    ``request = hookkit_signed_request({"type": "user.created"}, key)`` has a ``body`` and ``headers``. Other senders
    are ``scheme=schemes.GITHUB`` and the like; a replay is ``at=`` a time that has passed.
    """
    from hookkit.testing import signed_request

    return signed_request


@pytest.fixture
def hookkit_receiver() -> Iterator[ScriptedReceiver]:
    """Return a receiver on this machine for what you send: :class:`hookkit.testing.ScriptedReceiver`.

    It answers 204, or by the script that ``answer()`` is given; ``requests`` has what arrived, ``verified(key)`` the
    same, verified. Its ``url`` is plain HTTP on 127.0.0.1: registries and workers need ``targets=LOOPBACK``, from
    :mod:`hookkit.targets`.
    """
    from hookkit.testing import ScriptedReceiver

    with ScriptedReceiver() as receiver:
        yield receiver


@pytest.fixture
def hookkit_dispatcher(hookkit_clock: ManualClock) -> RecordingDispatcher:
    """Return a dispatcher that remembers events and tells nobody: :class:`hookkit.testing.RecordingDispatcher`.

    Hand it to your code, then ``hookkit_dispatcher.assert_emitted("user.created", {"id": 7})``.
    """
    from hookkit.testing import RecordingDispatcher

    return RecordingDispatcher(clock=hookkit_clock)


@pytest.fixture
def hookkit_async_dispatcher(hookkit_clock: ManualClock) -> AsyncRecordingDispatcher:
    """Return the async twin of the fixture ``hookkit_dispatcher``."""
    from hookkit.testing import AsyncRecordingDispatcher

    return AsyncRecordingDispatcher(clock=hookkit_clock)


@pytest.fixture
def hookkit_clock() -> ManualClock:
    """Return a clock that stands still until the test moves it: :class:`hookkit.testing.ManualClock`."""
    from hookkit.testing import ManualClock

    return ManualClock()

"""What a worker goes by: its settings, its chores, what it announces, and how long it waits."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Notice, Reply
from hookkit.fairness import Ask
from hookkit.profiles import BUILTIN
from hookkit.testing import ManualClock
from hookkit.testing.clock import START
from hookkit.working import ASKS, ASKS_ONCE, POLL_S, Chores, Settings, announce, is_sound, pause_s, wait_s

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))


def settings(**fields):
    """Return a worker's settings."""
    given_fields = {
        "store": None,
        "log": None,
        "profiles": BUILTIN,
        "concurrency": 32,
        "lease": MINUTE,
        "owner": "w1",
        "on_notice": None,
        "clock": ManualClock(),
        "keep_payloads": 7 * DAY,
        "keep_log": 30 * DAY,
        "keep_held": 60 * DAY,
        "housekeeping": HOUR,
    }
    return Settings(**{**given_fields, **fields})


def test_first_attempts_go_before_retries():
    """And both before what was asked for again. Slots are kept for retries, unless nothing is claimed afterwards."""
    assert (Ask("first", reserve=True), Ask("retry"), Ask("recover")) == ASKS
    assert (*ASKS, Ask("first")) == ASKS_ONCE


@pytest.mark.parametrize(("lease", "seconds"), [(MINUTE, 20), (16 * SECOND, 16 / 3)])
def test_leases_are_renewed_at_a_third(lease, seconds):
    """So that a renewal may fail twice before a lease is lost."""
    assert settings(lease=lease).renewal_s == pytest.approx(seconds)


def test_what_is_too_old():
    """Counted back from the clock's time, each on its own."""
    clock = ManualClock()
    bounds = settings(clock=clock).bounds
    assert tuple(bounds()) == (START - 7 * DAY, START - 30 * DAY, START - 60 * DAY)
    clock.advance(DAY)
    assert bounds().payloads == START - 6 * DAY
    assert (bounds().entries, bounds().held) == (START - 29 * DAY, START - 59 * DAY)


def test_chores_come_batch_by_batch():
    """The first at once, however often a worker is restarted; the next while there is more; then not for a while."""
    chores = Chores(60.0, now_s=1000.0)
    assert chores.is_due(1000.0)
    chores.done(1061.0, more=True)
    assert chores.is_due(1061.0)
    chores.done(1062.0, more=False)
    assert [chores.is_due(at) for at in (1062.0, 1121.9, 1122.0)] == [False, False, True]


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (Notice("breaker_open", "whk_1", "acme", START), "webhook whk_1: breaker_open"),
        (Notice("recovered", "whk_1", "", START), "webhook whk_1: recovered"),
        (Notice("warning", "whk_1", "", START, share=0.75), "webhook whk_1: warning at 75%"),
        (Notice("disabled", "whk_1", "", START, detail="gone"), "webhook whk_1: disabled (gone)"),
        (Notice("exhausted", "whk_1", "", START, detail="dlv_1"), "webhook whk_1: exhausted (dlv_1)"),
    ],
)
def test_a_notice_is_logged_and_told(notice, line, caplog):
    """As a warning, in one line; and to whoever wants to know."""
    told = []
    announce(notice, told.append)
    announce(notice, None)
    assert told == [notice]
    logged = [(record.name, record.levelno, record.getMessage()) for record in caplog.records]
    assert logged == [("hookkit.worker", logging.WARNING, line)] * 2


def test_what_a_hosts_listener_raises_is_logged(caplog):
    """It ends nothing; what ends a program still does."""

    def broken(notice):
        raise RuntimeError("no mail today")

    def ending(notice):
        raise KeyboardInterrupt

    announce(Notice("recovered", "whk_1", "", START), broken)
    assert "no mail today" in caplog.text
    assert caplog.records[-1].levelno == logging.ERROR
    with pytest.raises(KeyboardInterrupt):
        announce(Notice("recovered", "whk_1", "", START), ending)


@pytest.mark.parametrize(
    "reply",
    [
        *(Reply(status) for status in (100, 101, 200, 204, 302, 404, 599, 999)),
        *(Reply(None, reason=reason) for reason in ("", "timeout", "dns")),
        Reply(200, (("x-a", "1"), ("x-\u00fc", "\u00fc")), b"\xff\0", truncated=True, reason="too_large", elapsed=2),
    ],
)
def test_a_sound_reply(reply):
    """Any status that HTTP has, or none; header text, body bytes."""
    assert is_sound(reply)


@pytest.mark.parametrize(
    "reply",
    [
        *(None, 200, "timeout", b"", object(), (200, (), b"")),
        *(Reply(status) for status in (99, 1000, 0, -200, 200.0, "200", b"200")),
        *(Reply(200, headers) for headers in ((("x-a", 1),), ((b"x-a", "1"),), (("x-a", "1"), ("x-b", None)))),
        *(Reply(200, body=body) for body in ("text", None, bytearray(b"x"))),
        *(Reply(None, reason=reason) for reason in (None, 5, "d\u00e9lai", "\ud800")),
    ],
)
def test_a_reply_that_no_store_could_keep(reply):
    """A host's own transport may return anything; what is no reply is known for it before it is stored."""
    assert not is_sound(reply)


@pytest.mark.parametrize(
    ("failures", "least", "most"),
    [(1, 0.25, 0.5), (2, 0.5, 1), (3, 1, 2), (6, 8, 16), (7, 15, 30), (8, 15, 30), (1_000_000, 15, 30)],
)
def test_a_pause_after_failures(failures, least, most):
    """It doubles, to half a minute; spread, so that many workers do not come back at once."""
    assert pause_s(failures, lambda: 0.0) == pytest.approx(least)
    assert pause_s(failures, lambda: 0.999_999_9) == pytest.approx(most)


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_nothing(failures, random):
    """A database that is down is not asked in a circle."""
    assert 0.25 <= pause_s(failures, lambda: random) <= 30


@pytest.mark.parametrize(
    ("due", "seconds"),
    [
        (None, POLL_S),
        (START - HOUR, POLL_S),
        (START, POLL_S),
        (START + 0.1 * SECOND, 0.1),
        (START + POLL_S * SECOND, POLL_S),
        (START + DAY, POLL_S),
    ],
)
def test_how_long_to_wait(due, seconds):
    """Until something is due, and never longer than a poll; what is due and could not be claimed waits for one, too."""
    assert wait_s(due, START) == pytest.approx(seconds)

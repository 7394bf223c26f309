"""Retries: which outcome is tried again, and when; and what a ``Retry-After`` may ask for."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hookkit import RetryPolicy
from hookkit.profiles import LOGTO, STANDARD
from hookkit.retry import NOT_2XX, next_attempt_at, parse_retry_after

AT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)  # a Saturday
SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
EVERY_STATUS = range(100, 1000)
YEAR, LONGER = 366 * DAY, 366 * DAY + timedelta(microseconds=1)

waits = st.timedeltas(timedelta(0), 40 * DAY)
instants = st.timedeltas(-36 * 365 * DAY, 170 * 365 * DAY).map(lambda since: AT + since)
shares = st.floats(0, 1, exclude_max=True)
policies = st.builds(
    RetryPolicy, st.lists(waits, max_size=12), jitter=st.floats(0, 1), max_delay=st.timedeltas(timedelta(0), 30 * DAY)
)


def never():
    """Be a source of randomness that nobody may ask."""
    raise AssertionError


def zero():
    """Be a source of randomness that adds nothing."""
    return 0.0


# --- The policy -------------------------------------------------------------------------------------------------------


def test_the_defaults():
    """Every status but 2xx and 410 is tried again, and whatever brought none; a tenth of jitter, a day at most."""
    policy = RetryPolicy([5, 2.5, MINUTE])
    assert policy.delays == (5 * SECOND, 2.5 * SECOND, MINUTE)
    assert {status for status in EVERY_STATUS if not policy.retries(status)} == {*range(200, 300), 410}
    assert policy.retries(None)
    assert (policy.jitter, policy.max_delay) == (0.1, DAY)
    assert policy.statuses == NOT_2XX


@pytest.mark.parametrize(
    ("statuses", "retried"),
    [((), set()), ([429], {429}), ({500, 503}, {500, 503}), (range(500, 1000), set(range(500, 1000))), ([200], {200})],
)
def test_the_statuses_are_a_choice(statuses, retried):
    """Any iterable of statuses; exactly those are tried again."""
    policy = RetryPolicy([1], statuses=statuses)
    assert {status for status in EVERY_STATUS if policy.retries(status)} == retried


@pytest.mark.parametrize("network_errors", [True, False])
def test_network_errors_are_a_choice(network_errors):
    """An attempt that brought no status is worth another, or not, whatever the statuses say."""
    policy = RetryPolicy([1], statuses=(), network_errors=network_errors)
    assert policy.retries(None) is network_errors


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"delays": [1, -1]}, "negative"),
        ({"delays": [timedelta(microseconds=-1)]}, "negative"),
        ({"delays": [LONGER]}, "a year at most"),
        ({"max_delay": -1}, "negative"),
        ({"max_delay": LONGER}, "a year at most"),
        ({"jitter": -0.01}, "jitter"),
        ({"jitter": 1.01}, "jitter"),
        ({"jitter": float("nan")}, "jitter"),
        ({"statuses": [99]}, "statuses"),
        ({"statuses": [1000]}, "statuses"),
        ({"statuses": [500, -500]}, "statuses"),
    ],
)
def test_what_is_no_policy_is_refused(fields, says):
    """A wait before now, or one that the calendar does not hold; jitter that shrinks; what is no status."""
    with pytest.raises(ValueError, match=says):
        RetryPolicy(**{"delays": [1], **fields})


@pytest.mark.parametrize(
    "fields",
    [{"delays": []}, {"delays": [0, YEAR]}, {"max_delay": 0}, {"max_delay": YEAR}]
    + [{"jitter": 0}, {"jitter": 1}, {"statuses": [100, 999]}],
)
def test_the_edges_are_allowed(fields):
    """No retry at all, one at once or in a year; no jitter, or double the wait; every status that HTTP can carry."""
    policy = RetryPolicy(**{"delays": [1], **fields})
    assert policy == RetryPolicy(**{"delays": [1], **fields})


@pytest.mark.parametrize(
    ("statuses", "shown"),
    [
        (NOT_2XX, "100-199 300-409 411-999"),
        (range(500, 600), "500-599"),
        ([429, 502, 500, 501, 503, 599], "429 500-503 599"),
        ([408], "408"),
        ((), ""),
    ],
)
def test_the_repr_shows_ranges(statuses, shown):
    """Eight hundred numbers would hide what matters."""
    assert f"statuses={shown}, network_errors=True" in repr(RetryPolicy([1], statuses=statuses))


def test_a_policy_is_a_value():
    """Frozen, compared by what it says, and evolved into another."""
    policy = RetryPolicy([1, 2], statuses=[500])
    assert policy == RetryPolicy((SECOND, 2 * SECOND), statuses=frozenset({500}))
    assert attrs.evolve(policy, jitter=0).delays == policy.delays
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.jitter = 1.0
    with pytest.raises(TypeError):
        RetryPolicy([1], [500])
    keywords = [name for name, one in inspect.signature(RetryPolicy).parameters.items() if one.kind is one.KEYWORD_ONLY]
    assert keywords == ["statuses", "network_errors", "jitter", "max_delay"]


# --- When -------------------------------------------------------------------------------------------------------------


@given(policies, st.integers(1, 15), instants, st.none() | st.timedeltas(timedelta(0), 400 * 365 * DAY), shares)
def test_never_early_and_never_late(policy, failures, at, hint, share):
    """It waits for the schedule and for what was asked, unless `max_delay` is less; jitter adds its share, no more."""
    due = next_attempt_at(policy, failures=failures, at=at, retry_after=hint, random=lambda: share)
    if failures > len(policy.delays):
        assert due is None
        return
    wait = min(max(policy.delays[failures - 1], hint or timedelta(0)), policy.max_delay)
    latest = wait * (1 + policy.jitter) + timedelta(microseconds=1)
    assert at + wait <= due <= at + latest


@given(policies, st.integers(1, 12), instants, st.none() | waits)
def test_without_jitter_it_is_exact(policy, failures, at, hint):
    """Where randomness adds nothing, the wait is the larger of schedule and hint, to the microsecond."""
    due = next_attempt_at(policy, failures=failures, at=at, retry_after=hint, random=zero)
    if due is not None:
        assert due - at == min(max(policy.delays[failures - 1], hint or timedelta(0)), policy.max_delay)


@pytest.mark.parametrize(
    ("delay", "hint", "max_delay", "wait"),
    [
        (5, None, 60, 5),
        (5, 0, 60, 5),
        (5, 4, 60, 5),
        (5, 6, 60, 6),
        (5, 600, 60, 60),
        (90, None, 60, 60),
        (90, 30, 60, 60),
        (0, None, 60, 0),
        (5, 600, 0, 0),
    ],
)
@pytest.mark.parametrize(("random", "grown"), [(0.0, 1.0), (0.5, 1.1)])
def test_schedule_hint_cap_and_jitter(delay, hint, max_delay, wait, random, grown):
    """The larger of schedule and hint; capped; and then the jitter on top."""
    policy = RetryPolicy([delay], max_delay=max_delay, jitter=0.2)
    hint = None if hint is None else hint * SECOND
    due = next_attempt_at(policy, failures=1, at=AT, retry_after=hint, random=lambda: random)
    assert due == AT + wait * grown * SECOND


@pytest.mark.parametrize(
    ("policy", "ends_after"),
    [(STANDARD.retry, 75 * HOUR + 35 * MINUTE + 5 * SECOND), (LOGTO.retry, 2.1 * SECOND), (RetryPolicy([]), 0 * DAY)],
)
def test_a_whole_schedule(policy, ends_after):
    """Each failure moves one step along the schedule, and after the last there is no further attempt."""
    at = AT
    for failures in range(1, len(policy.delays) + 1):
        at = next_attempt_at(policy, failures=failures, at=at, retry_after=None, random=zero)
    assert at - AT == ends_after
    for failures in (len(policy.delays) + 1, len(policy.delays) + 50):
        assert next_attempt_at(policy, failures=failures, at=at, retry_after=HOUR, random=never) is None


# --- Retry-After ------------------------------------------------------------------------------------------------------

SECONDS = {"0": 0, "5": 5, "005": 5, " 120 ": 120, "\t7 \t": 7, "86400": 86_400, "9999999999": 9_999_999_999}
DATES = {
    "Sat, 31 Jan 2026 09:30:00 GMT": 0,
    "Sat, 31 Jan 2026 09:30:01 GMT": 1,
    " Sat, 31 Jan 2026 10:30:00 GMT\t": 3600,
    "Sun, 01 Feb 2026 09:30:00 GMT": 86_400,
    "Sat, 31 Jan 2026 09:29:59 GMT": 0,  # it has passed: no wait at all
    "Sun, 06 Nov 1994 08:49:37 GMT": 0,
    "Mon, 01 Jan 0001 00:00:00 GMT": 0,
    "Fri, 31 Dec 9999 23:59:59 GMT": (datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - AT).total_seconds(),
}


@pytest.mark.parametrize(("value", "seconds"), (SECONDS | DATES).items())
def test_the_two_forms_are_read(value, seconds):
    """Whole seconds, and the one form of date that may be sent (RFC 9110 §10.2.3), with white space around."""
    assert parse_retry_after(value, now=AT) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "value",
    """-5|+5|1e3|1e18|nan|inf|Infinity|3.5|5.|1_000|٣٠|５|²|0x10|30, 40|30,40|5 6|5;6|5s|"5"|'5'|None|true""".split("|")
    + ["", " ", "\t", "5\n", "\n5", "5\r\nx: y", "5\0", "\0", "\v5", "\u00a05", "1" * 11, "9" * 10_000]
    + [
        "Sun, 31 Jan 2026 09:30:00 GMT",  # it was a Saturday
        "sat, 31 jan 2026 09:30:00 gmt",
        "Sat, 31 Jan 2026 09:30:00",
        "Sat, 31 Jan 2026 09:30:00 UTC",
        "Sat, 31 Jan 2026 09:30:00 +0000",
        "Sat, 31 Jan 2026 09:30:00 +9999",
        "Sat, 31 Jan 2026 09:30 GMT",
        "Sat, 31 Jan 2026 9:30:00 GMT",
        "Sat, 31 Jan 2026 24:00:00 GMT",
        "Sat, 31 Jan 2026 09:60:00 GMT",
        "Sat, 31 Jan 2026 09:30:60 GMT",
        "Sat,  31 Jan 2026 09:30:00 GMT",
        "Sat, 31 Jan 99999 09:30:00 GMT",
        "Sat, 31 Jan 26 09:30:00 GMT",
        "Sat, 01 Jan 0000 00:00:00 GMT",
        "Sat, 3١ Jan 2026 09:30:00 GMT",
        "Mon, 31 Feb 2026 09:30:00 GMT",
        "Fri, 30 Feb 2026 09:30:00 GMT",
        "Sat, 00 Jan 2026 09:30:00 GMT",
        "Sat, 31 Jan 2026 09:30:00 GMT, 5",
        "Saturday, 31-Jan-26 09:30:00 GMT",
        "Sat Jan 31 09:30:00 2026",
        "2026-01-31T09:30:00Z",
        "2026-01-31 09:30:00",
    ],
)
def test_any_other_spelling_asks_for_nothing(value):
    """Signs, fractions, exponents, lists, foreign digits, other dates and days that never were are not guessed at."""
    assert parse_retry_after(value, now=AT) is None


@given(st.text() | st.text("0123456789:, GMTSatJan+-.eE\t"), instants)
@example("9" * 10_000, AT)
@example("Fri, 31 Dec 9999 23:59:59 GMT", AT)
def test_no_value_breaks_it_and_none_waits_for_ever(value, now):
    """Whatever was sent is read as a wait or as nothing, and the next attempt is within reach either way."""
    hint = parse_retry_after(value, now=now)
    assert hint is None or hint >= timedelta(0)
    due = next_attempt_at(STANDARD.retry, failures=1, at=now, retry_after=hint, random=lambda: 0.999)
    assert now + 5 * SECOND <= due <= now + DAY * 1.1


@given(instants.map(lambda at: at.replace(microsecond=0)), instants, st.integers(-12, 14))
def test_any_date_is_read_as_it_is_written(date, now, zone):
    """Dates as the standard library writes them; the wait is measured from `now`, in whatever zone that is given."""
    text = format_datetime(date, usegmt=True)
    assert parse_retry_after(text, now=now.astimezone(timezone(zone * HOUR))) == max(date - now, timedelta(0))


@given(st.integers(0, 9_999_999_999))
def test_any_number_of_seconds_is_read(seconds):
    """Up to ten digits; nothing overflows."""
    assert parse_retry_after(str(seconds), now=AT) == timedelta(seconds=seconds)

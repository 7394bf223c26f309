"""Profiles: what the two that come with hookkit say, and how a host makes another."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import attrs
import pytest

import hookkit
from hookkit import RetryPolicy, payloads, schemes
from hookkit.profiles import BUILTIN, LOGTO, STANDARD, Profile

HOUR = timedelta(hours=1)
EVERY_STATUS = range(100, 1000)


def profile(**fields):
    """Return a profile of the host's own."""
    given = {
        "name": "mine",
        "payload": payloads.STANDARD,
        "scheme": schemes.STANDARD,
        "retry": RetryPolicy([1]),
        "timeout": 5,
    }
    return Profile(**{**given, **fields})


def test_standard():
    """Standard Webhooks' body, headers and schedule."""
    assert STANDARD.name == "standard"
    assert STANDARD.payload is payloads.STANDARD
    assert STANDARD.scheme is schemes.STANDARD
    assert STANDARD.timeout == timedelta(seconds=15)
    assert STANDARD.retry.delays == (
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        24 * HOUR,
    )
    assert {status for status in EVERY_STATUS if not STANDARD.retry.retries(status)} == {*range(200, 300), 410}
    assert STANDARD.retry.retries(None)
    assert STANDARD.retry.max_delay == 24 * HOUR
    assert STANDARD.replaceable == {"user-agent"}


def test_logto():
    """Logto's body, its one header, and the retries that its document promises, network errors besides."""
    assert LOGTO.name == "logto"
    assert LOGTO.payload is payloads.LOGTO
    assert LOGTO.scheme is schemes.LOGTO
    assert LOGTO.scheme.header_names == {"logto-signature-sha-256"}
    assert LOGTO.timeout == timedelta(seconds=10)
    assert LOGTO.retry.delays == tuple(timedelta(milliseconds=wait) for wait in (300, 600, 1200))
    assert {status for status in EVERY_STATUS if LOGTO.retry.retries(status)} == set(range(500, 1000))
    assert LOGTO.retry.retries(None)
    assert LOGTO.replaceable == {"user-agent", "content-type"}


@pytest.mark.parametrize(
    ("made_by", "form"),
    [(STANDARD, r"whsec_[A-Za-z0-9+/]{43}="), (LOGTO, r"[0-9A-Za-z]{32}")],
    ids=["standard", "logto"],
)
def test_new_keys(made_by, form):
    """Each makes keys of its own form, from the randomness given and nothing else, that its scheme signs with."""
    keys = [made_by.new_key(lambda count, seed=seed: bytes([seed]) * count) for seed in (1, 2, 1)]
    assert all(re.fullmatch(form, key) for key in keys)
    assert keys[0] == keys[2] != keys[1]
    assert (
        made_by.scheme.sign(b"{}", keys, id="evt_1", at=datetime(2026, 1, 1, tzinfo=UTC)).keys()
        == made_by.scheme.header_names
    )


def test_the_builtin_profiles_by_name():
    """Exactly these two, by the names that webhooks use; read-only."""
    assert dict(BUILTIN) == {"standard": STANDARD, "logto": LOGTO}
    assert hookkit.Endpoint("https://example.com", ["*"]).profile in BUILTIN
    with pytest.raises(TypeError):
        BUILTIN["mine"] = STANDARD


@pytest.mark.parametrize("each", BUILTIN.values(), ids=list(BUILTIN))
def test_the_user_agent_is_ours_by_default(each):
    """``hookkit/`` and the version, in both."""
    assert each.user_agent == f"hookkit/{hookkit.__version__}"


def test_a_host_makes_its_own():
    """The five that matter stand first; the rest has defaults, and a bare number is seconds."""
    mine = Profile("mine", payloads.LOGTO, schemes.STANDARD, RetryPolicy([1]), 2.5)
    assert mine.timeout == timedelta(seconds=2.5)
    assert mine.user_agent == f"hookkit/{hookkit.__version__}"
    assert mine.replaceable == {"user-agent"}
    assert mine.new_key(bytes).startswith("whsec_")
    assert {**BUILTIN, mine.name: mine}["mine"] is mine


def test_header_names_compare_in_any_case():
    """What a host lists in capitals is found in lower case, as HTTP has it."""
    assert profile(replaceable=["User-Agent", "X-Trace"]).replaceable == {"user-agent", "x-trace"}
    assert profile(replaceable=()).replaceable == frozenset()


@pytest.mark.parametrize(
    "fields",
    [{"name": name} for name in ("", " ", "a b", "a\n", "é", "a/b", "A" * 65)]
    + [{"user_agent": text} for text in ("", " ", "a ", " a", "a\r\nx: y", "a\0", "é", "a\n", "A" * 257)]
    + [{"timeout": timeout} for timeout in (0, -1, timedelta(0), timedelta(seconds=-1))],
)
def test_what_is_no_profile_is_refused(fields):
    """A name that is hard to tell apart, a user agent that would break out of its header, a timeout of nothing."""
    with pytest.raises(ValueError, match=r"profile's name|user agent|timeout"):
        profile(**fields)


@pytest.mark.parametrize(
    "fields", [{"name": "A" * 64}, {"name": "v1.2_b-c"}, {"user_agent": "a (b; c) d/1.0"}, {"user_agent": "x"}]
)
def test_what_is_allowed_is_kept(fields):
    """Names and user agents stay as they are given."""
    assert {name: getattr(profile(**fields), name) for name in fields} == fields


def test_a_profile_is_a_value():
    """Frozen, and evolved into another."""
    mine = attrs.evolve(STANDARD, name="mine", timeout=3)
    assert (mine.name, mine.timeout, mine.user_agent) == ("mine", timedelta(seconds=3), STANDARD.user_agent)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        STANDARD.timeout = timedelta(1)

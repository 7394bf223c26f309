"""The decisions of a delivery: what is stored, what is sent, and what becomes of it."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import (
    Attempt,
    Event,
    InvalidKey,
    LogEntry,
    PayloadError,
    Reply,
    RetryPolicy,
    SigningKey,
    VerificationError,
    __version__,
    schemes,
    verify_signature,
)
from hookkit.catalogs.logto import CATALOG
from hookkit.delivery import (
    check_lease,
    complete,
    give_up,
    is_spent,
    judge,
    plan,
    prepare,
    retry_policy,
    sample,
)
from hookkit.events import Catalog, EventSpec
from hookkit.health import classify
from hookkit.keys import new_ed25519_pair
from hookkit.profiles import BUILTIN, LOGTO, STANDARD
from hookkit.registration import RESERVED
from hookkit.retry import NOT_2XX
from hookkit.testing.builders import KEY, attempt, endpoint
from hookkit.testing.clock import START
from hookkit.work import Claim, Settlement

SECOND, MINUTE, HOUR, DAY = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours", "days"))
OTHER = "whsec_YW5vdGhlci1rZXktb2YtMzItYnl0ZXMtaW4tdG90YWw="
LOGTO_KEY = "0123456789abcdefghijklmnopqrstuv"
BODY = b'{"type":"user.created"}'

EVENT = Event("user.created", {"id": "u1"}, id="evt_1", occurred_at=START, tenant="acme", idempotency_key="k1")


def numbered(prefix="dlv_"):
    """Return a source of ids that counts."""
    return map(f"{prefix}{{}}".format, itertools.count(1)).__next__


def planned(event, *subscribers, max_body=1_048_576, profiles=BUILTIN):
    """Plan `event` for these webhooks."""
    return plan(event, subscribers, profiles=profiles, new_id=numbered(), max_body=max_body)


def claim(number=1, *, attempts=(), schedule_start=0, **fields):
    """Return a claimed delivery, about to make this attempt."""
    return Claim(
        claim_id="clm_1",
        delivery_id="dlv_1",
        event_id="evt_1",
        event_type="user.created",
        body=BODY,
        profile="standard",
        attempt_number=number,
        endpoint=endpoint(id="whk_1"),
        tenant="acme",
        created_at=START,
        attempts=attempts,
        schedule_start=schedule_start,
        **fields,
    )


def judged(reply, policy=STANDARD.retry, number=1, *, schedule_start=0, random=0.0, **options):
    """Judge a reply to this attempt, which took a second."""
    return judge(
        claim(number, schedule_start=schedule_start),
        reply,
        policy=policy,
        started_at=START,
        ended_at=START + SECOND,
        random=lambda: random,
        **options,
    )


# --- Planning ---------------------------------------------------------------------------------------------------------


def test_what_an_event_lacks_is_filled_in():
    """An id and a time; what it brings is kept, and so is everything else."""
    bare = complete(Event("a.b", {"x": 1}, tenant="acme"), now=START, new_id=numbered("evt_"))
    assert bare == Event("a.b", {"x": 1}, id="evt_1", occurred_at=START, tenant="acme")
    named = complete(Event("a.b", id="mine"), now=START, new_id=numbered("evt_"))
    assert (named.id, named.occurred_at) == ("mine", START)
    timed = complete(Event("a.b", occurred_at=START - DAY), now=START, new_id=numbered("evt_"))
    assert (timed.id, timed.occurred_at) == ("evt_1", START - DAY)
    assert complete(EVENT, now=START + DAY, new_id=numbered()) is EVENT


def test_a_plan_holds_the_event_and_a_delivery_each():
    """In the subscribers' order, each with an id of its own, and the profile's name pinned."""
    result = planned(EVENT, endpoint(id="whk_2"), endpoint(id="whk_1", profile="logto"))
    assert (result.event_id, result.event_type, result.tenant) == ("evt_1", "user.created", "acme")
    assert result.idempotency_key == "k1"
    assert [(one.delivery_id, one.endpoint_id, one.profile) for one in result.deliveries] == [
        ("dlv_1", "whk_2", "standard"),
        ("dlv_2", "whk_1", "logto"),
    ]


def test_without_subscribers_there_is_nothing_to_deliver():
    """The event is planned all the same: its idempotency key may have to be remembered."""
    assert planned(EVENT).deliveries == ()


def test_one_body_serves_every_webhook_of_a_profile():
    """It is one object, so that it is stored once."""
    webhooks = [endpoint(id=f"whk_{n}", profile="standard") for n in range(3)]
    first, *others = (one.body for one in planned(EVENT, *webhooks).deliveries)
    assert all(body is first for body in others)
    assert json.loads(first) == {"type": "user.created", "timestamp": "2026-01-01T12:00:00Z", "data": {"id": "u1"}}


def test_a_per_endpoint_format_has_a_body_each():
    """LOGTO's holds the webhook's id."""
    webhooks = [endpoint(id=f"whk_{n}", profile="logto") for n in range(3)]
    bodies = [json.loads(one.body) for one in planned(EVENT, *webhooks).deliveries]
    assert [body["hookId"] for body in bodies] == ["whk_0", "whk_1", "whk_2"]


def test_profiles_do_not_share_bodies():
    """Two profiles of the same bytes are still two; each webhook of a profile gets that profile's."""
    mine = attrs.evolve(STANDARD, name="mine")
    kinds = ["mine", "standard", "logto", "mine", "standard"]
    webhooks = [endpoint(id=f"whk_{n}", profile=kind) for n, kind in enumerate(kinds)]
    bodies = [one.body for one in planned(EVENT, *webhooks, profiles={**BUILTIN, "mine": mine}).deliveries]
    assert bodies[0] is bodies[3]
    assert bodies[1] is bodies[4]
    assert bodies[0] is not bodies[1]
    assert b"hookId" in bodies[2]


@pytest.mark.parametrize("profile", ["standard", "logto"])
def test_a_body_may_be_as_large_as_allowed(profile):
    """Up to the limit, to the byte; beyond it the error says how large, how large at most, and what to do."""
    webhook = endpoint(id="whk_1", profile=profile)
    size = len(planned(EVENT, webhook).deliveries[0].body)
    assert len(planned(EVENT, webhook, max_body=size).deliveries[0].body) == size
    with pytest.raises(PayloadError) as caught:
        planned(EVENT, webhook, max_body=size - 1)
    message = str(caught.value)
    expected = ("user.created", f"{size} bytes", f"at most {size - 1}", "max_body=", "Send an id")
    assert [part for part in expected if part not in message] == []
    assert "u1" not in message, "never the body itself"


# --- Samples ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("catalog", [None, Catalog(), Catalog(["known"])], ids=["none", "empty", "without it"])
@pytest.mark.parametrize("profile", [STANDARD, LOGTO], ids=lambda profile: profile.name)
def test_an_unknown_name_is_sampled_empty(catalog, profile):
    """It gets ``{}``, and the id, tenant and time that it is given."""
    event = sample("a.b", catalog, profile, event_id="evt_t", tenant="acme", at=START)
    assert event == Event("a.b", {}, id="evt_t", occurred_at=START, tenant="acme")


def test_a_known_name_has_its_sample():
    """The catalogue's example is the data."""
    catalog = Catalog([EventSpec("a.b", example={"id": "u1"})])
    assert sample("a.b", catalog, STANDARD, event_id="evt_t", tenant="", at=START).data == {"id": "u1"}


def test_a_flat_sample_is_split_where_the_context_is_sent():
    """Logto's samples are whole bodies: for LOGTO what is not data is context; STANDARD sends all of it as data."""
    spec = CATALOG["User.Created"]
    for profile in (STANDARD, LOGTO):
        event = sample("User.Created", CATALOG, profile, event_id="evt_t", tenant="", at=START)
        if profile is LOGTO:
            assert {**event.context, "data": event.data} == spec.example
        else:
            assert (event.data, event.context) == (spec.example, {})


# --- Preparing --------------------------------------------------------------------------------------------------------


def prepared(profile, *, body=BODY, at=START, event_id="evt_1", **fields):
    """Prepare an attempt to a webhook of this profile."""
    fields = {"profile": profile.name, "keys": LOGTO_KEY if profile.name == "logto" else KEY, **fields}
    return prepare(endpoint(**fields), profile, event_id=event_id, body=body, at=at)


def names(request):
    """Return the names of a request's headers, in order."""
    return [name for name, _ in request.headers]


def test_a_standard_request():
    """POST, the URL, the very bytes, the profile's deadline; our headers, then custom ones, then the signature."""
    request = prepared(STANDARD, headers={"X-Api-Key": "secret", "Authorization": "Bearer x"})
    assert (request.method, request.url) == ("POST", "https://receiver.example.com/webhooks")
    assert request.body is BODY
    assert request.deadline == 15 * SECOND
    assert request.headers[:6] == (
        ("content-type", "application/json"),
        ("user-agent", f"hookkit/{__version__}"),
        ("X-Api-Key", "secret"),
        ("Authorization", "Bearer x"),
        ("webhook-id", "evt_1"),
        ("webhook-timestamp", str(int(START.timestamp()))),
    )
    assert names(request)[6:] == ["webhook-signature"]


def test_a_logto_request():
    """Logto's one signature header, last; neither id nor timestamp."""
    request = prepared(LOGTO, headers={"X-Api-Key": "secret"})
    assert names(request) == ["content-type", "user-agent", "X-Api-Key", "logto-signature-sha-256"]
    assert request.deadline == 10 * SECOND
    assert request.body is BODY


@pytest.mark.parametrize(
    "body", [BODY, b" ", b"\xff\0not json", b"{}\n" * 1000], ids=["json", "blank", "bytes", "long"]
)
def test_what_is_sent_verifies(body):
    """With the receiver's own function, over the very bytes: in both profiles."""
    standard = prepared(STANDARD, body=body)
    verified = verify_signature(body, standard.headers, KEY, now=START)
    assert (verified.id, verified.timestamp, verified.body) == ("evt_1", START, body)
    logto = prepared(LOGTO, body=body)
    assert verify_signature(body, logto.headers, LOGTO_KEY, scheme=schemes.LOGTO, now=START).body == body
    for request, key, scheme in ((standard, KEY, schemes.STANDARD), (logto, LOGTO_KEY, schemes.LOGTO)):
        with pytest.raises(VerificationError):
            verify_signature(body + b" ", request.headers, key, scheme=scheme, now=START)


def test_each_attempt_is_signed_anew():
    """A retry has the id of the first attempt and a timestamp of its own, so that no receiver finds it stale."""
    first, second = (prepared(STANDARD, at=at) for at in (START, START + DAY))
    sent = [dict(request.headers) for request in (first, second)]
    assert sent[0]["webhook-id"] == sent[1]["webhook-id"]
    assert int(sent[1]["webhook-timestamp"]) - int(sent[0]["webhook-timestamp"]) == 86_400
    assert sent[0]["webhook-signature"] != sent[1]["webhook-signature"]
    assert verify_signature(second.body, second.headers, KEY, now=START + DAY).timestamp == START + DAY


def test_standard_signs_with_every_live_key():
    """So that a receiver with either verifies while keys are rotated; an expired one signs no more."""
    keys = (
        SigningKey(OTHER, created_at=START),
        SigningKey(KEY, expires_at=START + HOUR),
        SigningKey("whsec_" + "QUJD" * 11, expires_at=START),
    )
    during = prepared(STANDARD, keys=keys)
    assert len(dict(during.headers)["webhook-signature"].split()) == 2
    assert {verify_signature(BODY, during.headers, key, now=START).id for key in (KEY, OTHER)} == {"evt_1"}
    with pytest.raises(VerificationError, match="bad_signature"):
        verify_signature(BODY, during.headers, keys[2].value, now=START)
    later = prepared(STANDARD, keys=keys, at=START + HOUR)
    assert len(dict(later.headers)["webhook-signature"].split()) == 1
    with pytest.raises(VerificationError, match="bad_signature"):
        verify_signature(BODY, later.headers, KEY, now=START + HOUR)


def test_standard_signs_with_either_algorithm():
    """A ``whsk_`` key gives a v1a signature, which its public half verifies; beside an HMAC key each gives its own."""
    secret, public = new_ed25519_pair(lambda count: bytes(range(count)))
    request = prepared(STANDARD, keys=(secret, KEY))
    versions = [token.partition(",")[0] for token in dict(request.headers)["webhook-signature"].split()]
    assert versions == ["v1a", "v1"]
    assert {verify_signature(BODY, request.headers, key, now=START).id for key in (public, KEY)} == {"evt_1"}


def test_logto_signs_with_the_newest_live_key():
    """Its header has one slot; receivers take both keys before the rotation."""
    keys = (SigningKey("n" * 32, expires_at=START + HOUR), SigningKey(LOGTO_KEY))
    for at, signer, other in ((START, "n" * 32, LOGTO_KEY), (START + HOUR, LOGTO_KEY, "n" * 32)):
        request = prepared(LOGTO, keys=keys, at=at)
        assert verify_signature(BODY, request.headers, signer, scheme=schemes.LOGTO, now=at)
        with pytest.raises(VerificationError):
            verify_signature(BODY, request.headers, other, scheme=schemes.LOGTO, now=at)


@pytest.mark.parametrize(
    ("profile", "keys"),
    [
        (STANDARD, SigningKey(KEY, expires_at=START)),
        (LOGTO, SigningKey(LOGTO_KEY, expires_at=START)),
        (STANDARD, ()),
        (STANDARD, "no base64!"),
        (LOGTO, "whsk_" + "A" * 43 + "="),
    ],
)
def test_without_a_usable_key_nothing_is_prepared(profile, keys):
    """Expired, none, or of a kind that the scheme cannot use: an error, never an unsigned request."""
    with pytest.raises(InvalidKey):
        prepared(profile, keys=keys)


@pytest.mark.parametrize("profile", [STANDARD, LOGTO], ids=lambda profile: profile.name)
def test_a_body_that_the_store_has_lost_is_not_sent(profile):
    """No format makes an empty body; one that was signed would look like a message."""
    with pytest.raises(ValueError, match="payload is gone"):
        prepared(profile, body=b"")


@pytest.mark.parametrize("event_id", ["", "a.b", "a b", "é", "x" * 129])
def test_an_id_that_would_not_verify_is_refused(event_id):
    """Rather than sent in vain."""
    with pytest.raises(ValueError, match="id"):
        prepared(STANDARD, event_id=event_id)


@pytest.mark.parametrize("profile", [STANDARD, LOGTO], ids=lambda profile: profile.name)
@pytest.mark.parametrize("name", ["user-agent", "User-Agent", "USER-AGENT"])
def test_a_custom_user_agent_replaces_ours(profile, name):
    """In any case of its name, in both profiles; there is one then."""
    request = prepared(profile, headers={"x-first": "1", name: "acme/1.0"})
    assert [pair for pair in request.headers if pair[0].lower() == "user-agent"] == [(name, "acme/1.0")]


@pytest.mark.parametrize("name", ["content-type", "Content-Type"])
def test_a_custom_content_type_replaces_logtos_only(name):
    """Logto lets it be replaced; STANDARD's is JSON, whatever a store may hold."""
    custom = {name: "application/vnd.acme+json"}
    assert [value for key, value in prepared(LOGTO, headers=custom).headers if key.lower() == "content-type"] == [
        "application/vnd.acme+json"
    ]
    assert [pair for pair in prepared(STANDARD, headers=custom).headers if pair[0].lower() == "content-type"] == [
        ("content-type", "application/json")
    ]


def in_any_case(name):
    """Return a strategy for the spellings of `name`."""
    return st.tuples(*[st.sampled_from([char.lower(), char.upper()]) for char in name]).map("".join)


@pytest.mark.parametrize(
    ("profile", "key"), [(STANDARD, KEY), (LOGTO, LOGTO_KEY)], ids=lambda value: getattr(value, "name", "")
)
@given(data=st.data())
def test_what_is_reserved_stays_ours(profile, key, data):
    """Should a store, or a profile, hold a header that touches connection or signature: it is left out, in any case."""
    reserved = [*RESERVED, *profile.scheme.header_names, "proxy-x", "webhook-id", "webhook-x", "svix-id", "svix-"]
    custom = data.draw(st.lists(st.sampled_from(reserved).flatmap(in_any_case), max_size=12))
    replaceable = data.draw(st.sampled_from([profile.replaceable, {*custom, "user-agent"}]))
    lax = attrs.evolve(profile, replaceable=replaceable)
    request = prepared(lax, keys=key, headers={**dict.fromkeys(custom, "evil"), "x-mine": "1"})
    ours = ["content-type", "user-agent", "x-mine", *profile.scheme.header_names]
    assert sorted(names(request)) == sorted(ours)
    assert "evil" not in dict(request.headers).values()
    assert verify_signature(BODY, request.headers, key, scheme=profile.scheme, now=START).body == BODY


@given(
    st.dictionaries(st.sampled_from(["x-a", "user-agent", "content-type", "x-b"]).flatmap(in_any_case), st.just("v")),
    st.sampled_from([STANDARD, LOGTO]),
)
def test_no_header_is_sent_twice(custom, profile):
    """Should a store hold two spellings of one name, the first is sent."""
    sent = names(prepared(profile, headers=custom))
    assert len({name.lower() for name in sent}) == len(sent)
    first = {}
    for name in custom:
        first.setdefault(name.lower(), name)
    kept = [name for lower, name in first.items() if lower.startswith("x-") or lower in profile.replaceable]
    assert [name for name in sent if name in kept] == kept


def test_the_signature_covers_the_url_where_the_scheme_says_so():
    """A scheme that signs method and URL is given them."""
    scheme = schemes.HmacScheme("loud", "x-signature", signed="{method}\n{url}\n{body}")
    mine = attrs.evolve(STANDARD, name="mine", scheme=scheme)
    request = prepared(mine, keys="a key of its own")
    assert verify_signature(
        BODY, request.headers, "a key of its own", scheme=scheme, now=START, method="POST", url=request.url
    )


# --- The policy that counts -------------------------------------------------------------------------------------------


def test_a_webhooks_own_policy_replaces_its_profiles():
    """As a whole; without one the profile's counts."""
    mine = RetryPolicy([1])
    assert retry_policy(endpoint(retry=mine), STANDARD) is mine
    assert retry_policy(endpoint(), LOGTO) is LOGTO.retry
    empty = RetryPolicy([])
    assert retry_policy(endpoint(retry=empty), STANDARD) is empty


@pytest.mark.parametrize(
    ("delays", "number", "schedule_start", "spent"),
    [
        (0, 1, 0, False),
        (0, 2, 0, True),
        (3, 4, 0, False),
        (3, 5, 0, True),
        (3, 9, 5, False),
        (3, 10, 5, True),
        (9, 10, 0, False),
        (9, 11, 0, True),
    ],
)
def test_a_schedule_is_spent_by_lost_attempts_too(delays, number, schedule_start, spent):
    """An event that kills its worker every time is not tried for ever; after a recover it is counted anew."""
    policy = RetryPolicy([1] * delays)
    assert is_spent(claim(number, schedule_start=schedule_start), policy) is spent


def test_giving_up():
    """Nothing is sent and nothing counted: failed, ``exhausted``, with the attempts there were."""
    lost = tuple(Attempt(number, START, reason="lost") for number in (1, 2))
    result = give_up(claim(3, attempts=lost), now=START + DAY)
    assert (result.claim_id, result.attempt, result.state, result.due_at) == ("clm_1", None, "failed", None)
    assert (result.entry.reason, result.entry.attempts, result.entry.finished_at) == ("exhausted", lost, START + DAY)


# --- Leases -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lease", "profiles", "total_timeout", "enough"),
    [
        (16, [STANDARD], None, True),
        (15.9, [STANDARD], None, False),
        (16, [STANDARD, LOGTO], None, True),
        (15.9, [STANDARD, LOGTO], None, False),
        (15.9, [LOGTO, STANDARD], None, False),
        (11, [LOGTO], None, True),
        (10.9, [LOGTO], None, False),
        (6, [STANDARD, LOGTO], 5, True),
        (5.9, [STANDARD, LOGTO], 5, False),
        (16, [STANDARD], 60, True),
        (15.9, [STANDARD], 60, False),
        (1, [], None, True),
        (0.9, [], None, False),
    ],
)
def test_a_lease_outlasts_an_attempt(lease, profiles, total_timeout, enough):
    """The longest timeout, or the transport's if that is shorter, and a second to store the outcome."""
    timeout = None if total_timeout is None else total_timeout * SECOND
    if enough:
        check_lease(lease * SECOND, profiles, timeout)
        return
    with pytest.raises(ValueError, match="too short"):
        check_lease(lease * SECOND, profiles, timeout)


# --- Judging ----------------------------------------------------------------------------------------------------------

ONCE = RetryPolicy([])
QUIET = RetryPolicy([1], network_errors=False)
PICKY = RetryPolicy([1], statuses=[200, 410, 418])


def row(answer, policy, number, outcome, due=None, **options):
    """Return a row of the table: an answer, what counts, and the outcome as "state entry-reason attempt-reason"."""
    return pytest.param(answer, policy, number, outcome, due, options, id=f"{answer} {number} {outcome}")


TABLE = [
    # 2xx is success, whatever the policy, the number, or what the policy lists
    *(row(status, STANDARD.retry, 1, "succeeded - -") for status in (200, 201, 202, 204, 226, 299)),
    row(200, LOGTO.retry, 4, "succeeded - -"),
    row(200, STANDARD.retry, 10, "succeeded - -"),
    row(200, ONCE, 1, "succeeded - -"),
    row(200, PICKY, 1, "succeeded - -"),
    # 410 is the end, in every profile, even where the policy lists it
    *(row(410, policy, 1, "failed gone status") for policy in (STANDARD.retry, LOGTO.retry, ONCE, PICKY)),
    row(410, STANDARD.retry, 10, "failed gone status"),
    # STANDARD tries everything else again, nine times
    *(row(status, STANDARD.retry, 1, "pending - status", 5) for status in (100, 101, 199, 400, 401, 404, 408, 409)),
    *(row(status, STANDARD.retry, 1, "pending - status", 5) for status in (411, 422, 429, 500, 502, 503, 600, 999)),
    *(row(status, STANDARD.retry, 1, "pending - redirect", 5) for status in (300, 301, 302, 304, 307, 308, 399)),
    row(500, STANDARD.retry, 2, "pending - status", 300),
    row(500, STANDARD.retry, 9, "pending - status", 86_400),
    row(500, STANDARD.retry, 10, "failed exhausted status"),
    row(302, STANDARD.retry, 10, "failed exhausted redirect"),
    row("timeout", STANDARD.retry, 10, "failed exhausted timeout"),
    row(500, STANDARD.retry, 25, "failed exhausted status"),
    # LOGTO tries 500 and above again, three times; what else came is final
    row(500, LOGTO.retry, 1, "pending - status", 0.3),
    row(503, LOGTO.retry, 2, "pending - status", 0.6),
    row(999, LOGTO.retry, 3, "pending - status", 1.2),
    row(500, LOGTO.retry, 4, "failed exhausted status"),
    *(row(status, LOGTO.retry, 1, "failed - status") for status in (100, 400, 404, 408, 429, 499)),
    *(row(status, LOGTO.retry, 1, "failed - redirect") for status in (301, 302, 307)),
    # what brought no status
    *(
        row(reason, policy, 1, f"pending - {reason}", due)
        for policy, due in ((STANDARD.retry, 5), (LOGTO.retry, 0.3))
        for reason in ("dns", "connect", "timeout", "connection_lost", "protocol_error", "too_large", "tls_expired")
    ),
    row("timeout", QUIET, 1, "failed - timeout"),
    row("timeout", ONCE, 1, "failed exhausted timeout"),
    # a target refused by what DNS answered is tried again; one refused by its URL is not
    row("target_refused", STANDARD.retry, 1, "pending - target_refused", 5),
    row("target_refused", STANDARD.retry, 1, "failed - target_refused", refused=True),
    row("target_refused", LOGTO.retry, 1, "failed - target_refused", refused=True),
    # a host's own policy decides, and nothing beside it
    row(418, PICKY, 1, "pending - status", 1),
    row(500, PICKY, 1, "failed - status"),
    row("dns", PICKY, 1, "pending - dns", 1),
    row(500, ONCE, 1, "failed exhausted status"),
    # after a recover the schedule begins anew, while attempts are counted on
    row(500, LOGTO.retry, 11, "pending - status", 0.3, schedule_start=10),
    row(500, LOGTO.retry, 13, "pending - status", 1.2, schedule_start=10),
    row(500, LOGTO.retry, 14, "failed exhausted status", schedule_start=10),
]


def reply(answer, **fields):
    """Return the reply of this status, or of this reason without one."""
    if isinstance(answer, str):
        return Reply(None, reason=answer, **fields)
    return Reply(answer, reason="redirect" if 300 <= answer < 400 else "", **fields)


@pytest.mark.parametrize(("answer", "policy", "number", "outcome", "due", "options"), TABLE)
def test_what_becomes_of_an_attempt(answer, policy, number, outcome, due, options):
    """State, reason, and when it is tried again, for each status, policy and number of attempts."""
    result = judged(reply(answer), policy, number, **options)
    state, reason, said = ("" if word == "-" else word for word in outcome.split())
    assert (result.state, result.entry.reason, result.attempt.reason) == (state, reason, said)
    assert result.attempt.status == (None if isinstance(answer, str) else answer)
    assert result.due_at == (None if due is None else START + SECOND + due * SECOND)
    assert result.entry.next_attempt_at == result.due_at
    assert result.entry.finished_at == (None if state == "pending" else START + SECOND)


@given(
    st.none() | st.integers(100, 999),
    st.builds(
        RetryPolicy,
        st.lists(st.integers(0, 10), max_size=4),
        statuses=st.sampled_from([NOT_2XX, range(500, 600), range(100, 1000), (), (200, 410, 418)]),
        network_errors=st.booleans(),
    ),
    st.integers(1, 8),
    st.booleans(),
)
def test_any_attempt_ends_in_one_way(status, policy, number, refused):
    """Pending has a due time and no reason; the others have an end. Health reads the same attempt alike."""
    result = judged(reply("dns" if status is None else status), policy, number, refused=refused and status is None)
    assert result.state in {"pending", "succeeded", "failed"}
    assert (result.due_at is not None) == (result.state == "pending") == (result.entry.finished_at is None)
    assert result.due_at is None or result.due_at >= START + SECOND
    assert result.attempt.number == number
    assert (result.state == "succeeded") == (result.attempt.reason == "") == (classify(result.attempt) == "succeeded")
    assert (result.entry.reason == "gone") == (classify(result.attempt) == "gone") == (status == 410)
    if result.state == "pending":
        assert policy.retries(status)
        assert number <= len(policy.delays)


def test_a_settlement_is_whole():
    """The attempt, and the delivery's log entry with all the attempts before it."""
    earlier = (attempt(1, at=START - DAY, status=500), Attempt(2, START - HOUR, reason="lost"))
    headers = (("server", "acme"), ("x-request-id", "r1"))
    result = judge(
        claim(3, attempts=earlier),
        Reply(503, headers, b"busy", elapsed=0.25),
        policy=STANDARD.retry,
        started_at=START,
        ended_at=START + SECOND,
        random=lambda: 0.5,
    )
    made = Attempt(3, START, 0.25, 503, "status", headers, b"busy")
    due = START + SECOND + 30 * MINUTE * 1.05
    assert result == Settlement(
        "clm_1",
        made,
        "pending",
        due,
        LogEntry(
            delivery_id="dlv_1",
            event_id="evt_1",
            event_type="user.created",
            endpoint_id="whk_1",
            tenant="acme",
            state="pending",
            attempts=(*earlier, made),
            created_at=START,
            next_attempt_at=due,
            body=BODY,
        ),
    )


def test_a_claim_without_its_making_is_dated_by_its_end():
    """A host's own queue may not know when a delivery was made."""
    result = judge(
        attrs.evolve(claim(), created_at=None),
        Reply(200),
        policy=ONCE,
        started_at=START,
        ended_at=START + SECOND,
        random=lambda: 0.0,
    )
    assert result.entry.created_at == START + SECOND


@pytest.mark.parametrize("fields", [{"truncated": True}, {"body": b"x" * 70_000}, {"reason": "too_large"}])
def test_the_status_decides(fields):
    """Once a 2xx has come, a body that broke off or overflowed is still a success, and not sent twice."""
    result = judged(Reply(200, **fields))
    assert (result.state, result.attempt.reason, result.entry.reason) == ("succeeded", "", "")


@pytest.mark.parametrize(
    ("status", "reason"),
    [(199, "status"), (300, "redirect"), (302, "redirect"), (304, "redirect"), (399, "redirect"), (400, "status")],
)
def test_a_redirect_is_called_one(status, reason):
    """Even if a host's own transport leaves that to us."""
    assert judged(Reply(status)).attempt.reason == reason


# --- Retry-After ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["retry-after", "Retry-After", "RETRY-AFTER"])
@pytest.mark.parametrize("status", [429, 503, 404, 500, 302])
def test_what_the_receiver_asks_for_is_waited_for(name, status):
    """From any status that is tried again, from the end of the attempt on; the log shows what was asked."""
    result = judged(reply(status, headers=(("date", "x"), (name, "60"))))
    assert (result.due_at, result.attempt.retry_after) == (START + SECOND + MINUTE, MINUTE)


@pytest.mark.parametrize(
    ("headers", "hint", "wait"),
    [
        ((("retry-after", "2"),), 2 * SECOND, 5 * SECOND),
        ((("retry-after", "0"),), timedelta(0), 5 * SECOND),
        ((("retry-after", "999999"),), 999_999 * SECOND, DAY),
        ((("retry-after", "Thu, 01 Jan 2026 12:02:01 GMT"),), 2 * MINUTE, 2 * MINUTE),
        ((("retry-after", "Thu, 01 Jan 2026 11:00:00 GMT"),), timedelta(0), 5 * SECOND),
        ((("retry-after", "soon"),), None, 5 * SECOND),
        ((("retry-after", ""),), None, 5 * SECOND),
        ((("retry-after", "60"), ("Retry-After", "60")), None, 5 * SECOND),
        ((("x-retry-after", "60"),), None, 5 * SECOND),
        ((), None, 5 * SECOND),
    ],
)
def test_hints_are_read_strictly(headers, hint, wait):
    """The larger of schedule and hint, a day at most; what is unclear, or there twice, asks for nothing."""
    result = judged(Reply(503, headers))
    assert (result.attempt.retry_after, result.due_at) == (hint, START + SECOND + wait)


@pytest.mark.parametrize(
    ("answer", "policy"), [(200, STANDARD.retry), (410, STANDARD.retry), (404, LOGTO.retry), (500, ONCE)]
)
def test_a_hint_brings_no_retry_about(answer, policy):
    """Where nothing is tried again, asking does not change that; with a success it means nothing at all."""
    result = judged(reply(answer, headers=(("retry-after", "60"),)), policy)
    assert result.due_at is None
    assert result.attempt.retry_after == (None if answer == 200 else MINUTE)


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 200_000))
def test_never_before_what_was_asked(random, seconds):
    """Jitter only adds."""
    result = judged(Reply(503, (("retry-after", str(seconds)),)), random=random)
    wait = result.due_at - (START + SECOND)
    assert min(max(5, seconds), 86_400) <= wait / SECOND <= min(max(5, seconds), 86_400) * 1.1


# --- What the log keeps -----------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.text(max_size=40), st.text(max_size=400)), max_size=200)
    | st.lists(st.just(("x-flood", "y" * 60)), min_size=100, max_size=5000)
    | st.just([("x-long", "y" * 1_000_000)])
)
def test_response_headers_are_bounded(headers):
    """The first that fit: 64 of them, 8 KiB in all, however many came."""
    kept = judged(Reply(200, tuple(headers))).attempt.response_headers
    assert kept == tuple(headers)[: len(kept)]
    assert len(kept) <= 64
    size = sum(len(name) + len(value) for name, value in kept)
    assert size <= 8192
    if len(kept) < min(len(headers), 64):
        assert size + sum(map(len, headers[len(kept)])) > 8192


@pytest.mark.parametrize(("size", "kept"), [(8192, 2), (8193, 1)])
def test_response_headers_have_eight_kibibytes(size, kept):
    """Names and values together, to the character."""
    headers = (("x-a", "1"), ("x-long", "y" * (size - 10)), ("x-b", "2"))
    assert judged(Reply(200, headers)).attempt.response_headers == headers[:kept]


@pytest.mark.parametrize("name", ["set-cookie", "Set-Cookie", "SET-COOKIE", " set-cookie ", "Set-Cookie2"])
def test_cookies_are_not_kept(name):
    """They may be a session of somebody's; they crowd nothing out, either."""
    cookies = ((name, "session=T0PSECRET; HttpOnly"),) * 100
    rest = (("x-a", "1"), ("x-set-cookie", "2"), ("cookie-policy", "3"))
    assert judged(Reply(500, (*cookies, *rest, *cookies))).attempt.response_headers == rest


@pytest.mark.parametrize(("size", "kept"), [(0, 0), (16_384, 16_384), (16_385, 16_384), (1_000_000, 16_384)])
def test_response_bodies_are_bounded(size, kept):
    """16 KiB, as they came."""
    body = bytes(range(256)) * (size // 256 + 1)
    assert judged(Reply(500, body=body[:size])).attempt.response_body == body[:kept]


def test_a_hint_is_read_beyond_what_the_log_keeps():
    """A receiver behind a talkative proxy is still heard."""
    headers = (*[("x-flood", "y" * 60)] * 500, ("retry-after", "60"))
    assert judged(Reply(503, headers)).attempt.retry_after == MINUTE


def test_times_are_those_of_the_attempt():
    """It began when it was signed; the next one waits from its end, however long it took."""
    result = judge(
        claim(),
        Reply(None, reason="timeout", elapsed=15),
        policy=STANDARD.retry,
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        ended_at=datetime(2026, 1, 1, 0, 0, 15, tzinfo=UTC),
        random=lambda: 0.0,
    )
    assert (result.attempt.started_at, result.attempt.duration) == (datetime(2026, 1, 1, tzinfo=UTC), 15 * SECOND)
    assert result.due_at == datetime(2026, 1, 1, 0, 0, 20, tzinfo=UTC)

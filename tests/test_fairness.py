"""Fairness: who gets the next slots, and when an endpoint may be served again."""

from __future__ import annotations

from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit.fairness import NOTHING, Candidate, Limits, Line, Slots, allocate, enough, next_token_at, shares, tokens_at
from hookkit.testing.builders import endpoint
from hookkit.testing.clock import START
from hookkit.work import Claim, EndpointState
from hookkit.working import ASKS_ONCE

MICROSECOND, SECOND, MINUTE, HOUR, DAY = (
    timedelta(**{unit: 1}) for unit in ("microseconds", "seconds", "minutes", "hours", "days")
)
FREE = 1000  # a limit that bounds nothing here


def someone(name, room=1, *, busy=False, failing=False):
    """Return a candidate."""
    return Candidate(name, room, busy=busy, failing=failing)


def allocated(*candidates, limit=FREE, limit_busy=FREE, limit_failing=FREE):
    """Allocate slots to these candidates."""
    return allocate(candidates, limit=limit, limit_busy=limit_busy, limit_failing=limit_failing)


# --- Allocating -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("candidates", "limits", "slots"),
    [
        ([], {}, {}),
        ([someone("a", 3)], {}, {"a": 3}),
        ([someone("a", 3)], {"limit": 2}, {"a": 2}),
        ([someone("a", 3)], {"limit": 0}, {}),
        ([someone("a", 3)], {"limit": -1}, {}),
        ([someone("a", 0), someone("b", -1), someone("c")], {}, {"c": 1}),
        # every first before any second, in the order of the candidates
        ([someone("a", 9), someone("b", 9), someone("c", 9)], {"limit": 3}, {"a": 1, "b": 1, "c": 1}),
        ([someone("a", 9), someone("b", 1), someone("c", 9)], {"limit": 4}, {"a": 2, "b": 1, "c": 1}),
        ([someone("a", 9), someone("b", 1), someone("c", 9)], {"limit": 2}, {"a": 1, "b": 1}),
        ([someone("a", 9), someone("b", 2), someone("c", 9)], {"limit": 8}, {"a": 3, "b": 2, "c": 3}),
        # a second slot is one for a busy endpoint
        ([someone("a", 9), someone("b", 9)], {"limit_busy": 0}, {"a": 1, "b": 1}),
        ([someone("a", 9), someone("b", 9)], {"limit_busy": 3}, {"a": 3, "b": 2}),
        ([someone("a", 9, busy=True), someone("b", 9)], {"limit_busy": 0}, {"b": 1}),
        ([someone("a", 9, busy=True), someone("b", 9)], {"limit_busy": 1}, {"a": 1, "b": 1}),
        ([someone("a", 9, busy=True), someone("b", 9)], {"limit_busy": 2}, {"a": 2, "b": 1}),
        # failing ones are few
        (
            [someone("a", failing=True), someone("b", failing=True), someone("c")],
            {"limit_failing": 1},
            {"a": 1, "c": 1},
        ),
        ([someone("a", 9, failing=True), someone("b", 2)], {"limit_failing": 2}, {"a": 2, "b": 2}),
        ([someone("a", 9, failing=True), someone("b", 2)], {"limit_failing": 0}, {"b": 2}),
        ([someone("a", 2, busy=True, failing=True)], {"limit_failing": 0}, {}),
        ([someone("a", 2, busy=True, failing=True)], {"limit_busy": 0}, {}),
        # what one may not have is left to the next
        (
            [someone("a", 9, busy=True), someone("b", 9, failing=True), someone("c", 9)],
            {"limit": 3, "limit_busy": 0, "limit_failing": 0},
            {"c": 1},
        ),
    ],
)
def test_allocating(candidates, limits, slots):
    """Rounds of one slot each, until rooms or limits end it."""
    assert allocated(*candidates, **limits) == slots


rooms = st.tuples(st.integers(0, 6), st.booleans(), st.booleans())


@given(
    st.lists(rooms, max_size=12),
    st.integers(0, 40),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_any_allocation_is_fair_and_within_its_limits(parts, limit, limit_busy, limit_failing):
    """No limit is passed; no second comes before a possible first; and nothing is left that somebody could have had."""
    candidates = [Candidate(f"whk_{number}", *part) for number, part in enumerate(parts)]
    slots = allocate(candidates, limit=limit, limit_busy=limit_busy, limit_failing=limit_failing)
    by_id = {one.endpoint_id: one for one in candidates}
    assert all(0 < count <= by_id[name].room for name, count in slots.items())
    busy = sum(count if by_id[name].busy else count - 1 for name, count in slots.items())
    failing = sum(count for name, count in slots.items() if by_id[name].failing)
    assert sum(slots.values()) <= limit
    assert busy <= limit_busy
    assert failing <= limit_failing
    full = sum(slots.values()) == limit
    for one in candidates:
        count = slots.get(one.endpoint_id, 0)
        second = one.busy or count > 0
        if count < one.room:
            assert full or (second and busy == limit_busy) or (one.failing and failing == limit_failing)
    ready = [one.endpoint_id for one in candidates if one.room and not (one.busy or one.failing)]
    assert slots.keys() >= set(ready) or set(slots.values()) <= {1}, "nobody has a second while somebody lacks a first"


# --- The rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "tokens", "passed", "left"),
    [
        ((10, SECOND), 0.0, timedelta(0), 0.0),
        ((10, SECOND), 0.0, SECOND / 10, 1.0),
        ((10, SECOND), 0.0, SECOND, 10.0),
        ((10, SECOND), 9.5, SECOND, 10.0),
        ((10, SECOND), 0.0, 99 * DAY, 10.0),
        ((1, HOUR), 0.5, HOUR / 4, 0.75),
        ((1, HOUR), -1.0, HOUR, 0.0),
        ((10, SECOND), 3.0, -HOUR, 3.0),
    ],
)
def test_a_bucket_refills_evenly(rate, tokens, passed, left):
    """Never beyond what it holds; and a clock that was set back neither fills nor empties it."""
    assert tokens_at(rate, tokens, START, START + passed) == pytest.approx(left)


@pytest.mark.parametrize(
    ("rate", "tokens", "wait"),
    [
        ((10, SECOND), 0.0, SECOND / 10),
        ((10, SECOND), 0.5, SECOND / 20),
        ((1, HOUR), 0.0, HOUR),
        ((1, HOUR), -1.0, 2 * HOUR),
        ((1, HOUR), 1.0, timedelta(0)),
        ((5, HOUR), 4.0, timedelta(0)),
    ],
)
def test_when_there_is_a_token_again(rate, tokens, wait):
    """At once if there is one; else when it has refilled so far, and a microsecond, for what rounding took away."""
    assert next_token_at(rate, tokens, START) == START + wait + (MICROSECOND if wait else timedelta(0))


rates = st.tuples(st.integers(1, 1_000_000), st.timedeltas(timedelta(milliseconds=1), 366 * DAY))


@given(rates, st.floats(-3, 0.999999))
def test_a_claim_at_that_very_moment_finds_the_token(rate, tokens):
    """Rounding must not have a worker wake up for nothing, over and over."""
    at = next_token_at(rate, tokens, START)
    assert tokens_at(rate, tokens, START, at) >= 1


# --- A line -----------------------------------------------------------------------------------------------------------

HEALTHY = EndpointState("whk_1")
FAILING = attrs.evolve(HEALTHY, state="failing", consecutive_failures=5, probe_at=START + MINUTE, probe_delay=MINUTE)


def line(**fields):
    """Return an endpoint's standing."""
    return Line(**{"state": HEALTHY, **fields})


@pytest.mark.parametrize(
    ("fields", "most", "room"),
    [
        ({}, 4, 4),
        ({"in_flight": 1}, 4, 3),
        ({"in_flight": 4}, 4, 0),
        ({"in_flight": 9}, 4, 0),
        ({"held": True}, 4, 0),
        ({"state": attrs.evolve(HEALTHY, ramp=1)}, 4, 1),
        ({"state": attrs.evolve(HEALTHY, ramp=2), "in_flight": 1}, 4, 1),
        ({"state": attrs.evolve(HEALTHY, ramp=2), "in_flight": 2}, 4, 0),
        ({"state": attrs.evolve(HEALTHY, ramp=64)}, 4, 4),
        ({"state": attrs.evolve(HEALTHY, consecutive_failures=4)}, 4, 4),
    ],
)
def test_room_within_the_cap(fields, most, room):
    """The webhook's own cap, or the ramp's, less what is under way; nothing while its deliveries are held."""
    one = line(**fields)
    webhook = endpoint(max_in_flight=most)
    assert one.room(webhook, START) == room
    assert one.opens_at(webhook, START) == (START if room else None)


@pytest.mark.parametrize(
    ("now", "in_flight", "room", "opens"),
    [
        (START, 0, 0, START + MINUTE),
        (START + MINUTE - MICROSECOND, 0, 0, START + MINUTE),
        (START + MINUTE, 0, 1, START + MINUTE),
        (START + HOUR, 0, 1, START + HOUR),
        (START + HOUR, 1, 0, None),
        (START + HOUR, 3, 0, None),
    ],
)
def test_an_open_breaker_lets_one_probe_through(now, in_flight, room, opens):
    """From its time on, and only while nothing else is under way."""
    one = line(state=FAILING, in_flight=in_flight)
    assert one.opens_at(endpoint(), now) == opens
    assert one.room(endpoint(), now) == room


def test_a_lease_takes_a_place():
    """Without a rate, that is all it takes."""
    one = line()
    one.take(endpoint(), START)
    assert (one.in_flight, one.tokens, one.tokens_since) == (1, 0.0, None)


def test_a_candidate_says_what_matters():
    """Busy if it holds a lease; failing from the first failure on, long before the breaker opens."""
    assert line().candidate(3) == someone("whk_1", 3)
    assert line(in_flight=1).candidate(1) == someone("whk_1", busy=True)
    failed = attrs.evolve(HEALTHY, consecutive_failures=1)
    assert line(state=failed).candidate(2) == someone("whk_1", 2, failing=True)


def test_a_rate_is_a_bucket():
    """It is full at first; each lease takes a token; and without one nothing is served until there is."""
    webhook = endpoint(rate_limit=(2, 10), max_in_flight=9)
    one = line()
    assert one.room(webhook, START) == 2
    one.take(webhook, START)
    assert one.room(webhook, START) == 1
    one.take(webhook, START)
    assert (one.room(webhook, START), one.in_flight) == (0, 2)
    opens = one.opens_at(webhook, START)
    assert START + 5 * SECOND <= opens <= START + 5 * SECOND + MICROSECOND
    assert one.room(webhook, START + 4.9 * SECOND) == 0
    assert one.room(webhook, opens) == 1
    assert one.room(webhook, START + HOUR) == 2


def test_the_cap_bounds_what_the_rate_allows():
    """Whichever is less."""
    webhook = endpoint(rate_limit=(9, 1), max_in_flight=4)
    assert line(in_flight=1).room(webhook, START) == 3
    assert line(tokens=2.9, tokens_since=START).room(webhook, START) == 2


def test_a_probe_waits_for_the_rate_as_well():
    """Whichever comes later."""
    webhook = endpoint(rate_limit=(1, HOUR))
    one = line(state=FAILING, tokens=0.0, tokens_since=START)
    assert START + HOUR <= one.opens_at(webhook, START) <= START + HOUR + MICROSECOND
    soon = line(state=FAILING, tokens=0.999, tokens_since=START)
    assert soon.opens_at(webhook, START) == START + MINUTE


def test_a_delivery_made_out_of_turn_is_paid_for():
    """One that was sent whatever the rate said leaves a debt, and the next waits longer."""
    webhook = endpoint(rate_limit=(1, 60))
    one = line()
    one.take(webhook, START)
    one.take(webhook, START)
    assert START + 2 * MINUTE <= one.opens_at(webhook, START) <= START + 2 * MINUTE + MICROSECOND


def test_a_clock_that_was_set_back_gives_nothing_away():
    """Nothing refills until it has caught up: the other clock may be right. What there was is still there."""
    webhook = endpoint(rate_limit=(2, 10), max_in_flight=9)
    one = line()
    one.take(webhook, START)
    back = START - HOUR
    assert one.room(webhook, back) == 1
    one.take(webhook, back)
    assert one.room(webhook, back) == 0
    opens = one.opens_at(webhook, back)
    assert START + 5 * SECOND <= opens <= START + 5 * SECOND + MICROSECOND
    assert one.room(webhook, opens) == 1


@given(
    rates,
    st.lists(st.tuples(st.timedeltas(-MINUTE, HOUR), st.booleans()), max_size=30),
)
def test_a_rate_is_kept_whatever_the_clock_does(rate, steps):
    """In all that time no more is given than a full bucket and its refill; and when it opens, there is room."""
    webhook = endpoint(rate_limit=rate, max_in_flight=10_000)
    one, now, latest, given_out = line(), START, START, 0
    for moved, wants in steps:
        now += moved
        latest = max(latest, now)
        room = one.room(webhook, now)
        if wants and room:
            one.take(webhook, now)
            given_out += 1
        opens = one.opens_at(webhook, now)
        if opens is not None and opens > now:
            tried = attrs.evolve(one, tokens=one.tokens, tokens_since=one.tokens_since)
            assert tried.room(webhook, opens) >= 1
    count, per = rate
    assert given_out <= count + count * ((latest - START) / per) + 1e-6


# --- A worker's slots -------------------------------------------------------------------------------------------------


def claimed(name, **fields):
    """Return a claim."""
    return Claim(name, name, "evt_1", "a.b", b"", "standard", 1, endpoint(), **fields)


def taken(slots, lane, count, **fields):
    """Count so many claims in."""
    slots.take(lane, [claimed(f"{lane}{n}{fields}", **fields) for n in range(count)])
    return slots


@pytest.mark.parametrize(
    ("concurrency", "half", "fifth"),
    [(1, 1, 0), (2, 1, 0), (3, 2, 0), (4, 2, 0), (5, 3, 1), (9, 5, 1), (10, 5, 2), (32, 16, 6), (33, 17, 6)],
)
def test_an_idle_workers_limits(concurrency, half, fifth):
    """Half for busy and for failing endpoints; a fifth kept for retries, a fifth for the idle, a fifth for redoing."""
    slots = Slots(concurrency)
    assert slots.free == concurrency
    assert slots.limits("first") == Limits(concurrency - 2 * fifth, half, half)
    assert slots.limits("first", reserve=False) == Limits(concurrency, half, half)
    assert slots.limits("retry") == Limits(concurrency, half, half)
    assert slots.limits("recover") == Limits(max(fifth, 1), half, half)


@pytest.mark.parametrize(
    ("lane", "count", "firsts", "retries", "recovers"),
    [
        ("first", 8, 0, 2, 2),
        ("first", 9, 0, 1, 1),
        ("first", 10, 0, 0, 0),
        ("retry", 1, 6, 9, 2),
        ("retry", 2, 6, 8, 2),
        ("retry", 9, 1, 1, 1),
        ("recover", 1, 5, 9, 1),
        ("recover", 2, 4, 8, 0),
    ],
)
def test_what_is_under_way_counts(lane, count, firsts, retries, recovers):
    """Of ten slots two are kept for retries, and those that retries hold already count; redoing has two at most."""
    slots = taken(Slots(10), lane, count)
    assert slots.free == 10 - count
    assert slots.limits("first").limit == firsts
    assert slots.limits("retry").limit == retries
    assert slots.limits("recover").limit == recovers


def test_busy_and_failing_endpoints_have_half_each():
    """Whatever lane they came through; when they end, their part is free again."""
    slots = taken(Slots(10), "first", 2, busy=True)
    taken(slots, "retry", 1, busy=True, failing=True)
    taken(slots, "retry", 3, failing=True)
    assert slots.limits("retry") == Limits(4, 2, 1)
    for claim_id in list(slots.taken):
        slots.give(claim_id)
    assert slots.limits("retry") == Limits(10, 5, 5)


def test_the_last_fifth_is_for_endpoints_that_hold_no_lease():
    """What a claim leaves of it, the next one may take, but not for those that hold a lease."""
    assert taken(Slots(10), "first", 5).limits("first") == Limits(1, 5, 5)
    for count, left in ((6, 2), (7, 1), (8, 0)):
        assert taken(Slots(10), "first", count).limits("first") == Limits(left, 0, 5)
    assert taken(Slots(4), "first", 3).limits("first") == Limits(1, 2, 2), "a few slots cannot be divided so"


@pytest.mark.parametrize("hanging", [1, 5, 12, 20, 25])
def test_hanging_endpoints_leave_slots_to_others(hanging):
    """However deep their backlogs are, and though their caps together exceed the slots, who comes is served."""
    slots, held = Slots(32), dict.fromkeys(map(str, range(hanging)), 0)
    while True:
        limits = slots.limits("first")
        candidates = [someone(name, 4 - count, busy=count > 0) for name, count in held.items()]
        found = allocate(candidates, **limits._asdict())
        if not found:
            break
        for name, count in found.items():
            for _ in range(count):
                slots.take("first", [claimed(f"{name}-{held[name]}", busy=held[name] > 0)])
                held[name] += 1
    assert min(held.values()) >= 1
    assert allocate([someone("new", 1)], **slots.limits("first")._asdict()) == {"new": 1}


def test_more_than_half_is_nothing_left():
    """A limit is never negative."""
    slots = taken(Slots(4), "retry", 4, busy=True, failing=True)
    assert slots.limits("first") == slots.limits("retry") == slots.limits("recover") == Limits(0, 0, 0)


def test_a_claim_is_counted_once():
    """In and out; one that is not there is no matter."""
    slots = Slots(2)
    one = claimed("clm_1")
    slots.take("first", [one])
    slots.take("first", [one])
    assert slots.free == 1
    slots.give("clm_1")
    slots.give("clm_1")
    assert slots.free == 2


@given(
    rooms=st.lists(st.tuples(st.integers(1, 40), st.booleans(), st.booleans()), max_size=12),
    limits=st.tuples(*[st.integers(0, 40)] * 3),
)
def test_a_share_of_each_queue_is_enough(rooms, limits):
    """Where it says so, knowing more of the queues would change nothing; if not, the second share knows all."""
    bounds = dict(zip(("limit", "limit_busy", "limit_failing"), limits, strict=True))
    wanted = allocate([Candidate(str(n), *room) for n, room in enumerate(rooms)], **bounds)
    first, last = shares(bounds["limit"], len(rooms))
    slots = allocate([Candidate(str(n), min(room, first), *kind) for n, (room, *kind) in enumerate(rooms)], **bounds)
    if enough(slots, bounds["limit"], first):
        assert slots == wanted
    else:
        assert last == bounds["limit"]


def test_a_deep_queue_is_not_looked_at_to_its_end():
    """Fifty endpoints that could have a hundred each, and twenty slots: one of each is looked at."""
    first, _ = shares(20, 50)
    slots = allocate(
        [Candidate(str(n), first, busy=False, failing=False) for n in range(50)],
        limit=20,
        limit_busy=16,
        limit_failing=16,
    )
    assert (first, enough(slots, 20, first)) == (1, True)


@given(
    taken=st.lists(
        st.tuples(st.sampled_from(["first", "retry", "recover"]), st.booleans(), st.booleans()), max_size=10
    ),
    found=st.lists(st.tuples(st.booleans(), st.booleans()), max_size=8),
)
def test_a_lane_is_asked_again_only_if_its_bounds_ended_it(taken, found):
    """The bounds of each ask are those of the slots with everything before it counted in."""
    slots = Slots(10)
    for n, (lane, busy, failing) in enumerate(taken):
        slots.take(lane, [claimed(f"t{n}", busy=busy, failing=failing)])
    claims = [("first", claimed(f"f{n}", busy=busy, failing=failing)) for n, (busy, failing) in enumerate(found)]
    bounds = slots.bounds(ASKS_ONCE)
    before = slots.limits("first", reserve=True)
    assert bounds(0, []) == before
    assert bounds(1, claims) == slots.after(claims).limits("retry", reserve=False)
    again = bounds(3, claims)
    ended = before.bind([one for _, one in claims])
    assert again == (slots.after(claims).limits("first", reserve=False) if ended else NOTHING)
    assert len(slots.taken) == len(taken)

"""Who gets the next slots: plain functions that every store's claim decides by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import attrs

from hookkit.health import ramp_cap
from hookkit.work import EndpointState

if TYPE_CHECKING:
    from hookkit.model import Endpoint
    from hookkit.work import Claim, Lane

__all__ = [
    "NOTHING",
    "UNREADABLE_WAIT",
    "Ask",
    "Bounds",
    "Candidate",
    "Limits",
    "Line",
    "Slots",
    "allocate",
    "enough",
    "next_token_at",
    "shares",
    "tokens_at",
]

UNREADABLE_WAIT: Final = timedelta(minutes=1)
"""How long an endpoint waits whose secrets could not be read, before a claim looks at it again."""


@attrs.frozen
class Candidate:
    """An endpoint with something due.

    Args:
        endpoint_id: The endpoint.
        room: How many slots it could take: due deliveries, within its cap and its rate.
        busy: It holds a lease already.
        failing: Its last attempt failed.
    """

    endpoint_id: str
    room: int
    busy: bool
    failing: bool


def allocate(candidates: Sequence[Candidate], *, limit: int, limit_busy: int, limit_failing: int) -> dict[str, int]:
    """Return how many slots each endpoint gets.

    Slots are dealt in rounds, so every endpoint gets its first before any gets a second. A second slot goes to an
    endpoint that holds a lease (the first), so it counts as busy: hanging endpoints cannot fill a worker by being many
    and deep.

    Args:
        candidates: In the order in which they are served.
        limit: Slots in all.
        limit_busy: Slots for endpoints that hold a lease.
        limit_failing: Slots for endpoints whose last attempt failed.
    """
    slots: dict[str, int] = {}
    waiting = [candidate for candidate in candidates if candidate.room > 0]
    while waiting and limit > 0:
        granted: list[Candidate] = []
        for candidate in waiting:
            taken = slots.get(candidate.endpoint_id, 0)
            busy = candidate.busy or taken > 0
            if limit <= 0 or (busy and limit_busy <= 0) or (candidate.failing and limit_failing <= 0):
                continue
            slots[candidate.endpoint_id] = taken + 1
            limit -= 1
            limit_busy -= busy
            limit_failing -= candidate.failing
            if taken + 1 < candidate.room:
                granted.append(candidate)
        waiting = granted
    return slots


def shares(limit: int, endpoints: int) -> tuple[int, int]:
    """Return how many due deliveries of each endpoint to look at, at first, and if that was not :func:`enough`.

    Most of a deep queue need not be looked at: where all endpoints have enough for an equal share, nobody gets more.
    """
    return limit // max(endpoints, 1) + 1, limit


def enough(slots: Mapping[str, int], limit: int, share: int) -> bool:
    """Return whether :func:`allocate` would give the same, had it known of more than `share` for each endpoint."""
    return share >= limit or sum(slots.values()) >= limit or share not in slots.values()


def tokens_at(rate: tuple[int, timedelta], tokens: float, since: datetime, now: datetime) -> float:
    """Return the tokens in an endpoint's bucket: it holds `count` and refills evenly over `per`.

    Args:
        rate: ``(count, per)``, the endpoint's ``rate_limit``.
        tokens: The tokens at `since`.
        since: When they were counted.
        now: The time; before `since` (a clock that was set back) nothing is refilled.
    """
    count, per = rate
    gained = max((now - since) / per, 0.0) * count
    return min(tokens + gained, float(count))


def next_token_at(rate: tuple[int, timedelta], tokens: float, now: datetime) -> datetime:
    """Return when the bucket, holding `tokens` now, has a whole token."""
    count, per = rate
    missing = max(1.0 - tokens, 0.0)
    # Rounded up by a microsecond: a claim at that very instant must find the token.
    return now + per * (missing / count) + timedelta(microseconds=missing > 0)


@attrs.define(eq=False)
class Line:
    """An endpoint's standing in the queue: its health, its leases and its rate tokens.

    A store loads it, asks it, and saves it.

    Args:
        state: Its health.
        held: Its deliveries are held.
        in_flight: Unexpired leases, over all processes.
        tokens: Rate tokens at `tokens_since`.
        tokens_since: When they were counted; None: never, so the bucket is full.
        unreadable: Why its webhook's secrets cannot be read; "" if they can. It is not served then, and looked at again
            after a while: an operator's mistake is neither an attempt nor the endpoint's fault.
    """

    state: EndpointState
    held: bool = False
    in_flight: int = 0
    tokens: float = 0.0
    tokens_since: datetime | None = None
    unreadable: str = ""

    def candidate(self, due: int) -> Candidate:
        """Return it as a candidate with so many due deliveries, which are within its room."""
        return Candidate(
            self.state.endpoint_id, due, busy=self.in_flight > 0, failing=self.state.consecutive_failures > 0
        )

    def opens_at(self, endpoint: Endpoint, now: datetime) -> datetime | None:
        """Return from when on it may be served, at the earliest now; None: not before something else happens."""
        if self.held or self.in_flight >= ramp_cap(self.state, endpoint.max_in_flight):
            return None
        opens = now + UNREADABLE_WAIT if self.unreadable else now
        if self.state.probe_at is not None:
            opens = max(opens, self.state.probe_at)
        if endpoint.rate_limit is not None:
            tokens, since = self._refill(endpoint.rate_limit, now)
            if tokens < 1:
                opens = max(opens, next_token_at(endpoint.rate_limit, tokens, since))
        return opens

    def room(self, endpoint: Endpoint, now: datetime) -> int:
        """Return how many more leases it may have now."""
        opens = self.opens_at(endpoint, now)
        if opens is None or opens > now:
            return 0
        room = ramp_cap(self.state, endpoint.max_in_flight) - self.in_flight
        return room if endpoint.rate_limit is None else min(room, int(self.tokens))

    def take(self, endpoint: Endpoint, now: datetime) -> None:
        """Count one lease given, and its rate token."""
        self.in_flight += 1
        if endpoint.rate_limit is not None:
            self.tokens = self._refill(endpoint.rate_limit, now)[0] - 1

    def release(self) -> None:
        """Let go of what is held, and forget its failures: it is served as a new one, and its log stays true."""
        self.held = False
        self.state = EndpointState(
            self.state.endpoint_id,
            self.state.tenant,
            last_success_at=self.state.last_success_at,
            last_failure_at=self.state.last_failure_at,
        )

    def _refill(self, rate: tuple[int, timedelta], now: datetime) -> tuple[float, datetime]:
        """Return the tokens, and as of when: after `now` where the clock was set back."""
        since = self.tokens_since
        self.tokens = float(rate[0]) if since is None else tokens_at(rate, self.tokens, since, now)
        self.tokens_since = now if since is None else max(now, since)
        return self.tokens, self.tokens_since


class Limits(NamedTuple):
    """The bounds of one claim."""

    limit: int
    limit_busy: int
    limit_failing: int

    def bind(self, claims: Sequence[Claim]) -> bool:
        """Return whether these claims are all that there may be, so that there could be more to claim."""
        return (
            len(claims) >= self.limit
            or sum(one.busy for one in claims) >= self.limit_busy
            or sum(one.failing for one in claims) >= self.limit_failing
        )


NOTHING: Final = Limits(0, 0, 0)


class Ask(NamedTuple):
    """What a worker asks of its queue: claims of one lane."""

    lane: Lane
    reserve: bool = False
    """Keep slots for retries, and for endpoints that hold no lease."""


Bounds: TypeAlias = "Callable[[int, Sequence[tuple[Lane, Claim]]], Limits]"
"""Returns the bounds of one claim of several: of which, and what those before it have claimed."""


@attrs.define(eq=False)
class Slots:
    """A worker's slots: how many it has, and what they are used for.

    Half of them, rounded up, may go to endpoints that hold a lease already, and half to endpoints whose last attempt
    failed. A fifth is kept for retries, so that a flood of new events cannot stop them. The last fifth that first
    attempts may have goes to endpoints that hold no lease, so that some that hang cannot stop the others: what a claim
    leaves of it, the next one may take. Redeliveries and recoveries never get more than a fifth (at least one), so that
    they cannot stop anything.

    Args:
        concurrency: How many slots there are.
    """

    concurrency: int
    taken: dict[str, tuple[Lane, Claim]] = attrs.field(factory=dict)

    @property
    def free(self) -> int:
        """How many slots are free."""
        return self.concurrency - len(self.taken)

    def limits(self, lane: Lane, *, reserve: bool = True) -> Limits:
        """Return the bounds for the next claim of a lane.

        Args:
            lane: The lane.
            reserve: Keep slots for retries, and for endpoints that hold no lease.
        """
        half = (self.concurrency + 1) // 2
        fifth = self.concurrency // 5
        claims = [claim for _, claim in self.taken.values()]
        limit, busy = self.free, half - sum(claim.busy for claim in claims)
        if lane == "first" and reserve:
            limit -= max(fifth - self._count("retry"), 0)
            # First slots of many endpoints that hang, and second ones up to a half, could be all there are together.
            limit, busy = (limit - fifth, busy) if limit > fifth else (limit, busy if fifth == 0 else 0)
        elif lane == "recover":
            limit = min(limit, max(fifth, 1) - self._count("recover"))
        return Limits(max(limit, 0), max(busy, 0), max(half - sum(claim.failing for claim in claims), 0))

    def take(self, lane: Lane, claims: Sequence[Claim]) -> None:
        """Count claims in."""
        self.taken |= {claim.claim_id: (lane, claim) for claim in claims}

    def after(self, claims: Sequence[tuple[Lane, Claim]]) -> Slots:
        """Return what they would be with these claims counted in."""
        counted: dict[str, tuple[Lane, Claim]] = {claim.claim_id: (lane, claim) for lane, claim in claims}
        return Slots(self.concurrency, self.taken | counted)

    def bounds(self, asks: Sequence[Ask]) -> Bounds:
        """Return the bounds of several claims, one after another.

        A lane that is asked for again is asked only if its bounds were what ended it before.
        """

        def bounds(place: int, claims: Sequence[tuple[Lane, Claim]]) -> Limits:
            lane, reserve = asks[place]
            earlier = [before for before, ask in enumerate(asks[:place]) if ask.lane == lane]
            if earlier:
                others = {ask.lane for ask in asks[: earlier[-1]]}
                before = asks[earlier[-1]]
                limits = self.after([one for one in claims if one[0] in others]).limits(lane, reserve=before.reserve)
                if not limits.bind([claim for own, claim in claims if own == lane]):
                    return NOTHING
            return self.after(claims).limits(lane, reserve=reserve)

        return bounds

    def give(self, claim_id: str) -> None:
        """Count a claim out."""
        self.taken.pop(claim_id, None)

    def _count(self, lane: Lane) -> int:
        return sum(one == lane for one, _ in self.taken.values())

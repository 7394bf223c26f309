"""Handing deliveries to workers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol, Unpack

if TYPE_CHECKING:
    from hookkit.fairness import Ask, Slots
    from hookkit.model import DeliveryState
    from hookkit.work import Claim, ClaimOptions, HealthStep, Lane, Settled, Settlement

__all__ = ["DeliveryQueue", "HandoverQueue", "LanesQueue"]


class DeliveryQueue(Protocol):
    """Hands deliveries to workers, one lease at a time, and takes the outcomes back.

    A delivery is ``pending``, ``leased``, ``held``, ``succeeded`` or ``failed``. Whatever would become pending becomes
    ``held`` instead while its webhook is disabled or on hold (see :meth:`hold`), and failed with the reason ``removed``
    if its webhook is gone.

    A lease has run out once `now` has reached its end. The next of these calls that needs to know finds it: it is
    stored as an attempt with the reason ``lost`` that began when the lease was given and ended when it was found, the
    delivery is due at once in the lane ``retry`` (in ``recover`` if it was there), and the endpoint's health does not
    change.
    """

    def claim(
        self,
        *,
        now: datetime,
        lane: Lane,
        limit: int,
        limit_busy: int,
        limit_failing: int,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[Claim]:
        """Lease due deliveries of one lane to `owner`, each to one caller only. Counts the attempt.

        Lanes: ``first`` holds deliveries never attempted, ``retry`` those that were, ``recover`` what
        :meth:`redeliver` and :meth:`recover` asked for.

        Claimable is a pending delivery of the lane whose due time has come, whose profile is in `profiles`, and whose
        endpoint is not disabled, holds fewer unexpired leases over all processes than its cap (``max_in_flight``, or
        less while its ``ramp`` bounds it), has a token of its rate limit left, and, while its breaker is open, has
        reached its ``probe_at`` and holds no lease at all. Every lease spends a token, for good. A webhook whose
        secrets do not open is not served: its deliveries wait, unattempted, and are looked at again after a while.

        What is not claimable costs the claim nothing: the limits count what is leased, not what was looked at.
        Endpoints are served in the order of their earliest due delivery; each gets its first slot before any gets a
        second, and within an endpoint the earliest due goes first. What is returned is in no particular order.

        Args:
            now: The time; leases end at ``now + lease``.
            lane: Which lane.
            limit: Lease at most so many.
            limit_busy: At most so many of them to endpoints that hold a lease already, those given earlier in this same
                claim included.
            limit_failing: At most so many of them to endpoints whose last attempt failed.
            lease: How long.
            owner: A name for this worker, for people who look.
            profiles: The names of the profiles that this worker knows.
        """
        ...

    def claim_one(self, delivery_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim:
        """Lease this delivery, whatever due time, lane, cap, rate and breaker say. Counts the attempt, and the token.

        Raises:
            StoreError: It is leased already, held, or finished; or its webhook's secrets do not open.
            NotFound: There is no such delivery.
        """
        ...

    def extend(self, claim_ids: Collection[str], *, now: datetime, lease: timedelta) -> set[str]:
        """Make the leases end at ``now + lease``; return the claim ids still held. A stale one changes nothing."""
        ...

    def give_back(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """Make the deliveries pending again, due at `now` in the lane they came from, the attempt uncounted.

        Return the claim ids that were still held. A stale one changes nothing.
        """
        ...

    def settle(self, done: Sequence[Settlement], *, now: datetime, step: HealthStep) -> list[Settled]:
        """Store outcomes: attempt, delivery and endpoint health in one transaction; return one Settled each, in order.

        For each settlement whose claim is still held: append its attempt (if it has none, uncount the claim's and leave
        the endpoint's state alone); set the delivery's state and due time (a pending one goes to the lane ``retry``,
        even if it was never attempted, or stays in ``recover`` if it came from there; any other has finished at `now`,
        for the entry's reason); release the lease; and replace the endpoint's state by what ``step(state, attempt,
        now)`` returns, unless its webhook is gone. Endpoints are taken in the order of their ids, so that two processes
        cannot deadlock; outcomes of one endpoint in the order given. If the new state is ``disabled``, the webhook
        becomes disabled with that reason and its deliveries are held.

        The state of an endpoint whose webhook is disabled, by whomever, is ``disabled`` with the webhook's reason: a
        late outcome counts, but neither opens a breaker nor changes the reason.

        A stale claim id (its lease ran out, or another worker has the delivery) changes nothing at all.

        Args:
            done: Outcomes; each claim id once.
            now: The time.
            step: The pure health table.
        """
        ...

    def hold(self, endpoint_id: str, *, now: datetime) -> None:
        """Hold the endpoint's pending deliveries, and those to come, until :meth:`release`. It may be repeated.

        The webhook and its health stay as they are. A webhook added later under the same id is not on hold.
        """
        ...

    def release(self, endpoint_id: str, *, now: datetime, drop: bool = False) -> None:
        """Make the endpoint's held deliveries pending and due now; with `drop`, failed with the reason ``dropped``.

        The endpoint's health starts afresh, but for when it last succeeded and failed. Repeating it is harmless. While
        the webhook itself is disabled, it changes nothing.
        """
        ...

    def fail_pending(self, endpoint_id: str, *, reason: str, now: datetime) -> None:
        """Make the endpoint's pending and held deliveries failed with `reason`. Leased ones are left to settle."""
        ...

    def redeliver(self, delivery_id: str, *, now: datetime) -> str:
        """Make a new delivery of the same event, bytes, endpoint and profile, in the lane ``recover``; return its id.

        Raises:
            NotFound: There is no such delivery, or its webhook is gone.
            StoreError: Its payload is no longer kept.
        """
        ...

    def recover(
        self,
        endpoint_id: str,
        *,
        since: datetime,
        until: datetime,
        states: Collection[DeliveryState],
        now: datetime,
        dry_run: bool,
    ) -> int:
        """Make finished deliveries pending again, due now in the lane ``recover``, and return how many.

        The same deliveries and log entries, with the retry schedule restarted. Taken are those in `states` (``failed``,
        ``succeeded``) whose last attempt (or, without one, their making) lies in ``[since, until]`` and whose payload
        is still kept. Repeating it after a crash goes on where it stopped. With `dry_run` it only counts.
        """
        ...

    def next_due(self, *, now: datetime) -> datetime | None:
        """Return when a claim could next find something (or find a lease run out), None if never as things stand.

        At or before `now` means: at once. It is a hint, cheap enough to ask often: a claim made then may come back
        empty.
        """
        ...

    def expire_held(self, *, before: datetime, now: datetime, limit: int) -> int:
        """Give up at most `limit` held deliveries that were made before `before`; return how many.

        They become failed with the reason ``expired``.
        """
        ...

    def ended(self, *, since: datetime) -> list[str]:
        """Return the ids of deliveries that failed at `since` or later without a settlement that said so.

        Their reason tells them: it is neither empty nor one of :data:`hookkit.work.SETTLED_REASONS`, but ``dropped``,
        ``removed``, ``expired``, or what :meth:`fail_pending` was given. One that is pending again, or that
        :meth:`LogStore.prune` has deleted, is not among them. The order does not matter. (A log that is kept elsewhere
        hears of settlements only: the shells tell it of these.)
        """
        ...


class LanesQueue(DeliveryQueue, Protocol):
    """A queue that can claim from several lanes at once. Optional; the shipped stores have it, and a worker uses it.

    It is for speed alone: one look, and one transaction, where there would be one for each lane.
    """

    def claim_lanes(
        self,
        *,
        now: datetime,
        asks: Sequence[Ask],
        slots: Slots,
        lease: timedelta,
        owner: str,
        profiles: Collection[str],
    ) -> list[tuple[Lane, Claim]]:
        """Claim as :meth:`~DeliveryQueue.claim` would, once for each of `asks`, in order: all of it, or nothing.

        The bounds of each are those that ``slots.bounds(asks)`` returns for its place, given what was claimed before
        it; a claim whose ``limit`` is 0 is left out. `slots` is not changed, and may be asked again.

        Args:
            now: The time; leases end at ``now + lease``.
            asks: Which lanes.
            slots: The worker's slots.
            lease: How long.
            owner: A name for this worker, for people who look.
            profiles: The names of the profiles that this worker knows.

        Returns:
            The claims, each with its lane, in the order of `asks`.
        """
        ...


class HandoverQueue(DeliveryQueue, Protocol):
    """A queue that can hand deliveries to an engine: what a relay needs. Optional; the shipped stores have it.

    An **offer** is a lease that nobody works on yet. It counts as a lease wherever leases count, and differs in two
    ways: its claim id begins with ``off_``, and when it runs out nothing is lost: it is as if it had been given back.
    So an offer may be forgotten by whoever was told of it, at the price of time. Like any claim id, an offer's can be
    given to :meth:`~DeliveryQueue.extend`, :meth:`~DeliveryQueue.give_back` and :meth:`~DeliveryQueue.settle`.
    """

    def offer(self, **options: Unpack[ClaimOptions]) -> list[Claim]:
        """As :meth:`~DeliveryQueue.claim`, with offers in place of leases."""
        ...

    def take(self, offer_id: str, *, now: datetime, lease: timedelta, owner: str) -> Claim | None:
        """Make an offer a lease of `owner`'s, which begins now; return None if it is no offer that still stands.

        Each offer is taken by one caller only. From then on the claim id begins with ``clm_`` where it began with
        ``off_`` (:func:`hookkit.work.taken_id`), and the offer's is stale. The attempt was counted by the offer.

        An offer whose webhook is disabled, on hold or gone meanwhile, or whose secrets do not open, is given back, and
        None returned.
        """
        ...

    def outstanding(self, claim_ids: Collection[str], *, now: datetime) -> set[str]:
        """Return those of these claim ids that are still held, and change nothing. Cheap enough to ask often."""
        ...

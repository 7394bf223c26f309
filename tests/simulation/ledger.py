"""The model beside the system: what was promised to whom, and the rules that nothing may break.

It hears of every call on the store at the moment the call takes effect (whether or not its caller ever learns of that),
of every request at the moment it leaves, and of every arrival; and it knows what emitters were told. After each it
compares what the store's rows were with what they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

import attrs
from moves import FINISHED, MOVES, REAPING, REASONS
from rows import Row, Seen

from hookkit import Emission, Endpoint, Reply, Request, RetryPolicy, VerificationError, verify_signature
from hookkit.profiles import BUILTIN
from hookkit.stores.sql import to_us
from hookkit.work import Claim, Settled, Settlement

US = timedelta(microseconds=1)

__all__ = ["Broken", "Ledger", "Sent", "short"]


class Broken(AssertionError):
    """A rule was broken.

    Args:
        rule: Which one.
        what: How.
    """

    def __init__(self, rule: str, what: str) -> None:
        super().__init__(f"{rule}: {what}")
        self.rule = rule


def short(text: str) -> str:
    """Return an id as people can tell it from others: ids are counted in a simulation, so they are mostly zeros."""
    prefix, _, number = text.partition("_")
    return f"{prefix}_{number.lstrip('0')}"


@attrs.define(eq=False)
class Sent:
    """A claim, from the moment it was given."""

    claim: Claim
    owner: object
    keys: tuple[Any, ...]
    sent: bool = False
    reply: Reply | None = None
    replied_at: datetime | None = None
    jumps: int = 0


@attrs.define(eq=False)
class Told:
    """An event, as its emitter knows it.

    Attributes:
        owner: The emitter's process.
        state: ``open`` (being stored: it may or may not exist), ``uncommitted``, ``committed`` or ``rolled back``.
        subscribers: The endpoints that existed when it was first emitted.
        emission: What the emitter was told.
        busy: The emitter is still at it.
    """

    owner: object
    state: str
    subscribers: frozenset[str]
    emission: Emission | None = None
    busy: bool = True


class Ledger:
    """The model and its rules.

    Args:
        read: Reads the store's rows.
        wall: The wall clock.
    """

    def __init__(self, read: Callable[..., Seen], wall: Callable[[], datetime]) -> None:
        self.broken: Broken | None = None
        self.seen = read()
        self.jumps = 0
        self.told: dict[int, Told] = {}
        self.claims: dict[str, Sent] = {}
        self.webhooks: dict[str, Endpoint] = {}
        self.accepted: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.sends: defaultdict[tuple[str, int], int] = defaultdict(int)  # by delivery, and where its schedule began
        self.allowed: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.uncounted: defaultdict[tuple[str, int], int] = defaultdict(int)
        self.policies: dict[str, RetryPolicy] = {}
        self.again: set[str] = set()
        self.event_ids: dict[int, str] = {}
        self.bodies: dict[str, bytes] = {}
        self._read = read
        self._wall = wall
        self._not_before: dict[str, datetime] = {}
        self._leases: defaultdict[str, list[int]] = defaultdict(list)  # when an endpoint got some, since the last jump

    def breaks(self, rule: str, what: str) -> None:
        """Remember the first rule that was broken. It is raised by the scheduler: here somebody might catch it."""
        self.broken = self.broken or Broken(rule, what)

    def check(self, rule: str, holds: object, *what: object) -> None:
        """Remember that `rule` is broken, unless it holds."""
        if not holds:
            self.breaks(rule, " ".join(short(str(one)) if "_0" in str(one) else str(one) for one in what))

    # --- The store ----------------------------------------------------------------------------------------------------

    def effect(self, owner: object, name: str, args: tuple[Any, ...], options: dict[str, Any], outcome: Any) -> None:
        """Compare the rows before and after a call that has just taken effect."""
        before, after = self.seen, self._read(idle=name == "claim" and not outcome)
        self.seen = after
        if after is before and not outcome:
            return  # nothing was committed, and nobody was told that it was
        now = to_us(options["now"]) if "now" in options else to_us(self._wall())
        if name in ("add_webhook", "update_webhook", "remove_webhook"):
            self._webhook(name, args, outcome)
        elif name in ("claim", "claim_one") and outcome is not None:
            claims = outcome if name == "claim" else [outcome]
            self._claimed(owner, claims, before, after, now, options, forced=name == "claim_one")
        elif name == "settle" and outcome is not None:
            self._settled(args[0], outcome, before, after, now)
        elif name == "give_back":
            self._given_back(outcome or ())
        for delivery_id, row in after.rows.items():
            was = before.rows.get(delivery_id)
            if was is not row:
                self._moved(name, was, row, now, dropping=options.get("held") == "drop")
        self.check("nothing disappears", before.rows.keys() <= after.rows.keys() or name == "prune", name)
        self._structure(before, after)

    def _webhook(self, name: str, args: tuple[Any, ...], outcome: Any) -> None:
        if name == "add_webhook":
            self.webhooks[args[0].id] = args[0]
        elif name == "remove_webhook" and args[0] not in self.seen.standings:
            self.webhooks.pop(args[0], None)
        elif outcome is not None:
            self.webhooks[outcome.id] = outcome

    def _claimed(
        self,
        owner: object,
        claims: list[Claim],
        before: Seen,
        after: Seen,
        now: int,
        options: dict[str, Any],
        *,
        forced: bool,
    ) -> None:
        for claim in claims:
            if claim.delivery_id not in before.rows:
                self.breaks("every move has its reason", f"{short(claim.delivery_id)} was stored by nobody")
                continue
            was, row = before.rows[claim.delivery_id], after.rows[claim.delivery_id]
            lost = was.state == "leased"
            known = self.webhooks[claim.endpoint.id]
            name = claim.delivery_id
            self.check("a claim is a lease", row.claim_id == claim.claim_id and row.state == "leased", name)
            self.check("a claim is a lease", claim.claim_id not in self.claims, name, "a claim id twice")
            self.check("a claim is a lease", row.lease_until == now + options["lease"] // US, name)
            self.check("attempts are counted", claim.attempt_number == row.counted, name)
            self.check("bytes never change", claim.body == self.bodies.setdefault(name, claim.body), name)
            self.check("the webhook as it is now", claim.endpoint.keys == known.keys, name)
            self.check("the webhook as it is now", claim.endpoint.url == known.url, name)
            if not forced:
                self.check("never early", lost or (was.due_at or 0) <= now, name, "is not due")
                early = self._not_before.get(name)
                self.check("never early", lost or early is None or to_us(early) <= now, name, "before its schedule")
            self._not_before.pop(name, None)
            self.claims[claim.claim_id] = Sent(claim, owner, known.keys)
            policy = self.policies[name] = claim.endpoint.retry or BUILTIN[claim.profile].retry
            self._rated(claim.endpoint, now, forced=forced)
            schedule = (name, claim.schedule_start)
            self.allowed[schedule] = max(self.allowed[schedule], len(policy.delays) + 1)
        if forced:
            return
        for endpoint_id in {claim.endpoint.id for claim in claims}:
            standing = after.standings[endpoint_id]
            held = sum(
                row.endpoint_id == endpoint_id and row.state == "leased" and (row.lease_until or 0) > now
                for row in after.rows.values()
            )
            self.check("at most max_in_flight", held <= standing.cap, endpoint_id, f"has {held} leases")
            self.check("one probe at a time", standing.state != "failing" or held == 1, endpoint_id)
            self.check("nothing to a disabled webhook", standing.enabled and not standing.held, endpoint_id)

    def _rated(self, endpoint: Endpoint, now: int, *, forced: bool) -> None:
        """Check an endpoint's rate: in any span of time that ends now it got what it saved up, and what came in."""
        if endpoint.rate_limit is None:
            return
        leases, (most, per) = self._leases[endpoint.id], endpoint.rate_limit
        leases.append(now)
        latest = max(*leases, to_us(self._wall()))  # a slow call may take what came in, as others saw, since it began
        for index, first in enumerate(leases if not forced else ()):
            bound = most + (latest - first) * US / per * most
            self.check("within its rate", len(leases) - index <= bound + 0.001, endpoint.id, f"{len(leases) - index}")

    def jumped(self) -> None:
        """Note that the wall clock was set: what was reckoned by it before is not comparable any more."""
        self.jumps += 1
        self._leases.clear()

    def _settled(
        self, done: Iterable[Settlement], outcome: Iterable[Settled], before: Seen, after: Seen, now: int
    ) -> None:
        for settlement, settled in zip(done, outcome, strict=True):
            name = settlement.entry.delivery_id
            was, row = before.rows[name], after.rows[name]
            valid = was.claim_id == settlement.claim_id and (was.lease_until or 0) > now
            self.check("a stale worker never wins", settled.applied == valid, name, f"applied: {settled.applied}")
            sent = self.claims[settlement.claim_id]
            if not valid:
                continue
            gone = row.endpoint_id not in after.standings
            wanted = {settlement.state}
            if settlement.state == "pending":
                wanted = {"failed"} if gone else {"pending", "held"}
            self.check("an outcome is stored", row.state in wanted, name, f"{row.state}, not {settlement.state}")
            self.check("an outcome is stored", row.claim_id is None, name)
            added = settlement.attempt is not None
            self.check("the log has every attempt once", row.attempts == was.attempts + added, name)
            if settlement.attempt is not None and sent.reply is not None:
                self._answered(settlement, sent)

    def _answered(self, settlement: Settlement, sent: Sent) -> None:
        """Compare an outcome with what the receiver had said."""
        attempt, reply, claim, name = settlement.attempt, sent.reply, sent.claim, settlement.entry.delivery_id
        if attempt is None or reply is None or sent.replied_at is None:
            return
        self.check("the log says what happened", attempt.status == reply.status, name)
        accepted = reply.status is not None and 200 <= reply.status < 300
        self.check("the log says what happened", accepted == (settlement.state == "succeeded"), name)
        policy = claim.endpoint.retry or BUILTIN[claim.profile].retry
        if settlement.state == "pending" and sent.jumps == self.jumps:
            wait = policy.delays[claim.attempt_number - claim.schedule_start - 1]
            wait = min(max(wait, hint_of(reply, sent.replied_at)), policy.max_delay)
            self._not_before[name] = sent.replied_at + wait

    def _given_back(self, claim_ids: Iterable[str]) -> None:
        for claim_id in claim_ids:
            sent = self.claims[claim_id]
            # Given back uncounted, though it may have been sent.
            self.uncounted[sent.claim.delivery_id, sent.claim.schedule_start] += sent.sent
            self.again.add(sent.claim.delivery_id)

    def _moved(self, name: str, was: Row | None, row: Row, now: int, *, dropping: bool) -> None:
        if was is None:
            self.check("every move has its reason", name in MOVES.get(("none", row.state), ()), row.id, name, row.state)
            return
        lost = was.claim_id is not None and was.claim_id != row.claim_id and (was.lease_until or 0) <= now
        if lost:
            self.check("every move has its reason", name in REAPING, row.id, "was found lost by", name)
            self.check("the log has every attempt once", row.attempts == was.attempts + 1, row.id, "lost")
            self.again.add(row.id)
            self._not_before.pop(row.id, None)
        else:
            moves = was.state == row.state or name in MOVES.get((was.state, row.state), ())
            self.check("every move has its reason", moves, row.id, was.state, "→", row.state, "by", name)
            self.check("the log has every attempt once", was.attempts <= row.attempts <= was.attempts + 1, row.id)
            owned = was.claim_id is None or was.claim_id == row.claim_id or name in ("settle", "give_back")
            self.check("a lease is its owner's", owned, row.id, "lost its lease by", name)
        if row.state == "failed" and was.state == "held" and name == "update_webhook":
            self.check("held is never lost", dropping, row.id, "was to be delivered")
        if row.state == "failed" and was.state in ("pending", "held"):
            self.check("a failure has a reason", row.reason == REASONS[name], row.id, repr(row.reason), "by", name)
        if row.schedule_start != was.schedule_start:
            self.check("every move has its reason", name == "recover", row.id, "begins its schedule by", name)
        if name in ("recover", "update_webhook", "give_back"):
            self._not_before.pop(row.id, None)
        if name == "recover":
            self.again.add(row.id)

    def _structure(self, before: Seen, seen: Seen) -> None:
        """Check what must hold of the rows at every moment."""
        leased: defaultdict[str, int] = defaultdict(int)
        for row in seen.rows.values():
            if row is not before.rows.get(row.id):
                self._whole(row)
            if row.state in FINISHED:
                continue
            if row.state == "leased":
                leased[row.endpoint_id] += 1
                continue
            standing = seen.standings.get(row.endpoint_id)
            if standing is None:
                self.breaks("rows are whole", f"{short(row.id)} is {row.state} without a webhook")
            elif row.state == "pending" and standing.held:
                self.breaks("rows are whole", f"{short(row.id)} is pending at a webhook on hold")
            elif row.state == "held" and not standing.held:
                self.breaks("held is never lost", f"{short(row.id)} is held by nobody")
        for standing in seen.standings.values():
            if standing.in_flight != leased[standing.id]:
                self.breaks("rows are whole", f"{short(standing.id)} miscounts its leases: {standing.in_flight}")
            if not standing.enabled and not standing.held:
                self.breaks("rows are whole", f"{short(standing.id)} is disabled, and served")

    def _whole(self, row: Row) -> None:
        is_leased = row.state == "leased"
        whole = is_leased == (row.claim_id is not None) == (row.lease_until is not None)
        self.check("rows are whole", whole, row.id, "is half leased")
        self.check("rows are whole", row.attempts == row.counted - is_leased, row.id, f"{row.attempts} attempts")
        self.check("rows are whole", row.has_body or row.state in FINISHED, row.id, "has no payload")
        self.check("rows are whole", row.state != "pending" or row.due_at is not None, row.id, "is never due")

    # --- The wire -----------------------------------------------------------------------------------------------------

    def leaves(
        self, owner: object, request: Request, claim: Claim | None, endpoint_id: str, number: int
    ) -> Sent | None:
        """Check a request at the moment it leaves, and return the claim that it was made for.

        Args:
            owner: The process that sends.
            request: The request.
            claim: The claim that the process is attempting, if it is.
            endpoint_id: Whose URL it goes to.
            number: The number of the event in its body.
        """
        self.exists(number)
        sent = self.claims.get(claim.claim_id) if claim is not None else None
        whole = sent is not None and sent.owner is owner and not sent.sent
        if sent is None or not whole or claim is None or claim.endpoint.id != endpoint_id:
            self.breaks("nothing is sent without a claim", f"event {number} to {short(endpoint_id)}")
            return None
        sent.sent = True
        name, schedule = claim.delivery_id, (claim.delivery_id, claim.schedule_start)
        self.sends[schedule] += 1
        within = self.sends[schedule] <= self.allowed[schedule] + self.uncounted[schedule]
        self.check("attempts never above the policy", within, name, f"sent {self.sends[schedule]} times")
        self.check("bytes never change", request.body == self.bodies[name], name)
        known = self.event_ids.setdefault(number, claim.event_id)
        self.check("one event is stored once", known == claim.event_id, number, "has two ids")
        self._verify(request, sent, self._wall())
        return sent

    def exists(self, number: int) -> None:
        """Check that an event that is on the wire may be there."""
        state = self.told[number].state
        self.check("rolled back is never sent", state in ("open", "committed"), "event", number, "is", state)

    def _verify(self, request: Request, sent: Sent, now: datetime) -> None:
        profile = BUILTIN[sent.claim.profile]
        live = [key for key in sent.keys if not key.expired(now)]
        names = [name for name, _ in request.headers]
        self.check("every signature verifies", len(names) == len(set(names)), sent.claim.delivery_id, "headers twice")
        for key in live if profile.name == "standard" else live[:1]:
            try:
                verified = verify_signature(request.body, request.headers, key, scheme=profile.scheme, now=now)
            except VerificationError as error:
                self.breaks("every signature verifies", f"{short(sent.claim.delivery_id)}: {error.reason}")
                continue
            if verified.id is not None:
                self.check("every signature verifies", verified.id == sent.claim.event_id, sent.claim.delivery_id)

    def arrives(self, endpoint_id: str, number: int, *, accepted: bool) -> None:
        """Note that a receiver got a request, and whether it took it."""
        self.exists(number)
        self.accepted[endpoint_id, number] += accepted

    def replied(self, sent: Sent, reply: Reply) -> None:
        """Note what a worker was answered."""
        sent.reply, sent.replied_at, sent.jumps = reply, self._wall(), self.jumps

    # --- The emitters -------------------------------------------------------------------------------------------------

    def emits(self, owner: object, number: int, *, tx: bool) -> None:
        """Note that an event is about to be emitted, in a transaction of the host's or not."""
        self.told[number] = Told(owner, "uncommitted" if tx else "open", frozenset(self.webhooks))

    def rolled_back(self, number: int) -> None:
        """Note that the host rolled back what it had emitted an event in."""
        self.told[number].state = "rolled back"

    def crashed(self, owner: object) -> None:
        """Note that a process has ended, and with it the transaction it was in."""
        for told in self.told.values():
            if told.owner is owner:
                told.busy = False
                if told.state == "uncommitted":
                    told.state = "rolled back"

    def is_quiet(self) -> bool:
        """Return whether nobody is emitting anything."""
        return not any(told.busy for told in self.told.values())

    def acknowledged(self, number: int, emission: Emission) -> None:
        """Note what an emitter was told, and check it against what it was told before, and against the rows."""
        told = self.told[number]
        if told.emission is not None:
            same = (emission.event_id, emission.delivery_ids) == (told.emission.event_id, told.emission.delivery_ids)
            self.check("a repeat is the first emission", same and emission.duplicate, "event", number)
            return
        told.state, told.emission = "committed", emission
        rows = [self.seen.rows.get(delivery_id) for delivery_id in emission.delivery_ids]
        self.check("what was acknowledged is stored", None not in rows, "event", number)
        reached = {row.endpoint_id for row in rows if row is not None}
        wanted = told.subscribers & self.webhooks.keys()
        self.check("every subscriber is told", wanted <= reached, "event", number, "misses", *(wanted - reached))
        self.check("one event is stored once", len(reached) == len(rows), "event", number, "twice to one webhook")
        known = self.event_ids.setdefault(number, emission.event_id)
        self.check("one event is stored once", known == emission.event_id, number, "has two ids")


def hint_of(reply: Reply, at: datetime) -> timedelta:
    """Return how long the receiver asked to wait, in the simulation's own header beside ``Retry-After``."""
    hints = dict(reply.headers)
    if "x-wait-s" in hints:
        return timedelta(seconds=int(hints["x-wait-s"]))
    if "x-wait-until" in hints:
        return datetime.fromisoformat(hints["x-wait-until"]) - at
    return timedelta(0)

"""Webhooks and their history, for threads: what a host's own API or console calls."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, Self

import attrs

from hookkit import ids
from hookkit._sync.courier import tell_ends, try_out
from hookkit.clock import SYSTEM_CLOCK
from hookkit.errors import InvalidEndpoint, NotFound, StoreError
from hookkit.kinds import check_store, targets_of
from hookkit.model import TestResult, as_duration
from hookkit.profiles import BUILTIN
from hookkit.registration import FAILED, check_endpoint, check_fields, profile_of, renewed, rotated, subscribed_events
from hookkit.stores.tallies import with_state
from hookkit.wakeups import wake

if TYPE_CHECKING:
    from datetime import datetime

    from hookkit.events import Catalog
    from hookkit.model import DeliveryState, Endpoint, Health, LogEntry
    from hookkit.profiles import Profile
    from hookkit.protocols import Clock, EventType, LogStore, Store, Transport
    from hookkit.signing import SigningKey
    from hookkit.targets import TargetPolicy

__all__ = ["Registry"]

_Ids = list[str]  # within the class, "list" is the method
_Results = list[TestResult]


class Registry:
    """Creates, changes and shows webhooks, tests them, and tells how they do.

    Args:
        store: Where webhooks and deliveries live.
        logs: Where the log is, if not in `store`.
        catalog: The event types that webhooks may subscribe to, with samples for test payloads; None: any name.
        targets: Which URLs may be called; None: the transport's own policy, or else public HTTPS only.
        transport: Sends test payloads; None: one over httpx is made for each test.
        profiles: The known profiles by name.
        clock: The time.

    Raises:
        TypeError: `store` is async.
    """

    def __init__(
        self,
        store: Store,
        *,
        logs: LogStore | None = None,
        catalog: Catalog | None = None,
        targets: TargetPolicy | None = None,
        transport: Transport | None = None,
        profiles: Mapping[str, Profile] = BUILTIN,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        check_store("Registry", store)
        self._store = store
        self._logs = store if logs is None else logs
        self._catalog = catalog
        self._targets = targets_of(targets, transport)
        self._transport = transport
        self._profiles = profiles
        self._clock = clock
        self._tenant: str | None = None

    def for_tenant(self, tenant: str) -> Self:
        """Return a registry that sees this tenant's webhooks and deliveries only; everybody else's are not found."""
        view = type(self).__new__(type(self))
        view.__dict__.update(self.__dict__)
        view._tenant = tenant  # noqa: SLF001 - its own kind
        return view

    # --- Webhooks -----------------------------------------------------------------------------------------------------

    def create(self, endpoint: Endpoint) -> Endpoint:
        """Register a webhook, enabled at once unless it says otherwise, and return it with its id and its key.

        Args:
            endpoint: The webhook. An empty ``id`` and empty ``keys`` are made. Show the key to the customer.

        Raises:
            InvalidEndpoint: Something about it is not right; ``reason`` names the field.
            TargetRefused: Its URL may not be called; the message says why and how a host allows it.
            StoreError: It was not stored, or that is not known.
        """
        if self._tenant is not None and endpoint.tenant not in ("", self._tenant):
            raise InvalidEndpoint("tenant: another tenant's", "tenant")
        now = self._clock.now()
        tenant = endpoint.tenant if self._tenant is None else self._tenant
        whole = attrs.evolve(endpoint, id=endpoint.id or ids.webhook_id(), tenant=tenant, created_at=now)
        if not whole.keys and whole.profile in self._profiles:
            whole = attrs.evolve(whole, keys=(renewed(whole, self._profiles[whole.profile], os.urandom, now),))
        self._check(whole)
        self._store.add_webhook(whole)
        return whole

    def get(self, id: str) -> Endpoint:
        """Return a webhook, its keys included. NotFound if there is none, StoreError if its secrets do not open."""
        endpoint = self._store.get_webhook(id)
        return self._own(endpoint)

    def list(self, *, tenant: str | None = None, limit: int = 100, after: str | None = None) -> Sequence[Endpoint]:
        """Return webhooks in the order of their ids; one whose secrets do not open, without keys and headers.

        Args:
            tenant: Only this tenant's; None: everybody's, or the registry's own tenant's.
            limit: At most so many.
            after: Only those after this id: the last one of the page before.
        """
        if self._tenant is not None and tenant not in (None, self._tenant):
            return []
        wanted = tenant if self._tenant is None else self._tenant
        return self._store.list_webhooks(tenant=wanted, limit=limit, after=after)

    def update(self, id: str, **fields: Any) -> Endpoint:
        """Change a webhook and return it. Pending deliveries go where it points to now, in the form they were made for.

        Args:
            id: The webhook's id.
            fields: ``name``, ``url``, ``events``, ``headers``, ``profile``, ``retry``, ``max_in_flight``,
                ``rate_limit``, ``metadata``.

        Raises:
            NotFound: There is no such webhook.
            InvalidEndpoint: It would not be right then; nothing is changed.
            TypeError: Another field. There are verbs for those: ``enable``, ``disable``, ``rotate_key``.
        """
        check_fields(fields)

        def change(endpoint: Endpoint) -> Endpoint:
            changed = attrs.evolve(self._own(endpoint), **fields)
            self._check(changed)
            return changed

        return self._store.update_webhook(id, change, now=self._clock.now())

    def remove(self, id: str) -> None:
        """Delete a webhook. What it still had to get fails (``removed``); its log stays. :class:`~hookkit.NotFound`."""
        now = self._clock.now()
        if self._tenant is not None:  # not by get(): a webhook whose secrets do not open can be removed, too
            self._store.update_webhook(id, self._own, now=now)
        self._store.remove_webhook(id, now=now)
        tell_ends(self._store, self._logs, since=now)

    def disable(self, id: str, *, reason: str = "manual") -> Endpoint:
        """Stop sending to a webhook. Its deliveries, and those to come, are held.

        Args:
            id: The webhook's id.
            reason: Why; kept as ``disabled_reason``.

        Raises:
            NotFound: There is no such webhook.
        """

        def change(endpoint: Endpoint) -> Endpoint:
            return attrs.evolve(self._own(endpoint), enabled=False, disabled_reason=reason)

        return self._store.update_webhook(id, change, now=self._clock.now())

    def enable(self, id: str, *, held: Literal["deliver", "drop"] = "deliver") -> Endpoint:
        """Send to a webhook again, whatever it was disabled for; its health starts afresh.

        Args:
            id: The webhook's id.
            held: ``deliver`` what was held, or ``drop`` it: it fails with the reason ``dropped``.

        Raises:
            NotFound: There is no such webhook.
            ValueError: `held` is neither.
        """
        if held not in ("deliver", "drop"):
            raise ValueError("held is 'deliver' or 'drop'")

        def change(endpoint: Endpoint) -> Endpoint:
            return attrs.evolve(self._own(endpoint), enabled=True, disabled_reason=None)

        now = self._clock.now()
        endpoint = self._store.update_webhook(id, change, now=now, held=held)
        tell_ends(self._store, self._logs, since=now)
        wake(self._store)
        return endpoint

    def rotate_key(self, id: str, *, overlap: timedelta | float = timedelta(hours=24)) -> SigningKey:
        """Give a webhook a new signing key and return it; the old ones live on for a while, so that nothing is refused.

        While both live, STANDARD signs with each. A scheme with room for one signature (LOGTO) signs with the new key
        at once; there, receivers accept both keys before the rotation.

        Args:
            id: The webhook's id.
            overlap: How long the old keys still sign; a timedelta, or seconds. 0: they end now.

        Raises:
            NotFound: There is no such webhook.
            ValueError: `overlap` is negative or more than 30 days.
        """
        lasting = as_duration(overlap)
        if not timedelta(0) <= lasting <= timedelta(days=30):
            raise ValueError("overlap is 0 to 30 days")
        now = self._clock.now()

        def change(endpoint: Endpoint) -> Endpoint:
            key = renewed(self._own(endpoint), profile_of(endpoint, self._profiles), os.urandom, now)
            return attrs.evolve(endpoint, keys=rotated(endpoint.keys, key, now=now, overlap=lasting))

        endpoint = self._store.update_webhook(id, change, now=now)
        return endpoint.keys[0]

    # --- Tests --------------------------------------------------------------------------------------------------------

    def send_test(self, id: str, *, events: Iterable[str | EventType] | None = None) -> _Results:
        """Send a test payload for every event a webhook subscribes to, now, and return what came back.

        They are sent one after another. It works while the webhook is disabled, and touches neither log, nor health,
        nor circuit breaker. Every event is sent, even if one fails; one that cannot be made or signed (a key that its
        profile cannot use, say) is ``unsendable``, and the log says why.

        Args:
            id: The webhook's id.
            events: These instead; exact names or patterns. Patterns stand for what the catalogue has; without a
                catalogue for one ``webhook.test``. An event without a sample is sent with ``{}``.

        Raises:
            NotFound: There is no such webhook.
            InvalidEndpoint: `events` has something that is no event's name, or the webhook's profile is not known.
            StoreError: Its secrets do not open.
        """
        endpoint = self.get(id)
        names = subscribed_events(endpoint.events if events is None else events, self._catalog)
        if self._transport is not None:
            return [self._send_sample(self._transport, endpoint, name) for name in names]
        from hookkit.transports.httpx import HttpxTransport

        with HttpxTransport(targets=self._targets) as transport:
            return [self._send_sample(transport, endpoint, name) for name in names]

    def _send_sample(self, transport: Transport, endpoint: Endpoint, name: str) -> TestResult:
        profile, now = profile_of(endpoint, self._profiles), self._clock.now()
        return try_out(transport, endpoint, profile, name, catalog=self._catalog, targets=self._targets, at=now)

    # --- History ------------------------------------------------------------------------------------------------------

    def health(
        self, ids: str | Collection[str] | None = None, *, window: timedelta | float = timedelta(hours=24)
    ) -> dict[str, Health]:
        """Return how webhooks did lately, by id. Every id asked for is in it.

        Args:
            ids: Which webhooks; None: all of them.
            window: How far back; a timedelta, or seconds.

        Raises:
            NotFound: One of them is another tenant's.
        """
        if ids is None:
            wanted = self._all_ids()
        else:
            wanted = [ids] if isinstance(ids, str) else list(ids)
            if self._tenant is not None:
                for endpoint_id in wanted:
                    self._seek(endpoint_id)
        now = self._clock.now()
        found = self._logs.health(wanted, now=now, window=as_duration(window))
        if self._logs is self._store:
            return found
        queue = self._store.health(wanted, now=now, window=as_duration(window))
        return {endpoint_id: with_state(found[endpoint_id], queue[endpoint_id]) for endpoint_id in wanted}

    def _all_ids(self) -> _Ids:
        wanted: _Ids = []
        page = self.list(limit=500)
        while page:
            wanted += [endpoint.id for endpoint in page]
            page = self.list(limit=500, after=wanted[-1])
        return wanted

    def recent(
        self,
        id: str,
        *,
        window: timedelta | float = timedelta(hours=24),
        state: DeliveryState | None = None,
        event: str | None = None,
        limit: int = 50,
        before: str | None = None,
    ) -> Sequence[LogEntry]:
        """Return a webhook's deliveries that were attempted lately, newest first, each with all its attempts.

        Args:
            id: The webhook's id, also of one that was removed.
            window: How far back the last attempt may lie; a timedelta, or seconds.
            state: Only this state. Those never attempted are returned only where this is ``pending`` or ``held``.
            event: Only this event type.
            limit: At most so many.
            before: Those after this delivery id: the last one of the page before.
        """
        logs = self._store if state in ("pending", "leased", "held") else self._logs  # only the queue knows those
        found = logs.recent(
            id,
            now=self._clock.now(),
            window=as_duration(window),
            state=state,
            event=event,
            limit=limit,
            before=before,
        )
        return [entry for entry in found if self._tenant in (None, entry.tenant)]

    def entry(self, delivery_id: str) -> LogEntry:
        """Return one delivery with all its attempts. :class:`~hookkit.NotFound` if there is none."""
        try:
            found = self._logs.entry(delivery_id)
        except NotFound:
            found = self._store.entry(delivery_id)  # not attempted yet
        if self._tenant not in (None, found.tenant):
            raise NotFound(f"no delivery {delivery_id!r}")
        return found

    def redeliver(self, delivery_id: str) -> str:
        """Send a delivery once more, as a new one with its own log entry: the same event id, the same bytes.

        Returns:
            The new delivery's id.

        Raises:
            NotFound: There is no such delivery, or its webhook was removed.
            StoreError: Its payload is no longer kept.
        """
        self.entry(delivery_id)
        made = self._store.redeliver(delivery_id, now=self._clock.now())
        wake(self._store)
        return made

    def recover(
        self,
        id: str,
        *,
        since: datetime,
        until: datetime | None = None,
        states: Collection[DeliveryState] = FAILED,
        dry_run: bool = False,
    ) -> int:
        """Deliver again what failed in a while: the same deliveries and log entries, their retry schedule restarted.

        They go in a lane of low priority, so that live events are not delayed. Repeating it goes on where it stopped.

        Args:
            id: The webhook's id.
            since: The beginning, inclusive: of the last attempt.
            until: The end, inclusive; None: now.
            states: ``failed``, and ``succeeded`` if those are wanted again, too.
            dry_run: Only count.

        Returns:
            How many.

        Raises:
            NotFound: There is no such webhook.
        """
        self._seek(id)
        now = self._clock.now()
        count = self._store.recover(id, since=since, until=until or now, states=states, now=now, dry_run=dry_run)
        wake(self._store)
        return count

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _seek(self, id: str) -> None:
        """Raise NotFound if there is no such webhook. One whose secrets do not open is there all the same."""
        try:
            self.get(id)
        except StoreError:
            self._store.update_webhook(id, self._own, now=self._clock.now())  # which changes nothing

    def _own(self, endpoint: Endpoint) -> Endpoint:
        if self._tenant not in (None, endpoint.tenant):
            raise NotFound(f"no webhook {endpoint.id!r}")
        return endpoint

    def _check(self, endpoint: Endpoint) -> None:
        check_endpoint(endpoint, targets=self._targets, profiles=self._profiles, catalog=self._catalog)

"""One attempt, for threads: prepare, send, judge; then settle what came of several."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from hookkit import health, ids
from hookkit.delivery import give_up, is_spent, judge, prepare, reply_reason, retry_policy, sample
from hookkit.errors import HookkitError, NotFound, TargetRefused
from hookkit.model import Notice, Reply, Request, TestResult
from hookkit.plaintext import plain
from hookkit.working import TELL_BATCH, is_sound

if TYPE_CHECKING:
    from datetime import datetime

    from hookkit.events import Catalog
    from hookkit.model import Endpoint, LogEntry
    from hookkit.profiles import Profile
    from hookkit.protocols import Clock, DeliveryQueue, LogStore, Store, Transport
    from hookkit.targets import TargetPolicy
    from hookkit.work import Claim, Settlement

__all__ = ["Courier", "record_ends", "send", "tell_ends", "try_out"]

_log: Final = logging.getLogger("hookkit.courier")


def send(transport: Transport, request: Request) -> Reply:
    """Send, and return the reply. A transport never raises; where a host's does, that is a failed attempt."""
    try:
        reply = transport.send(request)
        if is_sound(reply):
            return reply
        _log.error("the transport returned %s, not a Reply as it should be", type(reply).__name__)
    except Exception:  # noqa: BLE001 - a host's transport; logged
        _log.exception("the transport raised")
    return Reply(None, reason="protocol_error")


def try_out(
    transport: Transport,
    endpoint: Endpoint,
    profile: Profile,
    name: str,
    *,
    catalog: Catalog | None,
    targets: TargetPolicy,
    at: datetime,
) -> TestResult:
    """Send a webhook one test payload and return its outcome. It raises nothing, so that the next one is sent, too.

    Args:
        transport: Sends.
        endpoint: The webhook.
        profile: Its profile.
        name: The event's name.
        catalog: Where the sample is, if there is one.
        targets: Which URLs may be called.
        at: The time.
    """
    body, request, reply = b"", None, Reply(None, reason="unsendable")
    try:
        event = sample(name, catalog, profile, event_id=ids.event_id(), tenant=endpoint.tenant, at=at)
        body = profile.payload.encode(event, endpoint_id=endpoint.id, test=True)
        request = prepare(endpoint, profile, event_id=event.id, body=body, at=at)
        targets.check_url(endpoint.url)
    except TargetRefused:
        reply = Reply(None, reason="target_refused")
    except (HookkitError, ValueError) as error:
        _log.error("a test of %s cannot be signed: %s", plain(endpoint.id), plain(str(error)))
    except Exception:  # noqa: BLE001 - a host's scheme or payload; logged
        _log.exception("a test of %s cannot be signed", plain(endpoint.id))
    else:
        reply = send(transport, request)
    request = request or Request("POST", endpoint.url, (), body, profile.timeout)
    reason = reply_reason(reply)
    return TestResult(name, not reason, reply.status, reason, reply.elapsed, request)


def tell_ends(store: Store, logs: LogStore, *, since: datetime) -> None:
    """Have a log that is elsewhere hear of what ended since then without an attempt. It raises nothing.

    What was done in the store is done, whatever becomes of this; the worker's housekeeping tells the log once more.
    """
    if logs is store:
        return  # it knows
    try:
        ids = store.ended(since=since)
        for start in range(0, len(ids), TELL_BATCH):
            record_ends(store, logs, ids[start : start + TELL_BATCH])
    except Exception:  # noqa: BLE001 - logged; the deliveries have ended all the same
        _log.exception("the log was not told of deliveries that have ended")


def record_ends(store: Store, logs: LogStore, delivery_ids: Sequence[str]) -> None:
    """Record those of these deliveries that are still failed; one may have been recovered, or forgotten, since."""
    ends: list[LogEntry] = []
    for delivery_id in delivery_ids:
        with contextlib.suppress(NotFound):
            entry = store.entry(delivery_id)
            if entry.state == "failed":
                ends.append(entry)
    logs.record(ends)


class Courier:
    """Carries claimed deliveries out, and settles them.

    Args:
        queue: Where the claims came from.
        logs: Where entries go besides; None: the queue's own log is the log.
        transport: Sends.
        targets: Which URLs may be called, checked anew at every attempt.
        profiles: The known profiles by name.
        clock: The time.
        random: Returns a float in [0, 1), for jitter.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        *,
        logs: LogStore | None,
        transport: Transport,
        targets: TargetPolicy,
        profiles: Mapping[str, Profile],
        clock: Clock,
        random: Callable[[], float],
    ) -> None:
        self._queue = queue
        self._logs = logs
        self._transport = transport
        self._targets = targets
        self._profiles = profiles
        self._clock = clock
        self._random = random

    def attempt(self, claim: Claim) -> Settlement:
        """Make the claimed attempt and return its outcome. It raises nothing, whatever goes wrong."""
        profile = self._profiles[claim.profile]
        policy = retry_policy(claim.endpoint, profile)
        started_at = self._clock.now()
        if is_spent(claim, policy):
            return give_up(claim, now=started_at)
        reply, request, refused = self._carry(claim, profile, started_at)
        return judge(
            claim,
            reply,
            policy=policy,
            started_at=started_at,
            ended_at=self._clock.now(),
            random=self._random,
            request=request,
            refused=refused,
        )

    def _carry(self, claim: Claim, profile: Profile, at: datetime) -> tuple[Reply, Request | None, bool]:
        """Return the reply, what was sent, and whether the URL itself was refused."""
        try:
            self._targets.check_url(claim.endpoint.url)
            request = prepare(claim.endpoint, profile, event_id=claim.event_id, body=claim.body, at=at)
        except TargetRefused:
            return Reply(None, reason="target_refused"), None, True
        except (HookkitError, ValueError) as error:
            _log.error("delivery %s cannot be signed: %s", claim.delivery_id, plain(str(error)))
        except Exception:  # noqa: BLE001 - a host's scheme; logged
            _log.exception("delivery %s cannot be signed", claim.delivery_id)
        else:
            return send(self._transport, request), request, False
        return Reply(None, reason="unsendable"), None, False

    def settle(self, settlements: Sequence[Settlement]) -> list[Notice]:
        """Store outcomes, and return the notices to give. What another worker has meanwhile is left to it.

        Raises:
            StoreError: Nothing is known to have been stored; settle them again.
        """
        now = self._clock.now()
        settled = self._queue.settle(settlements, now=now, step=health.step)
        applied = [one for one, result in zip(settlements, settled, strict=True) if result.applied]
        if self._logs is not None and applied:
            try:
                self._logs.record([one.entry for one in applied])
            except Exception:  # noqa: BLE001 - logged, and the worker lives on
                # The deliveries are settled: a log that fails must not have them sent again.
                _log.exception("%d log entries were not recorded", len(applied))
        notices = [notice for result in settled for notice in result.notices]
        notices += [
            Notice("exhausted", one.entry.endpoint_id, one.entry.tenant, now, detail=one.entry.delivery_id)
            for one in applied
            if one.entry.reason == "exhausted"
        ]
        return notices

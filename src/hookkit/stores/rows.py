"""Values as rows and back: what every SQL store writes alike. Pure but for the vault's randomness."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from hookkit.errors import HookkitError, StoreError
from hookkit.model import Attempt, Endpoint, Headers, LogEntry
from hookkit.retry import RetryPolicy
from hookkit.signing import SigningKey
from hookkit.stores.sql import MICROSECOND, Row, from_us, to_us

if TYPE_CHECKING:
    from hookkit.model import DeliveryState

__all__ = [
    "ATTEMPT_COLUMNS",
    "WEBHOOK_COLUMNS",
    "Coder",
    "Sealer",
    "attempt_from",
    "attempt_row",
    "entry_from",
    "optional_from_us",
    "optional_us",
]

WEBHOOK_COLUMNS: Final = (
    "id, tenant, name, url, events, profile, enabled, disabled_reason, max_in_flight, rate_count, rate_per_us, retry, "
    "metadata, created_at, key_id, sealed_keys, sealed_headers"
)
ATTEMPT_COLUMNS: Final = (
    "delivery, number, started_at, duration_us, status, reason, retry_after_us, response_headers, response_body"
)


class Sealer(Protocol):
    """Seals secrets before they are stored; :class:`hookkit.vault.Vault` is one."""

    def seal(self, plain: bytes, *, bound_to: bytes) -> tuple[str, bytes]:
        """Return the id of the sealing key, and the sealed bytes."""
        ...

    def unseal(self, sealed: bytes, *, key_id: str, bound_to: bytes) -> bytes:
        """Return the plain bytes; :class:`~hookkit.StoreError` if they do not open, or are bound to something else."""
        ...


def optional_us(value: datetime | None) -> int | None:
    """Return a time as it is stored."""
    return None if value is None else to_us(value)


def optional_from_us(value: int | None) -> datetime | None:
    """Return a stored time."""
    return None if value is None else from_us(value)


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


class Coder:
    """Turns webhooks into rows and back, sealing keys and custom headers if there is a vault.

    Rows that were stored without a vault are read as they are, whether or not there is one now; a row is sealed when it
    is next written (or by :mod:`hookkit.stores.resealing`).

    Decoded webhooks are remembered by their row, so that a webhook is decoded once until it changes.
    """

    def __init__(self, vault: Sealer | None) -> None:
        self._vault = vault
        self._known: dict[str, tuple[Row, Endpoint]] = {}

    def sealing_key(self) -> str:
        """Return the id of the key that seals now, "" without a vault."""
        return "" if self._vault is None else self._vault.seal(b"", bound_to=b"hookkit")[0]

    def row(self, endpoint: Endpoint) -> tuple[Any, ...]:
        """Return the values of :data:`WEBHOOK_COLUMNS`."""
        rate = endpoint.rate_limit
        return (
            endpoint.id,
            endpoint.tenant,
            endpoint.name,
            endpoint.url,
            _compact(endpoint.events),
            endpoint.profile,
            int(endpoint.enabled),
            endpoint.disabled_reason,
            endpoint.max_in_flight,
            None if rate is None else rate[0],
            None if rate is None else rate[1] // MICROSECOND,
            None if endpoint.retry is None else _compact(_retry_value(endpoint.retry)),
            _compact(dict(endpoint.metadata)),
            optional_us(endpoint.created_at),
            *self.sealed(endpoint),
        )

    def sealed(self, endpoint: Endpoint) -> tuple[str, bytes, bytes]:
        """Return the last three of :data:`WEBHOOK_COLUMNS`: the sealing key's id, the sealed keys, the sealed headers.

        A row has one key id, so both are sealed at once, and anew whenever the webhook is written.
        """
        if self._vault is None:
            return "", _plain_keys(endpoint), _plain_headers(endpoint)
        place = endpoint.id, endpoint.tenant, endpoint.url
        # What is sealed is in no variable here, either: a sealer of the host's own may raise.
        key_id, keys_sealed = self._vault.seal(_plain_keys(endpoint), bound_to=_bound_to("keys", *place))
        _, headers_sealed = self._vault.seal(_plain_headers(endpoint), bound_to=_bound_to("headers", *place))
        return key_id, keys_sealed, headers_sealed

    def endpoint(self, row: Row) -> Endpoint:
        """Return the webhook of a row of :data:`WEBHOOK_COLUMNS`.

        Raises:
            StoreError: Its keys or headers cannot be read, such as with another vault than they were sealed with. The
                message names the webhook, the key's id, and what to do.
        """
        row = tuple(row)
        known = self._known.get(row[0])
        if known is not None and known[0] == row:
            return known[1]
        endpoint = self._decode(row)
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[row[0]] = (row, endpoint)
        return endpoint

    def peek(self, row: Row) -> tuple[Endpoint, str]:
        """Return the webhook, and why its secrets cannot be read; then it has no keys and no headers. "" if they can.

        For all that needs no secrets, so that one unreadable row stops nothing but its own webhook.
        """
        try:
            return self.endpoint(row), ""
        except StoreError as error:
            return _bare(row), str(error)

    def _decode(self, row: Row) -> Endpoint:
        # No plain text stays in a variable here, and no error is raised from one that quotes it.
        keys = _signing_keys(self._unsealed(row, "keys"))
        if keys is None:
            raise _damaged(row[0], "its keys")
        headers = _custom_headers(self._unsealed(row, "headers"))
        if headers is None:
            raise _damaged(row[0], "its headers")
        try:
            return _endpoint(row, json.loads, keys=keys, headers=headers)
        except (HookkitError, *_DAMAGE):
            raise _damaged(row[0], "it") from None

    def _unsealed(self, row: Row, what: Literal["keys", "headers"]) -> bytes:
        endpoint_id, key_id = row[0], row[14]
        try:
            stored = memoryview(row[15 if what == "keys" else 16]).tobytes()
        except TypeError:
            raise _damaged(endpoint_id, f"its {what}") from None
        if key_id == "":
            return stored
        if self._vault is None:
            raise StoreError(
                f"webhook {endpoint_id}: its secrets are sealed with {key_id!r}; give the store that vault="
            )
        bound_to = _bound_to(what, endpoint_id, row[1], row[3])
        try:
            return self._vault.unseal(stored, key_id=key_id, bound_to=bound_to)
        except StoreError as error:
            raise StoreError(f"webhook {endpoint_id}: {what}: {error}") from None


_DAMAGE: Final = (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)
"""What reading a value of another shape than was written raises."""


def _damaged(endpoint_id: str, what: str) -> StoreError:
    return StoreError(f"webhook {endpoint_id}: {what} cannot be read; the row was damaged")


def _plain_keys(endpoint: Endpoint) -> bytes:
    keys = [[key.value, optional_us(key.created_at), optional_us(key.expires_at)] for key in endpoint.keys]
    return _compact(keys).encode()


def _plain_headers(endpoint: Endpoint) -> bytes:
    return _compact(dict(endpoint.headers)).encode()


def _signing_keys(plain: bytes) -> list[SigningKey] | None:
    """Return what is written as ``[[text, created_at, expires_at], ...]``, None if it is something else."""
    try:
        return [
            SigningKey(text, created_at=optional_from_us(made), expires_at=optional_from_us(ends))
            for text, made, ends in json.loads(plain)
        ]
    except (HookkitError, *_DAMAGE):
        return None


def _custom_headers(plain: bytes) -> Headers | None:
    try:
        return Headers(json.loads(plain))
    except _DAMAGE:
        return None


def _bound_to(what: str, endpoint_id: str, tenant: str, url: str) -> bytes:
    # Associated data. A sealed value that was moved to another row, or from keys to headers, does not open; nor does
    # one whose URL was changed behind the store's back, so that nobody who can write to the database, but has no vault
    # key, can have somebody's credentials sent to himself.
    return _compact(["hookkit webhook", what, endpoint_id, tenant, url]).encode()


def _endpoint(row: Row, load: Callable[[str], Any], **secrets: Any) -> Endpoint:
    """Return the webhook of a row of :data:`WEBHOOK_COLUMNS`, with these secrets.

    Args:
        row: The row.
        load: Reads JSON; a value that is None or empty stands for one that cannot be read.
        secrets: ``keys`` and ``headers``.
    """
    retry = None if row[11] is None else load(row[11])
    return Endpoint(
        row[3],
        load(row[4]) or (),
        id=row[0],
        tenant=row[1],
        name=row[2],
        profile=row[5],
        enabled=bool(row[6]),
        disabled_reason=row[7],
        max_in_flight=row[8],
        rate_limit=None if row[9] is None else (row[9], row[10] * MICROSECOND),
        retry=None if retry is None else _retry_from(retry),
        metadata=load(row[12]) or {},
        created_at=optional_from_us(row[13]),
        **secrets,
    )


def _bare(row: Row) -> Endpoint:
    """Return the webhook without its secrets; without its events, retry policy and metadata if those are damaged."""
    try:
        return _endpoint(row, json.loads)
    except (HookkitError, *_DAMAGE):
        return _endpoint(row, lambda _: None)


def _retry_value(policy: RetryPolicy) -> dict[str, Any]:
    return {
        "delays": [delay // MICROSECOND for delay in policy.delays],
        "statuses": _runs(sorted(policy.statuses)),
        "network_errors": policy.network_errors,
        "jitter": policy.jitter,
        "max_delay": policy.max_delay // MICROSECOND,
    }


def _runs(numbers: Sequence[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return runs


def _retry_from(value: dict[str, Any]) -> RetryPolicy:
    return RetryPolicy(
        [delay * MICROSECOND for delay in value["delays"]],
        statuses=frozenset(number for low, high in value["statuses"] for number in range(low, high + 1)),
        network_errors=value["network_errors"],
        jitter=value["jitter"],
        max_delay=value["max_delay"] * MICROSECOND,
    )


def attempt_row(delivery: int, attempt: Attempt) -> tuple[Any, ...]:
    """Return the values of :data:`ATTEMPT_COLUMNS`."""
    headers = _compact(attempt.response_headers) if attempt.response_headers else None
    return (
        delivery,
        attempt.number,
        to_us(attempt.started_at),
        attempt.duration // MICROSECOND,
        attempt.status,
        attempt.reason,
        None if attempt.retry_after is None else attempt.retry_after // MICROSECOND,
        headers,
        attempt.response_body or None,
    )


def attempt_from(row: Row) -> Attempt:
    """Return the attempt of a row of :data:`ATTEMPT_COLUMNS`."""
    return Attempt(
        number=row[1],
        started_at=from_us(row[2]),
        duration=timedelta(microseconds=row[3]),
        status=row[4],
        reason=row[5],
        retry_after=None if row[6] is None else timedelta(microseconds=row[6]),
        response_headers=_response_headers(row[7]),
        response_body=b"" if row[8] is None else bytes(row[8]),
    )


def _response_headers(stored: str | bytes | None) -> tuple[tuple[str, str], ...]:
    """Return what a receiver answered; nothing if it cannot be read: no delivery is to wait for that."""
    if stored is None:
        return ()
    try:
        return tuple((str(name), str(value)) for name, value in json.loads(stored))
    except _DAMAGE:
        return ()


def entry_from(row: Row, attempts: Sequence[Attempt]) -> LogEntry:
    """Return a log entry.

    Args:
        row: ``id, event_id, event_type, endpoint_id, tenant, state, created_at, finished_at, due_at, reason, body``.
        attempts: Its attempts, oldest first.
    """
    state: DeliveryState = row[5]
    return LogEntry(
        delivery_id=row[0],
        event_id=row[1],
        event_type=row[2],
        endpoint_id=row[3],
        tenant=row[4],
        state=state,
        attempts=tuple(attempts),
        created_at=from_us(row[6]),
        finished_at=optional_from_us(row[7]),
        next_attempt_at=optional_from_us(row[8]) if state == "pending" else None,
        body=b"" if row[10] is None else bytes(row[10]),
        reason=row[9],
    )

"""What the admin pages show: values turned into harmless text, ready for templates that escape it.

What customers and their servers have written goes through :mod:`hookkit.plaintext` here, and through the template's
escaping there. Signing keys and the values of custom headers are in none of it; of a URL only scheme and host are shown
to those who may only look, for the rest is a credential often enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hookkit.masked import shown_url
from hookkit.plaintext import plain

if TYPE_CHECKING:
    from hookkit.model import Attempt, Endpoint, Health, LogEntry, TestResult

__all__ = ["attempt_row", "delivery_row", "outcome", "webhook_row"]

_NAME: Final = 100
_URL: Final = 500
_BODY: Final = 4_096


def webhook_row(endpoint: Endpoint, health: Health | None, *, whole: bool = False) -> dict[str, Any]:
    """Return a webhook.

    Args:
        endpoint: The webhook.
        health: How it did lately.
        whole: Show all of its URL.
    """
    events = [plain(name) for name in endpoint.events[:20]]
    return {
        "id": endpoint.id,
        "name": plain(endpoint.name, _NAME) or "–",
        "tenant": plain(endpoint.tenant, _NAME) or "–",
        "url": plain(endpoint.url if whole else shown_url(endpoint.url)[1:-1], _URL),
        "events": ", ".join(events) + (" …" if len(endpoint.events) > len(events) else ""),
        "enabled": endpoint.enabled,
        "disabled_reason": plain(endpoint.disabled_reason or "", _NAME),
        "profile": plain(endpoint.profile, _NAME),
        "header_names": ", ".join(plain(name, _NAME) for name in endpoint.headers),
        "key_count": len(endpoint.keys),
        "created_at": endpoint.created_at,
        "max_in_flight": endpoint.max_in_flight,
        "health": None if health is None else _health_row(health),
    }


def _health_row(health: Health) -> dict[str, Any]:
    rate = health.success_rate
    return {
        "state": health.state,
        "requests": health.requests,
        "succeeded": health.succeeded,
        "failed": health.failed,
        "retrying": health.retrying,
        "pending": health.pending,
        "rate": "–" if rate is None else f"{rate:.0%}",
        "p50": _milliseconds(health.latency_p50),
        "p95": _milliseconds(health.latency_p95),
        "last_success_at": health.last_success_at,
        "last_failure_at": health.last_failure_at,
        "consecutive_failures": health.consecutive_failures,
    }


def delivery_row(entry: LogEntry) -> dict[str, Any]:
    """Return a delivery, without its attempts."""
    last = entry.attempts[-1] if entry.attempts else None
    return {
        "id": entry.delivery_id,
        "event_id": plain(entry.event_id),
        "event_type": plain(entry.event_type),
        "webhook": entry.endpoint_id,
        "tenant": plain(entry.tenant, _NAME) or "–",
        "state": entry.state,
        "reason": plain(entry.reason),
        "attempts": len(entry.attempts),
        "last": "" if last is None else _outcome_of(last),
        "created_at": entry.created_at,
        "last_at": None if last is None else last.started_at,
        "finished_at": entry.finished_at,
        "next_attempt_at": entry.next_attempt_at,
        "body_bytes": len(entry.body),
    }


def attempt_row(attempt: Attempt) -> dict[str, Any]:
    """Return an attempt, with what the receiver answered."""
    headers: Sequence[tuple[str, str]] = attempt.response_headers[:50]
    return {
        "number": attempt.number,
        "started_at": attempt.started_at,
        "duration": _milliseconds(attempt.duration),
        "outcome": _outcome_of(attempt),
        "headers": [(plain(name, _NAME), plain(value, _URL)) for name, value in headers],
        "body": attempt.shown_body(_BODY),
    }


def outcome(result: TestResult) -> str:
    """Return a line about a test."""
    said = "" if result.status is None else f"status {result.status}"
    why = "" if result.reason in ("", "status") else plain(result.reason)
    return f"{plain(result.event)}: {' '.join(filter(None, (said, why)))} in {_milliseconds(result.duration)}"


def _outcome_of(attempt: Attempt) -> str:
    said = "" if attempt.status is None else str(attempt.status)
    why = "" if attempt.reason == "status" else plain(attempt.reason)
    return " ".join(filter(None, (said, why)))


def _milliseconds(duration: timedelta | None) -> str:
    return "–" if duration is None else f"{duration / timedelta(milliseconds=1):.0f} ms"

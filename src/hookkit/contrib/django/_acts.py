"""What the buttons of a webhook's page do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import attrs

from hookkit.contrib.django._pages import outcome

if TYPE_CHECKING:
    from hookkit import Registry

__all__ = ["ACTS", "Done"]

_HOURS: Final = re.compile(r"[1-9][0-9]{0,2}")
_EXACT: Final = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")


@attrs.frozen
class Done:
    """What has come of it.

    Args:
        said: A sentence for the operator, and for the history.
        ok: All went well.
        ask: What must be asked first; None: it is done.
    """

    said: str
    ok: bool = True
    ask: dict[str, Any] | None = None


def _test(registry: Registry, webhook_id: str, form: Mapping[str, str]) -> Done:
    """Send one test payload: a page must not wait for a whole catalogue of them."""
    wanted = form.get("event", "")
    if not wanted:
        names = [name for name in registry.get(webhook_id).events if _EXACT.fullmatch(name)]
        wanted = names[0] if names else "webhook.test"
    if not _EXACT.fullmatch(wanted):
        return Done("Give the exact name of one event.", ok=False)
    (result,) = registry.send_test(webhook_id, events=[wanted])
    return Done(f"Test {outcome(result)}", ok=result.ok)


def _disable(registry: Registry, webhook_id: str, _: Mapping[str, str]) -> Done:
    registry.disable(webhook_id)
    return Done("Disabled; its deliveries are held.")


def _enable(registry: Registry, webhook_id: str, form: Mapping[str, str]) -> Done:
    if form.get("held") == "drop":
        registry.enable(webhook_id, held="drop")
        return Done("Enabled; what was held is dropped.")
    registry.enable(webhook_id)
    return Done("Enabled; what was held is delivered.")


def _recover(registry: Registry, webhook_id: str, form: Mapping[str, str]) -> Done:
    """Count what failed in so many hours, and ask; then have it delivered again."""
    hours = form.get("hours", "")
    if not _HOURS.fullmatch(hours):
        return Done("Give whole hours, 1 to 999.", ok=False)
    since, sure = datetime.now(UTC) - timedelta(hours=int(hours)), form.get("sure") == "yes"
    count = registry.recover(webhook_id, since=since, dry_run=not sure)
    if sure:
        return Done(f"{count} failed deliveries of the last {hours} h are delivered again.")
    return Done("", ask={"count": count, "hours": hours})


ACTS: Final[dict[str, Callable[[Registry, str, Mapping[str, str]], Done]]] = {
    "test": _test,
    "disable": _disable,
    "enable": _enable,
    "recover": _recover,
}
"""By the name of the button: given the registry, the webhook's id and the form."""

"""A host's own table of webhooks. Its rows are hookkit's ``Webhook``, and hookkit's store follows the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from hookkit import Endpoint, NotFound, Registry, RetryPolicy, Webhook


class Base(DeclarativeBase):
    """What all tables have in common."""


class User(Base):
    """A user."""

    __tablename__ = "users"

    id: Mapped[str] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str]  # its hash


class Subscription(Base):
    """Who wants to hear of what: a table that was here before hookkit, with names of its own.

    The properties make a :class:`hookkit.Webhook` of a row; ``WebhookContract`` in the tests says whether they do.
    """

    __tablename__ = "subscriptions"

    id: Mapped[str] = mapped_column(primary_key=True)
    url: Mapped[str]
    label: Mapped[str] = mapped_column(default="")
    topics: Mapped[list[str]] = mapped_column(JSON)
    secret: Mapped[str]  # in earnest, sealed as your other secrets are
    active: Mapped[bool] = mapped_column(default=True)

    @property
    def name(self) -> str:
        """What the customer calls it."""
        return self.label

    @property
    def events(self) -> Sequence[str]:
        """What it is told of."""
        return self.topics

    @property
    def keys(self) -> Sequence[str]:
        """What signs."""
        return (self.secret,)

    @property
    def enabled(self) -> bool:
        """Whether it is told at all."""
        return self.active

    # What this table has no columns for is the same for every row.

    @property
    def tenant(self) -> str:
        """There is one."""
        return ""

    @property
    def headers(self) -> Mapping[str, str]:
        """None of our own."""
        return {}

    @property
    def profile(self) -> str:
        """Standard Webhooks."""
        return "standard"

    @property
    def retry(self) -> RetryPolicy | None:
        """As the profile says."""
        return None

    @property
    def max_in_flight(self) -> int:
        """How many requests at once."""
        return 4

    @property
    def rate_limit(self) -> tuple[int, timedelta] | None:
        """As fast as can be."""
        return None


def endpoint_of(webhook: Webhook) -> Endpoint:
    """Return what hookkit stores of a webhook of anybody's."""
    return Endpoint(webhook.url, tuple(webhook.events), id=webhook.id, keys=tuple(webhook.keys), **_changeable(webhook))


def _changeable(webhook: Webhook) -> dict[str, Any]:
    names = ("name", "headers", "profile", "retry", "max_in_flight", "rate_limit")
    return {name: getattr(webhook, name) for name in names}


def follow(registry: Registry, webhook: Webhook) -> None:
    """Have hookkit's store follow a row, after the commit that made or changed it. Repeating it does no harm.

    hookkit disables by itself what answers 410, or fails for days: that stays until somebody enables it. Keys are made
    once; ``Registry.rotate_key`` makes new ones, which you put into the row.

    Raises:
        InvalidEndpoint: hookkit would not call it. Check a row so before its commit: with ``registry.create`` in it.
    """
    try:
        stored = registry.get(webhook.id)
    except NotFound:
        registry.create(endpoint_of(webhook))
        stored = registry.get(webhook.id)
    else:
        registry.update(webhook.id, url=webhook.url, events=tuple(webhook.events), **_changeable(webhook))
    if stored.enabled and not webhook.enabled:
        registry.disable(webhook.id)
    elif webhook.enabled and stored.disabled_reason == "manual":
        registry.enable(webhook.id)


def follow_all(registry: Registry, webhooks: Iterable[Webhook]) -> None:
    """Have hookkit's store follow the table, at the start: whatever a crash kept from it is made up for."""
    rows = {webhook.id: webhook for webhook in webhooks}
    for webhook in rows.values():
        follow(registry, webhook)
    last = None
    while page := registry.list(after=last):
        for endpoint in page:
            if endpoint.id not in rows:
                registry.remove(endpoint.id)
        last = page[-1].id

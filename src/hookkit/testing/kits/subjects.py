"""The contracts of a host's own objects: a Webhook and an EventType."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import pytest

from hookkit.event import Event, check_id
from hookkit.jsontext import check_json
from hookkit.protocols import EventType, Webhook
from hookkit.retry import RetryPolicy
from hookkit.signing import SigningKey

__all__ = ["EventTypeContract", "WebhookContract"]


class WebhookContract:
    """Checks a :class:`hookkit.Webhook`, such as a host's own row. Override the fixture ``webhook``."""

    @pytest.fixture
    def webhook(self) -> Webhook:
        """Return the webhook under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `webhook`")

    def test_its_id_can_be_used_in_a_header(self, webhook: Webhook) -> None:
        """Printable ASCII without space or full stop, 128 characters at most."""
        assert check_id(webhook.id) == webhook.id

    def test_its_texts_are_text(self, webhook: Webhook) -> None:
        """URL, name, tenant and profile; never None."""
        texts = (webhook.url, webhook.name, webhook.tenant, webhook.profile)
        assert [type(text) for text in texts] == [str] * 4
        assert webhook.url

    def test_its_events_are_names(self, webhook: Webhook) -> None:
        """Several texts, not one."""
        assert not isinstance(webhook.events, str)
        assert isinstance(webhook.events, Sequence)
        assert all(isinstance(name, str) for name in webhook.events)

    def test_its_headers_are_a_mapping_of_texts(self, webhook: Webhook) -> None:
        """Empty, not None, where there are none."""
        assert isinstance(webhook.headers, Mapping)
        assert all(isinstance(text, str) for pair in webhook.headers.items() for text in pair)

    def test_its_keys_can_be_read(self, webhook: Webhook) -> None:
        """At least one, each a SigningKey or its text."""
        assert not isinstance(webhook.keys, str)
        keys = [key if isinstance(key, SigningKey) else SigningKey(key) for key in webhook.keys]
        assert keys

    def test_its_limits_are_numbers(self, webhook: Webhook) -> None:
        """A cap of at least one; a rate of a count and a timedelta, or None; a retry policy, or None."""
        assert isinstance(webhook.enabled, bool)
        assert webhook.max_in_flight >= 1
        assert webhook.retry is None or isinstance(webhook.retry, RetryPolicy)
        if webhook.rate_limit is not None:
            count, per = webhook.rate_limit
            assert count >= 1
            assert per > timedelta(0)


class EventTypeContract:
    """Checks a :class:`hookkit.EventType`. Override the fixture ``event_type``."""

    @pytest.fixture
    def event_type(self) -> EventType:
        """Return the event type under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `event_type`")

    def test_an_event_can_be_made_of_it(self, event_type: EventType) -> None:
        """Its name is one that an Event takes."""
        assert Event(event_type).type == event_type.name

    def test_it_is_described(self, event_type: EventType) -> None:
        """In text, for the customer who chooses events."""
        assert isinstance(event_type.description, str)

    def test_its_example_is_json(self, event_type: EventType) -> None:
        """So that a test payload can be made of it."""
        check_json(event_type.example, "example")

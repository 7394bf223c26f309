"""The contract of a Payload."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hookkit.event import Event
from hookkit.protocols import Payload
from hookkit.testing.clock import START

__all__ = ["PayloadContract"]


def _event(data: Any = None, context: Mapping[str, Any] | None = None) -> Event:
    return Event("user.created", data, id="evt_1", occurred_at=START, context=context or {})


class PayloadContract:
    """Checks a :class:`hookkit.protocols.Payload`. Override the fixture ``payload``."""

    @pytest.fixture
    def payload(self) -> Payload:
        """Return the payload format under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `payload`")

    def test_its_content_type_can_be_sent(self, payload: Payload) -> None:
        """Printable ASCII, of the form ``type/subtype``."""
        assert payload.content_type.isascii()
        assert payload.content_type.isprintable()
        assert "/" in payload.content_type

    @pytest.mark.parametrize(
        "data",
        [
            None,
            True,
            0,
            -1.5,
            "",
            "Grüße 🔔 \u2028",
            [],
            {},
            [1, [2, {"a": None}]],
            {"b": 1, "a": {"ключ": "значение"}},
        ],
    )
    def test_the_same_event_gives_the_same_bytes(self, payload: Payload, data: Any) -> None:
        """Whatever JSON its data is; the event itself is not changed."""
        event = _event(data)
        body = payload.encode(event, endpoint_id="whk_1")
        assert isinstance(body, bytes)
        assert body == payload.encode(_event(data), endpoint_id="whk_1")
        assert event == _event(data)

    def test_different_data_gives_different_bytes(self, payload: Payload) -> None:
        """Nothing of it is left out."""
        bodies = {payload.encode(_event({"id": number}), endpoint_id="whk_1") for number in range(10)}
        assert len(bodies) == 10

    def test_it_says_whose_bytes_they_are(self, payload: Payload) -> None:
        """Unless they are each endpoint's own, one body serves all."""
        bodies = {payload.encode(_event({"id": 1}), endpoint_id=name) for name in ("whk_1", "whk_2")}
        assert len(bodies) == (2 if payload.per_endpoint else 1)

    def test_it_says_whether_it_sends_the_context(self, payload: Payload) -> None:
        """Unless it does, facts of the request stay at home."""
        bodies = {
            payload.encode(_event({"id": 1}, context=context), endpoint_id="whk_1")
            for context in ({}, {"ip": "192.0.2.1"})
        }
        assert len(bodies) == (2 if payload.lifts_context else 1)

    def test_a_test_payload_is_one_too(self, payload: Payload) -> None:
        """Whether or not the format makes a difference."""
        assert isinstance(payload.encode(_event({"id": 1}), endpoint_id="whk_1", test=True), bytes)

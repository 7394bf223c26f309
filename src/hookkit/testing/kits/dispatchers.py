"""The contract of a Dispatcher."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import pytest

from hookkit.errors import PayloadError
from hookkit.event import Event
from hookkit.protocols import Dispatcher

__all__ = ["DispatcherContract"]


class _Events(StrEnum):
    CREATED = "user.created"


class _Type:
    name = "user.created"
    description = "A user was created."
    example = None


class DispatcherContract:
    """Checks a :class:`hookkit.Dispatcher`, as far as its caller sees it. Override the fixture ``dispatcher``."""

    @pytest.fixture
    def dispatcher(self) -> Dispatcher:
        """Return the dispatcher under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `dispatcher`")

    def test_an_emission_names_the_event(self, dispatcher: Dispatcher) -> None:
        """By the id it had."""
        emission = dispatcher.emit(Event("user.created", {"id": "u_1"}, id="evt_1"))
        assert (emission.event_id, emission.duplicate) == ("evt_1", False)

    def test_an_event_without_id_is_given_one(self, dispatcher: Dispatcher) -> None:
        """Each its own."""
        ids = {dispatcher.emit("user.created", {"id": "u_1"}).event_id for _ in range(3)}
        assert len(ids) == 3
        assert "" not in ids

    @pytest.mark.parametrize("event", ["user.created", _Events.CREATED, _Type(), Event("user.created", {"id": "u_1"})])
    def test_an_event_is_named_in_any_of_four_ways(self, dispatcher: Dispatcher, event: Any) -> None:
        """Text, a StrEnum's member, an EventType, or a whole Event."""
        data = None if isinstance(event, Event) else {"id": "u_1"}
        assert dispatcher.emit(event, data).event_id

    def test_the_events_other_fields_are_keywords(self, dispatcher: Dispatcher) -> None:
        """As they are the Event's."""
        emission = dispatcher.emit(
            "user.created",
            {"id": "u_1"},
            id="evt_1",
            tenant="acme",
            occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
            context={"ip": "192.0.2.1"},
        )
        assert emission.event_id == "evt_1"

    @pytest.mark.parametrize(
        ("name", "data", "fields"),
        [
            ("user created", None, {}),
            ("", None, {}),
            ("user.created", {"at": datetime(2026, 1, 1, tzinfo=UTC)}, {}),
            ("user.created", float("nan"), {}),
            ("user.created", None, {"id": "evt.1"}),
            ("user.created", None, {"idempotency_key": ""}),
        ],
    )
    def test_an_event_that_is_not_valid_is_refused(
        self, dispatcher: Dispatcher, name: str, data: Any, fields: dict[str, Any]
    ) -> None:
        """Where it is emitted, and not when it is sent."""
        with pytest.raises(PayloadError):
            dispatcher.emit(name, data, **fields)

    def test_an_unknown_field_is_refused(self, dispatcher: Dispatcher) -> None:
        """A misspelt keyword must not be swallowed."""
        fields: dict[str, Any] = {"idempotencykey": "k"}
        with pytest.raises(TypeError):
            dispatcher.emit("user.created", None, **fields)

    def test_a_repeated_idempotency_key_is_the_first_emission_again(self, dispatcher: Dispatcher) -> None:
        """New data is ignored; another tenant's key is its own."""
        first = dispatcher.emit("user.created", {"id": "u_1"}, idempotency_key="k")
        again = dispatcher.emit("user.created", {"id": "u_2"}, idempotency_key="k")
        other = dispatcher.emit("user.created", {"id": "u_1"}, idempotency_key="k", tenant="acme")
        assert (again.event_id, again.delivery_ids, again.duplicate) == (first.event_id, first.delivery_ids, True)
        assert (other.event_id == first.event_id, other.duplicate) == (False, False)

    def test_several_events_are_emitted_in_order(self, dispatcher: Dispatcher) -> None:
        """From any iterable; none is no mistake."""
        emissions = dispatcher.emit_many(Event("user.created", id=f"evt_{number}") for number in (3, 1, 2))
        assert [emission.event_id for emission in emissions] == ["evt_3", "evt_1", "evt_2"]
        assert dispatcher.emit_many([]) == []

    def test_several_events_are_emitted_or_none(self, dispatcher: Dispatcher) -> None:
        """One that cannot be made stops those before it."""

        def events() -> Any:
            yield Event("user.created", id="evt_1", idempotency_key="k")
            raise PayloadError("this one cannot be made")

        with pytest.raises(PayloadError):
            dispatcher.emit_many(events())
        assert dispatcher.emit("user.created", id="evt_1", idempotency_key="k").duplicate is False

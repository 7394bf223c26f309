"""The values between the shells and a store: frozen, with quiet defaults, showing neither body nor key."""

from __future__ import annotations

import copy
import pickle
from datetime import timedelta

import attrs
import pytest

from hookkit.testing.builders import endpoint, entry
from hookkit.testing.clock import START
from hookkit.work import Claim, EndpointState, Planned, PlannedDelivery, Settled, Settlement

CLAIM = Claim("clm_1", "dlv_1", "evt_1", "a.b", b"planted-body", "standard", 1, endpoint(keys="planted-key"))


@pytest.mark.parametrize(
    "value",
    [
        PlannedDelivery("dlv_1", "whk_1", "standard", b"planted-body"),
        Planned("evt_1", "a.b", "", None, (PlannedDelivery("dlv_1", "whk_1", "standard", b"planted-body"),)),
        CLAIM,
        Settlement("clm_1", None, "failed", None, entry("whk_1", body=b"planted-body")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_bodies_and_keys_are_not_shown(value):
    """Whoever logs what a worker does, logs neither."""
    assert "planted" not in repr(value)
    assert "<12 bytes>" in repr(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Planned("evt_1", "a.b", ""), {"idempotency_key": None, "deliveries": ()}),
        (
            CLAIM,
            {"tenant": "", "created_at": None, "attempts": (), "schedule_start": 0, "busy": False, "failing": False},
        ),
        (Settled(applied=True), {"notices": ()}),
        (
            EndpointState("whk_1"),
            {
                "tenant": "",
                "state": "healthy",
                "disabled_reason": None,
                "consecutive_failures": 0,
                "failing_since": None,
                "opened_at": None,
                "probe_at": None,
                "probe_delay": timedelta(0),
                "ramp": None,
                "warned": 0.0,
                "last_success_at": None,
                "last_failure_at": None,
            },
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_have_defaults_and_are_frozen(value, expected):
    """A new endpoint is healthy, and nothing is known of it."""
    assert {name: getattr(value, name) for name in expected} == expected
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, next(iter(expected)), None)


def test_a_claim_is_not_pickled():
    """It carries its webhook's keys; copied, it still holds the very same webhook."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(CLAIM)
    assert copy.deepcopy(CLAIM).endpoint is CLAIM.endpoint


def test_an_endpoints_state_may_be_pickled():
    """It is plain data."""
    state = EndpointState("whk_1", state="failing", probe_at=START, probe_delay=timedelta(seconds=30))
    assert pickle.loads(pickle.dumps(state)) == state

"""An endpoint's standing in the queue as a row and back: what every SQL store writes alike. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from hookkit.fairness import Line
from hookkit.model import Endpoint
from hookkit.stores.rows import optional_from_us, optional_us
from hookkit.stores.sql import MICROSECOND, Row, to_us
from hookkit.work import EndpointState

__all__ = ["LINE_COLUMNS", "LINE_WIDTH", "SAVED_COLUMNS", "line_from", "line_row"]

_STATE: Final = (
    "state, disabled_reason, consecutive_failures, failing_since, opened_at, probe_at, probe_delay_us, ramp, warned, "
    "last_success_at, last_failure_at, held, in_flight, tokens, tokens_since"
)
LINE_COLUMNS: Final = f"endpoint_id, tenant, {_STATE}"
LINE_WIDTH: Final = 17
SAVED_COLUMNS: Final = f"{_STATE}, blocked, not_before"
"""What :func:`line_row` returns the values of."""


def line_from(row: Row) -> Line:
    """Return the standing of a row of :data:`LINE_COLUMNS`; what comes after those is left aside."""
    state = EndpointState(
        endpoint_id=row[0],
        tenant=row[1],
        state=row[2],
        disabled_reason=row[3],
        consecutive_failures=row[4],
        failing_since=optional_from_us(row[5]),
        opened_at=optional_from_us(row[6]),
        probe_at=optional_from_us(row[7]),
        probe_delay=row[8] * MICROSECOND,
        ramp=row[9],
        warned=row[10],
        last_success_at=optional_from_us(row[11]),
        last_failure_at=optional_from_us(row[12]),
    )
    return Line(state, held=bool(row[13]), in_flight=row[14], tokens=row[15], tokens_since=optional_from_us(row[16]))


def line_row(line: Line, endpoint: Endpoint, now: datetime) -> tuple[Any, ...]:
    """Return the values of :data:`SAVED_COLUMNS`: the last two say whether, and from when on, it may be served."""
    opens = line.opens_at(endpoint, now)
    state = line.state
    return (
        state.state,
        state.disabled_reason,
        state.consecutive_failures,
        optional_us(state.failing_since),
        optional_us(state.opened_at),
        optional_us(state.probe_at),
        state.probe_delay // MICROSECOND,
        state.ramp,
        state.warned,
        optional_us(state.last_success_at),
        optional_us(state.last_failure_at),
        int(line.held),
        line.in_flight,
        line.tokens,
        optional_us(line.tokens_since),
        int(opens is None),
        0 if opens is None or opens <= now else to_us(opens),
    )

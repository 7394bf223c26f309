"""What the SQL stores share: times and values as rows and back, and operations that run on any connection."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
import traceback
from contextlib import closing
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookkit import Attempt, Endpoint, LogEntry, RetryPolicy, SigningKey, StoreError
from hookkit.profiles import LOGTO, STANDARD
from hookkit.stores.rows import (
    ATTEMPT_COLUMNS,
    WEBHOOK_COLUMNS,
    Coder,
    attempt_from,
    attempt_row,
    entry_from,
    optional_from_us,
    optional_us,
)
from hookkit.stores.sql import Dialect, drive, drive_async, from_us, marks, parts, to_us
from hookkit.testing.builders import KEY, endpoint
from hookkit.testing.clock import START
from hookkit.vault import Vault
from strategies import json_values

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)
instants = st.timedeltas(-2020 * 365 * DAY, 7950 * 365 * DAY).map(lambda since: START + since)
waits = st.timedeltas(timedelta(0), 366 * DAY)
plain_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)

# --- Times and parts --------------------------------------------------------------------------------------------------


@given(instants)
def test_times_come_back_to_the_microsecond(at):
    """Whole microseconds since 1970, before it, too."""
    assert from_us(to_us(at)) == at
    assert optional_from_us(optional_us(at)) == at


def test_known_times():
    """In the order of time, as integers; no time stays none."""
    assert to_us(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_us(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=UTC)) == 1_000_005
    assert to_us(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    assert from_us(0).tzinfo is UTC
    assert optional_us(None) is None
    assert optional_from_us(None) is None


@pytest.mark.parametrize(("count", "text"), [(0, ""), (1, "?"), (3, "?, ?, ?")])
def test_marks(count, text):
    """As many as there are parameters."""
    assert marks(count) == text


@given(st.lists(st.integers(), max_size=50), st.integers(1, 20))
def test_parts_are_whole_and_short(values, size):
    """All of it, in order, in lists that one statement can take."""
    found = list(parts(iter(values), size))
    assert [value for part in found for value in part] == values
    assert all(1 <= len(part) <= size for part in found)


def test_a_part_is_five_hundred():
    """Below what any database refuses."""
    assert [len(part) for part in parts(range(1001))] == [500, 500, 1]


# --- Operations -------------------------------------------------------------------------------------------------------

SQLITE = Dialect("sqlite", "hook_", "?", heads_at_enqueue=True)
POSTGRES = Dialect("postgres", "hookkit.", "%s", heads_at_enqueue=False)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        (SQLITE, "SELECT a FROM hook_events JOIN hook_bodies WHERE x = ? AND y IN (?, ?)"),
        (POSTGRES, "SELECT a FROM hookkit.events JOIN hookkit.bodies WHERE x = %s AND y IN (%s, %s)"),
    ],
    ids=["sqlite", "postgres"],
)
def test_a_statement_in_its_dialect(dialect, text):
    """Tables with their prefix, parameters with the driver's mark."""
    assert dialect.sql("SELECT a FROM {events} JOIN {bodies} WHERE x = ? AND y IN (?, ?)") == text


def counting(first):
    """Be an operation: double what each of three statements returns, and return the sum."""
    total = 0
    for number in range(3):
        rows = yield "SELECT ? * 2", (first + number,)
        total += rows[0][0]
    return total


def nothing():
    """Be an operation that asks for nothing."""
    return "done"
    yield


def test_an_operation_on_a_sync_connection():
    """Each query is executed, and its rows are sent back in."""
    with closing(sqlite3.connect(":memory:")) as connection:
        assert drive(counting(1), lambda sql, params: connection.execute(sql, params).fetchall()) == 12
    assert drive(nothing(), lambda sql, params: pytest.fail("nothing was asked")) == "done"


def test_the_same_operation_on_an_async_connection():
    """Word for word the same generator, awaited between its steps."""

    async def execute(sql, params):
        await asyncio.sleep(0)
        return [(params[0] * 2,)]

    assert asyncio.run(drive_async(counting(1), execute)) == 12
    assert asyncio.run(drive_async(nothing(), execute)) == "done"


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_what_a_connection_raises_ends_the_operation(fails_at):
    """It reaches the caller, and no further statement is run."""
    ran = []

    def execute(sql, params):
        ran.append(params)
        if len(ran) > fails_at:
            raise StoreError("the disk is full")
        return [(1,)]

    async def execute_async(sql, params):
        return execute(sql, params)

    with pytest.raises(StoreError, match="disk"):
        drive(counting(1), execute)
    assert len(ran) == fails_at + 1
    ran.clear()
    with pytest.raises(StoreError, match="disk"):
        asyncio.run(drive_async(counting(1), execute_async))
    assert len(ran) == fails_at + 1


# --- Webhooks ---------------------------------------------------------------------------------------------------------

VAULTS = [None, Vault({"k1": b"1" * 32})]
keys = st.builds(
    SigningKey,
    st.sampled_from([KEY, "0123456789abcdefghijklmnopqrstuv", "ключ"]),
    created_at=st.none() | instants,
    expires_at=st.none() | instants,
)
policies = st.builds(
    RetryPolicy,
    st.lists(waits, max_size=10),
    statuses=st.sets(st.integers(100, 999), max_size=20) | st.just(STANDARD.retry.statuses),
    network_errors=st.booleans(),
    jitter=st.floats(0, 1),
    max_delay=waits,
)
endpoints = st.builds(
    Endpoint,
    st.just("https://receiver.example.com/"),
    st.lists(st.sampled_from(["*", "User.*", "a.b"]), min_size=1),
    name=plain_text,
    id=st.just("whk_1"),
    tenant=plain_text,
    headers=st.dictionaries(plain_text, plain_text, max_size=3),
    keys=st.lists(keys, max_size=3),
    enabled=st.booleans(),
    profile=st.sampled_from(["standard", "logto", "mine"]),
    retry=st.none() | policies,
    max_in_flight=st.integers(1, 10_000),
    rate_limit=st.none() | st.tuples(st.integers(1, 1_000_000), waits),
    metadata=st.dictionaries(plain_text, json_values(), max_size=3),
    created_at=st.none() | instants,
    disabled_reason=st.none() | plain_text,
)


def stored(columns, values):
    """Return a row as SQLite gives it back."""
    names = columns.split(", ")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE t ({', '.join(names)})")
        connection.execute(f"INSERT INTO t VALUES ({marks(len(names))})", values)
        return connection.execute(f"SELECT {columns} FROM t").fetchone()


@given(endpoints, st.sampled_from(VAULTS))
def test_a_webhook_comes_back_as_it_was(webhook, vault):
    """Every field, sealed or not, through a database and another process's coder."""
    row = stored(WEBHOOK_COLUMNS, Coder(vault).row(webhook))
    assert Coder(vault).endpoint(row) == webhook


@pytest.mark.parametrize("policy", [STANDARD.retry, LOGTO.retry, RetryPolicy([]), RetryPolicy([1], statuses=())])
def test_policies_come_back_as_they_were(policy):
    """The shipped ones, and the empty; eight hundred statuses take no more room than the ranges they are."""
    coder = Coder(None)
    row = coder.row(endpoint(retry=policy))
    assert coder.endpoint(row).retry == policy
    assert len(row[11]) < 250


def test_a_webhook_is_decoded_once():
    """Until its row changes; rows of another kind of sequence are the same row."""
    coder = Coder(None)
    webhook = endpoint(id="whk_1")
    row = coder.row(webhook)
    first = coder.endpoint(row)
    assert coder.endpoint(list(row)) is first
    changed = coder.endpoint(coder.row(attrs.evolve(webhook, name="new")))
    assert changed.name == "new"
    assert coder.endpoint(row) == first


def test_a_coder_does_not_remember_for_ever():
    """Ten thousand webhooks, and then it begins anew."""
    coder = Coder(None)
    row = coder.row(endpoint(id="whk_0"))
    for number in range(10_100):
        coder.endpoint((f"whk_{number}", *row[1:]))
        assert len(coder._known) <= 10_001
    assert coder.endpoint(("whk_5", *row[1:])).id == "whk_5"


SECRETIVE = endpoint(id="whk_1", headers={"x-api-key": "planted-value"})


def test_with_a_vault_secrets_are_sealed():
    """Keys and header values, and nothing of them is left in the row; without one they are readable."""
    sealed, plain = Coder(VAULTS[1]).row(SECRETIVE), Coder(None).row(SECRETIVE)
    assert sealed[14] == "k1"
    assert plain[14] == ""
    for mark in (KEY, base64.b64decode(KEY[6:]).decode(), "planted-value"):
        assert mark not in repr(sealed)
    assert KEY in repr(plain)
    assert sealed[:14] == plain[:14]


def test_sealed_secrets_need_their_vault():
    """Without one, or with another, the error names the webhook's key id, and what to give."""
    row = Coder(VAULTS[1]).row(SECRETIVE)
    with pytest.raises(StoreError, match=r"webhook whk_1: .* sealed with 'k1'; give the store that vault="):
        Coder(None).endpoint(row)
    with pytest.raises(StoreError, match="'k1', which this vault does not have"):
        Coder(Vault({"k2": b"2" * 32})).endpoint(row)
    with pytest.raises(StoreError, match="changed or moved"):
        Coder(Vault({"k1": b"2" * 32})).endpoint(row)


def test_a_vault_may_be_given_later():
    """What was stored in the clear stays readable, and is sealed when it is next written."""
    coder = Coder(VAULTS[1])
    webhook = coder.endpoint(Coder(None).row(SECRETIVE))
    assert webhook == SECRETIVE
    assert coder.row(webhook)[14] == "k1"


def test_sealed_secrets_do_not_move():
    """Neither to another webhook's row, nor from the keys to the headers of the same."""
    coder = Coder(VAULTS[1])
    row = coder.row(SECRETIVE)
    with pytest.raises(StoreError, match="changed or moved"):
        coder.endpoint(("whk_2", *row[1:]))
    with pytest.raises(StoreError, match="changed or moved"):
        coder.endpoint((*row[:15], row[16], row[15]))


@pytest.mark.parametrize(("column", "value"), [(1, "another"), (3, "https://elsewhere.example.com/")])
@pytest.mark.parametrize("secrets", [15, 16])
def test_sealed_secrets_stay_with_their_tenant_and_url(column, value, secrets):
    """Whoever can only write to the database cannot have them sent elsewhere."""
    coder = Coder(VAULTS[1])
    row = list(coder.row(SECRETIVE))
    row[secrets] = coder.row(attrs.evolve(SECRETIVE, **{"tenant" if column == 1 else "url": value}))[secrets]
    with pytest.raises(StoreError, match=r"webhook whk_1: .* does not open with the vault key 'k1'"):
        coder.endpoint(row)
    row = list(coder.row(SECRETIVE))
    row[column] = value
    with pytest.raises(StoreError, match="changed or moved"):
        coder.endpoint(row)


def test_a_row_may_be_looked_at_without_its_secrets():
    """What is said of it is what reading it raises; a readable one is whole, and the same as ever."""
    coder = Coder(VAULTS[1])
    row = coder.row(SECRETIVE)
    whole, reason = coder.peek(row)
    assert (whole, reason) == (SECRETIVE, "")
    assert coder.endpoint(row) is whole
    bare, reason = Coder(None).peek(row)
    assert bare == attrs.evolve(SECRETIVE, keys=(), headers={})
    with pytest.raises(StoreError) as refused:
        Coder(None).endpoint(row)
    assert reason == str(refused.value)


@pytest.mark.parametrize(
    ("column", "value"), [(4, "{"), (4, "7"), (11, "[]"), (11, '{"delays": [1]}'), (12, "{"), (13, "x")]
)
@pytest.mark.parametrize("vault", VAULTS, ids=["plain", "sealed"])
def test_other_damage_is_an_error_of_ours_too(vault, column, value):
    """Of events, policy or metadata: reading raises it, and a look leaves them out. Of a time nothing can be made."""
    row = list(Coder(vault).row(SECRETIVE))
    row[column] = value
    with pytest.raises(StoreError, match="webhook whk_1: it cannot be read; the row was damaged"):
        Coder(vault).endpoint(row)
    if column != 13:
        bare, reason = Coder(vault).peek(row)
        assert (bare.id, bare.events, bare.retry, bare.metadata, bare.keys) == ("whk_1", (), None, {}, ())
        assert "damaged" in reason


def test_a_coder_knows_its_sealing_key():
    """The vault's first; none without one."""
    assert Coder(None).sealing_key() == ""
    assert Coder(Vault({"k2": b"2" * 32, "k1": b"1" * 32})).sealing_key() == "k2"


@pytest.mark.parametrize("column", [15, 16])
@pytest.mark.parametrize("damaged", [b"", b'{"planted', b"\xff planted", b"[1, planted"])
def test_a_damaged_row_is_an_error_of_ours(column, damaged):
    """It names the webhook, and quotes nothing of what was there."""
    row = list(Coder(None).row(SECRETIVE))
    row[column] = damaged
    with pytest.raises(StoreError, match=r"webhook whk_1: its (keys|headers) cannot be read") as caught:
        Coder(None).endpoint(row)
    assert "planted" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("vault", VAULTS, ids=["plain", "sealed"])
def test_a_driver_may_give_views(vault):
    """Some hand out memory views instead of bytes."""
    row = list(Coder(vault).row(SECRETIVE))
    row[15:17] = map(memoryview, row[15:17])
    assert Coder(vault).endpoint(row) == SECRETIVE


# --- Attempts and entries ---------------------------------------------------------------------------------------------

latin = st.text(st.characters(max_codepoint=255), max_size=20)
attempts = st.builds(
    Attempt,
    st.integers(1, 50),
    instants,
    waits,
    st.none() | st.integers(100, 999),
    st.sampled_from(["", "status", "timeout", "lost"]),
    st.lists(st.tuples(latin, latin), max_size=5).map(tuple),
    st.binary(max_size=50),
    st.none() | waits,
)


@given(attempts)
def test_an_attempt_comes_back_as_it_was(attempt):
    """Headers with any byte in them, bodies as bytes."""
    row = stored(ATTEMPT_COLUMNS, attempt_row(7, attempt))
    assert row[0] == 7
    assert attempt_from(row) == attempt


@pytest.mark.parametrize("damaged", [b"{", b"[7]", b"7", b"\xff", b'{"a": 1}', b"[" * 100_000])
def test_headers_that_cannot_be_read_are_left_out(damaged):
    """What a receiver answered once is worth no delivery that waits for ever."""
    row = [*attempt_row(7, Attempt(1, START, status=500, reason="status"))]
    row[7] = damaged
    assert attempt_from(row) == Attempt(1, START, status=500, reason="status")


def test_what_is_empty_takes_no_room():
    """No headers and no body are no values."""
    row = attempt_row(7, Attempt(1, START))
    assert row == (7, 1, to_us(START), 0, None, "", None, None, None)


@pytest.mark.parametrize(
    ("state", "due_us", "next_attempt_at"),
    [
        ("pending", to_us(START), START),
        ("leased", to_us(START), None),
        ("held", to_us(START), None),
        ("succeeded", None, None),
        ("failed", None, None),
        ("pending", None, None),
    ],
)
def test_an_entry_says_when_it_is_due(state, due_us, next_attempt_at):
    """While it is pending, and only then."""
    row = ("dlv_1", "evt_1", "a.b", "whk_1", "acme", state, to_us(START), None, due_us, "", b"{}")
    entry = entry_from(row, [])
    assert (entry.state, entry.next_attempt_at) == (state, next_attempt_at)


def test_an_entry_is_whole():
    """Every column in its place, with its attempts; a payload that was pruned is empty."""
    made = [Attempt(1, START, status=500, reason="status"), Attempt(2, START + SECOND, status=410, reason="status")]
    row = ("dlv_1", "evt_1", "a.b", "whk_1", "acme", "failed", to_us(START), to_us(START + SECOND), None, "gone", None)
    assert entry_from(row, made) == LogEntry(
        "dlv_1", "evt_1", "a.b", "whk_1", "acme", "failed", tuple(made), START, START + SECOND, None, b"", "gone"
    )
    assert entry_from((*row[:10], memoryview(b"{}")), made).body == b"{}"

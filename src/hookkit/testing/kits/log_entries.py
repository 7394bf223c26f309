"""The contract of a LogStore: entries, and how they are read and forgotten."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from hookkit.errors import NotFound
from hookkit.model import Attempt, DeliveryState, LogEntry
from hookkit.protocols import LogStore
from hookkit.testing.builders import attempt, entry
from hookkit.testing.clock import START
from hookkit.testing.kits.fixtures import StoreFixtures

__all__ = ["LogEntryRules"]

HOUR = timedelta(hours=1)
NOW = START + timedelta(days=2, microseconds=123_457)

HOSTILE_BODIES = {
    "NUL": b"a\0b\0",
    "no UTF-8": b"\xff\xfe\xc3(",
    "surrogates in UTF-8": b"\xed\xa0\x80\xed\xb0\x80",
    "ANSI": b"\x1b[2J\x1b]0;x\x07\x9b31m",
    "bidi": "\u202etxt\u2066".encode(),
    "line ends": b"a\r\nb\rc\n\x85",
    "every byte": bytes(range(256)),
    "quotes": b"'\"\\`$1%s?{}",
    "blank": b" \t ",
}
HEADERS = (("x-request-id", "7"),)


def _ago(hours: float) -> datetime:
    return NOW - hours * HOUR


def _tried(hours_ago: float, status: int | None = 200, endpoint_id: str = "whk_1", **fields: Any) -> LogEntry:
    """Return an entry whose only attempt was made so many hours ago."""
    at = _ago(hours_ago)
    return entry(endpoint_id, attempt(at=at, status=status), created_at=at, **fields)


def _ids(entries: Iterable[LogEntry]) -> list[str]:
    return [one.delivery_id for one in entries]


class LogEntryRules(StoreFixtures):
    """Rules of ``record``, ``entry``, ``recent`` and ``prune`` of :class:`hookkit.protocols.LogStore`."""

    # --- record and entry

    def test_an_entry_comes_back_as_it_was_recorded(self, logs: LogStore) -> None:
        """Every field of it and of its attempts; bodies are bytes."""
        tried = Attempt(1, _ago(2), 1.25, 503, "status", (("a", "é"), ("a", "2")), b"\x00\xff", timedelta(seconds=7))
        whole = LogEntry(
            delivery_id="dlv_1",
            event_id="evt_1",
            event_type="user.created",
            endpoint_id="whk_1",
            tenant="acme",
            state="failed",
            attempts=(tried, attempt(2, at=_ago(1), status=None)),
            created_at=_ago(2),
            finished_at=_ago(1),
            body=bytes(range(256)),
            reason="exhausted",
        )
        logs.record([whole])
        assert logs.entry("dlv_1") == whole

    @pytest.mark.parametrize("body", HOSTILE_BODIES.values(), ids=HOSTILE_BODIES)
    def test_whatever_a_receiver_answers_comes_back(self, logs: LogStore, body: bytes) -> None:
        """Byte for byte, in the body and in a header's value: a store that refused it would have it sent for ever."""
        headers = (("x-odd", body.decode("latin-1")), ("", ""), ("x-odd", ""))
        answered = Attempt(1, _ago(1), 1.0, 500, "status", headers, body)
        whole = entry("whk_1", answered, created_at=_ago(1))
        logs.record([whole])
        (found,) = logs.entry(whole.delivery_id).attempts
        assert (found.response_headers, found.response_body) == (headers, body)
        assert list(logs.recent("whk_1", now=NOW)) == [whole]

    def test_a_header_of_any_text_comes_back(self, logs: LogStore) -> None:
        """A host's own transport may decode headers otherwise than as latin-1, lone surrogates included."""
        headers = (("x-odd", "\ud800 \U0001f642 \u202e\0"),)
        whole = entry("whk_1", Attempt(1, _ago(1), 1.0, 500, "status", headers), created_at=_ago(1))
        logs.record([whole])
        assert logs.entry(whole.delivery_id).attempts[0].response_headers == headers

    @pytest.mark.parametrize("state", ["pending", "held"])
    def test_an_entry_never_attempted_comes_back_too(self, logs: LogStore, state: DeliveryState) -> None:
        """With the time at which it is due, where it is."""
        due = NOW if state == "pending" else None
        waiting = entry("whk_1", state=state, created_at=_ago(1), next_attempt_at=due)
        logs.record([waiting])
        assert logs.entry(waiting.delivery_id) == waiting

    def test_an_unknown_entry_is_not_found(self, logs: LogStore) -> None:
        """There is no such delivery."""
        with pytest.raises(NotFound):
            logs.entry("dlv_none")

    def test_recording_again_replaces(self, logs: LogStore) -> None:
        """One delivery has one entry; the newer one holds all attempts."""
        first = _tried(3, 500, state="pending", next_attempt_at=_ago(2))
        logs.record([first])
        tried_again = (*first.attempts, attempt(2, at=_ago(2)))
        second = attrs.evolve(first, attempts=tried_again, state="succeeded", next_attempt_at=None, finished_at=_ago(2))
        logs.record([second])
        assert logs.entry(first.delivery_id) == second
        assert list(logs.recent("whk_1", now=NOW)) == [second]

    def test_fewer_attempts_never_replace_more(self, logs: LogStore) -> None:
        """A slow writer does not undo what a later one has recorded."""
        first = _tried(3, 500, state="pending", next_attempt_at=_ago(2))
        second = attrs.evolve(
            first,
            attempts=(*first.attempts, attempt(2, at=_ago(2))),
            state="succeeded",
            next_attempt_at=None,
            finished_at=_ago(2),
        )
        logs.record([second])
        logs.record([first])
        assert logs.entry(first.delivery_id) == second

    def test_as_many_attempts_replace(self, logs: LogStore) -> None:
        """Held, released, dropped: the state changes without an attempt."""
        first = _tried(3, 500, state="pending", next_attempt_at=_ago(2))
        logs.record([first])
        held = attrs.evolve(first, state="held", next_attempt_at=None)
        logs.record([held])
        assert logs.entry(first.delivery_id) == held

    def test_several_entries_are_recorded_in_one_call(self, logs: LogStore) -> None:
        """From any iterable; none is no mistake."""
        entries = [_tried(1), _tried(2), _tried(3)]
        logs.record(iter(entries))
        logs.record([])
        assert [logs.entry(one.delivery_id) for one in entries] == entries

    # --- recent

    def test_the_newest_come_first(self, logs: LogStore) -> None:
        """By the time of the last attempt, whenever they were emitted."""
        late = entry("whk_1", attempt(at=_ago(9), status=500), attempt(2, at=_ago(1)), created_at=_ago(9))
        middle, early = _tried(2), _tried(3)
        logs.record([middle, late, early])
        assert list(logs.recent("whk_1", now=NOW)) == [late, middle, early]

    def test_other_endpoints_have_their_own(self, logs: LogStore) -> None:
        """An unknown one has none."""
        mine = _tried(1)
        logs.record([mine, _tried(1, endpoint_id="whk_2")])
        assert _ids(logs.recent("whk_1", now=NOW)) == [mine.delivery_id]
        assert list(logs.recent("whk_none", now=NOW)) == []

    @pytest.mark.parametrize(("seconds", "inside"), [(-1, False), (0, True), (1, True)])
    def test_the_window_begins_inclusively(self, logs: LogStore, seconds: int, inside: bool) -> None:  # noqa: FBT001
        """An attempt made exactly a window ago is still shown."""
        at = NOW - 6 * HOUR + timedelta(seconds=seconds)
        logs.record([entry("whk_1", attempt(at=at), created_at=at)])
        assert len(logs.recent("whk_1", now=NOW, window=6 * HOUR)) == inside

    @pytest.mark.parametrize(("seconds", "inside"), [(-1, True), (0, True), (1, False)])
    def test_the_window_ends_inclusively(self, logs: LogStore, seconds: int, inside: bool) -> None:  # noqa: FBT001
        """An attempt made at this very moment is shown, one from a faster clock's future is not yet."""
        at = NOW + timedelta(seconds=seconds)
        logs.record([entry("whk_1", attempt(at=at), created_at=at)])
        assert len(logs.recent("whk_1", now=NOW)) == inside

    def test_the_window_is_a_day_unless_given(self, logs: LogStore) -> None:
        """What was attempted before it is asked for with a longer one."""
        logs.record([_tried(23), _tried(25)])
        assert len(logs.recent("whk_1", now=NOW)) == 1
        assert len(logs.recent("whk_1", now=NOW, window=48 * HOUR)) == 2

    def test_a_state_can_be_asked_for(self, logs: LogStore) -> None:
        """Any of the five; the rest are left out."""
        entries = {
            "succeeded": _tried(1),
            "failed": _tried(2, 500),
            "pending": _tried(3, 500, state="pending", next_attempt_at=NOW),
            "held": _tried(4, 500, state="held"),
            "leased": _tried(5, 500, state="leased"),
        }
        logs.record(entries.values())
        states: tuple[DeliveryState, ...] = ("succeeded", "failed", "pending", "held", "leased")
        assert {state: list(logs.recent("whk_1", now=NOW, state=state)) for state in states} == {
            state: [one] for state, one in entries.items()
        }

    def test_every_attempted_state_is_shown_without_asking(self, logs: LogStore) -> None:
        """What is being retried as much as what is finished."""
        entries = [_tried(1), _tried(2, 500), _tried(3, 500, state="pending"), _tried(4, 500, state="held")]
        logs.record(entries)
        assert list(logs.recent("whk_1", now=NOW)) == entries

    def test_what_was_never_attempted_is_shown_only_when_asked_for(self, logs: LogStore) -> None:
        """By ``pending`` or ``held``; it stands at the time it was made."""
        old, new = entry("whk_1", created_at=_ago(5)), entry("whk_1", created_at=_ago(1))
        held = entry("whk_1", state="held", created_at=_ago(2))
        dropped = entry("whk_1", state="failed", created_at=_ago(3), reason="dropped")
        retried = _tried(3, 500, state="pending")
        logs.record([old, new, held, dropped, retried])
        assert list(logs.recent("whk_1", now=NOW)) == [retried]
        assert list(logs.recent("whk_1", now=NOW, state="pending")) == [new, retried, old]
        assert list(logs.recent("whk_1", now=NOW, state="held")) == [held]
        assert list(logs.recent("whk_1", now=NOW, state="failed")) == []
        assert list(logs.recent("whk_1", now=NOW, state="pending", window=2 * HOUR)) == [new]

    def test_an_event_type_can_be_asked_for(self, logs: LogStore) -> None:
        """By its exact name, together with a state or without."""
        wanted = _tried(1, event_type="user.deleted")
        logs.record([wanted, _tried(2, event_type="user.created"), _tried(3, 500, event_type="user.deleted")])
        assert len(logs.recent("whk_1", now=NOW, event="user.deleted")) == 2
        assert list(logs.recent("whk_1", now=NOW, event="user.deleted", state="succeeded")) == [wanted]
        assert list(logs.recent("whk_1", now=NOW, event="user.*")) == []

    def test_a_page_has_at_most_limit(self, logs: LogStore) -> None:
        """The newest ones; 50 unless given."""
        entries = [_tried(1 + number / 10) for number in range(60)]
        logs.record(entries)
        assert list(logs.recent("whk_1", now=NOW, limit=3)) == entries[:3]
        assert len(logs.recent("whk_1", now=NOW)) == 50

    @pytest.mark.parametrize("gap", [0, 60])
    def test_pages_together_hold_every_entry_once(self, logs: LogStore, gap: int) -> None:
        """Each goes on after the last one of the page before, those attempted at the same moment included."""
        entries = [_tried(1 + number * gap / 3600) for number in range(7)]
        logs.record(entries)
        pages: list[list[str]] = []
        before: str | None = None
        for _ in range(4):
            pages.append(_ids(logs.recent("whk_1", now=NOW, limit=3, before=before)))
            before = pages[-1][-1] if pages[-1] else before
        seen = [name for page in pages for name in page]
        assert [len(page) for page in pages] == [3, 3, 1, 0]
        assert sorted(seen) == sorted(_ids(entries))
        assert seen == _ids(logs.recent("whk_1", now=NOW))

    def test_after_an_unknown_entry_there_is_nothing(self, logs: LogStore) -> None:
        """Its place in the order is not known; better an empty page than the first one again."""
        logs.record([_tried(1)])
        assert list(logs.recent("whk_1", now=NOW, before="dlv_none")) == []

    def test_pages_of_a_filtered_list_go_on_too(self, logs: LogStore) -> None:
        """State and event type are the same on every page."""
        entries = [_tried(number + 1, 500 if number % 2 else 200) for number in range(8)]
        logs.record(entries)
        first = _ids(logs.recent("whk_1", now=NOW, state="failed", limit=2))
        rest = _ids(logs.recent("whk_1", now=NOW, state="failed", limit=10, before=first[-1]))
        assert first + rest == _ids(entries[1::2])

    # --- prune

    def test_old_payloads_are_forgotten_first(self, logs: LogStore) -> None:
        """The entry stays, without its body."""
        old, young = _tried(10), _tried(5)
        logs.record([old, young])
        touched = logs.prune(payloads_before=_ago(7), entries_before=_ago(1000), limit=100)
        assert touched == 1
        assert logs.entry(old.delivery_id) == attrs.evolve(old, body=b"")
        assert logs.entry(young.delivery_id) == young

    def test_answers_are_forgotten_with_the_payload(self, logs: LogStore) -> None:
        """Every attempt loses the body of its response, which may hold what it answers, and nothing else."""
        tries = [
            attrs.evolve(
                attempt(number, at=_ago(12 - number), status=500), response_body=b"echo", response_headers=HEADERS
            )
            for number in (1, 2)
        ]
        old = entry("whk_1", *tries, created_at=_ago(12))
        young = entry("whk_1", attrs.evolve(tries[0], started_at=_ago(5)), created_at=_ago(5))
        logs.record([old, young])
        assert logs.prune(payloads_before=_ago(7), entries_before=_ago(1000), limit=100) == 1
        bare = tuple(attrs.evolve(one, response_body=b"") for one in tries)
        assert logs.entry(old.delivery_id) == attrs.evolve(old, body=b"", attempts=bare)
        assert logs.entry(young.delivery_id) == young

    def test_old_entries_are_forgotten_with_their_attempts(self, logs: LogStore) -> None:
        """They are not found any more."""
        old, young = _tried(10), _tried(5, 500)
        logs.record([old, young])
        assert logs.prune(payloads_before=_ago(7), entries_before=_ago(7), limit=100) >= 1
        with pytest.raises(NotFound):
            logs.entry(old.delivery_id)
        assert list(logs.recent("whk_1", now=NOW)) == [young]

    @pytest.mark.parametrize("state", ["pending", "leased", "held"])
    def test_what_is_not_finished_loses_nothing(self, logs: LogStore, state: DeliveryState) -> None:
        """However old it is, attempted or not."""
        waiting = entry("whk_1", state=state, created_at=_ago(40))
        tried = _tried(40, 500, state=state)
        logs.record([waiting, tried])
        assert logs.prune(payloads_before=NOW, entries_before=NOW, limit=100) == 0
        assert [logs.entry(one.delivery_id) for one in (waiting, tried)] == [waiting, tried]

    def test_it_is_the_end_that_counts(self, logs: LogStore) -> None:
        """A delivery made long ago and finished just now is young."""
        late = entry("whk_1", attempt(at=_ago(40), status=500), attempt(2, at=_ago(1)), created_at=_ago(40))
        logs.record([late])
        assert logs.prune(payloads_before=_ago(7), entries_before=_ago(7), limit=100) == 0
        assert logs.entry(late.delivery_id) == late

    @pytest.mark.parametrize("entries_hours", [7, 1000])
    def test_pruning_goes_in_batches(self, logs: LogStore, entries_hours: int) -> None:
        """At most `limit` at a time; 0 says that nothing is left, and comes."""
        logs.record([_tried(10 + number) for number in range(7)])
        counts = [logs.prune(payloads_before=_ago(7), entries_before=_ago(entries_hours), limit=3) for _ in range(20)]
        assert max(counts) == 3
        assert counts[-1] == 0
        left = [one.body for one in logs.recent("whk_1", now=NOW)]
        assert left == ([] if entries_hours == 7 else [b""] * 7)

"""The contract of an Inbox."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime, timedelta
from typing import Any, ClassVar

import pytest

from hookkit.errors import StoreError
from hookkit.inbox import Inbox, Receipt
from hookkit.signing import Verified
from hookkit.testing.adapt import SyncAdapter
from hookkit.testing.clock import START
from hookkit.testing.kits.fixtures import Transaction

__all__ = ["InboxContract"]

LEASE = timedelta(seconds=30)
TICK = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
EVENT = Verified("evt_1", START, b"{}", "evt_1")


def _claim(inbox: Inbox[Any], key: str = "evt_1", *, source: str = "auth", at: datetime = START) -> Receipt:
    return inbox.claim(source, key, now=at, lease=LEASE)


@contextmanager
def _receive(inbox: Any, *, at: datetime = START, tx: Any = None) -> Generator[Receipt, None, None]:
    """Receive the event, through ``async with`` if the inbox under test is an async one."""
    receiving = inbox.receive(EVENT, source="auth", now=at, lease=LEASE, tx=tx)
    entered = _Driven(inbox, receiving) if isinstance(inbox, SyncAdapter) else receiving
    with entered as receipt:
        yield receipt


class _Driven(AbstractContextManager[Receipt, bool | None]):
    """An async context manager, entered and left on the loop of the inbox under test."""

    def __init__(self, inbox: SyncAdapter, receiving: Any) -> None:
        self._inbox = inbox
        self._receiving = receiving

    def __enter__(self) -> Receipt:
        receipt: Receipt = self._inbox.run(self._receiving.__aenter__())
        return receipt

    def __exit__(self, *raised: object) -> bool | None:
        handled: bool | None = self._inbox.run(self._receiving.__aexit__(*raised))
        return handled


class _Trouble(Exception):
    """What a handler raises."""


def _fail_after(step: Callable[[], None], inbox: Any, transaction: Transaction) -> None:
    with _receive(inbox, tx=transaction.tx):
        step()
        raise _Trouble


class InboxContract:
    """Checks an :class:`hookkit.inbox.Inbox`. Override the fixture ``inbox``: an empty one, new for each test.

    An inbox that joins the host's transaction overrides ``transaction``, ``autocommit_tx`` and ``foreign_tx``, too. An
    async inbox is given through :func:`hookkit.testing.as_sync`.

    Attributes:
        threads: How many threads the concurrency test uses; 0 skips it, for an inbox that threads cannot share.
    """

    threads: ClassVar[int] = 8

    @pytest.fixture
    def inbox(self) -> Inbox[Any]:
        """Return the inbox under test: to be overridden."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `inbox` that returns an empty inbox")

    @pytest.fixture
    def transaction(self) -> Generator[Transaction, None, None]:
        """Yield a :class:`Transaction` of the host's: overridden where the inbox can join one."""
        pytest.skip("this inbox joins no transaction; override the fixture `transaction` if it does")

    @pytest.fixture
    def autocommit_tx(self) -> Any:
        """Return a host's connection on which nothing would roll back: overridden where the inbox can join one."""
        pytest.skip("this inbox joins no transaction; override the fixture `autocommit_tx` if it does")

    @pytest.fixture
    def foreign_tx(self) -> Any:
        """Return a connection, within a transaction, to another database: overridden where the inbox can join one."""
        pytest.skip("this inbox joins no transaction; override the fixture `foreign_tx` if it does")

    # --- Claiming -----------------------------------------------------------------------------------------------------

    def test_the_first_claim_is_first(self, inbox: Inbox[Any]) -> None:
        """It is the claimer's to handle, and the receipt says whose event it is."""
        receipt = _claim(inbox)
        assert (receipt.state, receipt.first, receipt.source, receipt.key) == ("first", True, "auth", "evt_1")
        assert receipt.claim_id

    def test_a_repeat_meanwhile_is_busy(self, inbox: Inbox[Any]) -> None:
        """While the first one is handled a repeat is told to come back, and never that all is well."""
        _claim(inbox)
        receipt = _claim(inbox, at=START + SECOND)
        assert (receipt.state, receipt.first, receipt.status) == ("busy", False, 503)
        assert receipt.headers == {"retry-after": "29"}

    def test_a_busy_receipt_asks_for_a_second_at_least(self, inbox: Inbox[Any]) -> None:
        """However soon the lease ends; parts of a second are rounded up."""
        _claim(inbox)
        assert _claim(inbox, at=START + LEASE - TICK).retry_after_s == 1
        assert _claim(inbox, at=START + TICK).retry_after_s == 30

    def test_a_repeat_afterwards_is_finished(self, inbox: Inbox[Any]) -> None:
        """Once it was handled, a repeat is answered as if it had been handled now."""
        assert inbox.finish(_claim(inbox))
        receipt = _claim(inbox, at=START + SECOND)
        assert (receipt.state, receipt.first, receipt.status) == ("finished", False, 204)
        assert receipt.headers == {}

    def test_what_is_released_is_free(self, inbox: Inbox[Any]) -> None:
        """At once, without waiting for the lease."""
        assert inbox.release(_claim(inbox))
        assert _claim(inbox).first

    def test_events_are_told_apart(self, inbox: Inbox[Any]) -> None:
        """By source and key together; neither runs into the other."""
        names = [("auth", "evt_1"), ("auth", "evt_2"), ("pay", "evt_1"), ("authe", "vt_1"), ("AUTH", "evt_1")]
        assert all(_claim(inbox, key, source=source).first for source, key in names)
        assert not any(_claim(inbox, key, source=source).first for source, key in names)

    def test_names_may_be_any_text(self, inbox: Inbox[Any]) -> None:
        """Of up to 256 characters."""
        for text in ("ü" * 256, "'; DROP TABLE x; --", "a\nb", "\u202e", "%_?"):
            assert _claim(inbox, text, source=text).first
            assert not _claim(inbox, text, source=text).first

    def test_of_many_at_once_one_is_first(self, inbox: Inbox[Any]) -> None:
        """The others are busy, and nobody fails."""
        if not self.threads:
            pytest.skip("threads = 0: this inbox is not shared by threads")
        keys = [f"evt_{number}" for number in range(10)] * self.threads
        with ThreadPoolExecutor(self.threads) as pool:
            receipts = list(pool.map(lambda key: _claim(inbox, key), keys))
        firsts = [receipt.key for receipt in receipts if receipt.first]
        assert sorted(firsts) == sorted(set(keys))
        assert {receipt.state for receipt in receipts if not receipt.first} == {"busy"}

    # --- Leases -------------------------------------------------------------------------------------------------------

    def test_a_claim_lasts_as_long_as_its_lease(self, inbox: Inbox[Any]) -> None:
        """Whoever claimed it is taken for dead at its end, and not before."""
        lost = _claim(inbox)
        assert _claim(inbox, at=START + LEASE - TICK).state == "busy"
        again = _claim(inbox, at=START + LEASE)
        assert again.first
        assert again.claim_id != lost.claim_id

    def test_a_new_claim_has_a_lease_of_its_own(self, inbox: Inbox[Any]) -> None:
        """Counted from the new claim."""
        _claim(inbox)
        _claim(inbox, at=START + LEASE)
        assert _claim(inbox, at=START + 2 * LEASE - TICK).state == "busy"
        assert _claim(inbox, at=START + 2 * LEASE).first

    def test_a_lost_claim_changes_nothing(self, inbox: Inbox[Any]) -> None:
        """Who was overtaken neither finishes nor releases what is somebody else's now."""
        lost = _claim(inbox)
        mine = _claim(inbox, at=START + LEASE)
        assert (inbox.finish(lost), inbox.release(lost)) == (False, False)
        assert _claim(inbox, at=START + LEASE).state == "busy"
        assert inbox.finish(mine)
        assert (inbox.finish(lost), inbox.release(lost)) == (False, False)
        assert _claim(inbox, at=START + LEASE).state == "finished"

    def test_what_is_finished_outlasts_its_lease(self, inbox: Inbox[Any]) -> None:
        """The lease only says until when somebody is at it."""
        assert inbox.finish(_claim(inbox))
        assert _claim(inbox, at=START + LEASE).state == "finished"

    def test_finishing_twice_is_harmless(self, inbox: Inbox[Any]) -> None:
        """So that it can be repeated when its outcome is not known."""
        receipt = _claim(inbox)
        assert inbox.finish(receipt)
        assert inbox.finish(receipt)

    def test_what_is_finished_is_not_released(self, inbox: Inbox[Any]) -> None:
        """Nobody handles it again."""
        receipt = _claim(inbox)
        inbox.finish(receipt)
        assert not inbox.release(receipt)
        assert _claim(inbox).state == "finished"

    def test_what_is_released_is_not_finished(self, inbox: Inbox[Any]) -> None:
        """It is handled by whoever claims it next."""
        receipt = _claim(inbox)
        inbox.release(receipt)
        assert not inbox.finish(receipt)
        assert not inbox.release(receipt)
        assert _claim(inbox).first

    # --- Forgetting ---------------------------------------------------------------------------------------------------

    def test_an_entry_is_kept(self, inbox: Inbox[Any]) -> None:
        """For ``keep``, and for the second in which a tolerance of whole seconds ends."""
        inbox.finish(_claim(inbox))
        last = START + inbox.keep + SECOND
        assert inbox.prune(now=last) == 0
        assert _claim(inbox, at=last).state == "finished"

    def test_an_old_entry_counts_no_more(self, inbox: Inbox[Any]) -> None:
        """Whether or not it was pruned; the new claim is kept as long as any."""
        inbox.finish(_claim(inbox))
        later = START + inbox.keep + SECOND + TICK
        inbox.finish(_claim(inbox, at=later))
        assert _claim(inbox, at=later + inbox.keep).state == "finished"

    def test_pruning_forgets_old_entries(self, inbox: Inbox[Any]) -> None:
        """So many at a time, the oldest first, finished or not; the younger ones stay."""
        for number in range(5):
            receipt = _claim(inbox, f"evt_{number}", at=START + number * SECOND)
            if number % 2:
                inbox.finish(receipt)
        now = START + 4 * SECOND + inbox.keep + SECOND
        assert inbox.prune(now=now, limit=3) == 3
        assert inbox.prune(now=now, limit=3) == 1
        assert inbox.prune(now=now, limit=3) == 0

    def test_claims_forget_old_entries(self, inbox: Inbox[Any]) -> None:
        """An inbox that nobody prunes does not grow for ever."""
        for number in range(60):
            _claim(inbox, f"old_{number}")
        later = START + inbox.keep + 2 * SECOND
        for number in range(60):
            _claim(inbox, f"new_{number}", at=later)
        assert inbox.prune(now=later) == 0

    # --- Arguments ----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("text", ["", "a" * 257, "a\0", "\ud800"])
    def test_what_cannot_be_stored_everywhere_is_refused(self, inbox: Inbox[Any], text: str) -> None:
        """An empty or long name, NUL and lone surrogates, as source and as key."""
        with pytest.raises(ValueError, match="source"):
            inbox.claim(text, "evt_1", now=START)
        with pytest.raises(ValueError, match="key"):
            inbox.claim("auth", text, now=START)

    def test_a_naive_time_is_refused(self, inbox: Inbox[Any]) -> None:
        """Nobody knows what it means on another machine."""
        naive = START.replace(tzinfo=None)
        with pytest.raises(ValueError, match="naive"):
            inbox.claim("auth", "evt_1", now=naive)
        with pytest.raises(ValueError, match="naive"):
            inbox.prune(now=naive)

    def test_a_lease_is_bounded(self, inbox: Inbox[Any]) -> None:
        """More than nothing, and no longer than entries are kept; a bare number is seconds."""
        for lease in (timedelta(0), -SECOND, -1, inbox.keep + TICK):
            with pytest.raises(ValueError, match="lease"):
                inbox.claim("auth", "evt_1", now=START, lease=lease)
        assert inbox.claim("auth", "evt_1", now=START, lease=1.5).first
        assert _claim(inbox, at=START + timedelta(seconds=1.5)).first
        assert inbox.claim("auth", "evt_2", now=START, lease=inbox.keep).first

    # --- Receiving ----------------------------------------------------------------------------------------------------

    def test_what_is_handled_is_finished(self, inbox: Inbox[Any]) -> None:
        """When the block ends; while it runs, a repeat is busy."""
        with _receive(inbox) as receipt:
            assert receipt.first
            with _receive(inbox) as repeat:
                assert repeat.status == 503
            assert _claim(inbox).state == "busy"
        assert receipt.status == 204
        with _receive(inbox) as repeat:
            assert (repeat.first, repeat.status) == (False, 204)

    @pytest.mark.parametrize("error", [_Trouble, KeyboardInterrupt])
    def test_what_fails_is_free_again(self, inbox: Inbox[Any], error: type[BaseException]) -> None:
        """The error travels on, and the next attempt is the first."""
        if error is KeyboardInterrupt and isinstance(inbox, SyncAdapter):
            pytest.skip("it would end the adapter's own event loop")
        with pytest.raises(error), _receive(inbox):
            raise error
        with _receive(inbox) as receipt:
            assert receipt.first

    def test_a_repeat_that_fails_gives_nothing_back(self, inbox: Inbox[Any]) -> None:
        """The claim is another one's, and so is a finished event."""
        with _receive(inbox):
            with pytest.raises(_Trouble), _receive(inbox):
                raise _Trouble
            assert _claim(inbox).state == "busy"
        with pytest.raises(_Trouble), _receive(inbox):
            raise _Trouble
        assert _claim(inbox).state == "finished"

    def test_who_was_overtaken_is_told(self, inbox: Inbox[Any], caplog: pytest.LogCaptureFixture) -> None:
        """Handling took longer than the lease, and somebody else began anew: it is logged, and theirs is left alone."""
        with _receive(inbox):
            assert _claim(inbox, at=START + LEASE).first
        assert [record.name for record in caplog.records] == ["hookkit.inbox"]
        assert "lease" in caplog.text
        assert _claim(inbox, at=START + LEASE).state == "busy"

    # --- In the host's transaction ------------------------------------------------------------------------------------

    def test_rolled_back_it_never_arrived(self, inbox: Inbox[Any], transaction: Transaction) -> None:
        """Together with what the handler did."""
        with _receive(inbox, tx=transaction.tx) as receipt:
            assert receipt.first
        transaction.rollback()
        assert _claim(inbox).first

    def test_committed_it_is_finished(self, inbox: Inbox[Any], transaction: Transaction) -> None:
        """With the commit, and not before; no lease can run out."""
        with _receive(inbox, tx=transaction.tx) as receipt:
            assert receipt.first
        transaction.commit()
        assert _claim(inbox, at=START + 2 * LEASE).state == "finished"

    def test_the_transaction_stays_the_hosts(self, inbox: Inbox[Any], transaction: Transaction) -> None:
        """Several events fit in one; a repeat within it is finished."""
        keys = ["evt_1", "evt_2", "evt_1"]
        states = [inbox.claim("auth", key, now=START, tx=transaction.tx).state for key in keys]
        assert states == ["first", "first", "finished"]
        transaction.rollback()
        assert _claim(inbox, "evt_2").first

    def test_committed_in_spite_of_an_error_it_is_free(self, inbox: Inbox[Any], transaction: Transaction) -> None:
        """A handler that failed has not handled it, even if the host commits what else it did."""
        with pytest.raises(_Trouble), _receive(inbox, tx=transaction.tx):
            raise _Trouble
        transaction.commit()
        assert _claim(inbox).first

    def test_failing_after_the_commit_undoes_nothing(self, inbox: Inbox[Any], transaction: Transaction) -> None:
        """What was committed was handled, whatever the block does next, and no new transaction is begun."""
        with pytest.raises(_Trouble):
            _fail_after(transaction.commit, inbox, transaction)
        assert _claim(inbox).state == "finished"

    def test_a_rolled_back_block_begins_nothing(self, inbox: Inbox[Any], transaction: Transaction) -> None:
        """A host that rolls back within the block finds no transaction of ours afterwards."""
        with pytest.raises(_Trouble):
            _fail_after(transaction.rollback, inbox, transaction)
        assert _claim(inbox).first

    def test_what_somebody_is_at_is_busy(self, inbox: Inbox[Any], transaction: Transaction) -> None:
        """A claim outside of any transaction counts within one, too, until its lease has run out."""
        _claim(inbox)
        with _receive(inbox, tx=transaction.tx) as receipt:
            assert (receipt.state, receipt.status) == ("busy", 503)
        with _receive(inbox, at=START + LEASE, tx=transaction.tx) as receipt:
            assert receipt.first
        transaction.commit()
        assert _claim(inbox, at=START + LEASE).state == "finished"

    def test_a_connection_in_autocommit_is_refused(self, inbox: Inbox[Any], autocommit_tx: Any) -> None:
        """Nothing would roll the entry back with the handler's own work."""
        with pytest.raises(StoreError), _receive(inbox, tx=autocommit_tx):
            pytest.fail("the event was not claimed")
        assert _claim(inbox).first

    def test_a_connection_to_another_database_is_refused(self, inbox: Inbox[Any], foreign_tx: Any) -> None:
        """The entry would be written where nobody looks."""
        with pytest.raises(StoreError), _receive(inbox, tx=foreign_tx):
            pytest.fail("the event was not claimed")
        assert _claim(inbox).first

    def test_what_is_no_connection_is_a_type_error(self, inbox: Inbox[Any]) -> None:
        """As is any connection, for an inbox that joins no transaction."""
        with pytest.raises(TypeError, match="tx"), _receive(inbox, tx=object()):
            pytest.fail("the event was not claimed")
        assert _claim(inbox).first

"""The contract of an Outbox."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from hookkit.errors import StoreError
from hookkit.model import Emission
from hookkit.protocols import LogStore, Outbox, WebhookStore
from hookkit.testing.bench import Bench
from hookkit.testing.builders import planned
from hookkit.testing.clock import START
from hookkit.testing.kits.fixtures import StoreFixtures, Transaction
from hookkit.work import Planned

__all__ = ["OutboxContract"]


def _ids(plan: Planned) -> tuple[str, ...]:
    return tuple(delivery.delivery_id for delivery in plan.deliveries)


def _enqueue(outbox: Outbox[Any], *plans: Planned, tx: Any = None) -> list[Emission]:
    return outbox.enqueue(plans, now=START, tx=tx)


class OutboxContract(StoreFixtures):
    """Checks an :class:`hookkit.protocols.Outbox`. Override the fixture ``store``.

    What was stored is looked at through the queue, so ``queue`` and ``webhooks`` must belong to the outbox. A store
    that joins the host's transaction overrides ``transaction``, ``autocommit_tx`` and ``foreign_tx``, too.
    """

    def test_an_emission_names_the_event_and_its_deliveries(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """One for each webhook, in the order in which they were planned."""
        plan = planned(bench.register(), bench.register())
        assert _enqueue(outbox, plan) == [Emission(plan.event_id, _ids(plan), duplicate=False)]

    def test_emissions_are_in_the_events_order(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """One for each event, whether it has deliveries or not."""
        to = bench.register()
        plans = [planned(to, id="evt_z"), planned(id="evt_m"), planned(to, id="evt_a")]
        assert [emission.event_id for emission in _enqueue(outbox, *plans)] == ["evt_z", "evt_m", "evt_a"]

    def test_nothing_planned_is_nothing_stored(self, outbox: Outbox[Any]) -> None:
        """An empty call is no mistake."""
        assert _enqueue(outbox) == []

    def test_deliveries_are_due_at_once_in_the_first_lane(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """And in no other."""
        plan = planned(bench.register(), bench.register())
        _enqueue(outbox, plan)
        assert bench.claimed("retry") == bench.claimed("recover") == []
        assert sorted(bench.claimed("first")) == sorted(_ids(plan))

    def test_a_body_is_kept_byte_for_byte(self, bench: Bench) -> None:
        """It is signed and sent as it is: bytes, not text."""
        body = bytes(range(256)) + b"\r\n \xff\xfe"
        bench.emit(bench.register(), body=body)
        assert [claim.body for claim in bench.claim()] == [body]

    def test_a_large_body_is_kept_too(self, bench: Bench) -> None:
        """A mebibyte, the most that is emitted by default."""
        body = bytes(range(256)) * 4096
        bench.emit(bench.register(), body=body)
        assert [claim.body == body for claim in bench.claim()] == [True]

    def test_each_delivery_has_its_own_events_body(self, bench: Bench) -> None:
        """However many events were stored in one call, with bodies equal or not, shared or not."""
        to, other = bench.register(), bench.register()
        plans = [
            planned(to, other, body=b"1"),
            planned(to, body=b"2"),
            planned(to, body=bytes([50])),
            planned(to, body=b""),
        ]
        expected = {delivery.delivery_id: delivery.body for plan in plans for delivery in plan.deliveries}
        _enqueue(bench.outbox, *plans)
        assert {claim.delivery_id: claim.body for claim in bench.claim()} == expected

    def test_a_repeated_id_is_the_first_emission_again(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """Nothing is stored for it, whatever it carries."""
        to = bench.register()
        first = planned(to, id="evt_1")
        _enqueue(outbox, first)
        again = _enqueue(outbox, planned(to, bench.register(), id="evt_1", body=b"other", key="other"))
        assert again == [Emission("evt_1", _ids(first), duplicate=True)]
        assert bench.claimed() == list(_ids(first))

    def test_a_repeated_idempotency_key_is_the_first_emission_again(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """With the first event's id, though the repeat came with another."""
        to = bench.register()
        first = planned(to, id="evt_1", key="sign-up 7")
        _enqueue(outbox, first)
        again = _enqueue(outbox, planned(to, id="evt_2", key="sign-up 7", body=b"other"))
        assert again == [Emission("evt_1", _ids(first), duplicate=True)]
        assert bench.claimed() == list(_ids(first))

    def test_a_repeat_names_what_the_first_named_whatever_is_kept(self, bench: Bench, logs: LogStore) -> None:
        """One of its deliveries has lost its payload to retention, or is forgotten; another is still to be sent."""
        to, other = bench.register(), bench.register()
        first = planned(to, other, id="evt_1", key="k")
        bench.outbox.enqueue([first], now=bench.now)
        bench.settle(bench.take(_ids(first)[0]), 200)
        now = bench.advance(timedelta(days=40))
        for kept in (timedelta(days=50), timedelta(days=30)):
            while logs.prune(payloads_before=now - timedelta(days=7), entries_before=now - kept, limit=10):
                pass
            again = bench.outbox.enqueue([planned(to, key="k"), planned(to, id="evt_1")], now=now)
            assert again == [Emission("evt_1", _ids(first), duplicate=True)] * 2

    def test_a_repeat_within_one_call_is_one_too(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """By id or by key: the first of them is stored."""
        to = bench.register()
        by_key, by_id = planned(to, id="evt_1", key="k"), planned(to, id="evt_3")
        emissions = _enqueue(outbox, by_key, planned(to, id="evt_2", key="k"), by_id, planned(to, id="evt_3"))
        assert emissions == [
            Emission("evt_1", _ids(by_key), duplicate=False),
            Emission("evt_1", _ids(by_key), duplicate=True),
            Emission("evt_3", _ids(by_id), duplicate=False),
            Emission("evt_3", _ids(by_id), duplicate=True),
        ]
        assert sorted(bench.claimed()) == sorted(_ids(by_key) + _ids(by_id))

    def test_ids_and_keys_are_each_tenants_own(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """Another tenant's event of the same id and key is no repeat."""
        to, theirs = bench.register(tenant=""), bench.register(tenant="acme")
        plans = planned(to, id="evt_1", key="k"), planned(theirs, id="evt_1", key="k", tenant="acme")
        assert [emission.duplicate for emission in _enqueue(outbox, *plans)] == [False, False]
        assert {(claim.delivery_id, claim.tenant) for claim in bench.claim()} == {
            (plans[0].deliveries[0].delivery_id, ""),
            (plans[1].deliveries[0].delivery_id, "acme"),
        }

    def test_ids_and_keys_are_compared_as_they_are(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """By their characters: no case, accent, blank or wildcard is the same as another."""
        to = bench.register()
        keys = ("k", "K", " k", "k ", "é", "e\u0301", "%", "_", "'", "k\n", "\U0001f514" * 256)
        ids = ("evt_a", "evt_A", "evt-a", "evt%a")
        plans = [planned(to, key=key) for key in keys] + [planned(to, id=name) for name in ids]
        for expected in (False, True):
            assert [emission.duplicate for emission in _enqueue(outbox, *plans)] == [expected] * len(plans)
        assert len(bench.claim()) == len(plans)

    def test_where_id_and_key_disagree_the_key_decides(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """The id is that of one event, the key another's."""
        to = bench.register()
        other, keyed = planned(to, id="evt_1", key="a"), planned(to, id="evt_2", key="b")
        again = _enqueue(outbox, other, keyed, planned(to, id="evt_1", key="b"))[-1]
        assert again == Emission("evt_2", _ids(keyed), duplicate=True)

    def test_an_event_nobody_wants_is_not_stored(self, outbox: Outbox[Any]) -> None:
        """Without deliveries and without a key there is nothing to repeat."""
        expected = [Emission("evt_1", (), duplicate=False)]
        assert _enqueue(outbox, planned(id="evt_1")) == expected
        assert _enqueue(outbox, planned(id="evt_1")) == expected

    def test_an_idempotency_key_is_kept_without_deliveries(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """A repeat is recognised even if somebody has subscribed meanwhile."""
        _enqueue(outbox, planned(id="evt_1", key="k"))
        again = _enqueue(outbox, planned(bench.register(), id="evt_2", key="k"))
        assert again == [Emission("evt_1", (), duplicate=True)]
        assert bench.claimed() == []

    def test_a_disabled_webhooks_delivery_is_held(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """It is stored, named in the emission, and waits until the webhook is enabled."""
        to = bench.register()
        bench.disable(to)
        plan = planned(to)
        assert _enqueue(outbox, plan) == [Emission(plan.event_id, _ids(plan))]
        assert bench.claim_any() == []
        bench.enable(to)
        assert bench.claimed() == list(_ids(plan))

    def test_a_webhook_born_disabled_has_its_deliveries_held(self, bench: Bench) -> None:
        """It need not have been enabled first."""
        to = bench.register(enabled=False, disabled_reason="manual")
        delivery = bench.emit(to)
        assert bench.claim_any() == []
        bench.enable(to)
        assert bench.claimed() == [delivery]

    def test_a_removed_webhooks_delivery_is_left_out(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """The webhook was removed between planning and storing; the others are told."""
        gone, here = bench.register(), bench.register()
        plan = planned(gone, here)
        bench.remove(gone)
        assert _enqueue(outbox, plan) == [Emission(plan.event_id, _ids(plan)[1:])]
        assert bench.claimed() == list(_ids(plan)[1:])

    def test_an_event_whose_deliveries_are_left_out_is_stored(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """Somebody had wanted it: its id is taken."""
        gone = bench.register()
        bench.remove(gone)
        found = _enqueue(outbox, planned(gone, id="evt_1"), planned(bench.register(), id="evt_1"))
        assert found == [Emission("evt_1", ()), Emission("evt_1", (), duplicate=True)]

    def test_all_of_a_call_is_stored_or_nothing(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """What comes after a planned event that cannot be stored, and what came before it, are not stored either."""
        to = bench.register()
        broken: Any = object()
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a store makes of nonsense
            _enqueue(outbox, planned(to, id="evt_1", key="k"), broken, planned(to))
        assert bench.claimed() == []
        assert _enqueue(outbox, planned(to, id="evt_1", key="k"))[0].duplicate is False

    def test_one_key_emitted_from_many_threads_is_stored_once(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """Exactly one of them is the first."""
        if not self.threads:
            pytest.skip("this store is not used from several threads")
        to = bench.register()
        plans = [planned(to, key="k") for _ in range(self.threads * 4)]
        with ThreadPoolExecutor(self.threads) as pool:
            emissions = list(pool.map(lambda plan: _enqueue(outbox, plan)[0], plans))
        firsts = [emission for emission in emissions if not emission.duplicate]
        assert len(firsts) == 1
        assert {emission.delivery_ids for emission in emissions} == {firsts[0].delivery_ids}
        assert bench.claimed() == list(firsts[0].delivery_ids)

    # --- in the host's transaction

    def test_a_thing_that_is_no_connection_is_a_type_error(self, bench: Bench, outbox: Outbox[Any]) -> None:
        """Whatever kind of store it is; and nothing is stored."""
        with pytest.raises(TypeError):
            _enqueue(outbox, planned(bench.register()), tx=object())
        assert bench.claimed() == []

    def test_rolled_back_it_never_existed(self, bench: Bench, outbox: Outbox[Any], transaction: Transaction) -> None:
        """Nothing is delivered, and neither id nor key is taken."""
        to = bench.register()
        _enqueue(outbox, planned(to, id="evt_1", key="k"), tx=transaction.tx)
        transaction.rollback()
        assert bench.claimed() == []
        assert _enqueue(outbox, planned(to, id="evt_1", key="k"))[0].duplicate is False

    def test_committed_it_is_delivered(self, bench: Bench, outbox: Outbox[Any], transaction: Transaction) -> None:
        """With everything that was enqueued in the same transaction."""
        plans = planned(bench.register()), planned(bench.register())
        for plan in plans:
            _enqueue(outbox, plan, tx=transaction.tx)
        transaction.commit()
        assert sorted(bench.claimed()) == sorted(_ids(plans[0]) + _ids(plans[1]))

    def test_the_transaction_stays_the_hosts(self, bench: Bench, outbox: Outbox[Any], transaction: Transaction) -> None:
        """Several calls neither commit nor end it: the host can still roll all of them back."""
        to = bench.register()
        for _ in range(3):
            _enqueue(outbox, planned(to), tx=transaction.tx)
        transaction.rollback()
        assert bench.claimed() == []

    def test_a_refused_call_leaves_the_transaction_usable(
        self, bench: Bench, outbox: Outbox[Any], transaction: Transaction
    ) -> None:
        """Only what the refused call would have stored is missing."""
        to = bench.register()
        before, after = planned(to), planned(to)
        broken: Any = object()
        _enqueue(outbox, before, tx=transaction.tx)
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a store makes of nonsense
            _enqueue(outbox, planned(to), broken, tx=transaction.tx)
        _enqueue(outbox, after, tx=transaction.tx)
        transaction.commit()
        assert sorted(bench.claimed()) == sorted(_ids(before) + _ids(after))

    def test_a_repeat_within_the_transaction_is_one(
        self, bench: Bench, outbox: Outbox[Any], transaction: Transaction
    ) -> None:
        """What the transaction has written already counts, though nobody else sees it yet."""
        to = bench.register()
        first = planned(to, key="k")
        _enqueue(outbox, first, tx=transaction.tx)
        again = _enqueue(outbox, planned(to, key="k"), tx=transaction.tx)
        transaction.commit()
        assert again == [Emission(first.event_id, _ids(first), duplicate=True)]
        assert bench.claimed() == list(_ids(first))

    def test_subscribers_can_be_read_within_the_transaction(
        self, bench: Bench, webhooks: WebhookStore, transaction: Transaction
    ) -> None:
        """On the host's own connection, so that it sees what the host sees."""
        to = bench.register()
        found = [one.id for one in webhooks.subscribers("", "user.created", tx=transaction.tx)]
        transaction.rollback()
        assert found == [to]

    def test_a_connection_in_autocommit_is_refused(self, bench: Bench, outbox: Outbox[Any], autocommit_tx: Any) -> None:
        """Nothing would roll the event back with the host's own change."""
        with pytest.raises(StoreError):
            _enqueue(outbox, planned(bench.register()), tx=autocommit_tx)
        assert bench.claimed() == []

    def test_a_connection_to_another_database_is_refused(
        self, bench: Bench, outbox: Outbox[Any], foreign_tx: Any
    ) -> None:
        """The event would be stored where no worker looks."""
        with pytest.raises(StoreError):
            _enqueue(outbox, planned(bench.register()), tx=foreign_tx)
        assert bench.claimed() == []

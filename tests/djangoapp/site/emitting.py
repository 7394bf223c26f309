"""Emitting, as the project's own tests would look at it: run by Django's test runner, on each database."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import AsyncClient, Client, TestCase, TransactionTestCase
from urls import dispatcher

from hookkit import Endpoint, OutboxDispatcher, PayloadError, StoreError, Worker
from hookkit.contrib.django import registry_for, store_for
from hookkit.contrib.django.emitting import worker_store_for
from hookkit.contrib.django.testing import empty_tables
from hookkit.errors import NotFound
from hookkit.stores.sqlite import SQLiteStore
from hookkit.testing import FakeTransport
from hookkit.wakeups import listen

URL = "http://127.0.0.1:9/hooks"
IN_MEMORY = connection.vendor == "sqlite" and ":memory:" in str(connection.settings_dict["NAME"])


def deliver() -> list[bytes]:
    """Have a worker deliver what is due, on this thread and so on this connection; return the bodies."""
    with closing(FakeTransport()) as transport:
        worker = Worker(store_for(), transport=transport)
        worker.drain()
        worker.stop()
        return [request.body for request in transport.requests]


class InATestCase(TestCase):
    """Everything a store does belongs to the block that a TestCase rolls back."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.webhook = registry_for().create(Endpoint(URL, "*", id="whk_class"))

    def test_an_event_is_delivered(self) -> None:
        """What is emitted is delivered by a worker on the test's own thread, though nothing is ever committed."""
        dispatcher.emit("user.created", {"name": "ada"})
        (body,) = deliver()
        self.assertIn(b'"name":"ada"', body)
        self.assertEqual(registry_for().health("whk_class")["whk_class"].succeeded, 1)

    def test_nothing_is_left_by_another_test(self) -> None:
        """Neither deliveries nor webhooks of other tests are seen; those of the class are."""
        self.assertEqual([one.id for one in registry_for().list()], ["whk_class"])
        self.assertEqual(deliver(), [])
        registry_for().create(Endpoint(URL, "*", id="whk_test"))
        dispatcher.emit("user.created", {"name": "ada"})

    test_nothing_is_left_by_another_test_either = test_nothing_is_left_by_another_test

    def test_a_rolled_back_block_leaves_nothing(self) -> None:
        """Event, webhook and the host's own row go together."""
        with self.assertRaises(LookupError), transaction.atomic():
            User.objects.create_user("ada")
            registry_for().create(Endpoint(URL, "*", id="whk_block"))
            dispatcher.emit("user.created", {"name": "ada"})
            raise LookupError
        self.assertEqual(deliver(), [])
        self.assertFalse(User.objects.exists())
        with self.assertRaises(NotFound):
            registry_for().get("whk_block")

    def test_what_fails_leaves_the_block_usable(self) -> None:
        """An error of hookkit's may be caught, and the block goes on."""
        with transaction.atomic():
            User.objects.create_user("ada")
            with self.assertRaises(PayloadError):
                dispatcher.emit("user.created", {"at": object()})
            with self.assertRaises(NotFound):
                registry_for().disable("whk_none")
            with self.assertRaises(StoreError):  # the database's own
                store_for().get_webhook("\ud800")
            if connection.vendor == "postgresql":
                with self.assertRaises(StoreError):  # the server's, after which it would refuse whatever follows
                    store_for().list_webhooks(limit=-1)
            User.objects.create_user("bob")
            dispatcher.emit("user.created", {"name": "bob"})
        self.assertEqual(len(deliver()), 1)
        self.assertEqual(User.objects.count(), 2)

    def test_workers_are_woken_after_the_commit(self) -> None:
        """Not at the emit, when there is nothing to be seen yet; and not if the block is rolled back."""
        rung: list[str] = []
        forget = listen(_Same(dispatcher._store), lambda: rung.append("rung"))
        self.addCleanup(forget)
        with self.captureOnCommitCallbacks() as callbacks:
            dispatcher.emit("user.created", {"name": "ada"})
            transaction.on_commit(dispatcher.wake)
        self.assertEqual((len(callbacks), rung), (2, []))
        for callback in callbacks:
            callback()
        self.assertGreaterEqual(len(rung), 1)

    def test_an_idempotency_key_is_found_again(self) -> None:
        """Within the block, too."""
        first = dispatcher.emit("user.created", {"name": "ada"}, idempotency_key="k")
        again = dispatcher.emit("user.created", {"name": "ada"}, idempotency_key="k")
        self.assertEqual((again.event_id, again.duplicate), (first.event_id, True))

    def test_the_block_may_be_named(self) -> None:
        """``tx=connection`` says what is the case anyhow, with a plain dispatcher, too."""
        dispatcher.emit("user.created", {"name": "ada"}, tx=connection)
        OutboxDispatcher(store_for()).emit("user.created", {"name": "bob"}, tx=connection)
        self.assertEqual(len(deliver()), 2)


class _Same:
    """An object with a store's key and nothing else: nobody listens to the database for it."""

    def __init__(self, store: Any) -> None:
        self.wake_key = store.wake_key


class Committed(TransactionTestCase):
    """Where tests commit, others see it."""

    def setUp(self) -> None:
        self.addCleanup(empty_tables)
        registry_for().create(Endpoint(URL, "*", id="whk_1"))

    def due(self) -> int:
        """Return how many deliveries another connection sees, if another one can."""
        if IN_MEMORY:
            return len(registry_for().recent("whk_1", state="pending"))
        with closing(worker_store_for()) as store:
            return len(store.recent("whk_1", now=dispatcher._clock.now(), state="pending"))

    def test_outside_of_a_block_it_is_stored_at_once(self) -> None:
        """An emit is a transaction of its own there."""
        self.assertEqual(len(registry_for().list()), 1)  # nothing is left by other tests
        dispatcher.emit("user.created", {"name": "ada"})
        self.assertEqual(self.due(), 1)
        self.assertEqual(len(deliver()), 1)

    def test_nothing_is_left_by_others(self) -> None:
        """``empty_tables`` takes everything."""
        self.assertEqual((len(registry_for().list()), self.due()), (1, 0))
        dispatcher.emit("user.created", {"name": "ada"})

    test_nothing_is_left_by_others_either = test_nothing_is_left_by_others

    def test_without_a_block_a_connection_is_refused(self) -> None:
        """``tx=connection`` promises a transaction, and there is none."""
        with self.assertRaises(StoreError):
            dispatcher.emit("user.created", {"name": "ada"}, tx=connection)
        self.assertEqual(self.due(), 0)

    def test_a_view_commits_both_or_neither(self) -> None:
        """Under ``ATOMIC_REQUESTS`` a view that fails leaves neither user nor event."""
        client = Client(raise_request_exception=False)
        self.assertEqual(client.get("/sign-up-failing/bob").status_code, 500)
        self.assertEqual((self.due(), User.objects.count()), (0, 0))
        self.assertEqual(client.get("/sign-up/ada").status_code, 204)
        self.assertEqual((self.due(), User.objects.count()), (1, 1))
        self.assertEqual(client.get("/sign-up/ada").status_code, 500)  # the name is taken
        self.assertEqual((self.due(), User.objects.count()), (1, 1))

    async def test_an_async_view_goes_through_sync_to_async(self) -> None:
        """Block and emit are one function on Django's thread; within the loop an emit is refused."""
        client = AsyncClient(raise_request_exception=False)
        self.assertEqual((await client.get("/sign-up-awaited/ada")).status_code, 204)
        self.assertEqual((await client.get("/emit-wrongly/bob")).status_code, 500)
        with self.assertRaisesRegex(TypeError, "sync_to_async"):
            dispatcher.emit("user.created", {"name": "ada"})
        self.assertEqual(await sync_to_async(self.due)(), 1)
        self.assertEqual(await User.objects.acount(), 1)

    def test_a_closed_connection_is_opened_again(self) -> None:
        """As between requests; the store follows."""
        dispatcher.emit("user.created", {"name": "ada"})
        if not IN_MEMORY:  # where closing does nothing
            connection.close()
        dispatcher.emit("user.created", {"name": "bob"})
        self.assertEqual(self.due(), 2)

    def test_manual_transactions_are_joined(self) -> None:
        """After ``set_autocommit(False)`` the host begins and ends by itself."""
        transaction.set_autocommit(False)
        try:
            dispatcher.emit("user.created", {"name": "ada"})
            transaction.rollback()
            dispatcher.emit("user.created", {"name": "bob"})
            transaction.commit()
        finally:
            transaction.rollback()
            transaction.set_autocommit(True)
        self.assertEqual(self.due(), 1)

    def test_a_worker_has_connections_of_its_own(self) -> None:
        """In memory nobody else finds the database, so there a worker is refused."""
        if IN_MEMORY:
            with self.assertRaisesRegex(StoreError, "in memory"):
                worker_store_for()
            return
        with closing(worker_store_for()) as store:
            self.assertEqual(store.get_webhook("whk_1").url, URL)
            self.assertEqual(store.seals(), {"k1": 1})
            self.assertEqual(store.wake_key, store_for().wake_key)
            self.assertEqual(isinstance(store, SQLiteStore), connection.vendor == "sqlite")

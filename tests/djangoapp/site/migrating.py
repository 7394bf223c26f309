"""Migrations, forwards and backwards, beside a store that migrates by itself: run by Django's test runner."""

from __future__ import annotations

from io import StringIO
from types import SimpleNamespace
from typing import Any

from django.core.management import call_command
from django.db import connection
from django.test import Client, TransactionTestCase
from emitting import IN_MEMORY, URL
from urls import dispatcher

from hookkit import Endpoint, StoreError
from hookkit.contrib.django import dispatcher_for, registry_for, store_for
from hookkit.contrib.django._configured import configured
from hookkit.contrib.django._migrating import drop, make
from hookkit.contrib.django.emitting import worker_store_for
from hookkit.contrib.django.testing import empty_tables
from hookkit.inbox._schema import INBOX
from hookkit.stores import migrations
from hookkit.stores.sqlite import SQLiteStore

VERSIONS = "hookkit_schema" if connection.vendor == "sqlite" else "hookkit.schema"


def rows(sql: str) -> list[Any]:
    """Return what a statement finds."""
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


def tables() -> int:
    """Return how many tables of hookkit's there are."""
    if connection.vendor == "sqlite":
        return len(rows("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'hookkit\\_%' ESCAPE '\\'"))
    return len(rows("SELECT tablename FROM pg_tables WHERE schemaname = 'hookkit'"))


def migrate(*to: str) -> None:
    """Migrate hookkit."""
    call_command("migrate", "hookkit", *to, verbosity=0)


class Migrating(TransactionTestCase):
    """There and back, in any order."""

    def setUp(self) -> None:
        self.addCleanup(empty_tables)
        self.addCleanup(migrate)

    def check(self) -> None:
        """The tables are there, and work."""
        registry_for().create(Endpoint(URL, "*"))
        webhooks = len(registry_for().list())
        self.assertEqual(len(dispatcher.emit("user.created", {}).delivery_ids), webhooks)
        self.assertEqual(len(rows(f"SELECT version FROM {VERSIONS}")), migrations.STORE.version)

    def test_the_inbox_has_its_tables(self) -> None:
        """Beside those of the store, for who receives in this project, too."""
        table = VERSIONS.replace("schema", "inbox_schema")
        self.assertEqual(len(rows(f"SELECT version FROM {table}")), INBOX.version)
        migrate("zero")
        migrate()
        self.assertEqual(len(rows(f"SELECT version FROM {table}")), INBOX.version)

    def test_back_and_forth(self) -> None:
        """Backwards nothing of hookkit's is left; what is missing is said, with what to do; forwards it works again."""
        self.check()
        before = tables()
        migrate("zero")
        self.assertEqual(tables(), 0)
        if connection.vendor == "postgresql":
            self.assertEqual(rows("SELECT 1 FROM pg_namespace WHERE nspname = 'hookkit'"), [])
        with self.assertRaisesRegex(StoreError, "manage.py migrate hookkit"):
            dispatcher_for().emit("user.created", {})
        migrate()
        self.assertEqual(tables(), before)
        self.check()

    def test_what_else_is_in_the_schema_stays(self) -> None:
        """Going back drops hookkit's own tables, and the schema only if it is empty then."""
        if connection.vendor != "postgresql":
            self.skipTest("SQLite has no schemas")
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE hookkit.of_somebody_else ()")
            migrate("zero")
            self.assertEqual(tables(), 1)
            cursor.execute("DROP TABLE hookkit.of_somebody_else")

    def test_the_store_may_be_first(self) -> None:
        """Tables that a store has made are taken as they are, with what is in them."""
        if IN_MEMORY:
            self.skipTest("no other store finds a database in memory")
        migrate("zero")
        store = self.own_store()
        getattr(store, "migrate", lambda: None)()  # SQLite's are made when it is opened
        store.add_webhook(Endpoint(URL, "*", id="whk_before", keys="whsec_" + "A" * 32))
        store.close()
        migrate()
        self.assertEqual([one.id for one in registry_for().list()], ["whk_before"])
        self.check()

    def test_the_store_may_come_after(self) -> None:
        """A store that migrates by itself finds nothing to do; nor does the one over Django's connection."""
        before = rows(f"SELECT version, applied_at FROM {VERSIONS}")
        if not IN_MEMORY:
            store = self.own_store()
            getattr(store, "migrate", lambda: None)()
            store.close()
        getattr(store_for(), "migrate", lambda: None)()
        self.assertEqual(rows(f"SELECT version, applied_at FROM {VERSIONS}"), before)
        self.check()

    def own_store(self) -> Any:
        """Return a store that does not know Django's connection, and that makes its tables."""
        if connection.vendor == "postgresql":
            return worker_store_for()
        return SQLiteStore(connection.settings_dict["NAME"], vault=configured().vault)

    def test_newer_tables_are_refused(self) -> None:
        """Tables that need a newer hookkit are neither used nor migrated."""
        number = migrations.STORE.version + 1
        values = {"version": number, "applied_at": 0, "usable_from": number}
        there = [name for name in values if name in self.columns()]
        with connection.cursor() as cursor:
            row = ", ".join(str(values[name]) for name in there)
            cursor.execute(f"INSERT INTO {VERSIONS} ({', '.join(there)}) VALUES ({row})")
        try:
            with self.assertRaisesRegex(StoreError, "upgrade hookkit"), connection.schema_editor() as editor:
                make(None, editor)
        finally:
            with connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {VERSIONS} WHERE version = {number}")

    def columns(self) -> list[str]:
        """Return the columns of the table of versions."""
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {VERSIONS}")
            return [column[0] for column in cursor.description]

    def test_other_databases_are_refused(self) -> None:
        """With what to do about it, forwards and backwards."""
        editor: Any = SimpleNamespace(connection=SimpleNamespace(vendor="mysql", alias="default"))
        for step in (make, drop):
            with self.assertRaisesRegex(StoreError, "mysql.*router"):
                step(None, editor)

    def test_there_is_nothing_to_make(self) -> None:
        """The models are as the migrations say, and each numbered migration of the store has one of Django's."""
        call_command("makemigrations", "--check", "--dry-run", verbosity=0)
        listed = StringIO()
        call_command("showmigrations", "hookkit", stdout=listed)
        self.assertGreaterEqual(listed.getvalue().count("[X]"), migrations.STORE.version)

    def test_going_through_all_models_finds_no_table_missing(self) -> None:
        """``dumpdata`` and ``sqlflush`` pass by the model that has no table."""
        written = StringIO()
        call_command("dumpdata", stdout=written)
        call_command("dumpdata", use_base_manager=True, stdout=written)
        call_command("sqlflush", stdout=written)
        self.assertNotIn("hookkit.webhook", written.getvalue())
        self.assertNotIn("hookkit_webhook", written.getvalue())

    def test_pages_say_what_is_missing(self) -> None:
        """Without tables the admin pages answer with a sentence."""
        from django.contrib.auth.models import User

        migrate("zero")
        client = Client()
        client.force_login(User.objects.create_superuser("root"))
        response = client.get("/admin/hookkit/webhook/")
        self.assertContains(response, "migrate hookkit", status_code=503)

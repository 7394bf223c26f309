"""What ``HOOKKIT`` may hold, and what is imported when: run by Django's test runner."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from unittest import mock

import settings
from django.contrib import admin as django_admin
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import SimpleTestCase, TestCase, override_settings
from emitting import IN_MEMORY, URL

import hookkit.contrib.django as app
from hookkit import Endpoint, InvalidEndpoint, PayloadError, StoreError
from hookkit.catalogs.logto import CATALOG
from hookkit.contrib.django import DjangoDispatcher, dispatcher_for, registry_for, store_for
from hookkit.contrib.django._configured import configured
from hookkit.contrib.django.emitting import worker_store_for
from hookkit.contrib.django.models import Webhook
from hookkit.vault import Vault

SECRET = "whsec_" + "c2VjcmV0" * 4
ALONE = """
import sys
import hookkit.contrib.django.apps
found = {name for name in sys.modules if name.startswith(("django.db", "hookkit", "httpx", "psycopg", "sqlite3"))}
assert found <= {"hookkit", "hookkit.contrib", "hookkit.contrib.django", "hookkit.contrib.django.apps"}, found
hookkit.contrib.django.webhook
assert not {"hookkit.contrib.django.emitting", "httpx", "psycopg", "hookkit.stores"} & set(sys.modules)
"""


class Settings(SimpleTestCase):
    """Objects, dotted paths, and what is neither."""

    def test_nothing_need_be_said(self) -> None:
        """The default database, no vault, any event, public targets."""
        with override_settings(HOOKKIT={}):
            self.assertEqual((configured().database, configured().vault, configured().catalog), ("default", None, None))
        with self.settings():
            del settings_of().HOOKKIT
            self.assertEqual(configured().database, "default")

    def test_a_dotted_path_leads_to_an_object(self) -> None:
        """As everywhere in Django's settings."""
        paths = {
            "CATALOG": "hookkit.catalogs.logto.CATALOG",
            "TARGETS": "hookkit.targets.LOOPBACK",
            "DATABASE": "other",
        }
        with override_settings(HOOKKIT=paths):
            found = configured()
        self.assertIs(found.catalog, CATALOG)
        self.assertIs(found.targets, settings.LOOPBACK)
        self.assertEqual(found.database, "other")

    def test_mistakes_are_said_without_what_was_given(self) -> None:
        """A name that is not known is shown; a value, which may be a key, is not."""
        for wrong, said in (
            ({"VALUT": 1}, "VALUT"),
            (SECRET, "a dict"),
            ({"VAULT": SECRET}, "VAULT"),
            ({"TARGETS": "os.nothing"}, "TARGETS"),
        ):
            with override_settings(HOOKKIT=wrong), self.assertRaises(ImproperlyConfigured) as caught:
                configured()
            self.assertIn(said, str(caught.exception))
            self.assertNotIn(SECRET, repr(caught.exception) + repr(caught.exception.__cause__))

    def test_a_worker_says_mistakes_in_a_sentence(self) -> None:
        """Those of the settings, and an alias that there is not, are errors of the command and no tracebacks."""
        for wrong, said in (({"VALUT": 1}, "VALUT"), ({"DATABASE": "nosuch"}, "nosuch")):
            with override_settings(HOOKKIT=wrong), self.assertRaisesRegex(CommandError, said) as caught:
                call_command("hookkit_worker", drain=True)
            self.assertEqual(caught.exception.returncode, 2)

    def test_other_databases_are_refused(self) -> None:
        """Before anything is connected to."""
        with mock.patch.object(type(connections["default"]), "vendor", "mysql"):
            for make in (store_for, worker_store_for, dispatcher_for, registry_for):
                with self.assertRaisesRegex(ImproperlyConfigured, "mysql"):
                    make()

    def test_a_name_that_is_not_there(self) -> None:
        """The package has its names, and no others."""
        self.assertTrue(set(app.__all__) <= set(dir(app)))
        with self.assertRaises(AttributeError):
            app.nonsense  # noqa: B018

    def test_the_package_is_light(self) -> None:
        """To import it, as Django does before its apps are ready, loads no driver and no client, and no model."""
        # Not measured: that would load a database's driver.
        alone = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_PROCESS")}
        subprocess.run([sys.executable, "-c", ALONE], check=True, timeout=60, env=alone)


def settings_of():
    """Return Django's settings."""
    from django.conf import settings as found

    return found


class Used(TestCase):
    """What is configured is what the registry, the dispatcher and the store go by."""

    def test_the_catalogue_counts(self) -> None:
        """For webhooks, and for what is emitted."""
        with override_settings(HOOKKIT={"CATALOG": CATALOG}):
            with self.assertRaises(InvalidEndpoint):
                registry_for().create(Endpoint("https://receiver.example.com/", "no.such.event"))
            with self.assertRaises(PayloadError):
                dispatcher_for().emit("no.such.event")

    def test_targets_count(self) -> None:
        """Without any, this machine may not be called."""
        registry_for().create(Endpoint(URL, "*"))
        with override_settings(HOOKKIT={}), self.assertRaises(InvalidEndpoint):
            registry_for().create(Endpoint(URL, "*"))

    def test_the_vault_counts(self) -> None:
        """Keys are sealed; with another vault they do not open."""
        made = registry_for().create(Endpoint(URL, "*"))
        self.assertEqual(store_for().seals(), {"k1": 1})
        other = Vault({"k2": b"2" * 32})
        with self.assertRaises(StoreError):
            registry_for(vault=other).get(made.id)
        with closing(store_for(vault=other)) as store:
            self.assertEqual(len(store.list_webhooks()), 1)
        self.assertIsInstance(dispatcher_for("default", vault=other), DjangoDispatcher)

    def test_a_connection_to_another_database_is_refused(self) -> None:
        """``tx=`` must lead to the store's tables."""
        import sqlite3

        with closing(sqlite3.connect(":memory:")) as other:
            other.execute("BEGIN")
            with self.assertRaises(StoreError):
                dispatcher_for().emit("user.created", tx=other)

    def test_only_a_file_has_a_worker(self) -> None:
        """A URI, or memory, is refused; so is a file that is not there, which is not made."""
        if connection.vendor != "sqlite":
            self.skipTest("that of PostgreSQL has a DSN")
        for name in ("file:app.db", "", "/nowhere/app.db"):
            with mock.patch.dict(connection.settings_dict, NAME=name), self.assertRaises(StoreError):
                worker_store_for()
        self.assertEqual(IN_MEMORY, connection.is_in_memory_db())

    def test_a_worker_connects_as_django_does(self) -> None:
        """By the same host, user and options, whatever signs they are written in; the role is assumed, too."""
        if connection.vendor != "postgresql":
            self.skipTest("SQLite has a file")
        from psycopg.conninfo import conninfo_to_dict

        from hookkit.contrib.django._postgres import dsn_of

        options = {"assume_role": "a role", "application_name": "shop", "options": "-c lock_timeout=9s"}
        given = {"PASSWORD": r"it's a\ pass=word", "USER": "ada", "OPTIONS": options}
        with mock.patch.dict(connection.settings_dict, given):
            found = conninfo_to_dict(dsn_of("default"))
        self.assertEqual((found["password"], found["user"]), (given["PASSWORD"], "ada"))
        self.assertEqual(found["application_name"], "shop")
        self.assertEqual(found["options"], r"-c lock_timeout=9s -c role=a\ role")

    def test_the_site_is_registered_once(self) -> None:
        """Under the model that has no rows."""
        self.assertIn(Webhook, django_admin.site._registry)
        self.assertEqual((str(Webhook(pk="whk_1")), list(Webhook.objects.all())), ("whk_1", []))

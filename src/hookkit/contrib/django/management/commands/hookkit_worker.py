"""``manage.py hookkit_worker``: ``hookkit worker``, on one of Django's databases."""

from __future__ import annotations

import argparse
import logging
import sys
from typing import Any

import attrs
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.utils.connection import ConnectionDoesNotExist

from hookkit._listen.inputs import Problem
from hookkit._work.command import add_options, options_of
from hookkit._work.lines import write_log
from hookkit._work.running import leave, run_worker
from hookkit.contrib.django._configured import configured
from hookkit.contrib.django.emitting import worker_store_for
from hookkit.errors import StoreError
from hookkit.plaintext import plain

__all__ = ["Command"]


class Command(BaseCommand):
    """Runs a worker until it is told to stop. It has connections of its own to the database."""

    help = (
        "Deliver what is due, until SIGTERM or SIGINT: it then claims nothing more, waits for what is being sent, and "
        "gives the rest back. Run as many as you like."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the alias, and what ``hookkit worker`` takes."""
        parser.add_argument("--database", metavar="ALIAS", help='default: HOOKKIT["DATABASE"], or else "default"')
        add_options(parser)

    def handle(self, *_: Any, **given: Any) -> None:
        """Run it."""
        if not logging.getLogger("hookkit").hasHandlers():  # the project says nothing of logging: be heard all the same
            level = ("warning", "info", "debug")[min(given["verbosity"], 2)]
            write_log(sys.stderr, level=level, as_json=False)
        try:
            chosen = configured()
            alias = given["database"] or chosen.database
            options = options_of(argparse.Namespace(**given), f"Django's database {alias!r}")
            store = worker_store_for(alias)
        except (Problem, StoreError, ImproperlyConfigured, ConnectionDoesNotExist) as error:
            raise CommandError(plain(str(error)), returncode=2) from None
        if chosen.targets is not None:
            if any(value for name, value in given.items() if name.startswith("allow_")):
                raise CommandError('whom it may call is said in HOOKKIT["TARGETS"]: leave --allow-… out', returncode=2)
            options = attrs.evolve(options, targets=chosen.targets)
        options = attrs.evolve(options, further={**options.further, "profiles": chosen.profiles})
        connections.close_all()  # what the checks have opened would stay idle for as long as this runs
        try:
            status = run_worker(store, options)
        except ValueError as error:
            raise CommandError(plain(str(error)), returncode=2) from None
        finally:
            store.close()
        if leave(status):
            sys.exit(status)

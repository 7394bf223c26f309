"""``manage.py add_webhook URL``. In earnest, your customers do this on a page of yours: see ``docs/django.md``."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hookkit import Endpoint, InvalidEndpoint, InvalidKey
from hookkit.contrib.django import registry_for


class Command(BaseCommand):
    """Registers a webhook, with the key of ``WEBHOOK_KEY`` or a new one."""

    help = "Have everything told to a URL."

    def add_arguments(self, parser: CommandParser) -> None:
        """Add the URL."""
        parser.add_argument("url")

    def handle(self, *_: Any, url: str, **__: Any) -> None:
        """Register it."""
        given = os.environ.get("WEBHOOK_KEY", "").split()
        try:
            webhook = registry_for().create(Endpoint(url, "*", keys=given))
        except (InvalidEndpoint, InvalidKey) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(webhook.id)
        if not given:  # it is shown this once, for the receiver
            self.stdout.write(webhook.keys[0].value)

"""The examples of ``docs/django.md``, run as they stand there by Django's test runner."""

from __future__ import annotations

import os
import re
from typing import Any
from unittest import mock

from django.contrib.auth.models import Permission, User
from django.core.management import load_command_class
from django.db import transaction
from django.test import AsyncClient, Client, TestCase, override_settings
from django.urls import path

from hookkit.contrib.django import registry_for
from hookkit.contrib.django._configured import _NAMES, configured
from sourcetree import PROJECT
from transcripts import blocks, commands

PAGE = (PROJECT / "docs" / "django.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = {
    f"{title}-{number}": block for title, section in SECTIONS.items() for number, block in enumerate(blocks(section))
}
urlpatterns: list[Any] = []


def example(*names: str) -> dict[str, Any]:
    """Run blocks of the page, one after another; return what they define."""
    found: dict[str, Any] = {"__name__": __name__}
    for name in names:
        exec(compile(EXAMPLES[name].text, f"docs/django.md, {name}", "exec", dont_inherit=True), found)
    return found


NAMES = example("Emit-0", "Register-0", "Async views-0", "Test-0", "Test-1")
urlpatterns += [
    path("webhooks", NAMES["add_webhook"]),
    path("sign-up/<name>", transaction.non_atomic_requests(NAMES["sign_up_view"])),
]
SigningUp, SigningUpForGood = NAMES["SigningUp"], NAMES["SigningUpForGood"]
PUBLIC = override_settings(HOOKKIT={}, ROOT_URLCONF=__name__)
PUBLIC.decorate_class(SigningUp)
PUBLIC.decorate_class(SigningUpForGood)


@PUBLIC
class Page(TestCase):
    """The rest of the page."""

    def test_every_example_is_run(self) -> None:
        """Each block is named here, and the page lists its sections."""
        self.assertEqual(
            list(EXAMPLES),
            ["Install-0", "Register-0", "Emit-0", "Deliver-0", "Async views-0", "Test-0", "Test-1"],
        )
        self.assertEqual(re.findall(r"^- \[(.+)\]\(#.+\)$", PAGE, re.MULTILINE), list(SECTIONS))

    def test_links_lead_somewhere(self) -> None:
        """The files are there."""
        links = re.findall(r"\]\(([^)#]+)", PAGE)
        self.assertEqual([link for link in links if not (PROJECT / "docs" / link).is_file()], [])

    def test_settings(self) -> None:
        """They can be read, and the names of the table are those that there are."""
        key = "k1=" + "QUFB" * 10 + "QUE="
        with mock.patch.dict(os.environ, HOOKKIT_VAULT_KEYS=key):
            names = example("Install-0")
        with override_settings(HOOKKIT=names["HOOKKIT"]):
            self.assertEqual(configured().vault.key_ids, ("k1",))
        listed = re.findall(r"^\| `([A-Z]+)` ", SECTIONS["Settings"], re.MULTILINE)
        self.assertEqual(sorted(listed), sorted(_NAMES))

    def test_deliver(self) -> None:
        """The command takes what the page gives it."""
        (line,) = commands(EXAMPLES["Deliver-0"])
        _, name, command, *options = line.split()
        given = load_command_class("hookkit.contrib.django", command).create_parser(name, command).parse_args(options)
        self.assertEqual(given.concurrency, 16)
        for option in re.findall(r"`(--[a-z-]+)`", SECTIONS["Deliver"]):
            self.assertTrue(option == "--help" or hasattr(given, option[2:].replace("-", "_")), option)

    def test_register(self) -> None:
        """Who may make webhooks is given the key, or why not; and the webhook is told of who signs up."""
        client, ada = Client(), User.objects.create_user("ada")
        client.force_login(ada)
        self.assertEqual(client.post("/webhooks", {"url": "https://receiver.example.com/hooks"}).status_code, 403)
        ada.user_permissions.add(Permission.objects.get(codename="change_webhook"))
        made = client.post("/webhooks", {"url": "https://receiver.example.com/hooks"})
        refused = client.post("/webhooks", {"url": "http://169.254.169.254/"})
        self.assertEqual((made.status_code, refused.status_code), (201, 400))
        (webhook,) = registry_for().list()
        self.assertEqual({"id": webhook.id, "key": webhook.keys[0].value}, made.json())
        NAMES["sign_up"]("eve")
        self.assertEqual(len(registry_for().recent(webhook.id, state="pending")), 1)

    async def test_an_async_view(self) -> None:
        """It answers, and the user is there."""
        response = await AsyncClient().get("/sign-up/ada")
        self.assertEqual(response.status_code, 204)
        self.assertTrue(await User.objects.filter(username="ada").aexists())

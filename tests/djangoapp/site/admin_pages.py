"""The admin pages: what they show and never show, who may see them, and what their buttons do."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta
from typing import Any
from unittest.mock import patch

from django.contrib.admin.models import LogEntry
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client, TestCase
from urls import dispatcher

from canaries import CANARIES, found
from hookkit import Endpoint, Reply, Worker
from hookkit.contrib.django import _pages, admin, registry_for, store_for
from hookkit.testing import FakeTransport, ScriptedReceiver

INDEX = "/admin/hookkit/webhook/"
HOSTILE = "<script>alert(1)</script>\u202eevil\x00\x1b[31m\u200b{{ 7 }}{% now 'Y' %}\"'><img src=x>"
SHOWN = ("<script>", "<img src=x", "\u202e", "\x00", "\x1b", "\u200b", "&lt;script&gt;alert(1)")


class Pages(TestCase):
    """A superuser looks at a webhook that is full of secrets, whose receiver means harm."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.webhook = registry_for().create(
            Endpoint(
                f"http://127.0.0.1:9/{CANARIES['path'][0]}?key={CANARIES['query'][0]}",
                ["user.created", "User.*"],
                id="whk_1",
                name=HOSTILE.replace("\x00", "")[:60],
                tenant="<b>t",
                headers={"authorization": CANARIES["header"][0]},
                keys=[CANARIES["whsec"][0]],
            )
        )
        cls.root = User.objects.create_superuser("root")

    def setUp(self) -> None:
        self.client.force_login(self.root)

    def deliver(self, *script: Any) -> None:
        """Emit an event, and have it delivered to a receiver that answers so."""
        dispatcher.emit("user.created", {"name": CANARIES["payload"][0]}, tenant="<b>t")
        with closing(FakeTransport(list(script) or 200)) as transport:
            worker = Worker(store_for(), transport=transport, targets=registry_for()._targets)
            worker.drain()
            worker.stop()

    def pages(self) -> dict[str, str]:
        """Return every page that there is to look at."""
        (entry,) = registry_for().recent("whk_1")[:1]
        urls = (
            "/admin/",
            INDEX,
            f"{INDEX}?tenant=%3Cb%3Et",
            f"{INDEX}whk_1/change/",
            f"{INDEX}whk_1/change/?state=failed&days=7",
            f"{INDEX}deliveries/{entry.delivery_id}/",
        )
        return {url: self.client.get(url).content.decode() for url in urls}

    def check(self, text: str) -> None:
        """Nothing secret is in it, and nothing that would do something."""
        self.assertEqual(found(text, ("whsec", "header", "vault", "payload")), [])
        for bad in SHOWN[:-1]:
            self.assertNotIn(bad, text)

    def test_nothing_hostile_or_secret_shows(self) -> None:
        """Names, answers and their headers are shown as harmless text; keys, headers and payloads are not."""
        answer = Reply(500, (("x-evil", HOSTILE.encode().decode("latin-1")),), HOSTILE.encode() + b"\xff")
        self.deliver(answer)
        pages = self.pages()
        for text in pages.values():
            self.check(text)
        delivery = pages[next(url for url in pages if "deliveries" in url)]
        for text in (pages[INDEX], pages[f"{INDEX}whk_1/change/"], delivery):
            self.assertIn("&lt;script&gt;alert(1)", text)
        self.assertIn(r"\u202e", delivery)
        self.assertIn(r"\x00", delivery)
        self.assertIn("{{ 7 }}", delivery)
        self.assertIn("x-evil", delivery)

    def test_a_url_is_whole_for_those_who_may_change_it(self) -> None:
        """In the list it is its host; on the page of a webhook, too, for those who may only look."""
        whole = CANARIES["path"][0]
        self.assertNotContains(self.client.get(INDEX), whole)
        self.assertContains(self.client.get(f"{INDEX}whk_1/change/"), whole)
        self.client.force_login(staff("view"))
        page = self.client.get(f"{INDEX}whk_1/change/")
        self.assertEqual(found(page.content, ("path", "query")), [])
        self.assertContains(page, "http://127.0.0.1:9")

    def test_health_and_states_are_shown(self) -> None:
        """How many succeeded and failed in a day, each delivery's state, and its last outcome."""
        self.deliver(200)
        self.deliver(410)
        text = re.sub(r"<[^>]+>|\s+", " ", self.client.get(f"{INDEX}whk_1/change/").content.decode())
        self.assertIn("2 requests: 1 succeeded, 1 failed", text)
        self.assertRegex(text, "user.created +failed")
        self.assertIn("disabled (gone)", text)
        index = re.sub(r"<[^>]+>|\s+", " ", self.client.get(INDEX).content.decode())
        self.assertIn("disabled (gone)", index)
        self.assertIn("50%", index)

    def test_the_site_lists_the_pages(self) -> None:
        """With a link, and no way to add one."""
        page = self.client.get("/admin/")
        self.assertContains(page, f'href="{INDEX}"')
        self.assertNotContains(page, f"{INDEX}add/")

    def test_lists_have_pages(self) -> None:
        """Neither webhooks nor deliveries are shown all at once; each is on one page."""
        for number in range(admin._PAGE):
            registry_for().create(
                Endpoint("http://127.0.0.1:9/", "x", id=f"whk_more{number:03}", name=f"n{number:03}.")
            )
        first = self.client.get(INDEX).content.decode()
        (link,) = re.findall(r'href="(\?[^"]*after=[^"]*)">Next', first)
        second = self.client.get(INDEX + link.replace("&amp;", "&")).content.decode()
        ids = [re.findall(r"<small>(whk_\w+)</small>", text) for text in (first, second)]
        self.assertEqual([len(one) for one in ids], [admin._PAGE, 1])
        self.assertEqual(sorted(ids[0] + ids[1]), sorted(one.id for one in registry_for().list(limit=200)))
        self.assertNotIn("Next page", second)

    def test_deliveries_have_pages(self) -> None:
        """The same for a webhook's deliveries, with the filter kept."""
        events = [f"user.n{number}" for number in range(4)]
        registry_for().update("whk_1", events=["*"])
        with patch.object(admin, "_PAGE", 3):
            for name in events:
                dispatcher.emit(name, tenant="<b>t")
            first = self.client.get(f"{INDEX}whk_1/change/?state=pending").content.decode()
            (link,) = re.findall(r'href="(\?[^"]*before=[^"]*)">Next', first)
            second = self.client.get(f"{INDEX}whk_1/change/{link.replace('&amp;', '&')}").content.decode()
        seen = [re.findall(r"<td>(user\.n\d)</td>", text) for text in (first, second)]
        self.assertEqual([len(one) for one in seen], [3, 1])
        self.assertEqual(sorted(seen[0] + seen[1]), events)

    def test_what_is_not_there_is_404(self) -> None:
        """Webhooks, deliveries, and acts that nobody knows."""
        for url in (f"{INDEX}whk_none/change/", f"{INDEX}deliveries/dlv_none/", f"{INDEX}%00/change/", f"{INDEX}add/"):
            self.assertEqual(self.client.get(url).status_code, 404, url)
        for act in ("test", "disable", "enable", "recover", "nonsense", ""):
            form = {"act": act, "hours": "24"}
            self.assertEqual(self.client.post(f"{INDEX}whk_none/act/", form).status_code, 404, act)
        self.assertEqual(self.client.post(f"{INDEX}whk_1/act/", {"act": "nonsense"}).status_code, 404)

    def test_odd_queries_do_no_harm(self) -> None:
        """What a page is asked with may be anything."""
        self.deliver(200)
        for query in ("state=nonsense", "days=x", "days=-1", "before=dlv_none", "before=%00%F0", "state=%00"):
            self.assertEqual(self.client.get(f"{INDEX}whk_1/change/?{query}").status_code, 200, query)
        for query in ("after=zzz", "tenant=%3Cscript%3E", "tenant=%E2%80%AE"):
            page = self.client.get(f"{INDEX}?{query}")
            self.assertEqual(page.status_code, 200, query)
            self.assertNotContains(page, "<script>alert")

    def test_an_unreadable_webhook_can_be_switched(self) -> None:
        """One whose secrets do not open has a page that says so, and a button to disable it."""
        table = "hookkit_webhooks" if connection.vendor == "sqlite" else "hookkit.webhooks"
        with connection.cursor() as cursor:
            cursor.execute(f"UPDATE {table} SET key_id = 'lost'")
        page = self.client.get(f"{INDEX}whk_1/change/")
        self.assertContains(page, "errornote")
        self.check(page.content.decode())
        self.client.post(f"{INDEX}whk_1/act/", {"act": "disable"})
        (shown,) = registry_for().list()
        self.assertFalse(shown.enabled)
        self.assertEqual(self.client.get(INDEX).status_code, 200)


def staff(*codes: str) -> User:
    """Return one of the staff who may do that to webhooks."""
    user = User.objects.create_user(f"staff-{'-'.join(codes)}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=[f"{code}_webhook" for code in codes]))
    return User.objects.get(pk=user.pk)


class Doors(TestCase):
    """Who may see and do what."""

    @classmethod
    def setUpTestData(cls) -> None:
        registry_for().create(Endpoint("http://127.0.0.1:9/", "*", id="whk_1"))
        cls.delivery = dispatcher.emit("user.created").delivery_ids[0]
        cls.looks = (INDEX, f"{INDEX}whk_1/change/", f"{INDEX}deliveries/{cls.delivery}/")
        cls.acts = (f"{INDEX}whk_1/act/", f"{INDEX}deliveries/{cls.delivery}/redeliver/")

    def statuses(self, client: Client) -> tuple[set[int], set[int]]:
        """Return what the pages, and the buttons, answer."""
        looked = {client.get(url).status_code for url in self.looks}
        return looked, {client.post(url, {"act": "disable"}).status_code for url in self.acts}

    def test_permissions_are_respected(self) -> None:
        """Strangers are sent to the login; staff need ``view`` to look and ``change`` to act."""
        rows: tuple[tuple[Any, tuple[set[int], set[int]]], ...] = (
            (None, ({302}, {302})),
            (User.objects.create_user("customer"), ({302}, {302})),
            (staff(), ({403}, {403})),
            (staff("view"), ({200}, {403})),
            (staff("change"), ({200}, {302})),
        )
        for user, expected in rows:
            client = Client()
            if user is not None:
                client.force_login(user)
            before = registry_for().get("whk_1").enabled
            self.assertEqual(self.statuses(client), expected, user)
            if expected[1] == {403} or user is None:
                self.assertEqual(registry_for().get("whk_1").enabled, before)
        self.assertFalse(registry_for().get("whk_1").enabled)

    def test_those_who_may_look_see_no_buttons(self) -> None:
        """No form that posts."""
        self.client.force_login(staff("view"))
        for url in self.looks:
            self.assertNotContains(self.client.get(url), f'action="{INDEX}')

    def test_acts_need_a_token_and_a_post(self) -> None:
        """A page of somebody else's cannot press a button, and a link does nothing."""
        client = Client(enforce_csrf_checks=True)
        client.force_login(staff("view", "change"))
        for url in self.acts:
            self.assertEqual(client.post(url, {"act": "disable"}).status_code, 403)
            self.assertEqual(client.get(url).status_code, 405)
        self.assertTrue(registry_for().get("whk_1").enabled)
        page = client.get(f"{INDEX}whk_1/change/").content.decode()
        token = re.findall(r'name="csrfmiddlewaretoken" value="(\w+)"', page)[0]
        form = {"act": "disable", "csrfmiddlewaretoken": token}
        self.assertEqual(client.post(self.acts[0], form).status_code, 302)
        self.assertFalse(registry_for().get("whk_1").enabled)


class Acts(TestCase):
    """What the buttons do."""

    @classmethod
    def setUpTestData(cls) -> None:
        cls.webhook = registry_for().create(Endpoint("http://127.0.0.1:9/", ["user.created", "User.*"], id="whk_1"))
        cls.user = staff("change")

    def setUp(self) -> None:
        self.client.force_login(self.user)

    def act(self, **form: str) -> str:
        """Press a button; return the page that follows."""
        return self.client.post(f"{INDEX}whk_1/act/", form, follow=True).content.decode()

    def deliver(self, status: int) -> str:
        """Have an event delivered; return the delivery's id."""
        (delivery,) = dispatcher.emit("user.created").delivery_ids
        with closing(FakeTransport(status)) as transport:
            worker = Worker(store_for(), transport=transport, targets=registry_for()._targets)
            worker.drain()
            worker.stop()
        return delivery

    def test_disable_and_enable(self) -> None:
        """Held meanwhile; then delivered, or dropped, as is chosen. The history says who did it."""
        self.assertIn("are held", self.act(act="disable"))
        (one,) = dispatcher.emit("user.created").delivery_ids
        self.assertEqual(registry_for().entry(one).state, "held")
        self.assertIn("is delivered", self.act(act="enable", held="deliver"))
        self.assertEqual(registry_for().entry(one).state, "pending")
        self.act(act="disable")
        self.assertIn("is dropped", self.act(act="enable", held="drop"))
        self.assertEqual(registry_for().entry(one).reason, "dropped")
        noted = LogEntry.objects.filter(object_id="whk_1", user=self.user)
        self.assertEqual(noted.count(), 4)

    def test_a_test_is_sent(self) -> None:
        """To a real receiver: of the first event that is subscribed by its name, or of one that is given."""
        with ScriptedReceiver(204, 500) as receiver:
            registry_for().update("whk_1", url=receiver.url)
            self.assertIn("user.created: status 204", self.act(act="test"))
            self.assertIn("User.Login: status 500", self.act(act="test", event="User.Login"))
            self.assertIn("exact name", self.act(act="test", event="User.*"))
            self.assertEqual([b'"user.created"' in one.body for one in receiver.requests], [True, False])
            self.assertEqual(len(receiver.verified(self.webhook.keys)), 2)
        self.assertEqual(list(registry_for().recent("whk_1")), [])

    def test_a_test_waits_outside_of_any_transaction(self) -> None:
        """Though ``ATOMIC_REQUESTS`` is on, no page of these is within a transaction by that."""
        from django.urls import resolve

        for url in (INDEX, f"{INDEX}whk_1/act/", f"{INDEX}deliveries/x/redeliver/"):
            self.assertEqual(resolve(url).func._non_atomic_requests, {"default"})

    def test_redeliver(self) -> None:
        """A new delivery of the same event, to whose page the button leads."""
        first = self.deliver(200)
        response = self.client.post(f"{INDEX}deliveries/{first}/redeliver/")
        made = unquote(response["location"].rstrip("/").rpartition("/")[2])
        entry = registry_for().entry(made)
        self.assertNotEqual(made, first)
        self.assertEqual((entry.event_id, entry.state), (registry_for().entry(first).event_id, "pending"))
        self.assertContains(self.client.get(response["location"]), "is delivered again")
        gone = self.client.post(f"{INDEX}deliveries/dlv_none/redeliver/", follow=True)
        self.assertContains(gone, "o delivery &#x27;dlv_none&#x27;")  # Django makes the first letter a capital

    def test_recover_asks_first(self) -> None:
        """It says how many, and does it when that is confirmed."""
        failed = self.deliver(410)
        self.act(act="enable")
        asked = self.act(act="recover", hours="24")
        self.assertIn("1 deliveries failed for good", asked)
        self.assertEqual(registry_for().entry(failed).state, "failed")
        self.assertIn("1 failed deliveries", self.act(act="recover", hours="24", sure="yes"))
        self.assertEqual(registry_for().entry(failed).state, "pending")
        for hours in ("", "0", "-1", "x", "1" * 500):
            self.assertIn("whole hours", self.act(act="recover", hours=hours))

    def test_a_failing_act_says_so(self) -> None:
        """What hookkit refuses is said, harmlessly, on the page."""
        first = self.deliver(200)
        store_for().prune(
            payloads_before=dispatcher._clock.now() + timedelta(days=1),
            entries_before=dispatcher._clock.now() - timedelta(days=9),
            limit=100,
        )
        response = self.client.post(f"{INDEX}deliveries/{first}/redeliver/", follow=True)
        self.assertContains(response, "payload")
        self.assertContains(response, 'class="error"')
        self.assertContains(response, "no longer kept")


class Rows(TestCase):
    """What is shown of values that no store would give."""

    def test_a_long_list_is_cut(self) -> None:
        """Events beyond the twentieth are not listed."""
        row = _pages.webhook_row(Endpoint("http://h/", [f"a.n{number}" for number in range(30)]), None)
        self.assertTrue(row["events"].endswith("a.n19 …"))

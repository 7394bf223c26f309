"""The contract of a WebhookStore."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from hookkit.errors import InvalidEndpoint, NotFound
from hookkit.model import Endpoint
from hookkit.protocols import WebhookStore
from hookkit.retry import RetryPolicy
from hookkit.signing import SigningKey
from hookkit.testing.builders import KEY, endpoint
from hookkit.testing.clock import START
from hookkit.testing.kits.fixtures import StoreFixtures

__all__ = ["WebhookStoreContract"]


def _full() -> dict[str, object]:
    return {
        "url": "https://receiver.example.com/webhooks?from=us",
        "events": ("user.created", "User.*"),
        "name": "Büro – 監査 🔔",
        "id": "whk_full",
        "tenant": "acme/eu",
        "headers": {"X-Team": "identity", "authorization": "Bearer abc"},
        "keys": (
            SigningKey(KEY, created_at=START),
            SigningKey("whsec_" + "A" * 43 + "=", expires_at=datetime(2026, 2, 1, 0, 0, 0, 250_000, tzinfo=UTC)),
        ),
        "enabled": False,
        "profile": "logto",
        "retry": RetryPolicy((1, 2.5), statuses={500, 503}, network_errors=False, jitter=0.25, max_delay=90),
        "max_in_flight": 7,
        "rate_limit": (10, timedelta(milliseconds=1500)),
        "metadata": {"owner": {"id": 7, "tags": ["a", None, True, 1.5]}, "ключ": "значение"},
        "created_at": datetime(2026, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC),
        "disabled_reason": "manual",
    }


def _ids(webhooks: WebhookStore, tenant: str, event_type: str) -> list[str]:
    return sorted(found.id for found in webhooks.subscribers(tenant, event_type))


class WebhookStoreContract(StoreFixtures):
    """Checks a :class:`hookkit.protocols.WebhookStore`. Override the fixture ``store`` (or ``webhooks``)."""

    def test_a_webhook_comes_back_with_all_it_was_stored_with(self, webhooks: WebhookStore) -> None:
        """Every field survives: keys and their times, headers, the retry policy, microseconds, any text."""
        stored = endpoint(**_full())
        webhooks.add_webhook(stored)
        assert webhooks.get_webhook("whk_full") == stored

    def test_a_webhook_keeps_the_text_and_the_order_of_its_keys(self, webhooks: WebhookStore) -> None:
        """Keys come back newest first, with the text that signs."""
        webhooks.add_webhook(endpoint(**_full()))
        found = webhooks.get_webhook("whk_full")
        assert [SigningKey(key).value if isinstance(key, str) else key.value for key in found.keys] == [
            KEY,
            "whsec_" + "A" * 43 + "=",
        ]

    def test_a_webhook_keeps_its_headers_in_order(self, webhooks: WebhookStore) -> None:
        """Custom headers are sent in the order, and in the spelling, in which they were given."""
        webhooks.add_webhook(endpoint(**_full()))
        assert list(webhooks.get_webhook("whk_full").headers.items()) == [
            ("X-Team", "identity"),
            ("authorization", "Bearer abc"),
        ]

    def test_a_bare_webhook_comes_back_too(self, webhooks: WebhookStore) -> None:
        """Whatever may be absent stays absent."""
        stored = endpoint(id="whk_bare", created_at=None)
        webhooks.add_webhook(stored)
        assert webhooks.get_webhook("whk_bare") == stored

    def test_an_id_is_taken_once(self, webhooks: WebhookStore) -> None:
        """A second webhook of the same id is refused, whoever's it is, and the first one stays as it was."""
        first = endpoint(id="whk_1", tenant="a", name="first")
        webhooks.add_webhook(first)
        with pytest.raises(InvalidEndpoint) as caught:
            webhooks.add_webhook(endpoint(id="whk_1", tenant="b", name="second"))
        assert caught.value.reason == "id"
        assert webhooks.get_webhook("whk_1") == first

    def test_an_unknown_webhook_is_not_found(self, webhooks: WebhookStore) -> None:
        """Getting, updating and removing what is not there raise NotFound."""
        with pytest.raises(NotFound):
            webhooks.get_webhook("whk_none")
        with pytest.raises(NotFound):
            webhooks.update_webhook("whk_none", lambda stored: stored, now=START)
        with pytest.raises(NotFound):
            webhooks.remove_webhook("whk_none", now=START)

    def test_an_update_replaces_the_whole_webhook(self, webhooks: WebhookStore) -> None:
        """By what the change makes of it, which is returned, too; nothing of the old one is left."""
        webhooks.add_webhook(endpoint(**_full()))
        new = endpoint(id="whk_full", url="https://other.example.com/", events="session.revoked", tenant="acme/eu")
        seen: list[Endpoint] = []

        def change(stored: Endpoint) -> Endpoint:
            seen.append(stored)
            return new

        assert webhooks.update_webhook("whk_full", change, now=START) == new
        assert webhooks.get_webhook("whk_full") == new
        assert seen == [endpoint(**_full())]

    def test_a_change_that_raises_changes_nothing(self, webhooks: WebhookStore) -> None:
        """What it raised reaches the caller."""
        stored = endpoint(id="whk_1")
        webhooks.add_webhook(stored)

        def refuse(_: Endpoint) -> Endpoint:
            raise InvalidEndpoint("events: none", "events")

        with pytest.raises(InvalidEndpoint) as caught:
            webhooks.update_webhook("whk_1", refuse, now=START)
        assert caught.value.reason == "events"
        assert webhooks.get_webhook("whk_1") == stored
        assert webhooks.update_webhook("whk_1", lambda found: attrs.evolve(found, name="new"), now=START).name == "new"

    def test_no_update_is_lost(self, webhooks: WebhookStore) -> None:
        """Changes made at the same moment are made one after the other."""
        if not self.threads:
            pytest.skip("this store is not used from several threads")
        webhooks.add_webhook(endpoint(id="whk_1", max_in_flight=1))

        def add_one(_: int) -> None:
            webhooks.update_webhook(
                "whk_1", lambda stored: attrs.evolve(stored, max_in_flight=stored.max_in_flight + 1), now=START
            )

        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(add_one, range(self.threads * 4)))
        assert webhooks.get_webhook("whk_1").max_in_flight == 1 + self.threads * 4

    def test_an_update_changes_the_subscriptions(self, webhooks: WebhookStore) -> None:
        """The new events count at once, the old ones no longer."""
        webhooks.add_webhook(endpoint(id="whk_1", events="user.created"))
        new = ("user.deleted", "role.*")
        webhooks.update_webhook("whk_1", lambda stored: attrs.evolve(stored, events=new), now=START)
        found = {name: _ids(webhooks, "", name) for name in ("user.created", "user.deleted", "role.created")}
        assert found == {"user.created": [], "user.deleted": ["whk_1"], "role.created": ["whk_1"]}

    def test_a_removed_webhook_is_gone(self, webhooks: WebhookStore) -> None:
        """It is neither found, nor listed, nor told of anything; removing it again is NotFound."""
        webhooks.add_webhook(endpoint(id="whk_1"))
        webhooks.remove_webhook("whk_1", now=START)
        with pytest.raises(NotFound):
            webhooks.get_webhook("whk_1")
        with pytest.raises(NotFound):
            webhooks.remove_webhook("whk_1", now=START)
        assert list(webhooks.list_webhooks()) == []
        assert _ids(webhooks, "", "user.created") == []

    def test_webhooks_are_listed_in_the_order_of_their_ids(self, webhooks: WebhookStore) -> None:
        """By code points, whatever the database's collation: ``B`` comes before ``a``."""
        for name in ("whk_b", "whk_B", "whk_a", "whk-9", "whk_10", "whk_9"):
            webhooks.add_webhook(endpoint(id=name))
        assert [found.id for found in webhooks.list_webhooks()] == [
            "whk-9",
            "whk_10",
            "whk_9",
            "whk_B",
            "whk_a",
            "whk_b",
        ]

    def test_a_list_can_be_read_page_by_page(self, webhooks: WebhookStore) -> None:
        """Each page begins after the last id of the one before; together they hold every webhook once."""
        names = [f"whk_{number:02}" for number in range(7)]
        for name in reversed(names):
            webhooks.add_webhook(endpoint(id=name))
        pages: list[list[str]] = []
        after: str | None = None
        for _ in range(4):
            pages.append([found.id for found in webhooks.list_webhooks(limit=3, after=after)])
            after = pages[-1][-1] if pages[-1] else after
        assert pages == [names[0:3], names[3:6], names[6:], []]

    def test_a_page_may_begin_after_an_id_that_does_not_exist(self, webhooks: WebhookStore) -> None:
        """Whoever reads on after a webhook was removed meanwhile misses nothing."""
        for name in ("whk_1", "whk_3"):
            webhooks.add_webhook(endpoint(id=name))
        assert [found.id for found in webhooks.list_webhooks(after="whk_2")] == ["whk_3"]

    def test_a_list_can_be_of_one_tenant(self, webhooks: WebhookStore) -> None:
        """None lists everybody's; the empty string is a tenant like any other."""
        for name, tenant in (("whk_1", ""), ("whk_2", "acme"), ("whk_3", "acme2")):
            webhooks.add_webhook(endpoint(id=name, tenant=tenant))
        found = {
            tenant: [one.id for one in webhooks.list_webhooks(tenant=tenant)] for tenant in (None, "", "acme", "x")
        }
        assert found == {None: ["whk_1", "whk_2", "whk_3"], "": ["whk_1"], "acme": ["whk_2"], "x": []}

    @pytest.mark.parametrize(
        ("events", "event_type", "subscribed"),
        [
            ("user.created", "user.created", True),
            ("user.created", "user.created.twice", False),
            ("user.created", "user", False),
            ("user.created", "User.Created", False),
            ("user_created", "userXcreated", False),
            ("user.*", "user.created", True),
            ("user.*", "user.data.updated", True),
            ("user.*", "user", False),
            ("user.*", "users.created", False),
            ("user.*", "User.created", False),
            ("user_x.*", "userAx.created", False),
            ("user.data.*", "user.data.updated", True),
            ("user.data.*", "user.created", False),
            ("*", "user.created", True),
            ("*", "PostSignIn", True),
            (("role.created", "user.created"), "user.created", True),
            (("role.created", "role.deleted"), "user.created", False),
        ],
    )
    def test_who_subscribes(
        self,
        webhooks: WebhookStore,
        events: str | tuple[str, ...],
        event_type: str,
        subscribed: bool,  # noqa: FBT001
    ) -> None:
        """A subscription is an exact name, ``prefix.*`` at any depth below the prefix, or ``*``; case counts."""
        webhooks.add_webhook(endpoint(id="whk_1", events=events))
        assert _ids(webhooks, "", event_type) == (["whk_1"] if subscribed else [])

    def test_a_subscriber_is_told_once(self, webhooks: WebhookStore) -> None:
        """However many of its patterns match."""
        webhooks.add_webhook(endpoint(id="whk_1", events=("user.created", "user.*", "*")))
        assert _ids(webhooks, "", "user.created") == ["whk_1"]

    def test_every_subscriber_is_found(self, webhooks: WebhookStore) -> None:
        """No page size cuts the list of those who must be told."""
        names = [f"whk_{number:04}" for number in range(250)]
        for name in names:
            webhooks.add_webhook(endpoint(id=name))
        assert _ids(webhooks, "", "user.created") == names

    def test_a_tenants_event_is_told_to_this_tenant_only(self, webhooks: WebhookStore) -> None:
        """Not even a webhook of the empty tenant hears of another tenant's event."""
        for name, tenant in (("whk_1", ""), ("whk_2", "acme"), ("whk_3", "ACME")):
            webhooks.add_webhook(endpoint(id=name, tenant=tenant))
        found = {tenant: _ids(webhooks, tenant, "user.created") for tenant in ("", "acme", "ACME", "x")}
        assert found == {"": ["whk_1"], "acme": ["whk_2"], "ACME": ["whk_3"], "x": []}

    def test_a_disabled_subscriber_is_found_too(self, webhooks: WebhookStore) -> None:
        """Its deliveries are stored, and held."""
        webhooks.add_webhook(endpoint(id="whk_1", enabled=False, disabled_reason="manual"))
        assert _ids(webhooks, "", "user.created") == ["whk_1"]

    def test_subscribers_come_with_all_they_were_stored_with(self, webhooks: WebhookStore) -> None:
        """What is planned from them needs their profile, and what is sent their keys."""
        stored = endpoint(**_full())
        webhooks.add_webhook(stored)
        assert list(webhooks.subscribers("acme/eu", "user.created")) == [stored]

"""Stores that break one promise each, and the rules of the kits that must notice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from inspect import signature

import attrs

from hookkit.stores.memory import MemoryStore
from hookkit.testing import Bench, StoreContract

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def altered(method, **changes):
    """Return a method that calls the store's own with some arguments replaced by what `changes` make of them."""
    original = getattr(MemoryStore, method)

    def call(self, *args, **kwargs):
        return original(
            self, *args, **{name: changes[name](given) if name in changes else given for name, given in kwargs.items()}
        )

    return call


def answering(method, change):
    """Return a method that does what the store's own does, and answers something else."""
    original = getattr(MemoryStore, method)
    return lambda self, *args, **kwargs: change(original(self, *args, **kwargs), *args, **kwargs)


def nothing(answer=None):
    """Return a method that does nothing."""
    return lambda self, *args, **kwargs: answer


def forgetting_leases(self, **kwargs):
    claims = MemoryStore.claim(self, **kwargs)
    MemoryStore.give_back(self, [claim.claim_id for claim in claims], now=kwargs["now"])
    return claims


def adding(**fields):
    return lambda self, endpoint: MemoryStore.add_webhook(self, attrs.evolve(endpoint, **fields))


def planning(**fields):
    return lambda self, planned, **kwargs: MemoryStore.enqueue(
        self, [attrs.evolve(plan, **fields) for plan in planned], **kwargs
    )


def keeping_answers(self, **kwargs):
    deliveries = list(self._tables.deliveries.values())
    kept = [list(one.attempts) for one in deliveries]
    touched = MemoryStore.prune(self, **kwargs)
    for one, attempts in zip(deliveries, kept, strict=True):
        one.attempts = attempts
    return touched


def replacing_always(self, entries):
    entries = list(entries)
    for entry in entries:
        self._tables.deliveries.pop(entry.delivery_id, None)
    MemoryStore.record(self, entries)


SABOTEURS = [
    ("claim", forgetting_leases, "test_what_is_leased_is_not_claimed_again"),
    ("claim", forgetting_leases, "test_each_delivery_goes_to_one_of_many_workers"),
    ("claim", altered("claim", lane=lambda _: "first"), "test_the_first_lane_holds_what_was_never_attempted"),
    ("claim", altered("claim", limit=lambda limit: limit + 1), "test_rounds_of_slots_go_on_until_limit"),
    ("claim", altered("claim", limit_busy=lambda _: 99), "test_a_second_slot_counts_as_busy"),
    ("claim", altered("claim", limit_failing=lambda _: 99), "test_an_endpoint_whose_last_attempt_failed_is_failing"),
    ("claim", altered("claim", profiles=lambda _: ("standard", "acme")), "test_a_worker_gets_only_profiles_it_knows"),
    ("claim", altered("claim", lease=lambda _: timedelta(days=9)), "test_a_lease_that_ran_out_is_a_lost_attempt"),
    ("claim", altered("claim", lease=lambda _: timedelta(seconds=1)), "test_a_lease_holds_until_its_end"),
    ("claim", altered("claim", now=lambda now: now + timedelta(hours=9)), "test_nothing_is_claimed_before_it_is_due"),
    (
        "claim",
        altered("claim", now=lambda now: now + timedelta(hours=9)),
        "test_an_open_breaker_lets_one_probe_through_at_its_time",
    ),
    ("claim", answering("claim", lambda claims, **_: claims[:1]), "test_a_claim_leases_all_that_is_due_within_limit"),
    ("claim_one", nothing(), "test_claim_one_of_an_unknown_delivery_is_not_found"),
    ("add_webhook", adding(max_in_flight=99), "test_an_endpoint_holds_at_most_its_cap_of_leases"),
    ("add_webhook", adding(max_in_flight=99), "test_many_threads_together_keep_to_the_cap"),
    ("add_webhook", adding(rate_limit=None), "test_a_rate_bounds_a_burst"),
    ("add_webhook", adding(keys=()), "test_a_webhook_comes_back_with_all_it_was_stored_with"),
    ("update_webhook", nothing(), "test_an_update_replaces_the_whole_webhook"),
    ("list_webhooks", altered("list_webhooks", after=lambda _: None), "test_a_list_can_be_read_page_by_page"),
    (
        "subscribers",
        lambda self, tenant, name, tx=None: self.list_webhooks(),
        "test_a_tenants_event_is_told_to_this_tenant_only",
    ),
    ("enqueue", planning(idempotency_key=None), "test_a_repeated_idempotency_key_is_the_first_emission_again"),
    ("enqueue", planning(tenant=""), "test_ids_and_keys_are_each_tenants_own"),
    (
        "enqueue",
        answering("enqueue", lambda emissions, *_, **__: emissions[::-1]),
        "test_emissions_are_in_the_events_order",
    ),
    (
        "extend",
        answering("extend", lambda _, asked, **__: set(asked)),
        "test_extending_tells_which_claims_are_still_held",
    ),
    ("extend", answering("extend", lambda _, asked, **__: set(asked)), "test_a_lease_that_ran_out_is_not_extended"),
    ("extend", altered("extend", lease=lambda _: timedelta(seconds=30)), "test_an_extended_lease_holds_longer"),
    ("give_back", nothing(set()), "test_giving_back_tells_which_claims_were_held"),
    ("give_back", nothing(set()), "test_a_lease_given_back_makes_room"),
    (
        "settle",
        answering("settle", lambda settled, *_, **__: settled[::-1]),
        "test_several_outcomes_are_answered_in_order",
    ),
    (
        "settle",
        altered("settle", step=lambda _: lambda state, *__: (state, ())),
        "test_the_step_goes_on_from_where_it_left",
    ),
    (
        "settle",
        altered("settle", step=lambda _: lambda state, *__: (state, ())),
        "test_a_disabled_state_disables_the_webhook",
    ),
    ("hold", nothing(), "test_what_is_held_is_never_claimed"),
    ("release", altered("release", drop=lambda _: False), "test_dropped_deliveries_are_failed"),
    ("release", nothing(), "test_what_is_yet_to_come_is_held_too"),
    ("fail_pending", nothing(), "test_failing_what_is_pending_finishes_it"),
    ("redeliver", lambda self, delivery, now: delivery, "test_a_redelivery_is_a_new_delivery_of_the_same"),
    ("recover", altered("recover", since=lambda _: LONG_AGO), "test_what_was_never_attempted_counts_by_its_making"),
    ("recover", altered("recover", dry_run=lambda _: False), "test_a_dry_run_only_counts"),
    ("next_due", lambda self, now: now, "test_without_work_nothing_is_due"),
    ("next_due", lambda self, now: now, "test_a_breaker_makes_nobody_spin"),
    ("next_due", nothing(), "test_what_is_due_is_due_now"),
    ("expire_held", altered("expire_held", limit=lambda _: 99), "test_expiring_goes_in_batches"),
    ("ended", nothing(()), "test_what_ended_without_an_outcome_is_told"),
    ("ended", altered("ended", since=lambda _: LONG_AGO), "test_ends_are_told_since_a_time"),
    ("record", replacing_always, "test_fewer_attempts_never_replace_more"),
    ("recent", altered("recent", event=lambda _: None), "test_an_event_type_can_be_asked_for"),
    ("recent", altered("recent", limit=lambda _: 99), "test_a_page_has_at_most_limit"),
    ("recent", altered("recent", before=lambda _: None), "test_pages_of_a_filtered_list_go_on_too"),
    ("health", altered("health", window=lambda _: timedelta(hours=24)), "test_the_window_is_told"),
    (
        "health",
        answering("health", lambda found, *_, **__: dict(list(found.items())[:1])),
        "test_every_endpoint_asked_for_is_answered",
    ),
    ("prune", nothing(0), "test_old_payloads_are_forgotten_first"),
    (
        "prune",
        altered("prune", payloads_before=lambda _: LONG_AGO),
        "test_a_forgotten_payload_frees_its_idempotency_key",
    ),
    ("prune", keeping_answers, "test_answers_are_forgotten_with_the_payload"),
    ("prune", keeping_answers, "test_a_forgotten_payload_takes_the_answers_along"),
]


def break_rule(method, broken, rule):
    """Run one rule of the kit over a store whose `method` is `broken`."""
    store = type("Saboteur", (MemoryStore,), {method: broken})()
    check_rule(store, rule)


def check_rule(store, rule):
    """Run one rule of the kit over `store`."""
    check = getattr(StoreContract(), rule)
    given = {"bench": Bench(store, store, store), "webhooks": store, "outbox": store, "queue": store, "logs": store}
    check(**{name: given[name] for name in signature(check).parameters})

"""Admin pages: webhooks and how they do, their deliveries, and what an operator does about them.

Everything goes through a :class:`~hookkit.Registry`; no page reads or writes a table. Whoever may view webhooks sees
the pages, whoever may change them has the buttons. Webhooks are made and changed by the host's own pages, since it is
the host who shows a new key to its customer.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, get_args

from django.contrib import admin, messages
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import PermissionDenied
from django.db import connections, transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from hookkit.contrib.django._acts import ACTS
from hookkit.contrib.django._pages import attempt_row, delivery_row, webhook_row
from hookkit.contrib.django.emitting import registry_for
from hookkit.contrib.django.models import Webhook
from hookkit.errors import HookkitError, NotFound
from hookkit.model import DeliveryState
from hookkit.plaintext import plain

if TYPE_CHECKING:
    from hookkit import Registry

    _ModelAdmin = admin.ModelAdmin[Webhook]
else:
    _ModelAdmin = admin.ModelAdmin

__all__ = ["WebhookAdmin"]

_PAGE: Final = 50
_STATES: Final[dict[str, DeliveryState]] = {name: name for name in get_args(DeliveryState)}
_DAYS: Final = ("1", "7", "30")


class WebhookAdmin(_ModelAdmin):
    """Webhooks, over the registry that ``HOOKKIT`` says. Override :attr:`registry` for another one."""

    @property
    def registry(self) -> Registry:
        """Where webhooks and deliveries are."""
        return registry_for()

    def get_urls(self) -> list[URLPattern]:
        """Return these pages, and none of those that would look for rows."""

        def page(route: str, view: Callable[..., HttpResponse], name: str) -> URLPattern:
            wrapped = self.admin_site.admin_view(_ours(view))
            for alias in connections:  # a test waits for a receiver; each step of a page is a transaction of its own
                wrapped = transaction.non_atomic_requests(using=alias)(wrapped)
            return path(route, wrapped, name=f"hookkit_webhook_{name}")

        return [
            page("", self.changelist_view, "changelist"),
            page("<str:object_id>/change/", self.change_view, "change"),
            page("<str:object_id>/act/", self.act_view, "act"),
            page("deliveries/<str:delivery_id>/", self.delivery_view, "delivery"),
            page("deliveries/<str:delivery_id>/redeliver/", self.redeliver_view, "redeliver"),
        ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Nobody adds one here."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes one here."""
        return False

    # --- Looking ------------------------------------------------------------------------------------------------------

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        """Show a page of webhooks."""
        self._check_view(request)
        registry, tenant, after = self.registry, _asked(request, "tenant"), _asked(request, "after")
        found = registry.list(tenant=tenant or None, limit=_PAGE + 1, after=after or None)
        shown = found[:_PAGE]
        health = registry.health([one.id for one in shown])
        context = {
            "title": "Webhooks",
            "rows": [webhook_row(one, health[one.id]) | {"link": self._to("change", one.id)} for one in shown],
            "tenant": tenant,
            "after": shown[-1].id if len(found) > _PAGE else "",
            "is_first": not after,
        }
        return self._page(request, "webhooks", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Show one webhook and a page of its deliveries."""
        self._check_view(request)
        registry, webhook_id = self.registry, unquote(object_id)
        may_change = self.has_change_permission(request)
        trouble = ""
        row: dict[str, Any] = {"id": webhook_id}
        try:
            row = webhook_row(registry.get(webhook_id), registry.health(webhook_id)[webhook_id], whole=may_change)
        except NotFound:
            raise Http404 from None
        except HookkitError as error:  # its secrets do not open; it can be switched all the same
            trouble = plain(str(error))
        state, days, before = (_asked(request, name) for name in ("state", "days", "before"))
        found = registry.recent(
            webhook_id,
            window=timedelta(days=int(days) if days in _DAYS else 1),
            state=_STATES.get(state),
            limit=_PAGE + 1,
            before=before or None,
        )
        rows = [delivery_row(one) | {"link": self._to("delivery", one.delivery_id)} for one in found[:_PAGE]]
        context = {
            "title": "Webhook",
            "subtitle": webhook_id,
            "webhook": row,
            "trouble": trouble,
            "rows": rows,
            "states": _STATES,
            "state": state,
            "days": days,
            "before": rows[-1]["id"] if len(found) > _PAGE else "",
            "is_first": not before,
            "act": self._to("act", webhook_id),
            "may_change": may_change,
        }
        return self._page(request, "webhook", context)

    def delivery_view(self, request: HttpRequest, delivery_id: str) -> HttpResponse:
        """Show one delivery with its attempts."""
        self._check_view(request)
        try:
            entry = self.registry.entry(unquote(delivery_id))
        except NotFound:
            raise Http404 from None
        context = {
            "title": "Delivery",
            "subtitle": entry.delivery_id,
            "delivery": delivery_row(entry),
            "attempts": [attempt_row(one) for one in entry.attempts[-_PAGE:]],
            "earlier": max(0, len(entry.attempts) - _PAGE),
            "to_webhook": self._to("change", entry.endpoint_id),
            "redeliver": self._to("redeliver", entry.delivery_id),
            "may_change": self.has_change_permission(request),
        }
        return self._page(request, "delivery", context)

    # --- Acting -------------------------------------------------------------------------------------------------------

    def act_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Do to a webhook what a button said."""
        if (refused := self._refusal(request)) is not None:
            return refused
        webhook_id = unquote(object_id)
        act = ACTS.get(request.POST.get("act", ""))
        if act is None:
            raise Http404
        back = self._to("change", webhook_id)
        try:
            done = act(self.registry, webhook_id, request.POST)
        except NotFound:
            raise Http404 from None
        except HookkitError as error:
            messages.error(request, plain(str(error)))
            return HttpResponseRedirect(back)
        if done.ask is not None:
            context = {"title": "Deliver again", "subtitle": webhook_id, "act": self._to("act", webhook_id), **done.ask}
            return self._page(request, "recover", context | {"back": back})
        messages.add_message(request, messages.SUCCESS if done.ok else messages.WARNING, done.said)
        self._note(request, webhook_id, done.said)
        return HttpResponseRedirect(back)

    def redeliver_view(self, request: HttpRequest, delivery_id: str) -> HttpResponse:
        """Send a delivery once more, as a new one."""
        if (refused := self._refusal(request)) is not None:
            return refused
        registry, of = self.registry, unquote(delivery_id)
        try:
            entry = registry.entry(of)
            made = registry.redeliver(of)
        except NotFound as error:
            messages.error(request, plain(str(error)))
            return HttpResponseRedirect(self._to("changelist"))
        except HookkitError as error:
            messages.error(request, plain(str(error)))
            return HttpResponseRedirect(self._to("delivery", of))
        messages.success(request, f"{of} is delivered again, as {made}.")
        self._note(request, entry.endpoint_id, f"{of} delivered again as {made}")
        return HttpResponseRedirect(self._to("delivery", made))

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _check_view(self, request: HttpRequest) -> None:
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied

    def _refusal(self, request: HttpRequest) -> HttpResponse | None:
        if not self.has_change_permission(request):
            raise PermissionDenied
        return None if request.method == "POST" else HttpResponseNotAllowed(["POST"])

    def _to(self, name: str, *ids: str) -> str:
        return reverse(f"{self.admin_site.name}:hookkit_webhook_{name}", args=[quote(one) for one in ids])

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        whole = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "changelist": self._to("changelist"),
            **context,
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, f"admin/hookkit/{template}.html", whole)

    def _note(self, request: HttpRequest, webhook_id: str, said: str) -> None:
        self.log_change(request, Webhook(pk=webhook_id), said)


def _asked(request: HttpRequest, name: str) -> str:
    """Return a parameter of the query; empty if it is not there, or has what no database stores."""
    value = request.GET.get(name, "")
    return "" if "\0" in value else value


def _ours(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Return a view that says so when the store fails, and finds nothing of an id that none can have."""

    @wraps(view)
    def guarded(request: HttpRequest, **arguments: Any) -> HttpResponse:
        if not all(plain(value).isascii() and plain(value) == value for value in arguments.values()):
            raise Http404  # no database need be asked
        try:
            return view(request, **arguments)
        except HookkitError as error:
            return HttpResponse(f"hookkit: {plain(str(error))}", status=503, content_type="text/plain; charset=utf-8")

    return guarded


admin.site.register(Webhook, WebhookAdmin)

"""The app: ``INSTALLED_APPS = [..., "hookkit.contrib.django"]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

__all__ = ["HookkitConfig"]


class HookkitConfig(AppConfig):
    """Webhooks: their tables, their admin pages, and the command that delivers."""

    name = "hookkit.contrib.django"
    label = "hookkit"
    verbose_name: StrOrPromise = "Webhooks"

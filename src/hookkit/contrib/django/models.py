"""A model that has no rows: what the admin site and permissions hang on. Webhooks live in hookkit's own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db import models

if TYPE_CHECKING:
    _Manager = models.Manager["Webhook"]
else:
    _Manager = models.Manager

__all__ = ["Webhook"]


class _Nothing(_Manager):
    """Finds nothing, so that what goes through all models, such as ``dumpdata``, finds no table missing."""

    def get_queryset(self) -> models.QuerySet[Webhook]:
        return super().get_queryset().none()


class Webhook(models.Model):
    """A webhook's place in the admin site; ``hookkit.view_webhook`` and ``hookkit.change_webhook`` are about it.

    It is never read from the database, nor written: use :func:`hookkit.contrib.django.registry_for`.
    """

    id: models.CharField[str, str] = models.CharField(max_length=128, primary_key=True)

    objects: ClassVar[_Nothing] = _Nothing()

    class Meta:
        """There is no table of this name, and nobody adds or deletes one here."""

        managed = False
        default_permissions: tuple[str, ...] = ("view", "change")
        base_manager_name = "objects"
        default_manager_name = "objects"

    def __str__(self) -> str:
        return self.id

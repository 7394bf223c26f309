"""The app."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_in


class ServerConfig(AppConfig):
    """Connects the signals."""

    name = "server"

    def ready(self) -> None:
        """Listen."""
        from server import webhooks

        webhooks.connect()
        if not getattr(settings, "KEEP_LAST_LOGIN", True):
            # Connected by now, as django.contrib.auth stands before this app in INSTALLED_APPS.
            user_logged_in.disconnect(dispatch_uid="update_last_login")

"""The pages: the toolkit's, Django's to sign in and out, the admin site's, and an API that asks for tokens."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import include, path
from oauth2_provider.decorators import protected_resource


@transaction.non_atomic_requests
@protected_resource(scopes=["read"])  # type: ignore[untyped-decorator]  # the toolkit has no types
def me(request: HttpRequest) -> JsonResponse:
    """Say who asks."""
    user = request.resource_owner  # type: ignore[attr-defined]  # set by the decorator
    return JsonResponse({"id": str(user.pk), "name": user.get_username()})


urlpatterns = [
    path("api/me/", me),
    # In no transaction: on SQLite to begin one is to wait for everybody who writes.
    path("login/", transaction.non_atomic_requests(LoginView.as_view(template_name="sign_in.html")), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("o/", include("oauth2_provider.urls")),
    path("admin/", admin.site.urls),
]

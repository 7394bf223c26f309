"""The pages: allauth's, the admin site's, and one that says who asks."""

from __future__ import annotations

from allauth.account.views import login
from django.contrib import admin
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest, JsonResponse
from django.urls import include, path


@transaction.non_atomic_requests
def who(request: HttpRequest) -> JsonResponse:
    """Say who asks."""
    user = request.user
    return JsonResponse({"id": str(user.pk), "email": user.email} if isinstance(user, User) else {})


urlpatterns = [
    path("", who),
    # allauth's own view, but in no transaction: on SQLite to begin one is to wait for everybody who writes.
    path("accounts/login/", transaction.non_atomic_requests(login)),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

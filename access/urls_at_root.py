"""The published pages say `POST /login` without the prefix that everything else has: it is served at both."""

from django.urls import path

from access.api.login import LoginView, MeView
from access.api.tokens import TokensView, TokenView

urlpatterns = [
    path("login", LoginView.as_view(schema=None)),
    path("auth/me", MeView.as_view(schema=None)),
    path("s2s-token", TokensView.as_view(schema=None)),
    path("s2s-token/<str:token_id>", TokenView.as_view(schema=None)),
]

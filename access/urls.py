"""Log-in and tokens: below the API's prefix, and again at the root."""

from django.urls import path

from access.api.login import LoginView, MeView
from access.api.tokens import TokensView, TokenView

urlpatterns = [
    path("login", LoginView.as_view(), name="login"),
    path("auth/me", MeView.as_view(), name="me"),
    path("s2s-token", TokensView.as_view(), name="s2s-tokens"),
    path("s2s-token/<str:token_id>", TokenView.as_view(), name="s2s-token"),
]

# The published pages say `POST /login`, without the prefix that all other paths have; so both are served.
at_root = [
    path("login", LoginView.as_view(schema=None)),
    path("auth/me", MeView.as_view(schema=None)),
    path("s2s-token", TokensView.as_view(schema=None)),
    path("s2s-token/<str:token_id>", TokenView.as_view(schema=None)),
]

"""Log-in and tokens, below the API's prefix."""

from django.urls import path

from access.api.login import LoginView, MeView
from access.api.tokens import TokensView, TokenView

urlpatterns = [
    path("login", LoginView.as_view(), name="login"),
    path("auth/me", MeView.as_view(), name="me"),
    path("s2s-token", TokensView.as_view(), name="s2s-tokens"),
    path("s2s-token/<str:token_id>", TokenView.as_view(), name="s2s-token"),
]
